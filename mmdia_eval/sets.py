"""Values of all outputs together, with an interval by half-samples and the ground truth's floor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmdia_eval.statistics import LEVEL, SEED, Interval
from mmdia_eval.types import FloatArray

SETS_VERSION = "1"
"""Raised when an interval or a floor changes for the same features."""

HALVES = 100
"""Half-samples behind an interval, and halvings of the references behind the floor."""
FEWEST = 8
"""Dialogues below which a half of them says nothing."""

Distance = Callable[[FloatArray, FloatArray], float]
Set = Sequence[FloatArray]
"""Features (clips, d) of each dialogue, in the split's order."""


@dataclass(frozen=True)
class SetValue:
    """A distance of two sets; None where there is none, and `problem` says why.

    Components: `clips` and `dialogues`; `half`, the mean distance of half the outputs to as many
    references; `floor`, that of one half of the references to the other. `half` less `floor` is
    what the system adds: both are of equal size, so equally biased.
    """

    value: float | None
    interval: Interval | None = None
    components: Mapping[str, float] | None = None
    problem: str | None = None


def set_value(outputs: Set, references: Set, distance: Distance) -> SetValue:
    """The distance of the outputs' clips to the references', dialogue by dialogue in both."""
    value = distance(np.concatenate(outputs), np.concatenate(references))
    dialogues = len(outputs)
    sizes = {"clips": float(sum(map(len, outputs))), "dialogues": float(dialogues)}
    if dialogues < FEWEST:
        return SetValue(value, None, sizes)
    halves = [
        np.random.default_rng([SEED, number]).permutation(dialogues) for number in range(HALVES)
    ]
    drawn, floors = [], []
    for order in halves:
        one, other = order[: dialogues // 2], order[dialogues // 2 :]
        half = _joined(references, one)
        drawn.append(distance(_joined(outputs, one), half))
        floors.append(distance(_joined(references, other), half))
    means = {"half": float(np.mean(drawn)), "floor": float(np.mean(floors))}
    return SetValue(value, _interval(value, drawn), sizes | means)


def _joined(features: Set, chosen: Sequence[int] | np.ndarray) -> FloatArray:
    return np.concatenate([features[index] for index in chosen])


def _interval(value: float, drawn: Sequence[float]) -> Interval:
    """Around the value as far as half-samples lie around their own mean.

    A half drawn without replacement varies as much around the whole as the whole around the truth
    (the delete-half jackknife, Wu 1990, Annals of Statistics 18). Drawing with replacement repeats
    clips, which a distance between sets takes for less variety.
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.array(drawn) - np.mean(drawn), [tail, 1 - tail])
    method = "half-samples of dialogues without replacement"
    return Interval(value + float(low), value + float(high), LEVEL, HALVES, SEED, method)
