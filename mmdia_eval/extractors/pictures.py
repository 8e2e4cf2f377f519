"""What extractors that look at a video's frames share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.api import Inputs, Requirement
from mmdia_eval.types import Frames

INSTALL = "pip install 'mmdia-eval[video]'"
OPENCV = Requirement("cv2", INSTALL)
SCENEDETECT = Requirement("scenedetect", INSTALL)
TORCH = Requirement("torch", INSTALL)
TORCHMETRICS = Requirement("torchmetrics", INSTALL)


def seen_frames(item: Inputs) -> Frames:
    """The file's frames, at least one."""
    if item.frames is None or not len(item.frames):
        raise ValueError(f"{item.path} came without its frames")
    return item.frames


def luma(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """(height, width) of a frame (height, width, 3), by ITU-R BT.601 as OpenCV rounds it."""
    import cv2  # noqa: PLC0415

    grey: Any = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    return grey  # type: ignore[no-any-return]
