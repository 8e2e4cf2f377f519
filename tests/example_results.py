"""Results and rows for tests, as a run would write them, of made-up counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmdia_eval.registry import metric as metrics
from mmdia_eval.results import (
    BenchmarkRecord,
    Coverage,
    Interval,
    MetricResult,
    ProtocolRecord,
    Provenance,
    Results,
    Row,
    SystemRecord,
)
from mmdia_eval.results_files import write_results

SHA = "a" * 64
WORDS = 40


def word_rows(errors: Mapping[str, int], label: str = "wer", words: int = WORDS) -> list[Row]:
    """One row a dialogue: two thirds of its errors are deletions, the others substitutions."""
    return [
        Row(
            dialogue=dialogue,
            metric=label,
            status="scored",
            counts=word_counts(label, count - 2 * count // 3, 2 * count // 3, words),
            value=count / words,
        )
        for dialogue, count in errors.items()
    ]


def missing_row(dialogue: str, label: str = "wer") -> Row:
    counts = word_counts(label, 0, WORDS, WORDS)
    return Row(
        dialogue=dialogue, metric=label, status="missing", counts=counts, value=1.0, reason="none"
    )


def word_counts(label: str, substitutions: int, deletions: int, words: int) -> dict[str, float]:
    """Counts with every field of the metric; those that are no word errors are 0."""
    given = {"substitutions": substitutions, "deletions": deletions, "words": words}
    return {field: float(given.get(field, 0)) for field in metrics.get(label).fields}


def empty_row(dialogue: str, status: Any, label: str = "wer") -> Row:
    return Row(
        dialogue=dialogue, metric=label, status=status, counts={}, value=None, reason="because"
    )


def metric_result(name: str, rows: Sequence[Row], **changes: Any) -> MetricResult:
    """The result of the registered metric `name` over its rows, with a made-up interval."""
    cls = metrics.get(changes.get("metric", name))
    mine = [row for row in rows if row.metric == name]
    counted = [row.counts for row in mine if row.counts_in]
    value = None
    if counted:
        total = {field: math.fsum(row[field] for row in counted) for field in counted[0]}
        value = float(cls(cls.Settings()).reduce(total)) if total.get("words", 1) else None
    statuses = [row.status for row in mine]
    fields: dict[str, Any] = {
        "name": name,
        "metric": name,
        "version": cls.version,
        "signature": f"{name}@{cls.version}|protocol:embedded@1#{SHA[:8]}",
        "value": value,
        "unit": cls.unit,
        "higher_is_better": cls.higher_is_better,
        "interval": None if value is None else interval(value - 0.02, value + 0.03),
        "coverage": Coverage(
            expected=len(mine),
            scored=statuses.count("scored"),
            missing=statuses.count("missing"),
            not_applicable=statuses.count("not_applicable"),
            failed=statuses.count("failed"),
        ),
    }
    return MetricResult(**{**fields, **changes})


def interval(lower: float, upper: float) -> Interval:
    return Interval(lower=lower, upper=upper, method="percentile bootstrap", resamples=2000, seed=1)


def make_results(name: str = "a", metrics: Sequence[MetricResult] = (), **changes: Any) -> Results:
    fields: dict[str, Any] = {
        "status": "provisional" if any(m.coverage.failed for m in metrics) else "complete",
        "verification": "self-reported",
        "task": 1,
        "split": "test",
        "style": None,
        "protocol": ProtocolRecord(name="embedded", version="1", sha256=SHA, comparable=False),
        "benchmark": BenchmarkRecord(
            name="mini", version="1", sha256=SHA, split_sha256=SHA, dialogues=8
        ),
        "system": SystemRecord(name=name),
        "metrics": list(metrics),
        "provenance": Provenance(
            mmdia_eval_version="0.1.0",
            git_commit=None,
            git_dirty=None,
            python="3.13.5",
            packages={"numpy": "2.3.5"},
            hardware={"cpus": 2},
            command=["mmdia-eval", "score"],
            created=datetime(2026, 11, 21, 13, 0, tzinfo=UTC),
            submission_sha256=SHA,
            extractors=[],
        ),
    }
    return Results(**{**fields, **changes})


def write_system(path: Path, rows: Sequence[Row], **changes: Any) -> Path:
    """Write the results of word-error rows, one metric for each label among them."""
    labels = dict.fromkeys(row.metric for row in rows)
    results = make_results(
        **{"metrics": [metric_result(label, rows) for label in labels], **changes}
    )
    write_results(path, results, rows)
    return path
