"""Stage by stage: one engine at a time over every file, then the metrics over what was found.

Services are asked beside the local stages. State is files named by content: a run that was stopped
goes on when the command is given again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from mmdia_eval import devices, media, video
from mmdia_eval.accelerator import Accelerators
from mmdia_eval.api import Estimate, RemoteExtractor
from mmdia_eval.artifact_keys import artifact_key
from mmdia_eval.artifacts import Artifact, MediaInfo, VideoInfo
from mmdia_eval.background import Background
from mmdia_eval.judging import CONTROLS, Controls, Judged, judged
from mmdia_eval.measure import Found, Outcome, Target, measure, measure_sets
from mmdia_eval.network import ask_all
from mmdia_eval.plan import MEDIA, VIDEO, Plan, Stage
from mmdia_eval.progress import Line, Reporter, Silent
from mmdia_eval.sets import SetValue
from mmdia_eval.sources import find_sources, in_parts, read_headers
from mmdia_eval.store import Store, digest
from mmdia_eval.workers import Done, Job, Pool, Source, StageSpec

__all__ = ["Outcome", "RunResult", "Work", "run", "survey"]


FRAMES_AT_ONCE = 16 * 2**30
"""Bytes of decoded pictures that lie on the disk together; half of its free room is the limit."""


@dataclass(frozen=True)
class RunResult:
    """Everything a results file is made from.

    `stopped` says why, for each role whose service answers no more; `accelerators` what ran the
    stages that want one; `sets` are the values of metrics over all outputs together; `artifacts`
    are the keys of what was made of the outputs, by dialogue and role; `judges` what the judges
    said.
    """

    outcomes: tuple[Outcome, ...]
    media: Mapping[str, MediaInfo]
    output_sha256: Mapping[str, str]
    discarded: int
    stopped: Mapping[str, str]
    accelerators: tuple[Mapping[str, Any], ...]
    sets: Mapping[str, SetValue]
    judges: tuple[Judged, ...] = ()
    artifacts: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What a stage has still to do, for `--dry-run`; None where that cannot be known here.

    `audio_seconds` are those to be heard, `seconds` how long that may take; `estimate` is what a
    service says it will take.
    """

    role: str
    todo: int | None = None
    cached: int | None = None
    audio_seconds: float | None = None
    seconds: float | None = None
    estimate: Estimate | None = None


def run(plan: Plan, store: Store, jobs: int, reporter: Reporter | None = None) -> RunResult:
    """Make what the plan's metrics need, and measure. Never raises for one bad file."""
    with _engines(plan, store, jobs) as engines:
        current = _Run(plan, store, jobs, reporter or Silent())
        try:
            return current.result(engines)
        finally:
            current.drop_media(current.sources)


def survey(plan: Plan, store: Store, jobs: int = 1) -> list[Work]:
    """What `run` would do, stage by stage, without doing it."""
    return _Run(plan, store, jobs, Silent()).survey()


@dataclass(frozen=True)
class _Engines:
    """All that works beside the main thread; started when first needed."""

    pool: Pool
    decoders: Pool
    accelerators: Accelerators
    background: Background


@contextmanager
def _engines(plan: Plan, store: Store, jobs: int) -> Iterator[_Engines]:
    with (
        Pool(jobs, store, plan.scripts) as pool,
        # Of their own: a stage's files fill the pool's queue while others wait for sound.
        Pool(jobs, store, plan.scripts) as decoders,
        Accelerators(plan.devices, jobs, store, plan.scripts, decoders) as accelerators,
        Background() as background,
    ):
        yield _Engines(pool, decoders, accelerators, background)


@dataclass(frozen=True)
class _Todo:
    """A stage's jobs that are not cached. Equal files of equal dialogues are one job."""

    jobs: tuple[Job, ...]
    targets: Mapping[str, Sequence[Target]]
    cached: int


@dataclass(frozen=True)
class _Asked:
    """A service's stage that is under way; `stopped` says why it answers no more."""

    stage: Stage
    todo: _Todo
    ends: list[Done]
    stopped: Future[str | None]


class _Run:
    def __init__(self, plan: Plan, store: Store, workers: int, reporter: Reporter) -> None:
        self.plan, self.store, self.workers, self.reporter = plan, store, workers, reporter
        self.sources = find_sources(plan)
        self.here: Sequence[Target] = tuple(self.sources)
        self.keys: dict[tuple[Target, str], str] = {}
        self.media: dict[Target, MediaInfo] = {}
        self.claimed: dict[Target, float] = {}
        self.failures: dict[tuple[Target, str], str] = {}
        self.stopped: dict[str, str] = {}

    def result(self, engines: _Engines) -> RunResult:
        controls = Controls(stage for stage in self.plan.stages if self.plan.to_ask(stage.role))
        controls.start(self.store, engines.background, self.reporter)
        parts = self._parts()
        for part in parts:
            self.here = part
            self._probe(engines)
            self._stages(engines)
            if len(parts) > 1:
                self.drop_media(part)
        self.here = tuple(self.sources)
        outcomes, sets = self._measure()
        of_output = {t: s for t, s in self.sources.items() if t[0] == "output"}
        used = engines.accelerators.used
        return RunResult(
            tuple(outcomes),
            {id_: self.media[side, id_] for side, id_ in of_output if (side, id_) in self.media},
            {id_: source.sha256 for (_, id_), source in of_output.items()},
            self.store.discarded,
            self.stopped,
            tuple(used[device] for device in sorted(used)),
            sets,
            judged(self.plan, self.store, self.keys, controls),
            {
                (id_, role): key
                for ((side, id_), role), key in self.keys.items()
                if side == "output"
            },
        )

    def _parts(self) -> list[Sequence[Target]]:
        """The files in parts whose frames fit on the disk together; all in one without frames."""
        room = min(FRAMES_AT_ONCE, shutil.disk_usage(self.store.existing_root()).free // 2)
        return in_parts(self.sources, self._frame_bytes(), room)

    def _frame_bytes(self) -> Mapping[Target, int]:
        """What the frames of each video take: as was found, or before that as its header claims."""
        seen = {target: source for target, source in self.sources.items() if source.has_frames}
        self._media_jobs()
        found = {target: self.store.read(VideoInfo, self.keys[target, VIDEO]) for target in seen}
        sizes = {t: 3 * i.frames * i.height * i.width for t, i in found.items() if i is not None}
        files = {t: (s.path, s.sandbox) for t, s in seen.items() if t not in sizes}
        headers = read_headers(files, self.workers)
        return sizes | {target: header.frame_bytes for target, header in headers.items()}

    def drop_media(self, targets: Iterable[Target]) -> None:
        """Decoded sound and pictures are kept for the stages of one run only."""
        for target in targets:
            self.store.drop_media(self.sources[target].sha256)

    def survey(self) -> list[Work]:
        self._media_jobs()
        self._read_media()
        unheard = {t: self.sources[t] for t in self.here if t not in self.media}
        files = {target: (s.sound, s.sound_sandbox) for target, s in unheard.items()}
        headers = read_headers(files, self.workers)
        self.claimed = {target: header.duration or 0.0 for target, header in headers.items()}
        media_jobs = self._media_jobs()
        todo = self._todo(MediaInfo, media_jobs)
        works = [Work(MEDIA, len(media_jobs) - todo.cached, todo.cached, _seconds(todo.jobs))]
        timings = self.store.read_timings()
        works += [self._work(stage, timings) for stage in self.plan.stages]
        works += [self._lacking(role, stage) for role, stage in self.plan.lacking.items()]
        possible = [stage for stage in self.plan.lacking.values() if stage is not None]
        return works + [
            Work(CONTROLS, todo, of - todo, estimate=estimate)
            for todo, of, estimate in Controls([*self.plan.stages, *possible]).left(self.store)
        ]

    def _lacking(self, role: str, stage: Stage | None) -> Work:
        """What a stage that cannot run here would take, if it is a service and has done nothing."""
        if stage is None or not isinstance(stage.extractor, RemoteExtractor):
            return Work(role)
        outputs = [(t, s) for t, s in self.sources.items() if t[0] == "output" and self._sound(t)]
        files = [(source.dialogue, self._duration(target)) for target, source in outputs]
        return Work(role, estimate=stage.extractor.estimate(files))

    def _work(self, stage: Stage, timings: Mapping[str, tuple[float, float]]) -> Work:
        jobs = self._stage_jobs(stage)
        todo = self._todo(stage.extractor.makes, jobs)
        counts = len(jobs) - todo.cached, todo.cached, _seconds(todo.jobs)
        if isinstance(stage.extractor, RemoteExtractor):
            files = [(job.source.dialogue, job.duration) for job in todo.jobs]
            return Work(stage.role, *counts, estimate=stage.extractor.estimate(files))
        heard, took = timings.get(self._timing_key(stage), (0.0, 0.0))
        on_gpu = self._on_gpu(stage)
        cost = took / heard if heard else None if on_gpu else stage.extractor.cost
        sharing = len(self.plan.devices) if on_gpu else self.workers
        return Work(stage.role, *counts, None if cost is None else counts[2] * cost / sharing)

    def _on_gpu(self, stage: Stage) -> bool:
        return stage.extractor.device == "gpu" and self.plan.devices != (devices.CPU,)

    def _timing_key(self, stage: Stage) -> str:
        return digest(stage.identity) + ("/gpu" if self._on_gpu(stage) else "")

    def _media_jobs(self) -> list[Job]:
        jobs = []
        for target in self.here:
            source = self.sources[target]
            rules = [media.VERSION, asdict(media.LIMITS)]
            if source.has_frames:
                rules += [video.VERSION, asdict(video.LIMITS)]
            key = digest([MEDIA, *rules, source.sha256])
            self.keys[target, MEDIA] = self.keys[target, VIDEO] = key
            jobs.append(Job(source, key, (), self._duration(target)))
        return jobs

    def _duration(self, target: Target) -> float:
        """Of the sound; before it was decoded what its header claims, where that was read."""
        if target in self.media:
            return self.media[target].duration
        return self.claimed.get(target, 0.0)

    def _read_media(self) -> None:
        for target in self.here:
            info = self.store.read(MediaInfo, self.keys[target, MEDIA])
            if info is not None:
                self.media[target] = info

    def _probe(self, engines: _Engines) -> None:
        todo = self._todo(MediaInfo, self._media_jobs())
        with self._line(MEDIA, todo) as line:
            self._record(
                MEDIA, todo, [_counted(end, line) for end in engines.pool.probe(todo.jobs)]
            )
        self._read_media()

    def _stage_jobs(self, stage: Stage) -> list[Job]:
        """The stage's jobs, for every source that is sound and whose needs could be made."""
        outputs = self.plan.roles_of_outputs()
        references = {d.id for d in self.plan.dialogues_with_reference(stage.role)}
        remote = isinstance(stage.extractor, RemoteExtractor)
        asked = self.plan.to_ask(stage.role) if remote else None  # what is asked is paid for
        jobs = []
        for target in self.here:
            source = self.sources[target]
            side, id_ = target
            wanted = stage.role in outputs if side == "output" else id_ in references
            wanted = wanted and (asked is None or id_ in asked)
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
        extractor = stage.extractor
        return Job(
            source,
            key,
            tuple(inputs.items()),
            self._duration(target),
            extractor.reads_frames,
            extractor.reads_reference_frames,
        )

    def _todo(self, kind: type[Artifact], jobs: Sequence[Job]) -> _Todo:
        first: dict[str, Job] = {}
        targets: dict[str, list[Target]] = {}
        cached = 0
        for job in jobs:
            if job.key not in first and self.store.has(kind, job.key):
                cached += 1
                continue
            first.setdefault(job.key, job)
            targets.setdefault(job.key, []).append((job.source.side, job.source.dialogue.id))
        return _Todo(tuple(first.values()), targets, cached)

    @contextmanager
    def _line(self, role: str, todo: _Todo) -> Iterator[Line]:
        """A line of progress, unless there is nothing to do."""
        reporter = self.reporter if todo.jobs else Silent()
        with reporter.stage(role, len(todo.jobs), todo.cached) as line:
            yield line

    def _stages(self, engines: _Engines) -> None:
        """Each stage once what it reads is made: local ones in turn, services beside them."""
        waiting = list(self.plan.stages)
        asked: dict[Future[str | None], _Asked] = {}
        made = {MEDIA}
        while waiting or asked:
            for stage in list(waiting):
                extractor = stage.extractor
                if isinstance(extractor, RemoteExtractor) and _may_ask(stage, made, asked.values()):
                    waiting.remove(stage)
                    started = self._ask(stage, extractor, engines)
                    asked[started.stopped] = started
            local = next((stage for stage in waiting if _may_run(stage, made)), None)
            if local is not None:
                waiting.remove(local)
                self._extract(local, engines)
                made.add(local.role)
            patience = None if local is None else 0
            for future in wait(asked, patience, return_when=FIRST_COMPLETED).done:
                self._answered(asked.pop(future), made)

    def _extract(self, stage: Stage, engines: _Engines) -> None:
        todo = self._todo(stage.extractor.makes, self._stage_jobs(stage))
        if not todo.jobs:
            return
        spec = StageSpec(type(stage.extractor), stage.extractor.settings)
        ends: list[Done] = []
        with self._line(stage.role, todo) as line:
            if stage.extractor.device == "gpu":
                work = engines.accelerators.extract(
                    spec, todo.jobs, lambda end: ends.append(_counted(end, line))
                )
                engines.background.start(work).result()
            else:
                ends += [_counted(end, line) for end in engines.pool.extract(spec, todo.jobs)]
        self._record(stage.role, todo, ends)
        good = [end for end in ends if end.problem is None]
        self.store.add_timing(
            self._timing_key(stage),
            sum(end.job.duration for end in good),
            sum(end.seconds for end in good),
        )

    def _ask(self, stage: Stage, extractor: RemoteExtractor[Any], engines: _Engines) -> _Asked:
        todo = self._todo(stage.extractor.makes, self._stage_jobs(stage))
        ends: list[Done] = []

        async def ask() -> str | None:
            if not todo.jobs:
                return None
            with self._line(stage.role, todo) as line:
                return await ask_all(
                    extractor,
                    todo.jobs,
                    self.store,
                    engines.decoders,
                    lambda end: ends.append(_counted(end, line)),
                )

        return _Asked(stage, todo, ends, engines.background.start(ask()))

    def _answered(self, asked: _Asked, made: set[str]) -> None:
        if (why := asked.stopped.result()) is not None:
            self.stopped[asked.stage.role] = why
        self._record(asked.stage.role, asked.todo, asked.ends)
        made.add(asked.stage.role)

    def _record(self, role: str, todo: _Todo, ends: Sequence[Done]) -> None:
        for end in ends:
            if end.problem:
                for target in todo.targets[end.job.key]:
                    self.failures[target, role] = f"{role}: {end.problem}"

    def _measure(self) -> tuple[list[Outcome], Mapping[str, SetValue]]:
        total = len(self.plan.metrics) * len(self.plan.samples)
        found = Found(self.keys, self.failures, self.media)
        outcomes = []
        with self.reporter.stage("metrics", total, 0) as line:
            for outcome in measure(self.plan, self.store, found):
                outcomes.append(outcome)
                line.advance()
        return outcomes, measure_sets(self.plan, self.store, found, outcomes)


def _may_run(stage: Stage, made: set[str]) -> bool:
    local = not isinstance(stage.extractor, RemoteExtractor)
    return local and made.issuperset(stage.inputs.values())


def _may_ask(stage: Stage, made: set[str], under_way: Iterable[_Asked]) -> bool:
    """Two roles that ask the same must not ask at once: the second finds the first's answers."""
    return made.issuperset(stage.inputs.values()) and all(
        asked.stage.identity != stage.identity for asked in under_way
    )


def _counted(end: Done, line: Line) -> Done:
    line.advance(0.0 if end.problem else end.job.duration)
    return end


def _seconds(jobs: Sequence[Job]) -> float:
    return sum(job.duration for job in jobs)
