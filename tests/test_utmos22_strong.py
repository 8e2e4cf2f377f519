"""UTMOS: the published layouts, against a plain computation, through the extractor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plain_networks
import pytest
import tiny_voices
import torch

from mmdia_eval import models
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, Word
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.utmos22_strong import Utmos22Strong, UtmosSettings
from mmdia_eval.networks import utmos
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, FloatArray


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("models")
    tiny_voices.write_utmos(root / "utmos22-strong")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "folder", lambda id_: root / id_)
        yield root / "utmos22-strong"


@pytest.fixture(scope="module")
def made(folder: Path) -> Utmos22Strong:
    return extractor()


def extractor(**settings: bool) -> Utmos22Strong:
    found = Utmos22Strong(UtmosSettings(**settings), ())
    found.load()
    return found


def noise(*lengths: int) -> list[FloatArray]:
    rng = np.random.default_rng(4)
    return [rng.normal(0, 0.1, length).astype(np.float32) for length in lengths]


def inputs(samples: FloatArray, *turns: AlignedTurn) -> Inputs:
    artifacts = Artifacts({Alignment: Alignment(turns)})
    return Inputs(Audio(samples), Dialogue("d", ()), artifacts)


def turn(index: int, start: float, end: float) -> AlignedTurn:
    return AlignedTurn(index, (Word("word", start, end),), 1)


def test_score_is_that_of_a_plain_computation(made: Utmos22Strong) -> None:
    state = tiny_voices.utmos_state()
    sounds = noise(400, 4_800, 16_001)
    expected = [plain_networks.utmos(torch.from_numpy(sound), state) for sound in sounds]
    for sound, score in zip(sounds, expected, strict=True):
        assert made.score([sound]) == [pytest.approx(score, abs=1e-5)]


def test_company_changes_no_score(made: Utmos22Strong) -> None:
    sounds = noise(400, 16_000, 5_003, 48_000, 5_003)
    alone = [made.score([sound])[0] for sound in sounds]
    assert made.score(sounds) == pytest.approx(alone, abs=1e-4)
    assert np.ptp(alone) > 0.01


def test_padding_without_care_would_have_changed_them(made: Utmos22Strong) -> None:
    (sound,) = noise(5_003)
    padded = np.pad(sound, (0, 43_000))
    assert abs(made.score([padded])[0] - made.score([sound])[0]) > 0.01


def test_the_authors_layout_gives_the_same_score(made: Utmos22Strong, tmp_path: Path) -> None:
    path = tmp_path / "authors.ckpt"
    torch.save(tiny_voices.authors_utmos_state(tiny_voices.utmos_state()), path)
    (sound,) = noise(8_000)
    other = utmos.load(path)([torch.from_numpy(sound)])
    assert made.score([sound]) == [pytest.approx(float(other[0]), abs=1e-6)]


def test_files_and_turns_of_one_batch_get_what_they_get_alone(made: Utmos22Strong) -> None:
    long, short = noise(40_000, 4_800)
    batch = [
        inputs(long, turn(0, 0.5, 1.5), AlignedTurn(1, (), 1), turn(2, 1.0, 2.5)),
        inputs(short, turn(0, 0.1, 0.11), turn(1, 0.1, 9.0)),
    ]
    first, second = made.extract(batch)
    assert first.scores["utmos"] == pytest.approx(made.score([long])[0], abs=1e-4)
    assert second.scores["utmos"] == pytest.approx(made.score([short])[0], abs=1e-4)
    assert [one.index for one in first.turns] == [0, 2]
    assert [one.index for one in second.turns] == [1]  # 0.01 s are less than a frame
    cut = made.score([long[16_000:40_000]])[0]
    assert first.turns[1].scores["utmos"] == pytest.approx(cut, abs=1e-4)


def test_turns_can_be_left_out(folder: Path) -> None:
    (sound,) = noise(16_000)
    (found,) = extractor(per_turn=False).extract([inputs(sound, turn(0, 0.0, 1.0))])
    assert found.turns == ()


def test_silence_and_less_than_a_frame_have_finite_scores(made: Utmos22Strong) -> None:
    sounds = [np.zeros(SAMPLE_RATE, np.float32), *noise(160), np.zeros(0, np.float32)]
    for found in made.extract([inputs(sound) for sound in sounds]):
        assert np.isfinite(found.scores["utmos"])


def test_a_file_of_90_s_goes_in_whole(made: Utmos22Strong) -> None:
    (long,) = noise(90 * SAMPLE_RATE)
    (found,) = made.extract([inputs(long, turn(0, 0.0, 0.5))])
    assert found.scores["utmos"] == pytest.approx(made.score([long[:SAMPLE_RATE]])[0], abs=0.2)
    assert len(found.turns) == 1


def test_other_rates_are_refused(made: Utmos22Strong) -> None:
    item = Inputs(Audio(np.zeros(9, np.float32), 8_000), Dialogue("d", ()), Artifacts({}))
    with pytest.raises(ValueError, match="expected 16000 Hz, got 8000 Hz"):
        made.extract([item])


@pytest.mark.parametrize(
    "name",
    [
        "domain_emb",
        "judge_emb",
        "blstm.bias_hh_l0_reverse",
        "projection.2.weight",
        "wav2vec2.mask_emb",
        "wav2vec2.feature_extractor.conv_layers.0.2.bias",
        "wav2vec2.encoder.layers.1.self_attn_layer_norm.weight",
    ],
)
def test_a_missing_tensor_is_named_as_in_the_file(tmp_path: Path, name: str) -> None:
    state = tiny_voices.utmos_state()
    del state[name]
    torch.save(state, tmp_path / "utmos.pt")
    with pytest.raises(UserError, match=rf"utmos\.pt is not a checkpoint.* missing: {name}"):
        utmos.load(tmp_path / "utmos.pt")


def test_tensors_of_another_model_are_named(tmp_path: Path) -> None:
    state = tiny_voices.utmos_state()
    state["phoneme_encoder.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "utmos.pt")
    with pytest.raises(UserError, match=r"unknown: phoneme_encoder\.weight"):
        utmos.load(tmp_path / "utmos.pt")


def test_wav2vec_2_base_has_211_tensors() -> None:
    """As many as map by name from the published file: twelve layers of sixteen, and 19 others."""
    names = [name for name in tiny_voices.utmos_state() if name.startswith("wav2vec2.")]
    assert len(names) == 211 - 10 * 16
