"""The detector's layout and geometry, without published weights."""

from __future__ import annotations

import pytest
import torch

from mmdia_eval.networks.s3fd import MEAN, S3FD, _anchors, _boxes, detect


@pytest.fixture(scope="module")
def network() -> S3FD:
    torch.manual_seed(0)
    return S3FD().eval()


def test_keys_are_those_of_the_published_checkpoint(network: S3FD) -> None:
    trunk = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33)
    modules = [f"vgg.{index}" for index in trunk]
    modules += [f"extras.{index}" for index in range(4)]
    modules += [f"{head}.{index}" for head in ("loc", "conf") for index in range(6)]
    expected = {f"{module}.{name}" for module in modules for name in ("weight", "bias")}
    expected |= {f"L2Norm{level}.weight" for level in ("3_3", "4_3", "5_3")}
    assert set(network.state_dict()) == expected
    assert network.state_dict()["conf.0.weight"].shape == (4, 256, 3, 3)


def test_anchors_stand_at_the_middle_of_their_cells() -> None:
    anchors = _anchors(128, 256, ((32, 64), (16, 32), (8, 16), (4, 8), (2, 4), (1, 2)))
    assert len(anchors) == 32 * 64 + 16 * 32 + 8 * 16 + 4 * 8 + 2 * 4 + 2
    assert anchors[0].tolist() == [2 / 256, 2 / 128, 16 / 256, 16 / 128]
    assert anchors[1].tolist() == [6 / 256, 2 / 128, 16 / 256, 16 / 128]
    assert anchors[-1].tolist() == [192 / 256, 64 / 128, 512 / 256, 512 / 128]


def test_a_shift_moves_the_box_by_a_tenth_and_grows_it_by_a_fifth_of_its_logarithm() -> None:
    anchor = torch.tensor([[0.5, 0.5, 0.2, 0.1]])
    box = _boxes(torch.tensor([[[1.0, 0.0, 5 * torch.log(torch.tensor(2.0)), 0.0]]]), anchor)
    assert box[0, 0].tolist() == pytest.approx([0.32, 0.45, 0.72, 0.55])


@torch.inference_mode()
def test_boxes_of_a_picture_do_not_depend_on_its_batch(network: S3FD) -> None:
    pictures = torch.rand(3, 3, 90, 120) * 255 - torch.tensor(MEAN)[:, None, None]
    boxes, scores = network(pictures)
    lone = network(pictures[1:2])
    torch.testing.assert_close(boxes[1:2], lone[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scores[1:2], lone[1], rtol=1e-4, atol=1e-5)
    assert boxes.shape == (3, scores.shape[1], 4)


def test_the_highest_of_three_backgrounds_counts(network: S3FD) -> None:
    changed = S3FD().eval()
    with torch.no_grad():
        for parameter in changed.conf.parameters():
            parameter.zero_()
        changed.get_parameter("conf.0.bias").copy_(torch.tensor([0.0, 2.0, 1.0, 3.0]))
    with torch.inference_mode():
        _, scores = changed(torch.zeros(1, 3, 64, 64))
    assert scores[0, 0].item() == pytest.approx(torch.sigmoid(torch.tensor(1.0)).item())
    assert scores[0, -1].item() == pytest.approx(0.5)


def test_found_faces_are_in_pixels_best_first_and_above_the_score(network: S3FD) -> None:
    picture = (torch.rand(1, 3, 64, 96) * 255).to(torch.uint8)
    (faces,) = detect(network, picture, (960, 640), least=0.4)
    assert faces.shape[1] == 5
    assert (faces[:, 4] > 0.4).all()
    assert (faces[:-1, 4] >= faces[1:, 4]).all()
    (none,) = detect(network, picture, (960, 640), least=1.0)
    assert none.shape == (0, 5)
