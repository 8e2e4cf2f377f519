"""Score one system on one split: load, plan, run, reduce, and write the results file."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from mmdia_eval import __version__, statistics
from mmdia_eval import sandbox as sandboxes
from mmdia_eval.api import Metric
from mmdia_eval.benchmark import Benchmark, load_benchmark, resolve_benchmark
from mmdia_eval.choices import Choices
from mmdia_eval.details import details_jsonl, details_of
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.judges.asking import REPLAY
from mmdia_eval.judges.replay import replies_jsonl
from mmdia_eval.judging import judge_records, recorded_replies
from mmdia_eval.media import CLIPPED_ABOVE, STEADY_BELOW
from mmdia_eval.plan import MetricJob, Plan, make_plan
from mmdia_eval.progress import Reporter
from mmdia_eval.protocol import Protocol, load_protocol
from mmdia_eval.provenance import extractor_records, provenance
from mmdia_eval.results import (
    BenchmarkRecord,
    Coverage,
    ExtractorRecord,
    Interval,
    MetricResult,
    NotRunRecord,
    ProtocolRecord,
    Results,
    Row,
    SystemRecord,
)
from mmdia_eval.results_files import read_results, write_results
from mmdia_eval.run import Outcome, RunResult, run
from mmdia_eval.statistics import bootstrap_interval, corpus_value
from mmdia_eval.store import Store, default_root, digest
from mmdia_eval.submission import Submission, load_submission, references_as_submission
from mmdia_eval.types import SPLITS, TASKS, Sample, Split, Task
from mmdia_eval.workers import default_jobs

Style = Literal["description", "triplet"]


@dataclass(frozen=True)
class Request:
    """What is to be scored, resolved and checked: nothing has run yet.

    `not_run` are the metrics left out, with those of the results file that this run joins.
    """

    submission: Submission
    benchmark: Benchmark
    protocol: Protocol
    plan: Plan
    split: Split
    style: Style | None
    not_run: tuple[NotRunRecord, ...] = ()


def score(
    outputs: Path | str,
    task: int = 1,
    *,
    split: str = "test",
    protocol: str = "embedded",
    benchmark: Path | str | None = None,
    metrics: Sequence[str] = (),
    style: Style | None = None,
    out: Path | str | None = None,
    cache: Path | str | None = None,
    jobs: int | None = None,
    device: str = "auto",
    judge: str | None = None,
    judge_url: str | None = None,
    max_judge_cost: float | None = None,
    skip_unavailable: bool = False,
    sandbox: sandboxes.Choice = "auto",
    reporter: Reporter | None = None,
) -> Results:
    """Score a folder of a system's outputs.

    Args:
        outputs: folder of `output_<dialogue id>.<ext>` or `<dialogue id>.<ext>` files, with an
            optional `submission.toml`.
        task: 1, speech from a script and a style; 2, speech from a script and keyframes.
        split: one of the benchmark's splits.
        protocol: a shipped protocol's name or the path of a protocol's TOML file.
        benchmark: a benchmark folder, or "mini"; by default `MMDIA_BENCHMARK`, else "mini".
        metrics: names of the protocol's metrics; by default its default ones.
        style: how the system was told the style, for the record.
        out: where to write the results file; its rows go beside it. None writes nothing.
        cache: folder of the artifacts; by default `MMDIA_CACHE` or the user's cache folder.
        jobs: worker processes; by default one for each processor.
        device: for stages that want an accelerator: "auto" (every GPU, else the CPU), "cpu",
            "cuda" (every GPU), or one such as "cuda:0".
        judge: who judges, such as "gemini:gemini-2.5-pro"; without one, metrics that need a judge
            are not run.
        judge_url: address of the judge's service, where it is not the usual one.
        max_judge_cost: stop asking at this many US dollars.
        skip_unavailable: leave out metrics for which a package, a model or a command is missing,
            instead of refusing to score. They are in `Results.not_run`, each with the reason.
        sandbox: how the outputs are opened: "auto", in a process each with the strongest isolation
            that works here; "required", refuse to score where a process would see other files or
            the network; "off", in the harness's own workers.
        reporter: told of the progress.

    Raises:
        UserError: for bad usage or input, with every problem found.
    """
    path = None if out is None else Path(out)
    unavailable: Literal["skipped", "refused"] = "skipped" if skip_unavailable else "refused"
    choices = Choices(device, judge, judge_url, max_judge_cost, unavailable, sandbox)
    request = prepare(outputs, task, split, protocol, benchmark, metrics, style, path, choices)
    store = Store(Path(cache) if cache else default_root())
    return execute(request, store, jobs or default_jobs(), reporter, path)[0]


def execute(
    request: Request, store: Store, jobs: int, reporter: Reporter | None, out: Path | None
) -> tuple[Results, list[Row]]:
    """Run a request, and write its results, rows and details when `out` is given."""
    found = run(request.plan, store, jobs, reporter)
    results, rows = assemble(request, found)
    if out is None:
        return results, rows
    replies, _ = recorded_replies(found.judges)
    lines = replies_jsonl(replies) if found.judges else None
    details = details_jsonl(details_of(request.plan, found, store))
    return write_results(out, results, rows, lines, details), rows


def prepare(
    outputs: Path | str | None,
    task: int,
    split: str,
    protocol: str,
    benchmark: Path | str | None,
    metrics: Sequence[str] = (),
    style: Style | None = None,
    out: Path | None = None,
    choices: Choices | None = None,
) -> Request:
    """Read and check everything that a run needs. Raises UserError; runs no engine.

    Without `outputs` the benchmark's own recordings stand in for them, for an estimate.
    """
    checked = _task(task)
    loaded = load_benchmark(resolve_benchmark(benchmark))
    chosen = load_protocol(protocol)
    dialogues = loaded.split(split, checked)
    existing = _existing(metrics, chosen, loaded.split_sha256(split), out)
    names = list(
        dict.fromkeys([*metrics, *(m.name for m in existing.metrics)] if existing else metrics)
    )
    problems: list[str] = []
    try:
        unanswered = [Sample(dialogue, None) for dialogue in dialogues]
        plan = make_plan(
            chosen.of(checked, style), checked, unanswered, loaded.scripts, names, choices
        )
    except ProblemsError as error:
        problems += error.problems
    try:
        submission = (
            references_as_submission(dialogues, checked)
            if outputs is None
            else load_submission(Path(outputs), dialogues, checked)
        )
    except UserError as error:
        problems.append(str(error))
    if problems:
        raise ProblemsError(problems)
    plan = replace(plan, samples=submission.samples)
    not_run = _not_run(plan, existing)
    return Request(submission, loaded, chosen, plan, _split(split), style, not_run)


def _task(task: int) -> Task:
    for known in TASKS:
        if task == known:
            return known
    raise UserError(f"there is no task {task}; the tasks are {', '.join(map(str, TASKS))}")


def _split(split: str) -> Split:
    return next(known for known in SPLITS if known == split)


def _existing(
    names: Sequence[str], protocol: Protocol, split_sha256: str, out: Path | None
) -> Results | None:
    """The results file of the same run, whose metrics those asked for by name join."""
    if not names or out is None or not out.exists():
        return None
    old = read_results(out)
    same = (old.protocol.sha256, old.benchmark.split_sha256) == (protocol.sha256, split_sha256)
    return old if same else None


def _not_run(plan: Plan, existing: Results | None) -> tuple[NotRunRecord, ...]:
    """What this plan leaves out, and what the existing file did and this plan does not measure."""
    left = {
        one.name: NotRunRecord(name=one.name, metric=one.metric, reason=one.reason)
        for one in plan.not_run
    }
    measured = {job.name for job in plan.metrics}
    before = {one.name: one for one in existing.not_run} if existing else {}
    return tuple(one for one in {**before, **left}.values() if one.name not in measured)


def assemble(request: Request, found: RunResult) -> tuple[Results, list[Row]]:
    """Reduce the outcomes to values with intervals, and say where every dialogue went."""
    by_metric: dict[str, list[Outcome]] = {job.name: [] for job in request.plan.metrics}
    for outcome in sorted(found.outcomes, key=lambda outcome: outcome.dialogue):
        by_metric[outcome.metric].append(outcome)
    metrics = [
        _metric_result(request, job, by_metric[job.name], found) for job in request.plan.metrics
    ]
    groups = _groups(request)
    rows = [
        _row(job, outcome, groups.get(outcome.dialogue))
        for job in request.plan.metrics
        for outcome in by_metric[job.name]
    ]
    failed = any(metric.coverage.failed for metric in metrics)
    system = request.submission.system
    extractors = extractor_records(request.plan.stages)
    results = Results(
        status="provisional" if failed else "complete",
        verification="self-reported",
        task=request.plan.task,
        split=request.split,
        style=request.style,
        protocol=ProtocolRecord(
            name=request.protocol.name,
            version=request.protocol.version,
            sha256=request.protocol.sha256,
            comparable=request.protocol.comparable,
        ),
        benchmark=BenchmarkRecord(
            name=request.benchmark.name,
            version=request.benchmark.version,
            sha256=request.benchmark.sha256,
            split_sha256=request.benchmark.split_sha256(request.split),
            dialogues=len(request.plan.samples),
        ),
        system=SystemRecord(
            name=system.name,
            kind=system.kind,
            organization=system.organization,
            date=system.date,
            url=system.url,
            open_weights=system.open_weights,
            training_data_overlap=system.training_data_overlap,
        ),
        metrics=metrics,
        not_run=list(request.not_run),
        warnings=[*_warnings(request, found, metrics), *_unverified(extractors)],
        provenance=provenance(
            command=[Path(sys.argv[0]).name, *sys.argv[1:]],
            submission_sha256=digest(dict(found.output_sha256)),
            extractors=extractors,
            judges=judge_records(found.judges),
            accelerators=found.accelerators,
            sandbox=request.plan.sandbox,
        ),
    )
    return results, rows


def _metric_result(
    request: Request, job: MetricJob, outcomes: Sequence[Outcome], found: RunResult
) -> MetricResult:
    metric = job.metric
    statuses = Counter(outcome.status for outcome in outcomes)
    counting = [o.counts for o in outcomes if o.status in ("scored", "missing")]
    if (of_set := found.sets.get(job.name)) is not None:
        value, drawn = of_set.value, of_set.interval
        components = {**metric.components(counting), **(of_set.components or {})}
    else:
        value = corpus_value(counting, metric.reduce)
        groups = _groups(request)
        drawn = bootstrap(metric, outcomes, [groups.get(outcome.dialogue) for outcome in outcomes])
        components = dict(metric.components(counting)) if counting else {}
    interval = Interval(**asdict(drawn)) if drawn and value is not None else None
    return MetricResult(
        name=job.name,
        metric=metric.name,
        version=metric.version,
        settings=dict(job.settings),
        signature=signature(request, job),
        value=value,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        interval=interval,
        coverage=Coverage(
            expected=len(outcomes),
            scored=statuses["scored"],
            missing=statuses["missing"],
            not_applicable=statuses["not_applicable"],
            failed=statuses["failed"],
        ),
        companion=metric.companion,
        components=finite(components),
    )


def _groups(request: Request) -> dict[str, str | None]:
    """The film or series of each dialogue, by its id."""
    return {sample.dialogue.id: sample.dialogue.group for sample in request.plan.samples}


def bootstrap(
    metric: Metric, outcomes: Sequence[Outcome | Row], groups: statistics.Groups
) -> statistics.Interval | None:
    """The interval of a metric from all its dialogues, in the order of their ids.

    `groups` are their films or series, where the benchmark names them.
    """
    # Rows that do not count stay as zeros: every metric resamples the same dialogues.
    zeros = dict.fromkeys(metric.fields, 0.0)
    counts = [outcome.counts or zeros for outcome in outcomes]
    return bootstrap_interval(counts, metric.reduce, groups=groups)


def _row(job: MetricJob, outcome: Outcome, group: str | None) -> Row:
    counting = [outcome.counts] if outcome.status in ("scored", "missing") else []
    return Row(
        dialogue=outcome.dialogue,
        metric=outcome.metric,
        status=outcome.status,
        counts=dict(outcome.counts),
        value=corpus_value(counting, job.metric.reduce),
        reason=outcome.reason,
        group=group,
    )


def signature(request: Request, job: MetricJob) -> str:
    """All that a number depends on, in one line to quote beside it."""
    stages = {stage.role: stage for stage in request.plan.stages}
    engines = [
        f"{role}={stages[role].extractor.name}@{stages[role].extractor.version}"
        f"#{digest(stages[role].identity)[:8]}"
        for role in sorted(set(job.roles) & stages.keys())
    ]
    settings = {**job.settings, "aggregation": job.metric.aggregation}
    parts = [
        f"{job.metric.name}@{job.metric.version}",
        f"protocol:{request.protocol.name}@{request.protocol.version}#{request.protocol.sha256[:8]}",
        f"split:{request.split}#{request.benchmark.split_sha256(request.split)[:8]}",
        *engines,
        *(f"{name}:{value}" for name, value in sorted(settings.items())),
        f"mmdia-eval:{__version__}",
    ]
    return "|".join(parts)


def finite(components: Mapping[str, float]) -> dict[str, float]:
    """Components that have a value, as plain floats."""
    plain = {name: float(value) for name, value in components.items()}
    return {name: value for name, value in plain.items() if math.isfinite(value)}


def _warnings(request: Request, found: RunResult, metrics: Sequence[MetricResult]) -> list[str]:
    warnings = []
    if extra := request.submission.extra:
        warnings.append(f"{len(extra)} files match no dialogue of the split: {_some(extra)}")
    if refused := request.submission.refused:
        warnings.append(f"{len(refused)} outputs were left unopened: {_some(refused)}")
    if clipped := [id_ for id_, info in found.media.items() if info.clipped > CLIPPED_ABOVE]:
        warnings.append(
            f"{len(clipped)} outputs have more than {CLIPPED_ABOVE:.0%} of their samples at full "
            f"scale: {_some(clipped)}"
        )
    usable = {id_: info for id_, info in found.media.items() if info.problem is None}
    if steady := [id_ for id_, info in usable.items() if info.dynamics < STEADY_BELOW]:
        warnings.append(
            f"{len(steady)} outputs are as loud all the time, within {STEADY_BELOW:g} dB, as noise "
            f"or a tone is and speech is not: {_some(steady)}"
        )
    warnings += [f"{role} was stopped: {why}" for role, why in found.stopped.items()]
    warnings += _judge_warnings(found)
    warnings += [f"{name} has no value: {s.problem}" for name, s in found.sets.items() if s.problem]
    if found.discarded:
        warnings.append(f"{found.discarded} damaged cache entries were thrown away and made again")
    warnings += [
        f"{metric.name} applies to no dialogue of the split"
        for metric in metrics
        if metric.coverage.not_applicable == metric.coverage.expected
    ]
    return warnings


def _judge_warnings(found: RunResult) -> Iterator[str]:
    """Which judges are others than asked for, or are not exported."""
    for record in judge_records(found.judges):
        model = record.judge.partition(":")[2]
        others = [name for name in record.returned_models if not name.startswith(model)]
        if others and not record.judge.startswith(REPLAY):
            yield f"{record.role}: {model} was asked for, {', '.join(others)} answered"
    for role in recorded_replies(found.judges)[1]:
        yield f"{role}: its replies are not exported: another stage put the same questions"


def _unverified(extractors: Sequence[ExtractorRecord]) -> list[str]:
    """A line that names the model files whose sha256 the project does not list."""
    names = {w.name for record in extractors for w in record.weights if not w.verified}
    if not names:
        return []
    return [f"{len(names)} model files are not verified by a listed sha256: {_some([*names])}"]


def _some(names: Sequence[str], most: int = 5) -> str:
    listed = ", ".join(sorted(names)[:most])
    return f"{listed}, …" if len(names) > most else listed
