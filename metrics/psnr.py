"""How far the frames' pixels are from the reference video's."""

from __future__ import annotations

from mmdia_eval.frame_counts import BesideReference
from mmdia_eval.registry import metric


@metric("psnr")
class Psnr(BesideReference):
    """Peak signal-to-noise ratio to the reference's frames: mean over frames, then dialogues.

    A missing output is black where the reference is white: 0 dB.
    """

    version = "1"
    figure = "psnr"
    farthest = 0.0
    unit = "dB"
    higher_is_better = True
