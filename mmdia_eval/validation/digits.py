"""Are digits those of a measurement? Made-up figures are short, or favour some digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from scipy.stats import chisquare

MEASURED_DECIMALS = 6
"""A measurement in floats has about 15; what was typed, or rounded before it was used, has few."""
FEWEST = 50
"""Values below which a tenth of them is too few to compare with (Cochran's rule: 5 a class)."""
SIGNIFICANT = 1e-4
"""One honest column in 10,000 is warned of."""


def few_decimals(values: Sequence[float]) -> int | None:
    """The most decimals of any value, where all have few; None for values as measured.

    >>> few_decimals([0.71, 0.8, 0.653]), few_decimals([0.71, 0.80316228])
    (3, None)
    """
    most = max((_decimals(value) for value in values), default=0)
    return most if most <= MEASURED_DECIMALS else None


def _decimals(value: float) -> int:
    exponent = Decimal(repr(value)).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def uneven_digits(values: Sequence[float]) -> float | None:
    """The p-value of evenly spread digits (Pearson's chi-squared), where it is significant.

    The digit is the first whose ten values lie within one standard deviation: there any smooth
    distribution has all ten alike, while a person who makes figures up prefers some (Mosimann et
    al. 1995, Accountability in Research 4). None for fewer than `FEWEST` values, or all alike.
    """
    spread = float(np.std(values))
    if len(values) < FEWEST or not spread:
        return None
    place = math.ceil(-math.log10(spread)) + 1
    digits = [int(abs(value) * 10**place) % 10 for value in values]
    p_value = float(chisquare(np.bincount(digits, minlength=10)).pvalue)
    return p_value if p_value < SIGNIFICANT else None
