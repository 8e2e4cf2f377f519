"""I3D, the RGB stream of Carreira and Zisserman 2017 (arXiv:1705.07750), for Kinetics-400 logits.

Key names are those of the public PyTorch conversions (`Conv3d_1a_7x7.conv3d.weight`,
`Mixed_3b.b1a.bn.running_mean`, `logits.conv3d.bias`, …), so that their state dicts load strictly.
They differ in the epsilon of batch normalisation, which no state dict holds: 1e-5 in the conversion
of DeepMind's TF-Hub module that FVD is defined on, 1e-3 in another network's of the same layout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 400
SIDE = 224
"""Height and width of the input in pixels."""
SHORTEST = 9
"""Frames below which too few are left for the last pooling, which takes two."""

Size = tuple[int, int, int]

# Channels of each block: 1x1x1; 1x1x1 then 3x3x3; 1x1x1 then 3x3x3; pooling then 1x1x1.
_MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def same_padding(sizes: Sequence[int], kernel: Size, stride: Size) -> tuple[int, ...]:
    """Padding of TensorFlow's SAME for (T, H, W), as `torch.nn.functional.pad` takes it.

    The output has ceil(size / stride) places; an odd one of padding goes to the end.

    >>> same_padding((16, 224, 224), (7, 7, 7), (2, 2, 2))
    (2, 3, 2, 3, 2, 3)
    """
    padding: list[int] = []
    for size, width, step in zip(sizes, kernel, stride, strict=True):
        total = max((-(-size // step) - 1) * step + width - size, 0)
        padding = [total // 2, total - total // 2, *padding]
    return tuple(padding)


class Unit(nn.Module):
    """Convolution with SAME padding, then batch normalisation and ReLU unless it is the last."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Size = (1, 1, 1),
        stride: Size = (1, 1, 1),
        *,
        epsilon: float | None,
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=epsilon is None)
        if epsilon is not None:
            self.bn = nn.BatchNorm3d(outputs, eps=epsilon)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv3d(functional.pad(x, same_padding(x.shape[2:], self.kernel, self.stride)))
        return functional.relu(self.bn(x)) if hasattr(self, "bn") else x


def max_pool(x: Tensor, kernel: Size, stride: Size) -> Tensor:
    """Maximum with SAME padding. Zeros pad as well as minus infinity: inputs are after a ReLU."""
    return functional.max_pool3d(
        functional.pad(x, same_padding(x.shape[2:], kernel, stride)), kernel, stride
    )


class Mixed(nn.Module):
    """Four branches side by side, their channels joined."""

    def __init__(
        self, inputs: int, sizes: tuple[int, int, int, int, int, int], epsilon: float
    ) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = sizes
        cube = (3, 3, 3)
        self.b0 = Unit(inputs, b0, epsilon=epsilon)
        self.b1a = Unit(inputs, b1a, epsilon=epsilon)
        self.b1b = Unit(b1a, b1b, cube, epsilon=epsilon)
        self.b2a = Unit(inputs, b2a, epsilon=epsilon)
        self.b2b = Unit(b2a, b2b, cube, epsilon=epsilon)
        self.b3b = Unit(inputs, b3b, epsilon=epsilon)

    def forward(self, x: Tensor) -> Tensor:
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)]
        return torch.cat(branches, dim=1)


class I3D(nn.Module):
    """Clips to logits: (n, 3, T, 224, 224) float32 in [-1, 1], T >= 9, to (n, classes).

    Logits are averaged over time and taken before the softmax. `epsilon` is batch normalisation's.
    """

    def __init__(self, *, epsilon: float, classes: int = CLASSES) -> None:
        super().__init__()
        two = (2, 2, 2)
        self.Conv3d_1a_7x7 = Unit(3, 64, (7, 7, 7), two, epsilon=epsilon)
        self.Conv3d_2b_1x1 = Unit(64, 64, epsilon=epsilon)
        self.Conv3d_2c_3x3 = Unit(64, 192, (3, 3, 3), epsilon=epsilon)
        channels = 192
        for name, sizes in _MIXED.items():
            setattr(self, name, Mixed(channels, sizes, epsilon))
            channels = sizes[0] + sizes[2] + sizes[4] + sizes[5]
        self.logits = Unit(channels, classes, epsilon=None)

    def forward(self, clips: Tensor) -> Tensor:
        if clips.shape[2] < SHORTEST:
            raise ValueError(f"a clip of {clips.shape[2]} frames; I3D needs {SHORTEST} or more")
        flat, cube, two = (1, 3, 3), (3, 3, 3), (2, 2, 2)
        x = max_pool(self.Conv3d_1a_7x7(clips), flat, (1, 2, 2))
        x = max_pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), flat, (1, 2, 2))
        for name in _MIXED:
            if name == "Mixed_4b":
                x = max_pool(x, cube, two)
            elif name == "Mixed_5b":
                x = max_pool(x, two, two)
            x = self.get_submodule(name)(x)
        x = functional.avg_pool3d(x, (2, 7, 7), (1, 1, 1))
        logits: Tensor = self.logits(x).squeeze(-1).squeeze(-1).mean(dim=2)
        return logits
