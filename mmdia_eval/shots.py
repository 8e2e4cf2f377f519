"""Shots: where one camera's picture gives way to another's."""

from __future__ import annotations

from itertools import pairwise

from mmdia_eval.types import Frames


def shots(frames: Frames) -> tuple[tuple[int, int], ...]:
    """First frame and first after of each shot, by PySceneDetect's content detector at its own
    threshold (27), as in syncnet_python; one shot where nothing is cut.
    """
    from scenedetect import ContentDetector  # noqa: PLC0415

    detector = ContentDetector()
    cuts: list[int] = []
    for number, frame in enumerate(frames):
        cuts += detector.process_frame(number, frame[..., ::-1])
    edges = [0, *sorted(cuts), len(frames)]
    return tuple((a, b) for a, b in pairwise(edges) if a < b)
