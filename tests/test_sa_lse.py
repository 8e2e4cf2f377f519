"""SA-LSE as a metric: counts from a dialogue's turns, and what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from planted_lips import in_sync, packed, sound_of
from pydantic import ValidationError

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts, Diarization, LipSyncEmbeddings, SpeakerSegment
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.metrics.lse_c import WORST_DISTANCE
from mmdia_eval.metrics.sa_lse_c import SaLseC
from mmdia_eval.metrics.sa_lse_d import SaLseD
from mmdia_eval.types import Dialogue, Segment, Turn

TIMES = (("ann", 0.4, 3.8), ("bob", 4.2, 7.8), ("ann", 8.2, 11.6), ("bob", 12.0, 15.4))
DIALOGUE = Dialogue("d", tuple(Turn(who, "so it goes", Segment(a, b)) for who, a, b in TIMES))
LEFT_RIGHT = {"ann": "face 1", "bob": "face 2"}
CONFIDENCE, DISTANCE = SaLseC(SaLseC.Settings()), SaLseD(SaLseD.Settings())
DIARIZED = SaLseC(SaLseC.Settings.model_validate({"segments": "diarization"}))
UNTIMED = Dialogue("d", tuple(Turn(turn.speaker, turn.text) for turn in DIALOGUE.turns))
VOICES = {"ann": "SPEAKER_01", "bob": "SPEAKER_00"}


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
    why = CONFIDENCE.not_applicable(untimed) or ""
    assert why.startswith("the reference turns have no times")
    assert 'segments = "diarization"' in why
    assert DIARIZED.not_applicable(untimed) is None
    assert DIARIZED.not_applicable(brief) is None
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


def diarized(
    embeddings: LipSyncEmbeddings, voices: dict[str, str], metric: SaLseC = DIARIZED
) -> Counts:
    """Of a dialogue without turn times whose diarization gives these labels at the true times."""
    segments = tuple(SpeakerSegment(start, end, voices[who]) for who, start, end in TIMES)
    found = {LipSyncEmbeddings: embeddings, Diarization: Diarization(segments)}
    return metric.measure(UNTIMED, Artifacts(found))


def test_a_diarization_is_read_only_where_it_is_asked_for() -> None:
    assert CONFIDENCE.needs == (LipSyncEmbeddings,)
    assert DIARIZED.needs == (LipSyncEmbeddings, Diarization)


def test_diarized_voices_are_given_faces_as_speakers_are() -> None:
    counts = diarized(in_sync(DIALOGUE), VOICES)
    turns = measured(in_sync(DIALOGUE, LEFT_RIGHT))
    assert counts == pytest.approx(turns)
    shown = DIARIZED.components([counts])
    assert shown["diarized"] == 1
    assert "oracle" not in shown
    assert shown["binding_accuracy"] == 1
    assert "diarized" not in CONFIDENCE.components([turns])


def test_one_voice_for_two_people_has_one_face() -> None:
    """Half of the speech is then on the wrong face; the best face of each stretch is not."""
    merged = DIARIZED.components([diarized(in_sync(DIALOGUE), dict.fromkeys(VOICES, "SPEAKER_00"))])
    right = DIARIZED.components([diarized(in_sync(DIALOGUE), VOICES)])
    assert merged["consistent"] < 0.6 * right["consistent"]
    assert merged["greedy"] == pytest.approx(right["greedy"])


def test_swapped_mouths_are_other_voices_to_a_diarization() -> None:
    swapped = in_sync(DIALOGUE, {"ann": "bob", "bob": "ann"})
    assert value(DIARIZED, diarized(swapped, VOICES)) == pytest.approx(
        value(DIARIZED, diarized(in_sync(DIALOGUE), VOICES))
    )


def test_a_voice_that_is_no_one_in_sight_is_offscreen() -> None:
    segments = [SpeakerSegment(start, end, VOICES[who]) for who, start, end in TIMES]
    radio = SpeakerSegment(16.0, 19.0, "SPEAKER_02")
    found = Diarization((*segments, radio))
    both = Artifacts({LipSyncEmbeddings: in_sync(DIALOGUE), Diarization: found})
    counts = DIARIZED.measure(UNTIMED, both)
    assert counts["offscreen"] == pytest.approx(3.0)
    assert counts["speech"] == pytest.approx(13.8 + 3.0)


def test_no_voice_is_missing_and_weighs_as_much_as_the_dialogue_lasts() -> None:
    nobody = {LipSyncEmbeddings: in_sync(DIALOGUE), Diarization: Diarization(())}
    with pytest.raises(MissingOutputError, match="by the diarization nobody speaks"):
        DIARIZED.measure(UNTIMED, Artifacts(nobody))
    assert DIARIZED.worst(DIALOGUE)["scorable"] == pytest.approx(13.8)
    assert DIARIZED.worst(replace(UNTIMED, duration=16.4))["scorable"] == 16.4
    words = sum(len(turn.text.split()) for turn in UNTIMED.turns)
    assert DIARIZED.worst(UNTIMED)["seconds"] == pytest.approx(words / 2.5)
    assert value(DIARIZED, DIARIZED.worst(UNTIMED)) == 0


def test_voices_have_no_names_for_the_oracle() -> None:
    with pytest.raises(ValidationError, match=r"oracle.*needs segments = .turns"):
        SaLseC.Settings.model_validate({"segments": "diarization", "assignment": "oracle"})
