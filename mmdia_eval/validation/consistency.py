"""Do submission.json, the results and the protocol say the same of one run?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from mmdia_eval import registry
from mmdia_eval.choices import NO_JUDGE
from mmdia_eval.errors import UserError
from mmdia_eval.protocol import MetricEntry, Protocol, load_protocol, protocol_names
from mmdia_eval.results import MetricResult
from mmdia_eval.validation.context import Context, metric_of
from mmdia_eval.validation.entry import Entry, Run
from mmdia_eval.validation.findings import Finding, found
from mmdia_eval.validation.format import SUBMISSION


def check_results(entry: Entry, context: Context) -> Iterator[Finding]:
    """Each results file against its name, and what it may claim."""
    for run in entry.runs:
        results = run.results
        style = f".{results.style}" if results.style else ""
        name = f"task{results.task}.{results.split}{style}.json"
        if run.file != name:
            yield found("results-name", f"{run.file} holds {PurePath(name).stem}", run.file)
        if results.status != "complete":
            yield found("results-provisional", "the status is provisional", run.file)
        if results.verification != "self-reported":
            yield found(
                "results-verification", f"verification is {results.verification!r}", run.file
            )
        for extractor in results.provenance.extractors:
            for weights in extractor.weights:
                if not weights.verified:
                    yield found(
                        "weights-unverified", f"{weights.name} of {extractor.name}", run.file
                    )


def check_submission(entry: Entry, context: Context) -> Iterator[Finding]:
    """submission.json against the results."""
    submission = entry.submission
    if submission is None:
        return
    splits = {one.split: one.sha256 for one in submission.splits}
    for run in entry.runs:
        results = run.results
        said: list[tuple[list[str | int], Any, Any]] = [
            (["system", "name"], submission.system.name, results.system.name),
            (["task"], submission.task, results.task),
            (["style"], submission.style, results.style),
            (["benchmark", "name"], submission.benchmark.name, results.benchmark.name),
            (["benchmark", "version"], submission.benchmark.version, results.benchmark.version),
            (["protocol", "name"], submission.protocol.name, results.protocol.name),
            (["protocol", "version"], submission.protocol.version, results.protocol.version),
            (["protocol", "sha256"], submission.protocol.sha256, results.protocol.sha256),
            (["splits"], splits.get(results.split), results.benchmark.split_sha256),
        ]
        if results.system.organization is not None:
            organization = results.system.organization
            said += [(["system", "organization"], submission.system.organization, organization)]
        for path, mine, theirs in said:
            if mine != theirs:
                name = ".".join(map(str, path))
                yield found(
                    "results-differ",
                    f"{name} is {_short(mine)}, in {run.file} {_short(theirs)}",
                    SUBMISSION,
                    entry.line(*path),
                )
    scored = {run.results.split for run in entry.runs}
    for index, one in enumerate(submission.splits):
        if scored and one.split not in scored:
            yield found(
                "results-differ",
                f"no results file is of the split {one.split}",
                SUBMISSION,
                entry.line("splits", index),
            )


def check_protocol(entry: Entry, context: Context) -> Iterator[Finding]:
    """The protocol and each metric against those of this mmdia-eval."""
    for run in entry.runs:
        protocol = _protocol(run)
        record = run.results.protocol
        if protocol is None or (protocol.version, protocol.sha256) != (
            record.version,
            record.sha256,
        ):
            here = (
                f"{protocol.name} {protocol.version}" if protocol else ", ".join(protocol_names())
            )
            yield found(
                "protocol-unknown",
                f"{record.name} {record.version} ({record.sha256[:8]}…); here: {here}",
                run.file,
            )
        if protocol is not None:
            yield from _metrics(run, protocol.of(run.results.task, run.results.style))


def _protocol(run: Run) -> Protocol | None:
    name = run.results.protocol.name
    # By name alone: what is not shipped might be the path of a file.
    return load_protocol(name) if name in protocol_names() else None


def _metrics(run: Run, protocol: Protocol) -> Iterator[Finding]:
    entries = {one.name: one for one in protocol.metrics}
    for result in run.results.metrics:
        entry = entries.get(result.name)
        line = run.line(result.name)
        if entry is None or result.metric not in registry.metric:
            yield found("metric-unknown", f"{result.name} ({result.metric})", run.file, line)
            continue
        present = registry.metric.get(result.metric).version
        if result.version != present:
            yield found(
                "metric-version",
                f"{result.name} is of version {result.version} of {result.metric}; "
                f"the present one is {present}",
                run.file,
                line,
            )
        elif problem := _definition(run, result, entry):
            yield found("metric-definition", f"{result.name}: {problem}", run.file, line)
    measured = {one.name for one in run.results.metrics if one.value is not None}
    # A judge is the submitter's choice.
    measured |= {one.name for one in run.results.not_run if one.reason == NO_JUDGE}
    for one in protocol.metrics:
        wanted = one.default and (one.tasks is None or run.results.task in one.tasks)
        if wanted and one.name not in measured:
            yield found("metric-not-run", one.name, run.file)


def _definition(run: Run, result: MetricResult, entry: MetricEntry) -> str | None:
    """What differs from the protocol's column, or None."""
    if result.metric != entry.metric:
        return f"it is {result.metric}, in the protocol {entry.metric}"
    metric = metric_of(result)
    cls = registry.metric.get(result.metric)
    expected = cls.Settings.model_validate(entry.settings).model_dump(mode="json")
    if metric is None or result.settings != expected:
        return f"settings {result.settings}, in the protocol {expected}"
    for name in ("unit", "higher_is_better", "companion"):
        if getattr(result, name) != getattr(metric, name):
            return f"{name} is {getattr(result, name)!r}, of the metric {getattr(metric, name)!r}"
    record, split = run.results.protocol, run.results.benchmark.split_sha256
    signed = (
        f"{result.metric}@{result.version}|protocol:{record.name}@{record.version}"
        f"#{record.sha256[:8]}|split:{run.results.split}#{split[:8]}|"
    )
    return None if result.signature.startswith(signed) else f"its signature is not {signed}…"


def check_benchmark(entry: Entry, context: Context) -> Iterator[Finding]:
    """The splits against the benchmark at hand."""
    for run in entry.runs:
        record = run.results.benchmark
        what = f"{record.name} {record.version}, split {run.results.split}"
        if context.benchmark is None or context.benchmark.name != record.name:
            code = "benchmark-left-out" if context.left_out else "benchmark-missing"
            yield found(code, what, run.file)
            continue
        try:
            sha256 = context.benchmark.split_sha256(run.results.split)
        except UserError as error:
            yield found("benchmark-differs", str(error), run.file)
            continue
        if sha256 != record.split_sha256:
            yield found(
                "benchmark-differs",
                f"{what}: sha256 {record.split_sha256[:12]}…, the benchmark's {sha256[:12]}…",
                run.file,
            )
            continue
        here = len(context.dialogues(run) or ())
        if record.dialogues != here:
            yield found(
                "benchmark-differs", f"{what}: {record.dialogues} dialogues, not {here}", run.file
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
