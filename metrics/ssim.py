"""How alike the frames' structure is to the reference video's."""

from __future__ import annotations

from mmdia_eval.frame_counts import BesideReference
from mmdia_eval.registry import metric


@metric("ssim")
class Ssim(BesideReference):
    """Structural similarity to the reference's frames: mean over frames, then over dialogues.

    A missing output has the smallest value that exists.
    """

    version = "1"
    figure = "ssim"
    farthest = -1.0
    unit = "SSIM"
    higher_is_better = True
