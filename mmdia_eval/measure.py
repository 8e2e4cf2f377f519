"""From artifacts to outcomes: one a dialogue and metric, each out of a closed set."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

import numpy as np

from mmdia_eval.api import Counts, SetMetric
from mmdia_eval.artifacts import Artifact, Artifacts, MediaInfo
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.plan import MEDIA, MetricJob, Plan
from mmdia_eval.sets import SETS_VERSION, SetValue, set_value
from mmdia_eval.statistics import Interval
from mmdia_eval.store import Store, digest
from mmdia_eval.types import Dialogue, Sample
from mmdia_eval.workers import Side

logger = logging.getLogger(__name__)

Status = Literal["scored", "missing", "not_applicable", "failed"]
Target = tuple[Side, str]
"""A file: whether a system's output or a reference recording, and its dialogue's id."""


@dataclass(frozen=True)
class Outcome:
    """What became of one dialogue under one metric; `counts` for scored and missing ones."""

    dialogue: str
    metric: str
    status: Status
    counts: Counts
    reason: str | None = None


@dataclass(frozen=True)
class Measurement(Artifact):
    """A metric's counts for one dialogue, kept so that scoring again computes nothing."""

    kind: ClassVar[str] = "measurement"
    counts: Mapping[str, float]
    missing: str | None


@dataclass(frozen=True)
class SetMeasurement(Artifact):
    """A value over all outputs together, kept as `Measurement` is."""

    kind: ClassVar[str] = "set_measurement"
    value: float | None
    interval: Interval | None
    components: Mapping[str, float] | None
    problem: str | None


@dataclass(frozen=True)
class Found:
    """What the stages left: where artifacts lie, what could not be made, what the decoder says."""

    keys: Mapping[tuple[Target, str], str]
    failures: Mapping[tuple[Target, str], str]
    media: Mapping[Target, MediaInfo]


def measure(plan: Plan, store: Store, found: Found) -> Iterator[Outcome]:
    """Every metric over every dialogue."""
    measuring = _Measuring(store, found)
    for job in plan.metrics:
        for sample in plan.samples:
            yield measuring.outcome(job, sample)


def measure_sets(
    plan: Plan, store: Store, found: Found, outcomes: Sequence[Outcome]
) -> dict[str, SetValue]:
    """The value of every metric over all outputs together, by its name in the protocol."""
    measuring = _Measuring(store, found)
    return {
        job.name: measuring.set_value(job, job.metric, plan, outcomes)
        for job in plan.metrics
        if isinstance(job.metric, SetMetric)
    }


class _Measuring:
    def __init__(self, store: Store, found: Found) -> None:
        self.store = store
        self.keys, self.failures, self.media = found.keys, found.failures, found.media

    def outcome(self, job: MetricJob, sample: Sample) -> Outcome:
        dialogue = sample.dialogue
        target: Target = "output", dialogue.id
        reason = job.metric.not_applicable(dialogue)
        if reason is not None:
            return Outcome(dialogue.id, job.name, "not_applicable", {}, reason)
        failure = self._failure(job, dialogue)
        if failure is not None:
            return Outcome(dialogue.id, job.name, "failed", {}, failure)
        info = self.media.get(target)
        if info is None or info.problem is not None:
            why = "no output file" if info is None else info.problem
            return Outcome(dialogue.id, job.name, "missing", job.metric.worst(dialogue), why)
        return self._scored(job, dialogue)

    def _failure(self, job: MetricJob, dialogue: Dialogue) -> str | None:
        wanted: list[tuple[Target, str]] = [(("output", dialogue.id), MEDIA)]
        wanted += [(("output", dialogue.id), role) for role in job.inputs.values()]
        wanted += [(("reference", dialogue.id), role) for role in job.reference_inputs.values()]
        found = [self.failures[need] for need in wanted if need in self.failures]
        reference = self.media.get(("reference", dialogue.id))
        if job.reference_inputs and reference is not None and reference.problem:
            found.append(f"reference recording {dialogue.audio}: {reference.problem}")
        return found[0] if found else None

    def _scored(self, job: MetricJob, dialogue: Dialogue) -> Outcome:
        id_ = dialogue.id
        outputs = {k: self.keys[("output", id_), r] for k, r in job.inputs.items()}
        # A metric that cannot do without its reference is not applicable where there is none.
        references = {
            k: self.keys[("reference", id_), r]
            for k, r in job.reference_inputs.items()
            if (("reference", id_), r) in self.keys
        }
        key = _measurement_key(job, dialogue, outputs, references)
        kept = self.store.read(Measurement, key)
        if kept is None:
            try:
                kept = self._measured(job, dialogue, outputs, references)
            except Exception as error:
                logger.debug("metric %s of %s failed", job.name, id_, exc_info=error)
                why = f"metric {job.name}: {type(error).__name__}: {error}"
                return Outcome(id_, job.name, "failed", {}, why)
            self.store.write(key, kept)
        if kept.missing is not None:
            return Outcome(id_, job.name, "missing", kept.counts, kept.missing)
        return Outcome(id_, job.name, "scored", kept.counts)

    def set_value(
        self, job: MetricJob, metric: SetMetric, plan: Plan, outcomes: Sequence[Outcome]
    ) -> SetValue:
        mine = [o for o in outcomes if o.metric == job.name and o.status != "not_applicable"]
        scored = {outcome.dialogue for outcome in mine if outcome.status == "scored"}
        if len(scored) < len(mine) or not scored:
            return SetValue(
                None,
                problem=f"{len(scored)} of {len(mine)} dialogues were scored, and a distance of "
                "fewer is another quantity",
            )
        ids = [sample.dialogue.id for sample in plan.samples if sample.dialogue.id in scored]
        keys = [self._keys(job, id_) for id_ in ids]
        key = digest([metric.name, metric.version, job.settings, SETS_VERSION, keys])
        kept = self.store.read(SetMeasurement, key)
        if kept is None:
            sides = zip(*(self._load_both(job, id_) for id_ in ids), strict=True)
            outputs, references = ([metric.features(a) for a in side] for side in sides)
            kept = SetMeasurement(**vars(set_value(outputs, references, metric.distance)))
            self.store.write(key, kept)
        return SetValue(**vars(kept))

    def _keys(self, job: MetricJob, id_: str) -> list[dict[str, str]]:
        outputs = {k.kind: self.keys[("output", id_), r] for k, r in job.inputs.items()}
        references = {
            k.kind: self.keys[("reference", id_), r] for k, r in job.reference_inputs.items()
        }
        return [outputs, references]

    def _load_both(self, job: MetricJob, id_: str) -> tuple[Artifacts, Artifacts]:
        outputs = {k: self.keys[("output", id_), r] for k, r in job.inputs.items()}
        references = {k: self.keys[("reference", id_), r] for k, r in job.reference_inputs.items()}
        return Artifacts(self._load(outputs)), Artifacts(self._load(references))

    def _measured(
        self,
        job: MetricJob,
        dialogue: Dialogue,
        outputs: Mapping[type[Artifact], str],
        references: Mapping[type[Artifact], str],
    ) -> Measurement:
        artifacts = Artifacts(self._load(outputs), self._load(references))
        try:
            counts, missing = job.metric.measure(dialogue, artifacts), None
        except MissingOutputError as error:
            counts, missing = job.metric.worst(dialogue), str(error)
        return Measurement(_checked(job, counts), missing)

    def _load(self, keys: Mapping[type[Artifact], str]) -> dict[type[Artifact], Artifact]:
        found: dict[type[Artifact], Artifact] = {}
        for kind, key in keys.items():
            artifact = self.store.read(kind, key)
            if artifact is None:
                raise RuntimeError(f"its {kind.kind} left the cache during the run")
            found[kind] = artifact
        return found


def _measurement_key(
    job: MetricJob,
    dialogue: Dialogue,
    outputs: Mapping[type[Artifact], str],
    references: Mapping[type[Artifact], str],
) -> str:
    return digest(
        [
            job.metric.name,
            job.metric.version,
            job.settings,
            dialogue.id,
            [
                [turn.speaker, turn.text, turn.segment and asdict(turn.segment)]
                for turn in dialogue.turns
            ],
            asdict(dialogue.style),
            dialogue.duration,
            {kind.kind: key for kind, key in outputs.items()},
            {kind.kind: key for kind, key in references.items()},
        ]
    )


def _checked(job: MetricJob, counts: Counts) -> dict[str, float]:
    if set(counts) != set(job.metric.fields):
        raise ValueError(f"counts {sorted(counts)}, expected {sorted(job.metric.fields)}")
    plain = {name: float(np.float64(counts[name])) for name in job.metric.fields}
    if not all(math.isfinite(value) for value in plain.values()):
        raise ValueError(f"counts that are not finite: {plain}")
    return plain
