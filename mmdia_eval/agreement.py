"""Does a judge agree with people? Item by item, over the dialogues that both scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from pydantic import NonNegativeInt, PositiveInt
from rich.text import Text

from mmdia_eval.api import Counts
from mmdia_eval.errors import UserError
from mmdia_eval.human_mos import spearman
from mmdia_eval.ratings import Dimension, Rating
from mmdia_eval.report import plain_console, plain_table
from mmdia_eval.results import Interval, MetricResult, Record, Results, judge_of
from mmdia_eval.results_files import read_results, read_rows
from mmdia_eval.statistics import (
    LEVEL,
    MIN_SHARE_WITH_VALUE,
    SEED,
    bootstrap_interval,
    resample_weights,
)

JUDGE_METRIC = "judge_score"
RESAMPLES = 1_000

Item = tuple[str, str]
"""A dialogue and a system."""
Scores = Mapping[Item, float]


class Agreement(Record):
    """One figure with its interval over dialogues; `value` is None where it is not defined."""

    value: float | None
    interval: Interval | None


class DimensionAgreement(Record):
    """A judge's scores against the means of people's ratings, in one dimension.

    `spearman` and `kendall` (tau-b), in [-1, 1], over all items. `pairwise`, in [0, 1]: of the
    pairs of systems that people rate differently on a dialogue, the share that the judge orders
    alike, its ties counting one half; 0.5 is chance. Higher is better throughout.
    """

    dimension: Dimension
    judge: str
    items: PositiveInt
    dialogues: PositiveInt
    pairs: NonNegativeInt
    spearman: Agreement
    kendall: Agreement
    pairwise: Agreement


def human_means(ratings: Sequence[Rating]) -> dict[Dimension, dict[Item, float]]:
    """The mean over raters of every item, by dimension."""
    found: dict[Dimension, dict[Item, list[float]]] = defaultdict(lambda: defaultdict(list))
    for rating in ratings:
        found[rating.dimension][rating.dialogue, rating.system].append(rating.value)
    return {
        dimension: {item: float(np.mean(values)) for item, values in items.items()}
        for dimension, items in found.items()
    }


def judge_means(paths: Sequence[Path]) -> dict[tuple[str, str], dict[Item, float]]:
    """A judge's score of every item, by who judged how and by the dimension.

    Raises:
        UserError: a file that is no results file, or results without a judge's scores.
    """
    found: dict[tuple[str, str], dict[Item, float]] = defaultdict(dict)
    for path in paths:
        results = read_results(path)
        judged = {m.name: m for m in results.metrics if m.metric == JUDGE_METRIC}
        if not judged:
            raise UserError(f"{path}: no judge's scores in it; score it with --judge")
        for row in read_rows(path):
            if row.metric in judged and row.status == "scored" and row.value is not None:
                metric = judged[row.metric]
                key = _judge(results, metric), str(metric.settings.get("dimension", row.metric))
                found[key][row.dialogue, results.system.name] = row.value
    return dict(found)


def _judge(results: Results, metric: MetricResult) -> str:
    """All that makes two judges' scores different measurements, in a line."""
    judge = judge_of(results, metric.name)
    if judge is None:
        return metric.signature
    return (
        f"{judge.answered}, prompt #{judge.voice[1][:8]}, protocol {results.protocol.name} "
        f"{results.protocol.version}, against {metric.settings.get('condition')}"
    )


def agreement(ratings: Sequence[Rating], results: Sequence[Path]) -> list[DimensionAgreement]:
    """Judges against people, for each judge and dimension that share items.

    Raises:
        UserError: as `judge_means`, or no item that both scored.
    """
    people = human_means(ratings)
    found = [
        compare_scores(dimension, judge, people[dimension], scores)
        for (judge, name), scores in sorted(judge_means(results).items())
        for dimension in people
        if dimension == name and people[dimension].keys() & scores.keys()
    ]
    if not found:
        raise UserError(
            "no dialogue of any system was both judged and rated in one dimension; systems are "
            "matched by the name in their submission.toml"
        )
    return found


def compare_scores(
    dimension: Dimension, judge: str, people: Scores, judged: Scores
) -> DimensionAgreement:
    """The agreement over the items that both have; intervals resample dialogues."""
    by_dialogue: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for item in sorted(people.keys() & judged.keys()):
        by_dialogue[item[0]].append((people[item], judged[item]))
    groups = list(by_dialogue.values())
    pairs = [_pair_counts(group) for group in groups]
    return DimensionAgreement(
        dimension=dimension,
        judge=judge,
        items=sum(map(len, groups)),
        dialogues=len(groups),
        pairs=int(sum(counts["pairs"] for counts in pairs)),
        spearman=_correlation(groups, spearman),
        kendall=_correlation(groups, kendall),
        pairwise=_pairwise(pairs),
    )


def kendall(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b in [-1, 1]; None where a side has no two different values."""
    from scipy.stats import kendalltau  # noqa: PLC0415

    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    return float(kendalltau(a, b).statistic)


def _correlation(
    groups: Sequence[Sequence[tuple[float, float]]],
    statistic: Callable[[Sequence[float], Sequence[float]], float | None],
) -> Agreement:
    def over(times: Sequence[int]) -> float | None:
        drawn = [pair for group, n in zip(groups, times, strict=True) for pair in [*group] * n]
        return statistic([a for a, _ in drawn], [b for _, b in drawn])

    value = over([1] * len(groups))
    if value is None or len(groups) < 2:
        return Agreement(value=value, interval=None)
    weights = resample_weights(len(groups), RESAMPLES, SEED).astype(int)
    values = [found for row in weights if (found := over(row.tolist())) is not None]
    if len(values) < MIN_SHARE_WITH_VALUE * RESAMPLES:
        return Agreement(value=value, interval=None)
    tail = (1 - LEVEL) / 2
    lower, upper = np.quantile(values, [tail, 1 - tail])
    interval = Interval(
        lower=float(lower),
        upper=float(upper),
        level=LEVEL,
        method="percentile bootstrap over dialogues",
        resamples=len(values),
        seed=SEED,
    )
    return Agreement(value=value, interval=interval)


def _pair_counts(group: Sequence[tuple[float, float]]) -> Counts:
    agreed = pairs = 0.0
    for (people_a, judge_a), (people_b, judge_b) in combinations(group, 2):
        if people_a != people_b:
            pairs += 1
            order = (people_a - people_b) * (judge_a - judge_b)
            agreed += 1.0 if order > 0 else 0.5 if order == 0 else 0.0
    return {"agreed": agreed, "pairs": pairs}


def _pairwise(pairs: Sequence[Counts]) -> Agreement:
    total = sum(counts["pairs"] for counts in pairs)
    if not total:
        return Agreement(value=None, interval=None)
    found = bootstrap_interval(pairs, lambda total: total["agreed"] / total["pairs"])
    return Agreement(
        value=sum(counts["agreed"] for counts in pairs) / total,
        interval=None if found is None else Interval(**vars(found)),
    )


def print_agreement(found: Sequence[DimensionAgreement]) -> None:
    """One line a judge and dimension."""
    table = plain_table()
    for title in ("dimension", "judge"):
        table.add_column(title, overflow="fold")
    for title in ("items", "Spearman", "Kendall", "pairwise", "pairs"):
        table.add_column(title, justify="right")
    for line in found:
        figures = [_figure(each) for each in (line.spearman, line.kendall, line.pairwise)]
        table.add_row(line.dimension, Text(line.judge), str(line.items), *figures, str(line.pairs))
    plain_console().print(table)


def _figure(found: Agreement) -> str:
    if found.value is None:
        return "-"
    if found.interval is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f}\n[{found.interval.lower:.2f}, {found.interval.upper:.2f}]"
