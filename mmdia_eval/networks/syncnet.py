"""SyncNet (Chung and Zisserman 2016, "Out of time"): lips and sound in one space.

Key names and layers are those of the published checkpoint `syncnet_v2.model`
(https://www.robots.ox.ac.uk/~vgg/software/lipsync/), so that its state dict loads strictly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WINDOW = 5
"""Frames of video in a window: 0.2 s at 25 frames a second."""
SIDE = 224
"""Height and width of a face crop in pixels."""
COLUMNS_PER_FRAME = 4
"""MFCC columns, one each 10 ms, for a video frame of 40 ms."""
CEPSTRA = 13
EMBEDDING = 1024

_LIP_WINDOWS_AT_ONCE = 64


def _head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING)
    )


def _sound_layers() -> nn.Sequential:
    """Over (n, 1, 13, 20): one window of MFCC, frequency by time."""
    layers: list[nn.Module] = []

    def add(inputs: int, outputs: int, kernel: tuple[int, int] = (3, 3), padding: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding)
        layers.extend([convolution, nn.BatchNorm2d(outputs), nn.ReLU()])

    add(1, 64)
    layers.append(nn.Identity())  # a pooling of size one, which holds a place in the numbering
    add(64, 192)
    layers.append(nn.MaxPool2d((3, 3), (1, 2)))
    add(192, 384)
    add(384, 256)
    add(256, 256)
    layers.append(nn.MaxPool2d((3, 3), (2, 2)))
    add(256, 512, (5, 4), 0)
    return nn.Sequential(*layers)


def _lip_layers() -> nn.Sequential:
    """Over (n, 3, T, 224, 224). Only the first convolution looks at more than one frame."""
    layers: list[nn.Module] = []

    def add(
        inputs: int,
        outputs: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        padding: tuple[int, int, int] = (0, 1, 1),
    ) -> None:
        convolution = nn.Conv3d(inputs, outputs, kernel, stride, padding)
        layers.extend([convolution, nn.BatchNorm3d(outputs), nn.ReLU()])

    flat, half, none = (1, 3, 3), (1, 2, 2), (0, 0, 0)
    add(3, 96, (WINDOW, 7, 7), half, none)
    layers.append(nn.MaxPool3d(flat, half))
    add(96, 256, (1, 5, 5), half)
    layers.append(nn.MaxPool3d(flat, half, (0, 1, 1)))
    for _ in range(3):
        add(256, 256, flat)
    layers.append(nn.MaxPool3d(flat, half))
    add(256, 512, (1, 6, 6), padding=none)
    return nn.Sequential(*layers)


class SyncNet(nn.Module):
    """Two towers; embeddings are not normalised, and their distance is Euclidean."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _sound_layers()
        self.netfcaud = _head()
        self.netcnnlip = _lip_layers()
        self.netfclip = _head()

    def lips(self, faces: Tensor) -> Tensor:
        """Embeddings (T - 4, 1024) of a track, one for each window of five frames.

        `faces` is (T, 3, 224, 224) float32, 0 to 255, channels in the order blue, green, red: the
        published weights were trained on frames as OpenCV reads them.

        Each frame passes once: no layer but the first spans time, and none pads it, so that this
        equals a pass over each window (measured: 1.4e-6).
        """
        found = []
        for start in range(0, len(faces) - WINDOW + 1, _LIP_WINDOWS_AT_ONCE):
            part = faces[start : start + _LIP_WINDOWS_AT_ONCE + WINDOW - 1]
            features = self.netcnnlip(part.transpose(0, 1)[None])
            found.append(self.netfclip(features[0, :, :, 0, 0].T))
        return torch.cat(found) if found else faces.new_zeros((0, EMBEDDING))

    def sound(self, cepstra: Tensor) -> Tensor:
        """Embeddings (n, 1024) of a clip's sound, one for each window of 20 columns, 4 apart.

        `cepstra` is (columns, 13) float32, one column each 10 ms. Windows are cut first: unlike the
        lip tower, this one pads time inside each window, and one pass over all would differ.
        """
        width = WINDOW * COLUMNS_PER_FRAME
        if len(cepstra) < width:
            return cepstra.new_zeros((0, EMBEDDING))
        windows = cepstra.unfold(0, width, COLUMNS_PER_FRAME)[:, None]
        embeddings: Tensor = self.netfcaud(self.netcnnaud(windows).flatten(1))
        return embeddings
