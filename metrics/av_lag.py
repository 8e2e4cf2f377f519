"""How far the speakers' mouths are from their speech in time, without any trained network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts
from mmdia_eval.counts import ratios
from mmdia_eval.metrics.av_sync import MILLISECONDS, AvSync
from mmdia_eval.mouth_sync import MAX_LAG
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue

LONGEST = MAX_LAG * MILLISECONDS
"""The longest lag that is looked for."""


@metric("av_lag")
class AvLag(AvSync):
    """Mean over dialogues of the lag at which `av_sync`'s correlation is highest, 0 to 600 ms.

    Without its sign. Where nothing correlates there is no lag, and the longest counts.
    """

    version = "1"
    fields = ("absolute_lag", "lag", "with_lag", "dialogues")
    unit = "ms"
    higher_is_better: ClassVar[bool | None] = False
    companion = None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        found = super().measure(dialogue, artifacts)
        return {
            "absolute_lag": abs(found["lag"]) if found["with_lag"] else LONGEST,
            **{name: found[name] for name in ("lag", "with_lag", "dialogues")},
        }

    def worst(self, dialogue: Dialogue) -> Counts:
        """The longest lag."""
        return {"absolute_lag": LONGEST, "lag": 0.0, "with_lag": 0.0, "dialogues": 1.0}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["absolute_lag"] / total["dialogues"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """With their sign; positive when the sound comes before the lips."""
        return ratios(rows, mean_lag_ms=("lag", "with_lag"), with_lag=("with_lag", "dialogues"))
