from __future__ import annotations

from collections.abc import Mapping
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics.pairwise import cosine_similarity

from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, SpeakerEmbeddings, Word
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.metrics.sasim import Sasim, self_similarity
from mmdia_eval.types import Dialogue, Turn

SASIM = Sasim(Sasim.Settings())
EAST, NORTH = (1.0, 0.0), (0.0, 1.0)
NORTH_EAST = (0.6, 0.8)
VOICES = st.sampled_from(["Ann", "Ben", "Cid"])


def dialogue(speakers: str) -> Dialogue:
    return Dialogue("d", tuple(Turn(name, "good morning") for name in speakers))


def artifacts(
    vectors: Mapping[int, tuple[float, float]], turns: int, problem: str | None = None
) -> Artifacts:
    """Embeddings of the turns in `vectors`, and both words of each of them aligned."""
    words = (Word("good", 0.0, 0.4), Word("morning", 0.4, 1.2))
    return Artifacts(
        {
            SpeakerEmbeddings: SpeakerEmbeddings(
                vectors=np.array(list(vectors.values()), dtype=np.float32).reshape(-1, 2),
                turns=tuple(vectors),
                seconds=(1.2,) * len(vectors),
            ),
            Alignment: Alignment(
                tuple(AlignedTurn(i, words if i in vectors else (), 2) for i in range(turns)),
                problem,
            ),
        }
    )


@st.composite
def voices(draw: st.DrawFn) -> tuple[NDArray[np.float64], list[str]]:
    n = draw(st.integers(2, 9))
    elements = st.floats(-1, 1, width=32)
    vectors = draw(arrays(np.float64, (n, 4), elements=elements))
    vectors[:, 0] += np.where(np.linalg.norm(vectors, axis=1) < 0.1, 2.0, 0.0)
    return vectors, draw(st.lists(VOICES, min_size=n, max_size=n))


def by_pairs(
    similarity: NDArray[np.float64], speakers: list[str]
) -> tuple[float | None, float | None]:
    """The definition, pair by pair."""
    intra = []
    for name in sorted(set(speakers)):
        mine = [i for i, speaker in enumerate(speakers) if speaker == name]
        pairs = [similarity[i, j] for i in mine for j in mine if i < j]
        if pairs:
            intra.append(np.mean(pairs))
    n = len(speakers)
    inter = [similarity[i, j] for i in range(n) for j in range(i) if speakers[i] != speakers[j]]
    return (
        float(np.mean(intra)) if intra else None,
        float(np.mean(inter)) if inter else None,
    )


@given(voices())
def test_agrees_with_scipy_and_sklearn(case: tuple[NDArray[np.float64], list[str]]) -> None:
    vectors, speakers = case
    found = self_similarity(vectors, speakers)
    for peer in (1 - squareform(pdist(vectors, "cosine")), cosine_similarity(vectors)):
        intra, inter = by_pairs(peer, speakers)
        assert found.intra == (None if intra is None else pytest.approx(intra, abs=1e-9))
        assert found.inter == (None if inter is None else pytest.approx(inter, abs=1e-9))


@given(voices(), st.randoms(use_true_random=False))
def test_order_of_turns_and_names_of_speakers_do_not_matter(
    case: tuple[NDArray[np.float64], list[str]], random: Random
) -> None:
    vectors, speakers = case
    order = list(range(len(speakers)))
    random.shuffle(order)
    renamed = {"Ann": "Z", "Ben": "Y", "Cid": "X"}
    one = self_similarity(vectors, speakers)
    other = self_similarity(vectors[order], [renamed[speakers[i]] for i in order])
    assert (one.intra is None) == (other.intra is None)
    assert one.intra is None or one.intra == pytest.approx(other.intra, abs=1e-9)
    assert one.inter is None or one.inter == pytest.approx(other.inter, abs=1e-9)


@given(voices())
def test_length_of_vectors_does_not_matter_and_values_are_cosines(
    case: tuple[NDArray[np.float64], list[str]],
) -> None:
    vectors, speakers = case
    one = self_similarity(vectors, speakers)
    other = self_similarity(vectors * np.arange(1, len(vectors) + 1)[:, None], speakers)
    for left, right in ((one.intra, other.intra), (one.inter, other.inter)):
        assert left is None or left == pytest.approx(right, abs=1e-9)
        assert left is None or -1 <= left <= 1


@given(st.lists(VOICES, min_size=2, max_size=8))
def test_identical_vectors_give_one(speakers: list[str]) -> None:
    found = self_similarity([[0.3, -0.2, 0.7]] * len(speakers), speakers)
    assert found.intra in (None, pytest.approx(1))
    assert found.inter in (None, pytest.approx(1))


def test_orthogonal_speakers_have_margin_one() -> None:
    found = self_similarity([EAST, NORTH, EAST, NORTH], ["Ann", "Ben", "Ann", "Ben"])
    assert (found.intra, found.inter, found.margin, found.speakers) == (1, 0, 1, 2)


def test_mean_is_over_speakers_not_over_pairs() -> None:
    speakers = ["Ann", "Ann", "Ann", "Ben", "Ben"]
    found = self_similarity([EAST, EAST, EAST, EAST, NORTH], speakers)
    assert found.intra == pytest.approx((1 + 0) / 2)


def test_nothing_to_compare_is_none() -> None:
    assert self_similarity([EAST, NORTH], ["Ann", "Ben"]).intra is None
    assert self_similarity([EAST, NORTH], ["Ann", "Ann"]).inter is None
    assert self_similarity([EAST, NORTH], ["Ann", "Ann"]).margin is None
    assert self_similarity(np.zeros((0, 4)), []).intra is None


@pytest.mark.parametrize("vector", [(0.0, 0.0), (np.nan, 1.0), (np.inf, 1.0)])
def test_vector_without_direction_is_refused(vector: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        self_similarity([EAST, vector], ["Ann", "Ann"])


def test_one_voice_for_all_scores_high_and_the_margin_shows_it() -> None:
    abab = dialogue("abab")
    rows = [SASIM.measure(abab, artifacts(dict.fromkeys(range(4), EAST), 4))]
    assert SASIM.reduce(rows[0]) == 1
    assert SASIM.components(rows)["inter"] == 1
    assert SASIM.components(rows)["margin"] == 0


def test_counts_of_a_dialogue() -> None:
    found = SASIM.measure(dialogue("abab"), artifacts({0: EAST, 1: NORTH, 2: NORTH_EAST}, 4))
    assert found == {
        "intra": pytest.approx(0.6),
        "dialogues": 1,
        "inter": pytest.approx((0 + 0.8) / 2),
        "inter_dialogues": 1,
        "speakers_compared": 1,
        "speakers": 2,
        "turns_embedded": 3,
        "turns": 4,
        "words_aligned": 6,
        "words": 8,
        "alignments_failed": 0,
    }
    components = SASIM.components([found])
    assert components["margin"] == pytest.approx(0.2)
    assert components["lower_bound"] == pytest.approx((0.6 - 1) / 2)
    assert components["speakers_compared"] == 0.5
    assert components["turns_embedded"] == 0.75
    assert components["words_aligned"] == 0.75


def test_second_voice_that_never_came_counts_as_the_same_voice() -> None:
    found = SASIM.measure(dialogue("aab"), artifacts({0: EAST, 1: EAST}, 3))
    assert (found["inter"], found["inter_dialogues"]) == (1, 1)


def test_monologue_has_no_other_voice_to_compare() -> None:
    found = SASIM.measure(dialogue("aa"), artifacts({0: EAST, 1: EAST}, 2))
    assert (found["intra"], found["inter_dialogues"]) == (1, 0)
    assert {"inter", "margin"}.isdisjoint(SASIM.components([found]))


def test_failed_alignment_is_missing_and_says_why() -> None:
    failed = artifacts({0: EAST}, 4, problem="no segment came back")
    with pytest.raises(MissingOutputError, match=r"1 of 4 turns.*no segment came back"):
        SASIM.measure(dialogue("abab"), failed)


def test_leaving_a_file_out_never_helps() -> None:
    abab = dialogue("abab")
    bad = {0: EAST, 1: NORTH, 2: (-1.0, 0.0), 3: (0.0, -1.0)}
    measured = SASIM.measure(abab, artifacts(bad, 4))
    missing = SASIM.worst(abab)
    assert SASIM.reduce(missing) <= SASIM.reduce(measured)
    worse, better = SASIM.components([missing]), SASIM.components([measured])
    assert worse["margin"] < better["margin"]
    assert worse["inter"] > better["inter"]
    assert worse["turns_embedded"] == worse["words_aligned"] == worse["speakers_compared"] == 0
    assert worse["alignments_failed"] == 1


def test_applies_by_the_reference_alone() -> None:
    assert SASIM.not_applicable(dialogue("abc")) == "no speaker has two turns"
    assert SASIM.not_applicable(dialogue("aba")) is None
