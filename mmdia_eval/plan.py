"""From a protocol to stages. Every problem is found here, before any model loads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from mmdia_eval import devices, registry, sandbox
from mmdia_eval.api import Extractor, Metric, Requirement
from mmdia_eval.artifacts import Artifact, MediaInfo, VideoInfo
from mmdia_eval.choices import NO_JUDGE, Choices
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.protocol import ExtractorEntry, MetricEntry, Protocol
from mmdia_eval.types import Dialogue, Sample, SandboxMode, Task

MEDIA, VIDEO = MediaInfo.kind, VideoInfo.kind
"""The roles of the decoders' findings, which no protocol has to name."""

Kinds = Mapping[type[Artifact], str]


@dataclass(frozen=True)
class NotRun:
    """A metric of the protocol that is not measured: `lacks` says what is missing here for it."""

    name: str
    metric: str
    lacks: tuple[str, ...]

    @property
    def reason(self) -> str:
        """What is missing, in one line."""
        return "; ".join(self.lacks)


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
    """What a run will do: `stages` in order, then `metrics`, over `samples`.

    Stages for accelerators run on `devices`, one worker each. `not_run` are the metrics left out,
    `lacking` the roles that only they wanted or that cannot be made here, with the stages they
    would have been where that is known. `sandbox` is how the outputs are opened.
    """

    protocol: Protocol
    task: Task
    samples: tuple[Sample, ...]
    scripts: tuple[str, ...]
    stages: tuple[Stage, ...]
    metrics: tuple[MetricJob, ...]
    devices: tuple[str, ...] = (devices.CPU,)
    not_run: tuple[NotRun, ...] = ()
    lacking: Mapping[str, Stage | None] = field(default_factory=dict)
    sandbox: SandboxMode = "off"

    def dialogues_with_reference(self, role: str) -> Sequence[Dialogue]:
        """The dialogues of whose reference recording some metric wants this role."""
        wanting = [job for job in self.metrics if role in self._reference_roles(job)]
        return [
            sample.dialogue
            for sample in self.samples
            if (sample.dialogue.video if self.task == 3 else sample.dialogue.audio)
            and any(job.metric.not_applicable(sample.dialogue) is None for job in wanting)
        ]

    def roles_of_outputs(self) -> set[str]:
        """The roles that some metric wants of the systems' outputs."""
        return _closure(self.stages, (role for job in self.metrics for role in job.inputs.values()))

    def metrics_from(self, role: str) -> list[str]:
        """The names of the metrics that rest on a role."""
        return [job.name for job in self._jobs_from(role)]

    def to_ask(self, role: str) -> set[str]:
        """The dialogues with an output to which a metric that rests on a role applies."""
        jobs = self._jobs_from(role)
        return {
            sample.dialogue.id
            for sample in self.samples
            if sample.output and any(j.metric.not_applicable(sample.dialogue) is None for j in jobs)
        }

    def _jobs_from(self, role: str) -> list[MetricJob]:
        return [job for job in self.metrics if role in _closure(self.stages, job.roles)]

    def _reference_roles(self, job: MetricJob) -> set[str]:
        return _closure(self.stages, job.reference_inputs.values())


def _closure(stages: Iterable[Stage], roles: Iterable[str]) -> set[str]:
    """The roles, and all that they are made from."""
    inputs = {stage.role: set(stage.inputs.values()) for stage in stages}
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
    choices: Choices | None = None,
) -> Plan:
    """Resolve a protocol's metrics (or those named) into stages.

    A metric that needs a judge is left out when none was chosen, unless it is named.

    Raises:
        ProblemsError: with every problem found: a task the protocol does not score, unknown
            metrics, extractors or settings, a device that is not there, a sandbox that is required
            and does not work, metrics asked for by name to which no dialogue applies, and, unless
            `choices` says to leave them out, metrics for which a package, a model or a command is
            missing.
    """
    return _Planner(protocol, task, tuple(samples), tuple(scripts), choices or Choices()).plan(
        metrics
    )


class _Planner:
    def __init__(
        self,
        protocol: Protocol,
        task: Task,
        samples: tuple[Sample, ...],
        scripts: tuple[str, ...],
        choices: Choices,
    ) -> None:
        self.protocol = protocol
        self.task = task
        self.samples = samples
        self.scripts = scripts
        self.choices = choices
        self.problems: list[str] = []
        self.stages: dict[str, Stage] = {}
        self.lacks: dict[str, list[str]] = {}

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
        lacks = {job.name: self._lacks_of(job) for job in jobs}
        kept = tuple(job for job in jobs if not lacks[job.name])
        not_run = self._leave_out([job for job in jobs if lacks[job.name]], lacks, names)
        if not kept and not self.problems and self.choices.unavailable != "listed":
            self.problems += ["there is nothing to score:"]
            self.problems += [f"  {left.name}: {left.reason}" for left in not_run]
        wanted = _closure(self.stages.values(), (role for job in kept for role in job.roles))
        stages = tuple(stage for role, stage in self.stages.items() if role in wanted)
        used, opened = self._devices(stages), self._sandbox()
        if self.problems:
            raise ProblemsError(list(dict.fromkeys(self.problems)))
        roles = {**self.stages, **self.lacks}
        lacking = {role: self.stages.get(role) for role in roles if role not in wanted}
        return Plan(
            self.protocol,
            self.task,
            self.samples,
            self.scripts,
            stages,
            kept,
            used,
            tuple(not_run),
            lacking,
            opened,
        )

    def _lacks_of(self, job: MetricJob) -> list[str]:
        """What is missing here for the metric, each with what to do."""
        roles = _closure(self.stages.values(), job.roles)
        lacks = [
            line
            for role in {**self.stages, **self.lacks}
            if role in roles
            for line in self.lacks.get(role, ())
        ]
        return [NO_JUDGE] if NO_JUDGE in lacks else list(dict.fromkeys(lacks))

    def _leave_out(
        self,
        jobs: Sequence[MetricJob],
        lacks: Mapping[str, Sequence[str]],
        names: Sequence[str],
    ) -> list[NotRun]:
        """The metrics that cannot run, as not run or as problems, as was chosen."""
        not_run = []
        for job in jobs:
            without_judge = lacks[job.name] == [NO_JUDGE]
            refused = self.choices.unavailable == "refused"
            if without_judge and job.name in names and self.choices.unavailable != "listed":
                self.problems.append(f"metric {job.name!r}: {NO_JUDGE}")
            elif refused and not without_judge:
                self.problems += lacks[job.name]
            else:
                not_run.append(NotRun(job.name, job.metric.name, tuple(lacks[job.name])))
        return not_run

    def _devices(self, stages: Sequence[Stage]) -> tuple[str, ...]:
        """The devices for stages that want an accelerator; torch is imported for those alone."""
        asked = self.choices.device
        wanted = any(stage.extractor.device == "gpu" for stage in stages)
        try:
            devices.check_name(asked)
            return devices.resolve(asked if wanted or asked != "auto" else devices.CPU)
        except UserError as error:
            self.problems.append(str(error))
            return ()

    def _sandbox(self) -> SandboxMode:
        try:
            return sandbox.resolve(self.choices.sandbox)
        except UserError as error:
            self.problems.append(str(error))
            return "off"

    def _entries(self, names: Sequence[str]) -> list[MetricEntry]:
        known = {entry.name: entry for entry in self.protocol.metrics}
        self.problems.extend(
            f"unknown metric {name!r}; protocol {self.protocol.name!r} has: "
            f"{', '.join(sorted(known))}"
            for name in names
            if name not in known
        )
        wanted = [
            entry
            for entry in self.protocol.metrics
            if (entry.name in names if names else entry.default)
        ]
        mine = [entry for entry in wanted if entry.tasks is None or self.task in entry.tasks]
        self.problems.extend(
            f"metric {entry.name!r} is not for task {self.task}; protocol {self.protocol.name!r} "
            f"has it for task {' and '.join(map(str, entry.tasks or ()))}"
            for entry in wanted
            if names and entry not in mine
        )
        return mine

    def _metric_job(self, entry: MetricEntry) -> MetricJob | None:
        try:
            cls = registry.metric.get(entry.metric)
            settings = cls.Settings.model_validate(entry.settings)
        except (UserError, ValidationError) as error:
            self.problems.append(f"metric {entry.name!r}: {_one_line(error)}")
            return None
        metric = cls(settings)
        return MetricJob(
            entry.name,
            metric,
            settings.model_dump(mode="json"),
            {kind: entry.inputs.get(kind.kind, kind.kind) for kind in metric.needs},
            {kind: f"reference_{kind.kind}" for kind in metric.reference_needs},
        )

    def _add_stage(self, role: str, path: tuple[str, ...]) -> None:
        if role in (MEDIA, VIDEO) or role in self.stages:
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
        cls = self._extractor_class(role, entry)
        if cls is None:
            return
        content = self.choices.settings_of(cls, entry.settings)
        if content is None:
            self.lacks[role] = [NO_JUDGE]
            return
        extractor = self._extractor(role, cls, content)
        if extractor is None:
            return
        inputs = {kind: entry.inputs.get(kind.kind, kind.kind) for kind in extractor.needs}
        for needed in inputs.values():
            self._add_stage(needed, (*path, role))
        self.stages[role] = Stage(role, extractor, content, inputs)
        if lacks := [*_packages(extractor), *extractor.problems()]:
            self.lacks[role] = lacks

    def _extractor_class(self, role: str, entry: ExtractorEntry) -> type[Extractor[Any]] | None:
        try:
            cls = registry.extractor.get(entry.extractor)
        except UserError as error:
            self.problems.append(f"extractor {role!r}: {error}")
            return None
        if cls.__module__ == "__main__":
            self.problems.append(
                f"extractor {entry.extractor!r} is defined in the main script, which workers do "
                "not import: put it into a module"
            )
        return cls

    def _extractor(
        self, role: str, cls: type[Extractor[Any]], content: Mapping[str, Any]
    ) -> Extractor[Any] | None:
        try:
            return cls(cls.Settings.model_validate(content), self.scripts)
        except (UserError, ValidationError) as error:
            self.problems.append(f"extractor {role!r}: {_one_line(error)}")
            return None

    def _check_applies(self, job: MetricJob) -> None:
        reasons = [job.metric.not_applicable(sample.dialogue) for sample in self.samples]
        if reasons and all(reason is not None for reason in reasons):
            self.problems.append(
                f"metric {job.name!r} has nothing to score in this split: {reasons[0]}"
            )


def _packages(extractor: Extractor[Any]) -> Iterator[str]:
    """The packages that the extractor needs and that are not installed."""
    for requirement in extractor.requires:
        if not _installed(requirement):
            yield (
                f"extractor {extractor.name!r} needs the package {requirement.module!r}: "
                f"{requirement.install}"
            )


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
