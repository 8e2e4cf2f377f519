"""LSE-D: how far lips and sound are apart at the offset at which they fit best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdia_eval.metrics.lse_c import LseC
from mmdia_eval.registry import metric


@metric("lse_d")
class LseD(LseC):
    """Mean over dialogues of the distance; a missing output costs more than any was seen to."""

    version = "1"
    higher_is_better = False

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["distance"] / total["dialogues"]
