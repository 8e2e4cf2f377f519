"""Mean opinion scores of human ratings, with intervals, and how far raters agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.manifest import problems_of
from mmdia_eval.ratings import DIMENSIONS, Dimension, Rating
from mmdia_eval.results import Coverage, Interval, MetricResult, Record, Sha256
from mmdia_eval.results_files import canonical_json
from mmdia_eval.statistics import LEVEL, RESAMPLES, SEED, resample_weights
from mmdia_eval.store import digest
from mmdia_eval.strict_json import parse_json, read_bytes
from mmdia_eval.submission import DisplayName, printable
from mmdia_eval.types import Split, Task

KIND: Literal["human_ratings"] = "human_ratings"
VERSION = "1"
"""Raised when a mean, an interval or an agreement changes for the same ratings."""

ENOUGH_TO_SCREEN = 8
"""Ratings below which nothing is said of a rater."""

Matrix = NDArray[np.float64]


class SystemMos(Record):
    """One system's mean opinion score in one dimension, 1 to 5, higher is better.

    The mean is over all ratings; `interval` resamples raters and dialogues, None with fewer than
    two of either.
    """

    system: DisplayName
    mean: float
    interval: Interval | None
    ratings: PositiveInt
    raters: PositiveInt
    dialogues: PositiveInt


class DimensionMos(Record):
    """One dimension. `alpha` is Krippendorff's for ordinal data: 1 perfect, 0 as by chance.

    None where no two raters rated the same item, or all ratings are equal.
    """

    dimension: Dimension
    alpha: Annotated[float, Field(le=1)] | None
    systems: list[SystemMos]


class RaterReport(Record):
    """How one rater rated, over all dimensions. Nothing is taken out: that is for people to decide.

    `agreement` is Spearman's correlation with the mean of the other raters on the items that they
    share, in [-1, 1]. `flags`: "constant", one value throughout; "disagrees", agreement not above
    0; both only from `ENOUGH_TO_SCREEN` ratings on.
    """

    rater: str
    ratings: PositiveInt
    mean: float
    deviation: float
    agreement: float | None
    flags: list[Literal["constant", "disagrees"]]


class HumanRatings(Record):
    """What `mos import` writes and the leaderboard joins to the systems' rows."""

    kind: Literal["human_ratings"] = KIND
    schema_version: Literal["1.0"] = "1.0"
    task: Task
    split: Split
    style: Literal["description", "triplet"] | None
    ratings_sha256: Sha256
    excluded_raters: list[str]
    ratings: NonNegativeInt
    dimensions: list[DimensionMos]
    raters: list[RaterReport]


def summarize(
    ratings: Sequence[Rating],
    *,
    task: Task = 1,
    split: Split = "test",
    style: Literal["description", "triplet"] | None = None,
    exclude: Sequence[str] = (),
) -> HumanRatings:
    """Means with intervals, agreement and the screening of raters, without those in `exclude`.

    Raises:
        UserError: a rater to exclude who rated nothing, or nobody left.
    """
    known = {rating.rater for rating in ratings}
    if unknown := sorted(set(exclude) - known):
        raise UserError(f"no ratings by {', '.join(map(printable, unknown))}, so none to exclude")
    kept = [rating for rating in ratings if rating.rater not in exclude]
    if not kept:
        raise UserError("every rater is excluded")
    rows = sorted((r.rater, r.dialogue, r.system, r.dimension, r.value) for r in kept)
    present = {rating.dimension for rating in kept}
    return HumanRatings(
        task=task,
        split=split,
        style=style,
        ratings_sha256=digest(rows),
        excluded_raters=sorted(exclude),
        ratings=len(kept),
        dimensions=[_dimension(kept, d) for d in DIMENSIONS if d in present],
        raters=screen(kept),
    )


def _dimension(ratings: Sequence[Rating], dimension: Dimension) -> DimensionMos:
    mine = [rating for rating in ratings if rating.dimension == dimension]
    systems = sorted({rating.system for rating in mine})
    return DimensionMos(
        dimension=dimension,
        alpha=krippendorff_alpha(mine),
        systems=[mean_opinion([r for r in mine if r.system == system]) for system in systems],
    )


def mean_opinion(ratings: Sequence[Rating]) -> SystemMos:
    """The mean of one system's ratings in one dimension, with its interval.

    Raters and dialogues are both drawn anew in each resample, and a rating counts as often as
    the product of the two says (the pigeonhole bootstrap: Owen 2007, "The pigeonhole bootstrap",
    Annals of Applied Statistics 1(2)). Resampling ratings alone would take the opinions of one
    person, or of one dialogue, for independent ones.
    """
    table = _Table(ratings)
    return SystemMos(
        system=ratings[0].system,
        mean=float(table.sums.sum() / table.counts.sum()),
        interval=_interval(table),
        ratings=len(ratings),
        raters=len(table.raters),
        dialogues=len(table.dialogues),
    )


class _Table:
    """Sums and counts of ratings, raters by dialogues."""

    def __init__(self, ratings: Sequence[Rating]) -> None:
        self.raters = sorted({rating.rater for rating in ratings})
        self.dialogues = sorted({rating.dialogue for rating in ratings})
        shape = len(self.raters), len(self.dialogues)
        self.sums, self.counts = np.zeros(shape), np.zeros(shape)
        row = {name: index for index, name in enumerate(self.raters)}
        column = {name: index for index, name in enumerate(self.dialogues)}
        for rating in ratings:
            place = row[rating.rater], column[rating.dialogue]
            self.sums[place] += rating.value
            self.counts[place] += 1

    @cached_property
    def several(self) -> bool:
        return min(self.sums.shape) > 1


def _interval(table: _Table) -> Interval | None:
    if not table.several:
        return None
    raters = resample_weights(len(table.raters), RESAMPLES, SEED + 1)
    dialogues = resample_weights(len(table.dialogues), RESAMPLES, SEED)
    with np.errstate(invalid="ignore"):
        means = _drawn(raters, table.sums, dialogues) / _drawn(raters, table.counts, dialogues)
    means = means[np.isfinite(means)]
    tail = (1 - LEVEL) / 2
    lower, upper = np.quantile(means, [tail, 1 - tail])
    return Interval(
        lower=float(lower),
        upper=float(upper),
        level=LEVEL,
        method="percentile bootstrap over raters and dialogues",
        unit="rater and dialogue",
        resamples=len(means),
        seed=SEED,
    )


def _drawn(raters: Matrix, table: Matrix, dialogues: Matrix) -> Matrix:
    drawn: Matrix = np.einsum("br,rd,bd->b", raters, table, dialogues, optimize=True)
    return drawn


def krippendorff_alpha(ratings: Sequence[Rating]) -> float | None:
    """Krippendorff's alpha, ordinal, over items (dialogue and system), at most 1.

    None where it is not defined: no item with two ratings, or no two different values.
    """
    import krippendorff  # noqa: PLC0415

    items = sorted({(rating.dialogue, rating.system) for rating in ratings})
    raters = sorted({rating.rater for rating in ratings})
    column = {item: index for index, item in enumerate(items)}
    row = {rater: index for index, rater in enumerate(raters)}
    data = np.full((len(raters), len(items)), np.nan)
    for rating in ratings:
        data[row[rating.rater], column[rating.dialogue, rating.system]] = rating.value
    paired = data[:, (~np.isnan(data)).sum(axis=0) > 1]
    if len(np.unique(paired[~np.isnan(paired)])) < 2:
        return None
    return float(krippendorff.alpha(paired, level_of_measurement="ordinal"))


def screen(ratings: Sequence[Rating]) -> list[RaterReport]:
    """One report a rater, sorted by name."""
    items: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for rating in ratings:
        items[rating.dialogue, rating.system, rating.dimension][rating.rater] = rating.value
    return [_report(rater, items) for rater in sorted({rating.rater for rating in ratings})]


def _report(rater: str, items: Mapping[tuple[str, str, str], Mapping[str, float]]) -> RaterReport:
    mine = [by_rater for by_rater in items.values() if rater in by_rater]
    values = np.array([by_rater[rater] for by_rater in mine])
    shared = [by_rater for by_rater in mine if len(by_rater) > 1]
    own = [by_rater[rater] for by_rater in shared]
    others = [
        float(np.mean([value for name, value in by_rater.items() if name != rater]))
        for by_rater in shared
    ]
    agreement = spearman(own, others)
    flags: list[Literal["constant", "disagrees"]] = []
    if len(values) >= ENOUGH_TO_SCREEN and np.ptp(values) == 0:
        flags.append("constant")
    if len(shared) >= ENOUGH_TO_SCREEN and agreement is not None and agreement <= 0:
        flags.append("disagrees")
    return RaterReport(
        rater=rater,
        ratings=len(values),
        mean=float(values.mean()),
        deviation=float(values.std()),
        agreement=agreement,
        flags=flags,
    )


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation in [-1, 1]; None where a side has no two different values."""
    from scipy.stats import spearmanr  # noqa: PLC0415

    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    return float(spearmanr(a, b).statistic)


def write_human_ratings(path: Path, human: HumanRatings) -> None:
    """Write the summary, always with the same bytes for the same ratings."""
    write_atomic(path, canonical_json(human.model_dump(mode="json")))


def is_human_ratings(path: Path) -> bool:
    """Whether a JSON file says that it holds human ratings. Raises UserError if it is no JSON."""
    value = parse_json(read_bytes(path), str(path))
    return isinstance(value, dict) and value.get("kind") == KIND


def human_metrics(human: HumanRatings, system: str) -> list[MetricResult]:
    """One column a dimension in which people rated the system, as the leaderboard shows it."""
    return [
        MetricResult(
            name=f"human_{dimension.dimension}",
            metric="human_mos",
            version=VERSION,
            signature=f"human_mos@{VERSION}|ratings:#{human.ratings_sha256[:8]}"
            f"|raters:{each.raters}|dialogues:{each.dialogues}|aggregation:ratings",
            value=each.mean,
            unit="MOS",
            higher_is_better=True,
            interval=each.interval,
            coverage=Coverage(
                expected=each.dialogues,
                scored=each.dialogues,
                missing=0,
                not_applicable=0,
                failed=0,
            ),
            components={"ratings": float(each.ratings), "raters": float(each.raters)}
            | ({} if dimension.alpha is None else {"alpha": dimension.alpha}),
        )
        for dimension in human.dimensions
        for each in dimension.systems
        if each.system == system
    ]


def read_human_ratings(path: Path) -> HumanRatings:
    """Read what `write_human_ratings` wrote.

    Raises:
        UserError: not such a file; the message says where.
    """
    data = read_bytes(path)
    parse_json(data, str(path))
    try:
        return HumanRatings.model_validate_json(data)
    except ValidationError as error:
        raise UserError(f"{path}: not human ratings: {problems_of(error)[0]}") from None
