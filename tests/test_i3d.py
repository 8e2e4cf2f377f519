"""The network's layout and arithmetic, without published weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mmdia_eval.networks.i3d import I3D, SHORTEST, Mixed, Unit, max_pool, same_padding

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@given(st.integers(1, 50), st.integers(1, 7), st.integers(1, 3))
def test_same_padding_gives_as_many_places_as_tensorflow(size: int, kernel: int, step: int) -> None:
    before, after = same_padding((size,), (kernel,), (step,))  # type: ignore[arg-type]
    assert 0 <= after - before <= 1
    places = (size + before + after - kernel) // step + 1
    assert places == -(-size // step) or kernel < step


def test_keys_are_those_of_the_published_state_dicts() -> None:
    keys = set(I3D(epsilon=1e-5).state_dict())
    units = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"]
    units += [
        f"Mixed_{block}.{branch}"
        for block in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
        for branch in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
    ]
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {f"{unit}.conv3d.weight" for unit in units}
    expected |= {f"{unit}.bn.{name}" for unit in units for name in statistics}
    expected |= {"logits.conv3d.weight", "logits.conv3d.bias"}
    assert keys == expected
    assert len(keys) == 344


def test_it_has_as_many_parameters_as_published() -> None:
    parameters = sum(each.numel() for each in I3D(epsilon=1e-5).parameters())
    assert parameters == pytest.approx(12.70e6, rel=1e-3)


def test_a_unit_is_a_normalised_convolution_by_hand() -> None:
    """One channel, a kernel of ones over 3x3x3 of ones: 8 in a corner, 27 inside."""
    unit = Unit(1, 1, (3, 3, 3), epsilon=0.25).eval()
    nn.init.ones_(unit.conv3d.weight)
    state = unit.state_dict() | {
        "bn.running_var": torch.tensor([0.75]),
        "bn.running_mean": torch.tensor([7.0]),
    }
    unit.load_state_dict(state)
    out = unit(torch.ones(1, 1, 3, 3, 3))[0, 0]
    assert out[0, 0, 0].item() == pytest.approx(1)
    assert out[1, 1, 1].item() == pytest.approx(20)


def test_negative_values_end_at_zero() -> None:
    unit = Unit(1, 1, epsilon=1e-5).eval()
    nn.init.constant_(unit.conv3d.weight, -1.0)
    assert unit(torch.ones(1, 1, 1, 1, 1)).item() == 0


def test_pooling_pads_the_end_first() -> None:
    x = torch.arange(4.0).reshape(1, 1, 1, 1, 4)
    assert max_pool(x, (1, 1, 3), (1, 1, 2)).flatten().tolist() == [2.0, 3.0]


def test_a_block_joins_its_branches_in_order() -> None:
    block = Mixed(2, (1, 1, 2, 1, 3, 4), 1e-5).eval()
    assert block(torch.rand(1, 2, 3, 4, 4)).shape == (1, 10, 3, 4, 4)


@pytest.mark.parametrize("frames", [SHORTEST, 16])
def test_clips_become_logits_whatever_else_is_in_the_batch(frames: int) -> None:
    torch.manual_seed(0)
    network = I3D(epsilon=1e-5, classes=5).eval()
    clips = torch.rand(2, 3, frames, 224, 224) * 2 - 1
    with torch.inference_mode():
        both, one = network(clips), network(clips[1:])
    assert both.shape == (2, 5)
    torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-5)


def test_a_clip_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="8 frames; I3D needs 9"):
        I3D(epsilon=1e-5)(torch.zeros(1, 3, 8, 224, 224))
