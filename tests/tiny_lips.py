"""S3FD and SyncNet in the layouts of the published files, with weights whose outputs are known.

Names and shapes are written out from the published code (joonson/syncnet_python), not derived from
ours; the networks have no smaller size. Every weight is zero but those that hand one value on, so
that a first layer's input comes out at the end as closed forms say.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

State = dict[str, Tensor]

FACE_CELL = 8
"""The planted detector sees a face where 3 by 3 cells of this side, in pixels, are bright."""
FACE_SIDE = 32
"""The side of the box it gives then."""

_VGG = {
    **{0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)},
    **{10: (256, 128), 12: (256, 256), 14: (256, 256)},
    **{17: (512, 256), 19: (512, 512), 21: (512, 512)},
    **{24: (512, 512), 26: (512, 512), 28: (512, 512), 31: (1024, 512)},
}
_EXTRAS = {0: (256, 1024, 1), 1: (512, 256, 3), 2: (128, 512, 1), 3: (256, 128, 3)}
_SOURCES = (256, 512, 512, 1024, 512, 256)


def planted_s3fd() -> State:
    """Bright squares of 24 by 24 pixels on a grid of 8, on black, are faces of 32 by 32."""
    state: State = {}
    for index, (outputs, inputs) in _VGG.items():
        state[f"vgg.{index}.weight"] = torch.zeros(outputs, inputs, 3, 3)
        state[f"vgg.{index}.weight"][0, 0, 1, 1] = 1.0
        state[f"vgg.{index}.bias"] = torch.zeros(outputs)
    state["vgg.33.weight"] = torch.zeros(1024, 1024, 1, 1)
    state["vgg.33.bias"] = torch.zeros(1024)
    for level, channels in (("3_3", 256), ("4_3", 512), ("5_3", 512)):
        state[f"L2Norm{level}.weight"] = torch.ones(channels)
    for index, (outputs, inputs, side) in _EXTRAS.items():
        state[f"extras.{index}.weight"] = torch.zeros(outputs, inputs, side, side)
        state[f"extras.{index}.bias"] = torch.zeros(outputs)
    for number, channels in enumerate(_SOURCES):
        scores = 4 if number == 0 else 2
        state[f"loc.{number}.weight"] = torch.zeros(4, channels, 3, 3)
        state[f"loc.{number}.bias"] = torch.zeros(4)
        state[f"conf.{number}.weight"] = torch.zeros(scores, channels, 3, 3)
        state[f"conf.{number}.bias"] = torch.tensor([9.0] * (scores - 1) + [0.0])
    # Unit length makes what is bright 1: nine bright cells are 90, and eight are 80.
    state["conf.1.weight"][1, 0] = 10.0
    state["conf.1.bias"] = torch.tensor([85.0, 0.0])
    return state


def planted_syncnet(*, tap: int = 2, colour: int = 0) -> State:
    """Embedding 0 of lips is the middle of frame `tap` of the window, of blue, green or red.

    Embedding 0 of sound is a cepstrum 0 to 12, at the column that `sound_by_hand` says.
    """
    state: State = {}

    def block(tower: str, index: int, shape: tuple[int, ...], place: tuple[int, ...]) -> None:
        state[f"{tower}.{index}.weight"] = torch.zeros(shape)
        state[f"{tower}.{index}.weight"][place] = 1.0
        state[f"{tower}.{index}.bias"] = torch.zeros(shape[0])
        norm = f"{tower}.{index + 1}"
        for name, value in (("weight", 1.0), ("bias", 0.0)):
            state[f"{norm}.{name}"] = torch.full((shape[0],), value)
        state[f"{norm}.running_mean"] = torch.zeros(shape[0])
        state[f"{norm}.running_var"] = torch.full((shape[0],), 1 - 1e-5)  # with its epsilon, 1
        state[f"{norm}.num_batches_tracked"] = torch.tensor(1)

    middle = (0, 0, 1, 1)
    for index, (outputs, inputs) in {
        **{0: (64, 1), 4: (192, 64), 8: (384, 192), 11: (256, 384), 14: (256, 256)}
    }.items():
        block("netcnnaud", index, (outputs, inputs, 3, 3), middle)
    block("netcnnaud", 18, (512, 256, 5, 4), (0, 0, 0, 0))
    block("netcnnlip", 0, (96, 3, 5, 7, 7), (0, colour, tap, 3, 3))
    block("netcnnlip", 4, (256, 96, 1, 5, 5), (0, 0, 0, 2, 2))
    for index in (8, 11, 14):
        block("netcnnlip", index, (256, 256, 1, 3, 3), (0, 0, 0, 1, 1))
    block("netcnnlip", 18, (512, 256, 1, 6, 6), (0, 0, 0, 3, 3))
    for tower in ("netfcaud", "netfclip"):
        block(tower, 0, (512, 512), (0, 0))
        state[f"{tower}.3.weight"] = torch.zeros(1024, 512)
        state[f"{tower}.3.weight"][0, 0] = 1.0
        state[f"{tower}.3.bias"] = torch.zeros(1024)
    return state


def write(root: Path, id_: str, name: str, state: State) -> Path:
    """The state under the models folder `root`, as torch wrote it when these were published."""
    path = root / id_ / name
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path
