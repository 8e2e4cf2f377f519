"""S3FD (Zhang et al. 2017, arXiv:1708.05237), the face detector before SyncNet.

Key names and layers are those of the published checkpoint `sfd_face.pth`
(https://www.robots.ox.ac.uk/~vgg/software/lipsync/), so that its state dict loads strictly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmdia_eval.faces import suppress
from mmdia_eval.networks.checkpoint import load_exactly, read_checkpoint
from mmdia_eval.types import FloatArray

MEAN = (123.0, 117.0, 104.0)
"""Red, green and blue of the mean picture that training subtracted."""

ANCHORS = (16, 32, 64, 128, 256, 512)
STRIDES = (4, 8, 16, 32, 64, 128)
"""Side of the anchor and step between anchors of each of the six maps, in pixels."""
VARIANCES = (0.1, 0.2)
"""Scale of a predicted shift and of the logarithm of a predicted size."""

LOOSE, TIGHT = 0.3, 0.1
"""IoU above which a box gives way to a better one: among all, then among those that are left."""

_CHANNELS: tuple[int | str, ...] = (
    *(64, 64, "pool", 128, 128, "pool", 256, 256, 256, "ceil"),
    *(512, 512, 512, "pool", 512, 512, 512, "pool"),
)
_NORMED_AT = (15, 22, 29)
"""Layers of `vgg` after whose activation a map is taken: conv3_3, conv4_3 and conv5_3."""
_SOURCES = (256, 512, 512, 1024, 512, 256)


class Scale(nn.Module):
    """Unit length over channels, times a learnt factor each (Liu et al. 2016, ParseNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        norm = x.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10
        return self.weight[:, None, None] * (x / norm)


def _trunk() -> nn.ModuleList:
    layers: list[nn.Module] = []
    inputs = 3
    for item in _CHANNELS:
        if isinstance(item, str):
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=item == "ceil"))
        else:
            layers += [nn.Conv2d(inputs, item, 3, padding=1), nn.ReLU()]
            inputs = item
    layers += [nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU()]
    layers += [nn.Conv2d(1024, 1024, 1), nn.ReLU()]
    return nn.ModuleList(layers)


class S3FD(nn.Module):
    """Pictures (n, 3, H, W), float32, red-green-blue 0 to 255 less `MEAN`, to boxes and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.vgg = _trunk()
        self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3 = Scale(256), Scale(512), Scale(512)
        self.extras = nn.ModuleList(
            [
                nn.Conv2d(1024, 256, 1),
                nn.Conv2d(256, 512, 3, 2, padding=1),
                nn.Conv2d(512, 128, 1),
                nn.Conv2d(128, 256, 3, 2, padding=1),
            ]
        )
        self.loc = nn.ModuleList([nn.Conv2d(size, 4, 3, padding=1) for size in _SOURCES])
        # The finest map has three background scores, of which the highest counts.
        scores = (4, 2, 2, 2, 2, 2)
        self.conf = nn.ModuleList(
            [nn.Conv2d(size, n, 3, padding=1) for size, n in zip(_SOURCES, scores, strict=True)]
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (n, anchors, 4) as x1, y1, x2, y2 in shares of the picture; scores (n, anchors)."""
        maps = list(self._maps(pictures))
        shifts, scores = [], []
        for each, place, chance in zip(maps, self.loc, self.conf, strict=True):
            shifts.append(place(each).permute(0, 2, 3, 1).flatten(1, 2))
            raw = chance(each)
            background = raw[:, :-1].amax(dim=1)
            scores.append(torch.stack([background, raw[:, -1]], dim=-1).flatten(1, 2))
        height, width = pictures.shape[2:]
        sizes = tuple((each.shape[2], each.shape[3]) for each in maps)
        anchors = _anchors(height, width, sizes).to(pictures.device)
        return _boxes(torch.cat(shifts, 1), anchors), torch.cat(scores, 1).softmax(-1)[..., 1]

    def _maps(self, x: Tensor) -> Iterator[Tensor]:
        scales = dict(
            zip(_NORMED_AT, (self.L2Norm3_3, self.L2Norm4_3, self.L2Norm5_3), strict=True)
        )
        for index, layer in enumerate(self.vgg):
            x = layer(x)
            if index in scales:
                yield scales[index](x)
        yield x
        for index, layer in enumerate(self.extras):
            x = functional.relu(layer(x))
            if index % 2:
                yield x


def load(path: Path) -> S3FD:
    """The detector with the weights of the published file, ready for inference, on the CPU.

    Raises:
        UserError: the file is damaged, or of another network.
    """
    network = S3FD()
    load_exactly(network, read_checkpoint(path), str, path)
    return network.eval()


@lru_cache(16)
def _anchors(height: int, width: int, sizes: tuple[tuple[int, int], ...]) -> Tensor:
    """(anchors, 4): centre x and y, width and height, in shares of the picture."""
    found = []
    for (rows, columns), side, stride in zip(sizes, ANCHORS, STRIDES, strict=True):
        y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
        size = torch.full_like(x, side)
        found.append(
            torch.stack([x * stride / width, y * stride / height, size / width, size / height], -1)
        )
    return torch.cat([each.flatten(0, 1) for each in found])


def _boxes(shifts: Tensor, anchors: Tensor) -> Tensor:
    centre = anchors[:, :2] + shifts[..., :2] * VARIANCES[0] * anchors[:, 2:]
    size = anchors[:, 2:] * torch.exp(shifts[..., 2:] * VARIANCES[1])
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


@torch.inference_mode()
def detect(
    network: S3FD, pictures: Tensor, size: tuple[int, int], least: float
) -> Sequence[FloatArray]:
    """Faces of each picture: (faces, 5) float32 as x1, y1, x2, y2 in pixels of `size`, and score.

    `pictures` is (n, 3, H, W), uint8, red-green-blue; `size` the width and height that the boxes
    are given in; `least` the score above which a box counts. Best first.

    Dropping the low scores before suppression changes nothing: no box gives way to a worse one.
    """
    mean = torch.tensor(MEAN, device=pictures.device)[:, None, None]
    boxes, scores = network(pictures.float() - mean)
    scale = torch.tensor([*size, *size], device=pictures.device)
    found = []
    for of_picture, score in zip(boxes, scores, strict=True):
        good = score > least
        faces = torch.cat([of_picture[good] * scale, score[good, None]], dim=1).cpu().numpy()
        found.append(suppress(suppress(faces, LOOSE), TIGHT))
    return found
