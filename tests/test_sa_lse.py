"""SA-LSE as a metric: counts from a dialogue's turns, and what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted_lips import in_sync, packed, sound_of

from mmdia_eval.api import Counts
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.metrics.lse_c import WORST_DISTANCE
from mmdia_eval.metrics.sa_lse_c import SaLseC
from mmdia_eval.metrics.sa_lse_d import SaLseD
from mmdia_eval.types import Artifacts, Dialogue, LipSyncEmbeddings, Segment, Turn

TIMES = (("ann", 0.4, 3.8), ("bob", 4.2, 7.8), ("ann", 8.2, 11.6), ("bob", 12.0, 15.4))
DIALOGUE = Dialogue("d", tuple(Turn(who, "so it goes", Segment(a, b)) for who, a, b in TIMES))
LEFT_RIGHT = {"ann": "face 1", "bob": "face 2"}
CONFIDENCE, DISTANCE = SaLseC(SaLseC.Settings()), SaLseD(SaLseD.Settings())


def measured(
    embeddings: LipSyncEmbeddings, dialogue: Dialogue = DIALOGUE, **settings: Any
) -> Counts:
    metric = SaLseC(SaLseC.Settings(**settings))
    return metric.measure(dialogue, Artifacts({LipSyncEmbeddings: embeddings}))


GOOD = measured(in_sync(DIALOGUE))
SWAPPED = measured(in_sync(DIALOGUE, {"ann": "bob", "bob": "ann"}))


def value(metric: SaLseC, *rows: Counts) -> float:
    total = {name: np.float64(sum(row[name] for row in rows)) for name in rows[0]}
    return float(metric.reduce(total))


def test_faces_named_like_speakers_are_the_oracle() -> None:
    shown = CONFIDENCE.components([GOOD])
    assert shown["oracle"] == shown["consistent"] == shown["greedy"] > 3
    assert shown["binding_accuracy"] == 1
    assert shown["coverage"] == pytest.approx(1)
    assert "oracle" not in CONFIDENCE.components([measured(in_sync(DIALOGUE, LEFT_RIGHT))])


def test_swapped_mouths_have_no_confidence_by_the_oracle_and_no_right_binding() -> None:
    shown = CONFIDENCE.components([SWAPPED])
    assert shown["oracle"] < 0.1 * shown["consistent"]
    assert shown["binding_accuracy"] == 0
    assert value(CONFIDENCE, measured(in_sync(DIALOGUE, LEFT_RIGHT))) == pytest.approx(
        shown["consistent"]
    )


def test_controls_stand_beside_the_value() -> None:
    for metric, better in ((CONFIDENCE, 1), (DISTANCE, -1)):
        shown = metric.components([GOOD])
        for control in ("swapped", "shuffled"):
            assert better * (value(metric, GOOD) - shown[control]) > 2
        assert abs(shown["swapped"] - shown["shuffled"]) < 0.5


def test_dialogues_weigh_by_their_scored_seconds() -> None:
    short = Dialogue("s", DIALOGUE.turns[:1])
    other = measured(in_sync(short, lag=2), short)
    rows = [GOOD, other]
    seconds = [row["seconds"] for row in rows]
    assert seconds == pytest.approx([13.8, 3.4])
    for metric in (CONFIDENCE, DISTANCE):
        each = [value(metric, row) for row in rows]
        assert value(metric, *rows) == pytest.approx(np.average(each, weights=seconds))


@pytest.mark.parametrize("assignment", ["consistent", "oracle", "greedy"])
def test_the_value_is_that_of_the_chosen_assignment(assignment: str) -> None:
    counts = measured(in_sync(DIALOGUE, {"ann": "bob", "bob": "ann"}), assignment=assignment)
    assert value(CONFIDENCE, counts) == CONFIDENCE.components([counts])[assignment]


def test_what_is_not_in_sight_is_covered_by_no_seconds_and_counted_at_worst_beside() -> None:
    embeddings = in_sync(DIALOGUE)
    ann = embeddings.tracks == 0
    alone = LipSyncEmbeddings(
        embeddings.lips[ann],
        embeddings.tracks[ann],
        embeddings.windows[ann],
        embeddings.sound,
        ("ann",),
    )
    counts = measured(alone)
    shown = DISTANCE.components([counts])
    assert shown["coverage"] == pytest.approx(6.8 / 13.8, abs=0.01)
    assert shown["offscreen"] == pytest.approx(7.0 / 13.8, abs=0.01)
    assert shown["with_offscreen_at_worst"] == pytest.approx(
        (value(DISTANCE, counts) * 6.8 + WORST_DISTANCE * 7.0) / 13.8, abs=0.01
    )


def test_a_missing_output_weighs_all_of_its_speech_at_worst() -> None:
    missing = CONFIDENCE.worst(DIALOGUE)
    assert value(CONFIDENCE, missing) == 0
    assert value(DISTANCE, missing) == WORST_DISTANCE
    assert value(DISTANCE, GOOD, missing) == pytest.approx(
        (value(DISTANCE, GOOD) + WORST_DISTANCE) / 2
    )
    shown = CONFIDENCE.components([GOOD, missing])
    assert shown["coverage"] == pytest.approx(0.5)
    assert shown["consistent"] == pytest.approx(value(CONFIDENCE, GOOD))
    assert shown["scored"] == 0.5


@pytest.mark.parametrize(
    ("embeddings", "assignment", "why"),
    [
        (packed([], sound_of(400)), "consistent", "no face was found"),
        (in_sync(DIALOGUE, LEFT_RIGHT), "oracle", "named like a speaker"),
        (
            LipSyncEmbeddings(
                in_sync(DIALOGUE).lips[:6],
                in_sync(DIALOGUE).tracks[:6],
                in_sync(DIALOGUE).windows[:6],
                in_sync(DIALOGUE).sound,
                ("face 1",),
            ),
            "consistent",
            "1 tracks",
        ),
    ],
)
def test_missing_with_the_reason(embeddings: LipSyncEmbeddings, assignment: str, why: str) -> None:
    with pytest.raises(MissingOutputError, match=why):
        measured(embeddings, assignment=assignment)


def test_not_applicable_is_decided_by_the_reference_alone() -> None:
    untimed = Dialogue("u", (Turn("ann", "hm"),))
    brief = Dialogue("b", (Turn("ann", "hm", Segment(0, 0.5)), Turn("bob", "hm", Segment(1, 1.5))))
    assert CONFIDENCE.not_applicable(untimed) == "the reference turns have no times"
    assert CONFIDENCE.not_applicable(brief) == "nobody speaks alone for 0.6 s"
    assert CONFIDENCE.not_applicable(DIALOGUE) is None


def test_shares_of_speech_add_up() -> None:
    turns = [*DIALOGUE.turns, Turn("ann", "oh", Segment(15.0, 15.9)), Turn("bob", "hm", None)]
    dialogue = Dialogue("d", tuple(turns))
    counts = measured(in_sync(dialogue), dialogue)
    parts = ("overlapped", "short", "offscreen", "seconds")
    assert sum(counts[part] for part in parts) == pytest.approx(counts["speech"])
    assert counts["overlapped"] == pytest.approx(0.8)
    missing = CONFIDENCE.worst(dialogue)
    assert missing["overlapped"] == pytest.approx(counts["overlapped"])
    assert missing["short"] == pytest.approx(counts["short"])
