"""What every metric must keep to, whoever wrote it: run over all that are registered."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import planted_lips
import pytest
from built_in import METRICS
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.api import Counts, Metric, SetMetric
from mmdia_eval.artifacts import (
    AlignedTurn,
    Alignment,
    Artifact,
    Artifacts,
    Diarization,
    Draw,
    FrameSimilarity,
    FrameStatistics,
    LipSyncEmbeddings,
    MediaInfo,
    MosPrediction,
    MouthMotion,
    PerceptualDistance,
    SpeakerEmbeddings,
    SpeakerSegment,
    Transcript,
    TurnScores,
    Utterance,
    Verdict,
    VideoFeatures,
    Word,
)
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.judges.rubric import DIMENSIONS
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue, Segment, Style, Turn

SCRIPT = (
    ("Ann", "where did you leave my keys"),
    ("Ben", "under the blue flower pot"),
    ("Ann", "but that is where I looked"),
    ("Ben", "then ask your brother about them"),
    ("Ann", "he is away until next week"),
    ("Ben", "there is a spare set upstairs"),
    ("Ann", "you might have said so before"),
    ("Ben", "you never asked me for those"),
)
SCORES = {"ovrl": 3.1, "p808": 3.6, "sig": 3.4, "bak": 4.0}
ANSWERS: dict[str, int | str] = {
    **dict.fromkeys(DIMENSIONS, 4),
    "relationship": "Friends",
    "interaction_type": "Questioning",
}
WHOLE = st.integers(0, 1000)


def good_dialogue(turns: int = 8) -> Dialogue:
    """Two speakers by turns, six seconds of room for each turn."""
    return Dialogue(
        id=f"good_{turns}",
        turns=tuple(
            Turn(speaker, text, Segment(6.0 * i, 6.0 * i + 0.4 * len(text.split())))
            for i, (speaker, text) in enumerate(SCRIPT[:turns])
        ),
        style=Style("Two friends look for keys.", "Friends", "Questioning", "playful"),
        audio=Path("good.flac"),
        video=Path("good.mp4"),
        duration=6.0 * turns,
    )


def good_artifacts(dialogue: Dialogue) -> Artifacts:
    """What flawless engines would make of a flawless output."""
    words, segments = [], []
    for turn in dialogue.turns:
        assert turn.segment is not None
        start = turn.segment.start
        words.append(
            tuple(
                Word(text, start + 0.4 * i, start + 0.4 * (i + 1))
                for i, text in enumerate(turn.text.split())
            )
        )
        segments.append(SpeakerSegment(start, turn.segment.end, f"voice of {turn.speaker}"))
    numbers = tuple(range(len(words)))
    embeddings = SpeakerEmbeddings(
        vectors=np.eye(2, dtype=np.float32)[[i % 2 for i in numbers]],
        turns=numbers,
        seconds=tuple(segment.segment.duration for segment in segments),
    )
    made = {
        Alignment: Alignment(tuple(AlignedTurn(i, words[i], len(words[i])) for i in numbers)),
        Diarization: Diarization(tuple(segments)),
        LipSyncEmbeddings: planted_lips.in_sync(dialogue),
        MediaInfo: MediaInfo(duration=dialogue.duration or 0.0, sample_rate=16_000, channels=1),
        MosPrediction: MosPrediction(SCORES, tuple(TurnScores(i, SCORES) for i in numbers)),
        SpeakerEmbeddings: embeddings,
        Transcript: Transcript(tuple(Utterance(spoken) for spoken in words)),
        Verdict: Verdict((Draw("", ANSWERS, None, "judge", 900, 100, 0),), "0" * 64),
        FrameSimilarity: FrameSimilarity(psnr=38.0, ssim=0.97, frames=100, resized=False),
        PerceptualDistance: PerceptualDistance(lpips=0.08, frames=100, resized=False),
    }
    of_both: dict[type[Artifact], Artifact] = {
        SpeakerEmbeddings: embeddings,
        FrameStatistics: FrameStatistics(
            frames=100, shots=1, sharpness=0.4, blockiness=1.1, frozen=0.05, flicker=0.4
        ),
        MouthMotion: good_mouths(dialogue),
    }
    return Artifacts({**made, **of_both}, of_both)


def good_mouths(dialogue: Dialogue) -> MouthMotion:
    """A face for each speaker, whose mouth moves in his own turns and with the sound."""
    frames = round(25 * (dialogue.duration or 0.0))
    loudness = np.random.default_rng(0).uniform(0, 1, frames).astype(np.float32)
    mouths = []
    for speaker in dialogue.speakers:
        mouth = np.zeros(frames, dtype=np.float32)
        for turn in dialogue.turns:
            if turn.speaker == speaker and turn.segment is not None:
                span = slice(round(25 * turn.segment.start), round(25 * turn.segment.end))
                mouth[span] = loudness[span]
        mouths.append(mouth)
    faces = len(mouths)
    return MouthMotion(
        openings=np.concatenate(mouths),
        tracks=np.repeat(np.arange(faces), frames).astype(np.float32),
        frames=np.tile(np.arange(frames), faces).astype(np.float32),
        looks=np.eye(faces, dtype=np.float32),
        envelope=loudness**2,
        identities=tuple(f"face {number}" for number in range(1, faces + 1)),
    )


SETS = [name for name in METRICS if issubclass(metric.get(name), SetMetric)]


@pytest.fixture(params=[name for name in METRICS if name not in SETS])
def one(request: pytest.FixtureRequest) -> Metric:
    cls = metric.get(cast("str", request.param))
    return cls(cls.Settings())


def good(one: Metric, turns: int = 8) -> Counts:
    dialogue = good_dialogue(turns)
    assert one.not_applicable(dialogue) is None
    return one.measure(dialogue, good_artifacts(dialogue))


def distance_from_best(one: Metric, counts: Counts) -> float:
    value = float(one.reduce(arrays(counts)))
    if one.higher_is_better is None:
        return abs(value - 1)
    return -value if one.higher_is_better else value


def arrays(counts: Counts) -> dict[str, np.float64]:
    return {field: np.float64(value) for field, value in counts.items()}


def test_it_says_what_it_is(one: Metric) -> None:
    assert one.version
    assert one.unit
    assert one.aggregation
    assert one.needs
    assert one.higher_is_better in (True, False, None)
    assert len(set(one.fields)) == len(one.fields) > 0
    assert type(one).__doc__


@pytest.mark.parametrize("name", METRICS)
def test_name_is_that_of_its_file(name: str) -> None:
    assert metric.get(name).__module__ == f"mmdia_eval.metrics.{name}"


@pytest.mark.parametrize("name", SETS)
def test_a_metric_of_sets_counts_clips_and_takes_no_fewer(name: str) -> None:
    cls = metric.get(name)
    one = cls(cls.Settings())
    assert one.not_applicable(good_dialogue()) is None
    assert one.worst(good_dialogue()) == {"clips": 0}
    made = Artifacts({VideoFeatures: VideoFeatures(np.zeros((4, 3), dtype=np.float32))})
    assert one.measure(good_dialogue(), made) == {"clips": 4}
    short = Artifacts({VideoFeatures: VideoFeatures(np.zeros((0, 3), dtype=np.float32))})
    with pytest.raises(MissingOutputError, match="shorter than a clip"):
        one.measure(good_dialogue(), short)


def test_counts_have_the_declared_fields_and_are_finite_numbers(one: Metric) -> None:
    for counts in (good(one), one.worst(good_dialogue())):
        assert set(counts) == set(one.fields)
        assert all(isinstance(value, int | float) for value in counts.values())
        assert np.isfinite(list(counts.values())).all()


def test_the_same_input_gives_the_same_counts(one: Metric) -> None:
    assert good(one) == good(one)


def test_a_missing_output_is_worse_than_a_good_one(one: Metric) -> None:
    good_counts, missing = good(one), one.worst(good_dialogue())
    assert distance_from_best(one, missing) > distance_from_best(one, good_counts)
    both = {field: good_counts[field] + missing[field] for field in one.fields}
    assert distance_from_best(one, both) > distance_from_best(one, good_counts)


def test_what_no_output_changes_is_known_to_the_check_of_entries(one: Metric) -> None:
    good_counts, missing = good(one), one.worst(good_dialogue())
    for field in one.reference_fields:
        assert good_counts[field] == pytest.approx(missing[field]), field
    if good_counts.get("dialogues") == missing.get("dialogues") == 1:
        assert "dialogues" in one.reference_fields, (
            "a smaller count of dialogues would better the mean"
        )


def test_sums_over_dialogues_have_a_value_between_theirs(one: Metric) -> None:
    rows = [good(one), good(one, turns=7), one.worst(good_dialogue(turns=7))]
    total = {field: sum(row[field] for row in rows) for field in one.fields}
    values = [one.reduce(arrays(row)) for row in rows]
    assert min(values) <= one.reduce(arrays(total)) <= max(values)


@given(data=st.data())
def test_reduce_is_the_same_on_scalars_and_on_arrays(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([each for each in METRICS if each not in SETS]))
    one = metric.get(name)(metric.get(name).Settings())
    columns = {
        field: np.array(data.draw(st.lists(WHOLE, min_size=3, max_size=3)), dtype=np.float64)
        for field in one.fields
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        together = one.reduce(columns)
        one_by_one = [one.reduce({field: columns[field][i] for field in columns}) for i in range(3)]
    assert np.shape(together) == (3,)
    np.testing.assert_array_equal(together, one_by_one)


def test_components_are_finite_and_do_not_depend_on_the_order_of_rows(one: Metric) -> None:
    rows = [good(one), one.worst(good_dialogue()), good(one, turns=7)]
    forward, backward = one.components(rows), one.components(rows[::-1])
    assert np.isfinite(list(forward.values())).all()
    assert forward == pytest.approx(backward)


def test_components_of_no_rows_are_no_error(one: Metric) -> None:
    assert np.isfinite(list(one.components([]).values())).all()


def test_names_are_unique_and_registered() -> None:
    names = list(metric)
    assert len({metric.get(name) for name in names}) == len(names)
    assert {"wer", "sasim", "sim_ref", "mos", "duration_ratio"} <= set(names)
