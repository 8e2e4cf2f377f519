"""Counts of a figure of a video's pictures, beside the reference video's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts, FrameStatistics
from mmdia_eval.counts import ratios

FIELDS = ("value", "dialogues", "compared_value", "reference_value", "compared")
"""Sums over dialogues; `compared` ones have a reference video with a figure of its own, and
`compared_value` is the outputs' sum over those alone."""


def picture_counts(artifacts: Artifacts, name: str, value: float) -> Counts:
    """Counts of a scored dialogue: `value` beside the reference's figure of that `name`."""
    found: float | None = None
    if FrameStatistics in artifacts.reference:
        found = getattr(artifacts.reference[FrameStatistics], name)
    return {
        "value": value,
        "dialogues": 1.0,
        "compared_value": value if found is not None else 0.0,
        "reference_value": found or 0.0,
        "compared": float(found is not None),
    }


def worst_counts(value: float) -> Counts:
    """Counts of a missing output; it is compared with nothing."""
    return {**dict.fromkeys(FIELDS, 0.0), "value": value, "dialogues": 1.0}


def reference_figures(rows: Sequence[Counts]) -> Mapping[str, float]:
    """`reference`: the references' mean; `ratio`: the outputs' over it, of the same dialogues."""
    return ratios(
        rows,
        reference=("reference_value", "compared"),
        ratio=("compared_value", "reference_value"),
    )
