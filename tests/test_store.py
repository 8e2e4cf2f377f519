"""The store: round trips, and files that were damaged behind its back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.artifacts import (
    Artifact,
    MosPrediction,
    SpeakerEmbeddings,
    Transcript,
    TurnScores,
    Utterance,
    Word,
)
from mmdia_eval.store import Store, digest
from mmdia_eval.types import Audio

KEY = digest("a key")
TRANSCRIPT = Transcript((Utterance((Word("hello", 0.0, 0.5), Word("there", 0.5, 1.0))),))
EMBEDDINGS = SpeakerEmbeddings(np.eye(3, dtype=np.float32), (0, 2, 3), (1.5, 2.0, 1.0))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_text_comes_back_equal(store: Store) -> None:
    store.write(KEY, TRANSCRIPT)
    assert store.read(Transcript, KEY) == TRANSCRIPT


def test_nested_mappings_come_back_equal(store: Store) -> None:
    prediction = MosPrediction({"ovrl": 3.25}, (TurnScores(1, {"ovrl": 2.5}),))
    store.write(KEY, prediction)
    assert store.read(MosPrediction, KEY) == prediction


def test_arrays_come_back_equal(store: Store) -> None:
    store.write(KEY, EMBEDDINGS)
    found = store.read(SpeakerEmbeddings, KEY)
    assert found is not None
    np.testing.assert_array_equal(found.vectors, EMBEDDINGS.vectors)
    assert found.vectors.dtype == np.float32
    assert (found.turns, found.seconds) == (EMBEDDINGS.turns, EMBEDDINGS.seconds)


def test_what_was_never_made_is_none(store: Store) -> None:
    assert store.read(Transcript, KEY) is None
    assert not store.has(Transcript, KEY)
    assert store.discarded == 0


@pytest.mark.parametrize("artifact", [TRANSCRIPT, EMBEDDINGS], ids=["text", "arrays"])
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_flipped_byte_is_found_and_the_file_thrown_away(
    tmp_path_factory: pytest.TempPathFactory, artifact: Artifact, where: float, flip: int
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.write(KEY, artifact)
    path = store.path(type(artifact), KEY)
    raw = bytearray(path.read_bytes())
    raw[int(where * len(raw))] ^= flip
    path.write_bytes(raw)
    read = store.read(type(artifact), KEY)
    if read is None:
        assert store.discarded == 1
        assert not path.exists()
    else:  # a byte outside content and digest, such as padding of a header
        assert repr(read) == repr(artifact)


@pytest.mark.parametrize("artifact", [TRANSCRIPT, EMBEDDINGS], ids=["text", "arrays"])
@given(kept=st.floats(0, 1, exclude_max=True))
def test_any_truncation_is_found(
    tmp_path_factory: pytest.TempPathFactory, artifact: Artifact, kept: float
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    store.write(KEY, artifact)
    path = store.path(type(artifact), KEY)
    raw = path.read_bytes().removesuffix(b"\n")
    path.write_bytes(raw[: int(kept * len(raw))])
    assert not store.has(type(artifact), KEY)
    assert store.discarded == 1


def test_an_entry_renamed_to_another_key_is_refused(store: Store) -> None:
    store.write(KEY, TRANSCRIPT)
    other = digest("another key")
    target = store.path(Transcript, other)
    target.parent.mkdir(parents=True)
    store.path(Transcript, KEY).rename(target)
    assert store.read(Transcript, other) is None


def test_audio_is_mapped_and_dropped(store: Store) -> None:
    audio = Audio(np.linspace(-1, 1, 100, dtype=np.float32))
    store.write_audio(KEY, audio)
    found = store.read_audio(KEY)
    assert found is not None
    np.testing.assert_array_equal(found.samples, audio.samples)
    store.drop_media(KEY)
    assert store.read_audio(KEY) is None


def test_timings_add_up_and_survive_damage(store: Store) -> None:
    store.add_timing("x", 10.0, 1.0)
    store.add_timing("x", 10.0, 2.0)
    assert store.read_timings() == {"x": (20.0, 3.0)}
    (store.root / "timings.json").write_text("{", encoding="utf-8")
    assert store.read_timings() == {}


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
