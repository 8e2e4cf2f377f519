"""Stage by stage: one engine at a time over every file, then the metrics over what was found.

State is files named by content: a run that was stopped goes on when the command is given again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mmdia_eval import media
from mmdia_eval.api import Counts
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.plan import MEDIA, MetricJob, Plan, Stage, artifact_key
from mmdia_eval.progress import Reporter, Silent
from mmdia_eval.store import Store, digest, file_sha256
from mmdia_eval.types import Artifact, Artifacts, Dialogue, MediaInfo, Sample
from mmdia_eval.workers import Job, Pool, Side, Source, StageSpec

logger = logging.getLogger(__name__)

Status = Literal["scored", "missing", "not_applicable", "failed"]


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
class RunResult:
    """Everything a results file is made from."""

    outcomes: tuple[Outcome, ...]
    media: Mapping[str, MediaInfo]
    output_sha256: Mapping[str, str]
    discarded: int


@dataclass(frozen=True)
class Work:
    """What a stage has still to do, for `--dry-run`. Seconds of audio; CPU seconds or None."""

    role: str
    todo: int
    cached: int
    audio_seconds: float
    cpu_seconds: float | None


def run(plan: Plan, store: Store, jobs: int, reporter: Reporter | None = None) -> RunResult:
    """Make what the plan's metrics need, and measure. Never raises for one bad file."""
    with Pool(jobs, store, plan.scripts) as pool:
        current = _Run(plan, store, pool, reporter or Silent())
        try:
            return current.result()
        finally:
            current.drop_audio()


def survey(plan: Plan, store: Store) -> list[Work]:
    """What `run` would do, stage by stage, without doing it."""
    return _Run(plan, store, None, Silent()).survey()


Target = tuple[Side, str]


class _Run:
    def __init__(self, plan: Plan, store: Store, pool: Pool | None, reporter: Reporter) -> None:
        self.plan, self.store, self.reporter = plan, store, reporter
        self._pool = pool
        self.sources = _sources(plan)
        self.keys: dict[tuple[Target, str], str] = {}
        self.media: dict[Target, MediaInfo] = {}
        self.failures: dict[tuple[Target, str], str] = {}

    def result(self) -> RunResult:
        self._probe()
        for stage in self.plan.stages:
            self._extract(stage)
        outcomes = self._measure()
        of_output = {t: s for t, s in self.sources.items() if t[0] == "output"}
        return RunResult(
            tuple(outcomes),
            {id_: self.media[side, id_] for side, id_ in of_output if (side, id_) in self.media},
            {id_: source.sha256 for (_, id_), source in of_output.items()},
            self.store.discarded,
        )

    def drop_audio(self) -> None:
        """Decoded sound is kept for the stages of one run only."""
        for source in self.sources.values():
            self.store.drop_audio(source.sha256)

    def survey(self) -> list[Work]:
        works = [self._work(MEDIA, self._media_jobs(), cost=None)]
        self._read_media()
        timings = self.store.read_timings()
        for stage in self.plan.stages:
            heard, took = timings.get(digest(stage.identity), (0.0, 0.0))
            cost = took / heard if heard else stage.extractor.cost
            works.append(self._work(stage.role, self._stage_jobs(stage), cost))
        return works

    def _work(self, role: str, jobs: Sequence[Job], cost: float | None) -> Work:
        kind = MediaInfo if role == MEDIA else self._kind(role)
        todo = [job for job in jobs if not self.store.has(kind, job.key)]
        seconds = sum(job.duration for job in todo)
        cpu = None if cost is None else seconds * cost
        return Work(role, len(todo), len(jobs) - len(todo), seconds, cpu)

    def _kind(self, role: str) -> type[Artifact]:
        return next(s.extractor.makes for s in self.plan.stages if s.role == role)

    def _media_jobs(self) -> list[Job]:
        jobs = []
        for target, source in self.sources.items():
            key = digest(["media", media.VERSION, asdict(media.LIMITS), source.sha256])
            self.keys[target, MEDIA] = key
            jobs.append(Job(source, key, (), self._duration(target)))
        return jobs

    def _duration(self, target: Target) -> float:
        if target in self.media:
            return self.media[target].duration
        return media.read_duration(self.sources[target].path) or 0.0

    def _read_media(self) -> None:
        for target in self.sources:
            info = self.store.read(MediaInfo, self.keys[target, MEDIA])
            if info is not None:
                self.media[target] = info

    def _probe(self) -> None:
        jobs = self._media_jobs()
        todo = [job for job in jobs if not self.store.has(MediaInfo, job.key)]
        self._do(MEDIA, todo, len(jobs) - len(todo), None)
        self._read_media()

    def _stage_jobs(self, stage: Stage) -> list[Job]:
        """The stage's jobs, for every source that is sound and whose needs could be made."""
        outputs = self.plan.roles_of_outputs()
        references = {d.id for d in self.plan.dialogues_with_reference(stage.role)}
        jobs = []
        for target, source in self.sources.items():
            side, id_ = target
            wanted = stage.role in outputs if side == "output" else id_ in references
            if wanted and self._sound(target):
                failed = next(
                    (f for r in stage.inputs.values() if (f := self.failures.get((target, r)))),
                    None,
                )
                if failed:
                    self.failures[target, stage.role] = failed
                else:
                    jobs.append(self._job(stage, target, source))
        return jobs

    def _sound(self, target: Target) -> bool:
        info = self.media.get(target)
        return (target, MEDIA) not in self.failures and (info is None or info.problem is None)

    def _job(self, stage: Stage, target: Target, source: Source) -> Job:
        inputs = {kind: self.keys[target, role] for kind, role in stage.inputs.items()}
        key = artifact_key(stage, source.sha256, source.dialogue, inputs)
        self.keys[target, stage.role] = key
        return Job(source, key, tuple(inputs.items()), self._duration(target))

    def _extract(self, stage: Stage) -> None:
        jobs = self._stage_jobs(stage)
        todo = [job for job in jobs if not self.store.has(stage.extractor.makes, job.key)]
        self._do(stage.role, todo, len(jobs) - len(todo), stage)

    def _do(self, role: str, todo: Sequence[Job], cached: int, stage: Stage | None) -> None:
        if not todo or self._pool is None:
            return
        # Equal files of equal dialogues are one job.
        targets: dict[str, list[Target]] = {}
        first: dict[str, Job] = {}
        for job in todo:
            targets.setdefault(job.key, []).append((job.source.side, job.source.dialogue.id))
            first.setdefault(job.key, job)
        jobs = list(first.values())
        heard = took = 0.0
        with self.reporter.stage(role, len(jobs), cached) as line:
            if stage is None:
                done = self._pool.probe(jobs)
            else:
                spec = StageSpec(type(stage.extractor), stage.extractor.settings)
                done = self._pool.extract(spec, jobs)
            for end in done:
                line.advance()
                if end.problem:
                    for target in targets[end.job.key]:
                        self.failures[target, role] = f"{role}: {end.problem}"
                else:
                    heard += end.job.duration
                    took += end.cpu_seconds
        if stage is not None:
            self.store.add_timing(digest(stage.identity), heard, took)

    def _measure(self) -> list[Outcome]:
        total = len(self.plan.metrics) * len(self.plan.samples)
        outcomes = []
        with self.reporter.stage("metrics", total, 0) as line:
            for job in self.plan.metrics:
                for sample in self.plan.samples:
                    outcomes.append(self._outcome(job, sample))
                    line.advance()
        return outcomes

    def _outcome(self, job: MetricJob, sample: Sample) -> Outcome:
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
        references = {k: self.keys[("reference", id_), r] for k, r in job.reference_inputs.items()}
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


def _sources(plan: Plan) -> dict[Target, Source]:
    """Every file the plan reads, with its sha256; outputs first."""
    wanted: list[tuple[Side, Dialogue, Path]] = [
        ("output", sample.dialogue, sample.output) for sample in plan.samples if sample.output
    ]
    referenced = {
        dialogue.id: (dialogue, dialogue.audio)
        for job in plan.metrics
        for role in job.reference_inputs.values()
        for dialogue in plan.dialogues_with_reference(role)
        if dialogue.audio
    }
    wanted += [("reference", dialogue, audio) for dialogue, audio in referenced.values()]
    with ThreadPoolExecutor(4) as threads:
        hashes = threads.map(lambda item: _content(item[2]), wanted)
    return {
        (side, dialogue.id): Source(side, dialogue, path, sha256)
        for (side, dialogue, path), sha256 in zip(wanted, hashes, strict=True)
    }


def _content(path: Path) -> str:
    """The file's sha256; a file that cannot be opened is left for the media door to name."""
    try:
        return file_sha256(path)
    except OSError:
        return digest(["cannot be opened", str(path)])


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
