from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import paired_distances

from mmdia_eval.artifacts import Artifacts, SpeakerEmbeddings
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.metrics.sim_ref import SimRef, turn_cosines
from mmdia_eval.types import Dialogue, Segment, Turn

SIM_REF = SimRef(SimRef.Settings())
EAST, NORTH, NORTH_EAST = (1.0, 0.0), (0.0, 1.0), (0.6, 0.8)
TURNS = tuple(Turn("ab"[i % 2], "good morning", Segment(i, i + 0.9)) for i in range(4))
DIALOGUE = Dialogue("d", TURNS, audio=Path("d.flac"))


def embeddings(vectors: Mapping[int, tuple[float, float]]) -> SpeakerEmbeddings:
    array = np.array(list(vectors.values()), dtype=np.float32).reshape(-1, 2)
    return SpeakerEmbeddings(array, tuple(vectors), (1.5,) * len(vectors))


def artifacts(
    output: Mapping[int, tuple[float, float]], reference: Mapping[int, tuple[float, float]]
) -> Artifacts:
    return Artifacts(
        {SpeakerEmbeddings: embeddings(output)}, {SpeakerEmbeddings: embeddings(reference)}
    )


def test_turns_are_matched_by_their_number() -> None:
    counts = SIM_REF.measure(
        DIALOGUE,
        artifacts({0: EAST, 2: NORTH_EAST, 3: EAST}, {3: EAST, 1: NORTH, 2: NORTH}),
    )
    assert counts == {
        "similarity": pytest.approx((0.8 + 1) / 2),
        "dialogues": 1,
        "turns_compared": 2,
        "turns": 3,
    }
    components = SIM_REF.components([counts])
    assert components["turns_compared"] == pytest.approx(2 / 3)
    assert components["lower_bound"] == pytest.approx((0.8 + 1 - 1) / 3)


def test_value_is_the_mean_over_dialogues_not_over_turns() -> None:
    same = dict.fromkeys(range(4), EAST)
    long = SIM_REF.measure(DIALOGUE, artifacts(same, same))
    short = SIM_REF.measure(DIALOGUE, artifacts({0: EAST}, {0: NORTH}))
    total = {key: np.float64(long[key] + short[key]) for key in SIM_REF.fields}
    assert SIM_REF.reduce(total) == pytest.approx(0.5)


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_agrees_with_sklearn(turns: int, seed: int) -> None:
    made = np.random.default_rng(seed).normal(size=(2, turns, 5))
    made /= np.linalg.norm(made, axis=2, keepdims=True)
    output, reference = made.astype(np.float32)
    numbers, seconds = tuple(range(turns)), (1.0,) * turns
    found = turn_cosines(
        SpeakerEmbeddings(output, numbers, seconds),
        SpeakerEmbeddings(reference, numbers, seconds),
    )
    peer = 1 - paired_distances(output, reference, metric="cosine")
    assert list(found) == list(numbers)
    np.testing.assert_allclose(list(found.values()), peer, atol=1e-5)


@pytest.mark.parametrize(("output", "reference"), [({}, {0: EAST}), ({0: EAST}, {})])
def test_nothing_in_common_is_missing(
    output: Mapping[int, tuple[float, float]], reference: Mapping[int, tuple[float, float]]
) -> None:
    with pytest.raises(MissingOutputError, match=r"output \(\d turns\) and the reference \(\d\)"):
        SIM_REF.measure(DIALOGUE, artifacts(output, reference))


def test_leaving_a_file_out_never_helps() -> None:
    opposite = artifacts({0: EAST}, {0: (-1.0, 0.0)})
    missing = SIM_REF.worst(DIALOGUE)
    assert SIM_REF.reduce(missing) <= SIM_REF.reduce(SIM_REF.measure(DIALOGUE, opposite))
    assert SIM_REF.components([missing]) == {"lower_bound": -1, "turns_compared": 0}


def test_applies_by_the_reference_alone() -> None:
    untimed = Dialogue("d", (Turn("a", "hello"),), audio=Path("d.flac"))
    assert SIM_REF.not_applicable(DIALOGUE) is None
    assert SIM_REF.not_applicable(Dialogue("d", TURNS)) == "the dialogue has no reference audio"
    assert SIM_REF.not_applicable(untimed) == "the reference turns have no times"
