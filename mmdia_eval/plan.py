"""From a protocol to stages. Every problem is found here, before any model loads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmdia_eval import registry
from mmdia_eval.api import Extractor, Metric, Reads, Requirement
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.protocol import ExtractorEntry, MetricEntry, Protocol
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.types import Artifact, Dialogue, MediaInfo, Sample, Task

MEDIA = "media"
"""The role of the decoder's findings, which no protocol has to name."""

Kinds = Mapping[type[Artifact], str]


@dataclass(frozen=True)
class Stage:
    """One extractor over all files that need it. `inputs`: the roles of the kinds it reads."""

    role: str
    extractor: Extractor[Any]
    settings: Mapping[str, Any]
    inputs: Kinds

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """All that determines this stage's artifacts, beside the files themselves."""
        extractor = self.extractor
        return {
            "kind": extractor.makes.kind,
            "extractor": extractor.name,
            "version": extractor.version,
            "settings": extractor.settings.model_dump(mode="json"),
            "weights": {weights.name: weights.sha256 for weights in extractor.weights()},
            **extractor.identity(),
        }


@dataclass(frozen=True)
class MetricJob:
    """A metric under its name in the protocol, and the roles its artifacts come from."""

    name: str
    metric: Metric
    settings: Mapping[str, Any]
    inputs: Kinds
    reference_inputs: Kinds

    @property
    def roles(self) -> Iterator[str]:
        yield from self.inputs.values()
        yield from self.reference_inputs.values()


@dataclass(frozen=True)
class Plan:
    """What a run will do: `stages` in order, then `metrics`, over `samples`."""

    protocol: Protocol
    task: Task
    samples: tuple[Sample, ...]
    scripts: tuple[str, ...]
    stages: tuple[Stage, ...]
    metrics: tuple[MetricJob, ...]

    def dialogues_with_reference(self, role: str) -> Sequence[Dialogue]:
        """The dialogues of whose reference recording some metric wants this role."""
        wanting = [job for job in self.metrics if role in self._reference_roles(job)]
        return [
            sample.dialogue
            for sample in self.samples
            if sample.dialogue.audio
            and any(job.metric.not_applicable(sample.dialogue) is None for job in wanting)
        ]

    def roles_of_outputs(self) -> set[str]:
        """The roles that some metric wants of the systems' outputs."""
        return self._closure(role for job in self.metrics for role in job.inputs.values())

    def _reference_roles(self, job: MetricJob) -> set[str]:
        return self._closure(job.reference_inputs.values())

    def _closure(self, roles: Iterable[str]) -> set[str]:
        inputs = {stage.role: set(stage.inputs.values()) for stage in self.stages}
        found: set[str] = set()
        todo = list(roles)
        while todo:
            role = todo.pop()
            if role not in found:
                found.add(role)
                todo.extend(inputs.get(role, ()))
        return found


def make_plan(
    protocol: Protocol,
    task: Task,
    samples: Sequence[Sample],
    scripts: Sequence[str],
    metrics: Sequence[str] = (),
) -> Plan:
    """Resolve a protocol's metrics (or those named) into stages.

    Raises:
        ProblemsError: with every problem found: a task the protocol does not score, unknown
            metrics, extractors or settings, engines that are not installed, metrics asked for
            by name to which no dialogue applies.
    """
    return _Planner(protocol, task, tuple(samples), tuple(scripts)).plan(metrics)


class _Planner:
    def __init__(
        self,
        protocol: Protocol,
        task: Task,
        samples: tuple[Sample, ...],
        scripts: tuple[str, ...],
    ) -> None:
        self.protocol = protocol
        self.task = task
        self.samples = samples
        self.scripts = scripts
        self.problems: list[str] = []
        self.stages: dict[str, Stage] = {}

    def plan(self, names: Sequence[str]) -> Plan:
        if self.task not in self.protocol.tasks:
            tasks = " and ".join(str(task) for task in self.protocol.tasks)
            self.problems.append(
                f"protocol {self.protocol.name!r} has no metrics for task {self.task}; "
                f"it scores task {tasks}"
            )
        jobs = [job for entry in self._entries(names) if (job := self._metric_job(entry))]
        for job in jobs:
            for role in job.roles:
                self._add_stage(role, ())
        for job in jobs:
            if job.name in names:
                self._check_applies(job)
        if self.problems:
            raise ProblemsError(list(dict.fromkeys(self.problems)))
        stages = tuple(self.stages.values())
        return Plan(self.protocol, self.task, self.samples, self.scripts, stages, tuple(jobs))

    def _entries(self, names: Sequence[str]) -> list[MetricEntry]:
        known = {entry.name: entry for entry in self.protocol.metrics}
        self.problems.extend(
            f"unknown metric {name!r}; protocol {self.protocol.name!r} has: "
            f"{', '.join(sorted(known))}"
            for name in names
            if name not in known
        )
        return [
            entry
            for entry in self.protocol.metrics
            if (entry.name in names if names else entry.default)
        ]

    def _metric_job(self, entry: MetricEntry) -> MetricJob | None:
        try:
            cls = registry.metric.get(entry.metric)
            settings = cls.Settings.model_validate(entry.settings)
        except (UserError, ValidationError) as error:
            self.problems.append(f"metric {entry.name!r}: {_one_line(error)}")
            return None
        return MetricJob(
            entry.name,
            cls(settings),
            settings.model_dump(mode="json"),
            {kind: entry.inputs.get(kind.kind, kind.kind) for kind in cls.needs},
            {kind: f"reference_{kind.kind}" for kind in cls.reference_needs},
        )

    def _add_stage(self, role: str, path: tuple[str, ...]) -> None:
        if role == MEDIA or role in self.stages:
            return
        if role in path:
            self.problems.append(f"extractors need each other: {' -> '.join([*path, role])}")
            return
        entry = self.protocol.extractors.get(role)
        if entry is None:
            self.problems.append(
                f"protocol {self.protocol.name!r} names no extractor for the role {role!r}"
            )
            return
        extractor = self._extractor(role, entry)
        if extractor is None:
            return
        inputs = {kind: entry.inputs.get(kind.kind, kind.kind) for kind in extractor.needs}
        for needed in inputs.values():
            self._add_stage(needed, (*path, role))
        self.stages[role] = Stage(role, extractor, entry.settings, inputs)

    def _extractor(self, role: str, entry: ExtractorEntry) -> Extractor[Any] | None:
        try:
            cls = registry.extractor.get(entry.extractor)
            settings = cls.Settings.model_validate(entry.settings)
        except (UserError, ValidationError) as error:
            self.problems.append(f"extractor {role!r}: {_one_line(error)}")
            return None
        if cls.__module__ == "__main__":
            self.problems.append(
                f"extractor {entry.extractor!r} is defined in the main script, which workers do "
                "not import: put it into a module"
            )
        missing = [requirement for requirement in cls.requires if not _installed(requirement)]
        self.problems.extend(
            f"extractor {entry.extractor!r} needs the package {requirement.module!r}: "
            f"{requirement.install}"
            for requirement in missing
        )
        return None if missing else cls(settings, self.scripts)

    def _check_applies(self, job: MetricJob) -> None:
        reasons = [job.metric.not_applicable(sample.dialogue) for sample in self.samples]
        if reasons and all(reason is not None for reason in reasons):
            self.problems.append(
                f"metric {job.name!r} has nothing to score in this split: {reasons[0]}"
            )


def artifact_key(
    stage: Stage, sha256: str, dialogue: Dialogue, inputs: Mapping[type[Artifact], str]
) -> str:
    """The name of what `stage` makes of the file with that sha256; `inputs` are keys by kind."""
    reads = {name: _READERS[name](dialogue) for name in stage.extractor.reads}
    needs = {kind.kind: key for kind, key in inputs.items() if kind is not MediaInfo}
    return digest([stage.identity, sha256, reads, needs])


def _turn_times(dialogue: Dialogue) -> list[Any]:
    segments = [turn.segment for turn in dialogue.turns]
    return [segment and [segment.start, segment.end] for segment in segments]


def _keyframes(dialogue: Dialogue) -> list[Any]:
    return [[_content(k.path), k.time, k.speaker] for k in dialogue.keyframes]


def _content(path: Path) -> str:
    """The file's sha256; one that cannot be opened is left for the extractor to name."""
    try:
        return file_sha256(path)
    except OSError:
        return digest(["cannot be opened", str(path)])


_READERS: Mapping[Reads, Callable[[Dialogue], Any]] = {
    "id": lambda dialogue: dialogue.id,
    "script": lambda dialogue: [turn.text for turn in dialogue.turns],
    "speakers": lambda dialogue: [turn.speaker for turn in dialogue.turns],
    "speaker_count": lambda dialogue: len(dialogue.speakers),
    "turn_times": _turn_times,
    "style": lambda dialogue: asdict(dialogue.style),
    "keyframes": _keyframes,
    "reference": lambda dialogue: dialogue.audio and _content(dialogue.audio),
}


def _installed(requirement: Requirement) -> bool:
    try:
        return find_spec(requirement.module) is not None
    except ModuleNotFoundError:
        return False


def _one_line(error: UserError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"setting {'.'.join(map(str, e['loc']))!r}: {e['msg']}" for e in error.errors()
        )
    return str(error)
