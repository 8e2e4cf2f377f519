"""How far the frames look from the reference video's."""

from __future__ import annotations

from mmdia_eval.artifacts import PerceptualDistance
from mmdia_eval.frame_counts import BesideReference
from mmdia_eval.registry import metric

FARTHEST = 7.74
"""No two pictures are further apart: two directions of one layer's features, none negative, differ
most where each has one feature of its own, and then by the two features' weights; the greatest two
of the five layers sum to 7.734."""


@metric("lpips")
class Lpips(BesideReference):
    """Perceptual distance to the reference's frames: mean over frames, then over dialogues."""

    version = "1"
    figure = "lpips"
    farthest = FARTHEST
    unit = "LPIPS"
    higher_is_better = False
    needs = (PerceptualDistance,)
