"""Shots: where the picture cuts from one view to another."""

from __future__ import annotations

from itertools import pairwise

from mmdia_eval.types import Frames

THRESHOLD = 27.0
"""Mean change of hue, saturation and value over the picture, 0 to 255, that is a cut."""
SHORTEST = 15
"""Frames between two cuts; those nearer are one. Both are PySceneDetect's defaults, which
syncnet_python uses."""


def shots(
    frames: Frames, threshold: float = THRESHOLD, shortest: int = SHORTEST
) -> tuple[tuple[int, int], ...]:
    """First frame and first frame after of each shot, by PySceneDetect's ContentDetector.

    The detector sees frames 256 pixels wide, as PySceneDetect's own manager and so syncnet_python
    give it those of any video that is wider. Together the shots are the video.
    """
    import cv2  # noqa: PLC0415
    from scenedetect.detectors import ContentDetector  # noqa: PLC0415
    from scenedetect.scene_manager import compute_downscale_factor  # noqa: PLC0415

    if not len(frames):
        return ()
    _, height, width, _ = frames.shape
    factor = compute_downscale_factor(width)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    detector = ContentDetector(threshold=threshold, min_scene_len=shortest)
    cuts = [
        cut
        for index, frame in enumerate(frames)
        for cut in detector.process_frame(
            index, cv2.cvtColor(cv2.resize(frame, size), cv2.COLOR_RGB2BGR)
        )
    ]
    return tuple(pairwise([0, *cuts, len(frames)]))
