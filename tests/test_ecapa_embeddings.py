"""speechbrain's ECAPA-TDNN from a local folder, in batches that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_voices
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmdia_eval import media, models
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, Word
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.extractors.ecapa_embeddings import (
    EcapaEmbeddings,
    EcapaReferenceEmbeddings,
    EcapaSettings,
)
from mmdia_eval.extractors.voices import padded_batches
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, FloatArray

DIALOGUE = load_benchmark(resolve_benchmark("mini")).split("test")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("models")
    tiny_voices.write_ecapa(root / "spkrec-ecapa-voxceleb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "folder", lambda id_: root / id_)
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield root / "spkrec-ecapa-voxceleb"


@pytest.fixture(scope="module")
def made(folder: Path) -> EcapaEmbeddings:
    found = EcapaEmbeddings(EcapaSettings(), ())
    found.load()
    return found


def speech() -> Audio:
    assert DIALOGUE.audio is not None
    audio = media.decode(DIALOGUE.audio)[1]
    assert audio is not None
    return audio


def noise(*lengths: int) -> list[FloatArray]:
    rng = np.random.default_rng(5)
    return [rng.normal(0, 0.1, length).astype(np.float32) for length in lengths]


def inputs(audio: Audio, *turns: AlignedTurn) -> Inputs:
    return Inputs(audio, DIALOGUE, Artifacts({Alignment: Alignment(turns)}))


def turn(index: int, start: float, end: float) -> AlignedTurn:
    return AlignedTurn(index, (Word("word", start, end),), 1)


def by_speechbrain(made: EcapaEmbeddings, sound: FloatArray) -> FloatArray:
    vector = made._encoder.encode_batch(torch.from_numpy(sound))[0, 0]
    return np.asarray(vector / vector.norm())


def test_a_batch_of_any_lengths_gives_speechbrains_own_vectors(made: EcapaEmbeddings) -> None:
    sounds = noise(16_000, 1_600, 48_123, 16_000, 7_777, 47_999)
    expected = [by_speechbrain(made, sound) for sound in sounds]
    found = np.stack([vector / np.linalg.norm(vector) for vector in made.embed(sounds)])
    assert np.allclose(found, expected, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.01


def test_speechbrains_own_batch_would_have_changed_them(made: EcapaEmbeddings) -> None:
    """Why the ends of items are mirrored: without, half a second of company moves a vector."""
    long, short = (torch.from_numpy(sound) for sound in noise(48_000, 16_000))
    padded = torch.nn.utils.rnn.pad_sequence([long, short], batch_first=True)
    together = made._encoder.encode_batch(padded, torch.tensor([1.0, 1 / 3]))[1, 0]
    alone = made._encoder.encode_batch(short)[0, 0]
    assert float((together - alone).abs().max() / alone.norm()) > 1e-4


def test_turns_of_the_reference_have_unit_vectors(folder: Path) -> None:
    made = EcapaReferenceEmbeddings(EcapaSettings(), ())
    made.load()
    audio = speech()
    (found,) = made.extract([Inputs(audio, DIALOGUE, Artifacts({}))])
    assert found.turns == tuple(range(len(DIALOGUE.turns)))
    assert found.vectors.dtype == np.float32
    assert found.vectors.shape == (len(found.turns), 12)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1)
    for vector, index, seconds in zip(found.vectors, found.turns, found.seconds, strict=True):
        segment = DIALOGUE.turns[index].segment
        assert segment is not None
        assert 1.0 <= seconds <= segment.duration
        assert np.allclose(vector, by_speechbrain(made, audio.cut(segment).samples), atol=1e-5)


def test_files_of_one_batch_get_what_they_get_alone(made: EcapaEmbeddings) -> None:
    turns = (turn(0, 0.3, 3.0), turn(1, 1.0, 5.0), AlignedTurn(2, (), 1), turn(3, 900.0, 903.0))
    items = [
        inputs(speech(), *turns),
        inputs(Audio(noise(4_800)[0]), *turns),
        inputs(Audio(np.zeros(80_000, np.float32)), *turns),
        inputs(speech()),
    ]
    together = made.extract(items)
    assert [found.turns for found in together] == [(0, 1), (), (), ()]
    assert [found.vectors.shape for found in together] == [(2, 12), (0, 12), (0, 12), (0, 12)]
    alone = made.extract(items[:1])[0]
    assert np.allclose(together[0].vectors, alone.vectors, atol=1e-5)


def test_loading_writes_nothing_into_the_models_folder(folder: Path, made: EcapaEmbeddings) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "hyperparams.yaml",
        "embedding_model.ckpt",
        "classifier.ckpt",
        "mean_var_norm_emb.ckpt",
        "label_encoder.txt",
    }


def test_other_rates_and_too_short_turns_are_refused(made: EcapaEmbeddings) -> None:
    item = Inputs(Audio(noise(9)[0], 24_000), Dialogue("d", ()), Artifacts({}))
    with pytest.raises(ValueError, match="expected 16000 Hz, got 24000 Hz"):
        made.extract([item])
    with pytest.raises(ValidationError):
        EcapaSettings(min_seconds=0.05)


@given(st.lists(st.integers(1, 40 * SAMPLE_RATE), max_size=30), st.floats(1, 100))
def test_batches_hold_each_index_once_within_the_limit(lengths: list[int], limit: float) -> None:
    batches = list(padded_batches(lengths, limit))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= limit * SAMPLE_RATE
