from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from mmdia_eval.artifacts import Alignment, Artifacts, SpeakerEmbeddings
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.metrics.sasim_release import SasimRelease
from mmdia_eval.types import Dialogue, Turn

METRIC = SasimRelease(SasimRelease.Settings())
EAST, NORTH, WEST = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)


def dialogue(**sentences: int) -> Dialogue:
    """Each speaker, in order, has one turn of so many sentences."""
    turns = (Turn(name, "Good morning. " * count) for name, count in sentences.items())
    return Dialogue("d", tuple(turns))


def artifacts(
    vectors: NDArray[np.float64] | list[tuple[float, float]],
    turns: list[int],
    problem: str | None = None,
) -> Artifacts:
    array = np.asarray(vectors, np.float32)
    embeddings = SpeakerEmbeddings(array, tuple(turns), (1.0,) * len(turns))
    return Artifacts({SpeakerEmbeddings: embeddings, Alignment: Alignment((), problem)})


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=5))
def test_as_released_is_scipys_mean_cosine_of_speakers_pooled(sizes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    script = dialogue(Ann=7, Ben=7)
    rows, pooled = [], []
    for ann, ben in sizes:
        vectors = rng.normal(size=(ann + ben, 5))
        pooled += [
            float(np.mean(1 - pdist(own, "cosine")))
            for own in (vectors[:ann], vectors[ann:])
            if len(own) * (len(own) - 1) / 2 > 5
        ]
        try:
            rows.append(METRIC.measure(script, artifacts(vectors, [0] * ann + [1] * ben)))
        except MissingOutputError:
            rows.append(METRIC.worst(script))
    found = METRIC.components(rows)
    assert found.get("as_released") == (
        pytest.approx(float(np.mean(pooled)), abs=1e-6) if pooled else None
    )
    assert found["speakers_compared"] == len(pooled) / (2 * len(sizes))


def test_the_mean_is_over_speakers_and_not_over_dialogues() -> None:
    both = METRIC.measure(dialogue(Ann=4, Ben=4), artifacts([EAST] * 8, [0] * 4 + [1] * 4))
    one = METRIC.measure(dialogue(Ann=4), artifacts([EAST, EAST, NORTH, NORTH], [0] * 4))
    total = {field: both[field] + one[field] for field in METRIC.fields}
    assert METRIC.reduce(total) == pytest.approx((1 + 1 + 2 / 6) / 3)


def test_three_sentences_and_third_speakers_do_not_count() -> None:
    script = dialogue(Ann=4, Ben=4, Cid=4)
    vectors = [EAST] * 4 + [NORTH, EAST, WEST] + [NORTH, WEST, EAST, EAST]
    counts = METRIC.measure(script, artifacts(vectors, [0] * 4 + [1] * 3 + [2] * 4))
    assert counts == {
        "similarity": pytest.approx(1.0),
        "speakers_counted": 1,
        "speakers_compared": 1,
        "speakers": 2,
        "sentences_embedded": 7,
        "sentences": 8,
        "alignments_failed": 0,
        "dialogues": 1,
    }
    components = METRIC.components([counts])
    assert components["lower_bound"] == pytest.approx((1 - 1) / 2)
    assert components["speakers_compared"] == 0.5
    assert components["sentences_embedded"] == 7 / 8


def test_what_the_script_drops_costs_the_lowest_cosine_and_shows() -> None:
    script = dialogue(Ann=4, Ben=4)
    good = METRIC.measure(script, artifacts([EAST] * 8, [0] * 4 + [1] * 4))
    rows = [good, METRIC.worst(script)]
    total = {field: sum(row[field] for row in rows) for field in METRIC.fields}
    assert METRIC.reduce(total) == pytest.approx((2 - 2) / 4)
    components = METRIC.components(rows)
    assert components["as_released"] == pytest.approx(1.0)
    assert (components["speakers_compared"], components["alignments_failed"]) == (0.5, 0.5)


def test_an_output_with_nobody_to_compare_is_missing_and_says_why() -> None:
    failed = artifacts([EAST], [0], problem="no word came back")
    with pytest.raises(MissingOutputError, match=r"\(1 sentences were\); alignment: no word"):
        METRIC.measure(dialogue(Ann=4, Ben=4), failed)


def test_no_output_can_be_worse_than_none() -> None:
    script = dialogue(Ann=4, Ben=4)
    bad = METRIC.measure(script, artifacts([EAST, WEST] * 4, [0] * 4 + [1] * 4))
    assert METRIC.reduce(METRIC.worst(script)) == -1 < METRIC.reduce(bad)


def test_applies_by_the_script_alone() -> None:
    assert METRIC.not_applicable(dialogue(Ann=3, Ben=4)) is None
    assert METRIC.not_applicable(dialogue(Ann=3, Ben=3, Cid=9)) == (
        "none of the first 2 speakers has 4 sentences"
    )
