"""What checks look at beside the entry itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from mmdia_eval import registry
from mmdia_eval.api import Metric
from mmdia_eval.benchmark import Benchmark
from mmdia_eval.results import MetricResult, Results, Row
from mmdia_eval.types import Dialogue
from mmdia_eval.validation.base import Base
from mmdia_eval.validation.entry import Entry, Numbered, Run


@dataclass(frozen=True)
class Context:
    """The benchmark that was scored, the board as it is, and the ground truth's results.

    None of them has to be there; without a benchmark, `left_out` says that this is wanted.
    `checked` are the entries that are being checked.
    """

    benchmark: Benchmark | None = None
    left_out: bool = False
    base: Base | None = None
    references: tuple[Results, ...] = ()
    checked: frozenset[str] = frozenset()

    def dialogues(self, run: Run) -> Mapping[str, Dialogue] | None:
        """The dialogues that a run should have, by id; None where its split is not here."""
        results = run.results
        benchmark = self.benchmark
        if (
            benchmark is None
            or benchmark.hashes.get(results.split) != results.benchmark.split_sha256
        ):
            return None
        return {
            dialogue.id: dialogue
            for dialogue in benchmark.splits[results.split]
            if results.task in dialogue.tasks
        }

    def all_dialogues(self, entry: Entry) -> Mapping[str, Dialogue] | None:
        """Those of all its runs; None where a split is not here."""
        found: dict[str, Dialogue] = {}
        for run in entry.runs:
            dialogues = self.dialogues(run)
            if dialogues is None:
                return None
            found |= dialogues
        return found if entry.runs else None


def metric_of(result: MetricResult) -> Metric | None:
    """The metric as it was set; None where this mmdia-eval has none of its name and version."""
    if result.metric not in registry.metric:
        return None
    cls = registry.metric.get(result.metric)
    if cls.version != result.version:
        return None
    try:
        return cls(cls.Settings.model_validate_json(json.dumps(result.settings)))
    except ValidationError:
        return None


def rows_of(run: Run, metric: str) -> list[Numbered]:
    """A metric's rows in the order of their dialogues, as scoring adds them up."""
    mine = (one for one in run.rows or () if one.row.metric == metric)
    return sorted(mine, key=lambda one: one.row.dialogue)


def counting(rows: list[Numbered]) -> list[Row]:
    """Those that are part of the metric's value."""
    return [one.row for one in rows if one.row.counts_in]


def close(one: float | None, other: float | None) -> bool:
    """Equal to 1e-9, of the value where it is large; None equals None."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))
