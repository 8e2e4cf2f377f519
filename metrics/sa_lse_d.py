"""SA-LSE-D: how far the lips of the one who speaks are from the sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdia_eval.api import Counts
from mmdia_eval.metrics.lse_c import WORST_DISTANCE
from mmdia_eval.metrics.sa_lse_c import SaLseC
from mmdia_eval.registry import metric


@metric("sa_lse_d")
class SaLseD(SaLseC):
    """Mean distance over seconds of speech that are scored; a missing output is far from all."""

    version = "1"
    higher_is_better = False

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["distance"] / total["seconds"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return self._components(rows, "distance", WORST_DISTANCE)
