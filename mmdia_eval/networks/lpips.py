"""LPIPS: how far two pictures are from each other for people, by features of AlexNet.

R. Zhang, P. Isola, A. A. Efros, E. Shechtman, O. Wang: The unreasonable effectiveness of deep
features as a perceptual metric, CVPR 2018, equation 1, version 0.1 with calibrated weights.

torchmetrics has the same network, but only with torchvision around, and fetches the backbone
itself. Here the backbone is read from torchvision's published checkpoint, whose names are kept; the
weights of the layers are those that come inside torchmetrics.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mmdia_eval.networks.checkpoint import load_exactly, read_checkpoint

LAYERS = {1: 64, 4: 192, 7: 384, 9: 256, 11: 256}
"""Place among AlexNet's features of the ReLU that is compared, and its channels."""
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""ImageNet's mean and deviation for red, green and blue on [-1, 1], as LPIPS rounds them."""
EPSILON = 1e-8
"""Under the root of a feature's length (torchmetrics 1.9; the authors' own code adds 1e-10)."""
LEAST = 31
"""Pixels to a side of the smallest picture: the second pooling needs three values across."""


class AlexNetFeatures(nn.Module):
    """AlexNet as in A. Krizhevsky: One weird trick for parallelizing convolutional neural networks
    (2014), without its last pooling and its classifier.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """What each ReLU of `LAYERS` gives, (n, channels, height, width)."""
        found = []
        for place, layer in enumerate(self.features):
            pictures = layer(pictures)
            if place in LAYERS:
                found.append(pictures)
        return found


class Lpips(nn.Module):
    """Of two pictures, 0 where they are equal; in the order of 1 where nothing agrees."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = AlexNetFeatures()
        self.lins = nn.ParameterList(torch.ones(1, n, 1, 1) for n in LAYERS.values())
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """(n,) distances of pictures (n, 3, height, width), red-green-blue on [0, 1]."""
        mine, theirs = (self._directions(each) for each in (pictures, others))
        layers = [
            ((a - b).square() * weights).sum(dim=1).mean(dim=(1, 2))
            for a, b, weights in zip(mine, theirs, self.lins, strict=True)
        ]
        return torch.stack(layers).sum(dim=0)

    def _directions(self, pictures: Tensor) -> list[Tensor]:
        """The features at each place, of unit length."""
        found = self.backbone((2 * pictures - 1 - self.shift) / self.scale)
        return [each / (each.square().sum(dim=1, keepdim=True) + EPSILON).sqrt() for each in found]


def load(backbone: Path, heads: Path) -> Lpips:
    """The network with torchvision's AlexNet and the published weights of its layers, on the CPU.

    Raises:
        UserError: a file is damaged, or of another network.
    """
    network = Lpips()
    tensors = read_checkpoint(backbone)
    unused = [name for name in tensors if name.startswith("classifier.")]
    load_exactly(network.backbone, tensors, str, backbone, unused)
    load_exactly(network.lins, read_checkpoint(heads), "lin{}.model.1.weight".format, heads)
    return network.eval()
