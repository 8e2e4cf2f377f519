"""The network against its published layout, and its single pass against windows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mmdia_eval.networks.syncnet import EMBEDDING, SyncNet, load

BLOCKS = {
    "netcnnaud": [(0, 1), (4, 5), (8, 9), (11, 12), (14, 15), (18, 19)],
    "netcnnlip": [(0, 1), (4, 5), (8, 9), (11, 12), (14, 15), (18, 19)],
    "netfcaud": [(0, 1)],
    "netfclip": [(0, 1)],
}


@pytest.fixture(scope="module")
def network() -> SyncNet:
    torch.manual_seed(0)
    return SyncNet().eval()


def test_keys_are_those_of_the_published_checkpoint(network: SyncNet) -> None:
    expected = set()
    for tower, layers in BLOCKS.items():
        for layer, norm in layers:
            expected |= {f"{tower}.{layer}.{name}" for name in ("weight", "bias")}
            statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            expected |= {f"{tower}.{norm}.{name}" for name in statistics}
    expected |= {
        f"{tower}.3.{name}" for tower in ("netfcaud", "netfclip") for name in ("weight", "bias")
    }
    assert set(network.state_dict()) == expected


def test_shapes_of_the_published_checkpoint(network: SyncNet) -> None:
    state = network.state_dict()
    shapes = {name: tuple(state[name].shape) for name in state if name.endswith(".weight")}
    assert shapes["netcnnlip.0.weight"] == (96, 3, 5, 7, 7)
    assert shapes["netcnnlip.18.weight"] == (512, 256, 1, 6, 6)
    assert shapes["netcnnaud.18.weight"] == (512, 256, 5, 4)
    assert shapes["netfclip.3.weight"] == (1024, 512)


@torch.inference_mode()
def test_one_pass_over_a_track_equals_a_pass_over_each_window(network: SyncNet) -> None:
    faces = torch.rand(8, 3, 224, 224) * 255
    whole = network.lips(faces)
    windows = torch.stack([faces[start : start + 5].transpose(0, 1) for start in range(4)])
    each = network.netfclip(network.netcnnlip(windows).flatten(1))
    assert whole.shape == (4, EMBEDDING)
    torch.testing.assert_close(whole, each, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_sound_windows_are_four_columns_apart_and_see_nothing_else(network: SyncNet) -> None:
    cepstra = torch.randn(32, 13)
    found = network.sound(cepstra)
    assert found.shape == (4, EMBEDDING)
    lone = network.sound(cepstra[4:24])
    torch.testing.assert_close(found[1:2], lone, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_what_is_loaded_is_folded_and_gives_the_same(tmp_path: Path) -> None:
    """With weights of normalisation of both signs, so that no maximum is that of what is after."""
    torch.manual_seed(1)
    plain = SyncNet()
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.weight.normal_()
            module.bias.normal_()
            module.momentum = 1.0
    faces, cepstra = torch.randint(0, 256, (9, 3, 224, 224), dtype=torch.uint8), torch.randn(40, 13)
    plain.train().lips(faces)
    plain.sound(cepstra)
    torch.save(plain.state_dict(), tmp_path / "syncnet_v2.model")
    loaded = load(tmp_path / "syncnet_v2.model")
    assert not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d) for m in loaded.modules())
    plain.eval()
    for found, expected in (
        (loaded.lips(faces), plain.lips(faces)),
        (loaded.sound(cepstra), plain.sound(cepstra)),
    ):
        assert (found - expected).norm() < 1e-4 * expected.norm()


def test_too_little_gives_no_window(network: SyncNet) -> None:
    assert network.lips(torch.zeros(4, 3, 224, 224)).shape == (0, EMBEDDING)
    assert network.sound(torch.zeros(19, 13)).shape == (0, EMBEDDING)
