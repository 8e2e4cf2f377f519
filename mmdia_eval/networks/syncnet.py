"""SyncNet (Chung and Zisserman 2016, "Out of time"): lips and sound in one space.

Key names and layers are those of the published checkpoint `syncnet_v2.model`
(https://www.robots.ox.ac.uk/~vgg/software/lipsync/), so that its state dict loads strictly.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmdia_eval.lip_sync import WINDOW
from mmdia_eval.networks.checkpoint import load_exactly, read_checkpoint

COLUMNS_PER_FRAME = 4
"""MFCC columns, one each 10 ms, for a video frame of 40 ms."""
CEPSTRA = 13
EMBEDDING = 1024

LIP_WINDOWS_AT_ONCE = 16
SOUND_WINDOWS_AT_ONCE = 512
"""Windows that pass a tower at once; more are no faster on a CPU, and take memory."""
CPU_LAYOUT = torch.channels_last_3d
"""All channels of a pixel side by side: a CPU passes the lip tower in two thirds of the time."""


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

        `faces` is (T, 3, 224, 224), uint8 or float32, 0 to 255, channels in the order blue, green,
        red: the published weights were trained on frames as OpenCV reads them.

        Each frame passes once: no layer but the first spans time, and none pads it, so that this
        equals a pass over each window (measured: 1.4e-6).
        """
        windows = range(0, len(faces) - WINDOW + 1, LIP_WINDOWS_AT_ONCE)
        parts = [faces[at : at + LIP_WINDOWS_AT_ONCE + WINDOW - 1] for at in windows]
        return self._embedded(map(self._lip_features, parts), self.netfclip)

    def _lip_features(self, part: Tensor) -> Tensor:
        device = next(self.parameters()).device
        layout = CPU_LAYOUT if device.type == "cpu" else torch.contiguous_format
        faces = part.to(device).transpose(0, 1)[None].float().contiguous(memory_format=layout)
        features: Tensor = self.netcnnlip(faces)
        return features[0, :, :, 0, 0].T

    def sound(self, cepstra: Tensor) -> Tensor:
        """Embeddings (n, 1024) of a clip's sound, one for each window of 20 columns, 4 apart.

        `cepstra` is (columns, 13) float32, one column each 10 ms. Windows are cut first: unlike the
        lip tower, this one pads time inside each window, and one pass over all would differ.
        """
        width = WINDOW * COLUMNS_PER_FRAME
        if len(cepstra) < width:
            return self._embedded((), self.netfcaud)
        windows = cepstra.unfold(0, width, COLUMNS_PER_FRAME)[:, None]
        parts = torch.split(windows, SOUND_WINDOWS_AT_ONCE)
        return self._embedded((self.netcnnaud(part).flatten(1) for part in parts), self.netfcaud)

    def _embedded(self, features: Iterable[Tensor], head: nn.Sequential) -> Tensor:
        found = [head(each) for each in features]
        return torch.cat(found) if found else next(self.parameters()).new_zeros((0, EMBEDDING))


def load(path: Path, device: str = "cpu") -> SyncNet:
    """The network with the weights of the published file, ready for inference on `device`.

    Counters of training steps, which batch normalisation keeps and inference does not read, may
    lack: older torch did not write them.

    Raises:
        UserError: the file is damaged, or of another network.
    """
    network = SyncNet()
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    load_exactly(network, {**counters, **read_checkpoint(path)}, str, path)
    network.eval()
    network.netcnnlip, network.netcnnaud = map(_folded, (network.netcnnlip, network.netcnnaud))
    if torch.device(device).type == "cpu":
        for parameter in network.netcnnlip.parameters():
            if parameter.dim() == 5:
                parameter.data = parameter.data.contiguous(memory_format=CPU_LAYOUT)
    return network.to(device)


def _folded(layers: nn.Sequential) -> nn.Sequential:
    """The same function with fewer passes over memory: normalisation inside the convolutions, and
    the greatest of a pool taken before what is negative is cut off.
    """
    kept: list[nn.Module] = []
    for layer, following in pairwise([*layers, nn.Identity()]):
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            kept.append(fuse_conv_bn_eval(layer, following))
        elif isinstance(layer, nn.MaxPool2d | nn.MaxPool3d) and isinstance(kept[-1], nn.ReLU):
            kept.insert(-1, layer)
        elif isinstance(layer, nn.ReLU):
            kept.append(nn.ReLU(inplace=True))
    return nn.Sequential(*kept)
