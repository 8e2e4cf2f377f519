"""What the published weights say of real recordings. Skipped, and said so, where they are not here.

The bounds are wide, and were chosen without the weights at hand: they tell weights that work from
weights that were loaded in a wrong way, not one good release of a library from another.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mmdia_eval import media, models, registry, video
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import (
    Alignment,
    Artifact,
    Artifacts,
    Diarization,
    FaceTracks,
    LipSyncEmbeddings,
    MosPrediction,
    SpeakerEmbeddings,
    Transcript,
    VideoFeatures,
)
from mmdia_eval.metrics.lse_c import LseC
from mmdia_eval.metrics.wer import word_errors
from mmdia_eval.types import Audio, Dialogue, FloatArray, Frames, Segment, Turn

# What libraries say while they load large models is not looked at here.
pytestmark = [pytest.mark.weights, pytest.mark.filterwarnings("ignore")]
KENNEDY = (
    "and so my fellow americans ask not what your country can do for you ask what you can do for "
    "your country"
)
NOBODY = Dialogue("d", ())


@pytest.fixture(autouse=True)
def weights(request: pytest.FixtureRequest) -> None:
    """The models that a test names are here; what is here but damaged, or another file, fails."""
    for id_ in (id_ for mark in request.node.iter_markers("weights") for id_ in mark.args):
        found = models.check(id_)
        refusals = models.refusals(found)
        if found.folder is None:
            pytest.skip(refusals[0])
        assert not refusals


def made(name: str, item: Inputs, **settings: object) -> Artifact:
    """What the extractor of that name makes of it."""
    kind = registry.extractor.get(name)
    one = kind(kind.Settings(**settings), ())
    one.load()
    (found,) = one.extract([item])
    assert isinstance(found, kind.makes)
    return found


def heard(path: Path) -> Audio:
    info, audio = media.decode(path)
    assert audio is not None, info.problem
    return audio


def seen(path: Path, folder: Path) -> Frames:
    info = video.decode(path, folder / "frames.npy")
    assert info.problem is None
    frames: Frames = np.load(folder / "frames.npy")
    return frames


@pytest.fixture
def real_video(real_speech: Path) -> Path:
    return real_speech.with_name("video")


@pytest.fixture
def real_dialogue(real_speech: Path) -> tuple[Dialogue, Audio]:
    """Two people in turns whose times are exact."""
    line = json.loads((real_speech / "mm-dia.jsonl").read_text("utf-8").splitlines()[0])
    turns = tuple(
        Turn(
            str(segment["speaker"][0]),
            segment["text"].partition("]")[2],
            Segment(segment["start"], segment["end"]),
        )
        for segment in line["segments"]
    )
    return Dialogue(line["dialog_id"], turns), heard(real_speech / line["path"])


@pytest.mark.parametrize(
    ("name", "most"),
    [
        pytest.param(
            "faster_whisper_transcript", 1, marks=pytest.mark.weights("faster-whisper-large-v3")
        ),
        pytest.param("whisper_transcript", 1, marks=pytest.mark.weights("whisper-large-v3")),
        pytest.param("whisperd_transcript", 3, marks=pytest.mark.weights("whisper-d-v1a")),
    ],
)
def test_a_famous_sentence_is_heard(name: str, most: int, real_speech: Path) -> None:
    found = made(name, Inputs(heard(real_speech / "jfk.flac"), NOBODY, Artifacts({})))
    assert isinstance(found, Transcript)
    said = " ".join(word.text for utterance in found.utterances for word in utterance.words)
    letters = "".join(c for c in said.lower() if c.isalpha() or c.isspace())
    counts = word_errors(KENNEDY, letters)
    assert counts.errors <= most, said


@pytest.mark.weights("speaker-diarization-community-1")
def test_a_telephone_call_has_its_two_voices(real_speech: Path) -> None:
    from pyannote.core import Annotation
    from pyannote.core import Segment as Stretch
    from pyannote.metrics.diarization import DiarizationErrorRate

    audio = heard(real_speech / "diane_sheila.flac")
    found = made("pyannote_diarization", Inputs(audio, NOBODY, Artifacts({})))
    assert isinstance(found, Diarization)
    truth, said = Annotation(), Annotation()
    for line in (real_speech / "diane_sheila.rttm").read_text("utf-8").splitlines():
        start, seconds, speaker = (line.split()[i] for i in (3, 4, 7))
        truth[Stretch(float(start), float(start) + float(seconds)), len(truth)] = speaker
    for number, one in enumerate(found.segments):
        said[Stretch(one.start, one.end), number] = one.speaker
    assert len({one.speaker for one in found.segments}) == 2
    assert DiarizationErrorRate(collar=0.5)(truth, said) < 0.2


@pytest.mark.weights("wav2vec2-base-960h")
def test_turns_are_found_where_they_are(real_dialogue: tuple[Dialogue, Audio]) -> None:
    dialogue, audio = real_dialogue
    found = made("ctc_alignment", Inputs(audio, dialogue, Artifacts({})))
    assert isinstance(found, Alignment)
    assert found.problem is None
    away = [
        abs(aligned.segment.start - turn.segment.start)
        for aligned, turn in zip(found.turns, dialogue.turns, strict=True)
        if aligned.segment is not None and turn.segment is not None
    ]
    assert len(away) == len(dialogue.turns)
    assert np.median(away) < 0.3


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            "ecapa_reference_embeddings", marks=pytest.mark.weights("spkrec-ecapa-voxceleb")
        ),
        pytest.param(
            "wavlm_ecapa_reference_embeddings", marks=pytest.mark.weights("wavlm-large-ecapa")
        ),
    ],
)
def test_a_voice_is_nearer_to_itself(name: str, real_dialogue: tuple[Dialogue, Audio]) -> None:
    dialogue, audio = real_dialogue
    found = made(name, Inputs(audio, dialogue, Artifacts({})))
    assert isinstance(found, SpeakerEmbeddings)
    same: list[float] = []
    other: list[float] = []
    for a, b in combinations(range(len(found.vectors)), 2):
        who = [dialogue.turns[int(found.turns[i])].speaker for i in (a, b)]
        (same if who[0] == who[1] else other).append(float(found.vectors[a] @ found.vectors[b]))
    assert min(len(same), len(other)) > 0
    assert np.mean(same) > np.mean(other) + 0.2


@pytest.mark.weights("utmos22-strong")
def test_noise_costs_quality(real_speech: Path) -> None:
    audio = heard(real_speech / "1688-142285-0000.flac")
    level = float(np.sqrt(np.mean(audio.samples**2)))
    hiss = np.random.default_rng(0).normal(0, level, len(audio.samples)).astype(np.float32)

    def score(samples: FloatArray) -> float:
        item = Inputs(Audio(samples), NOBODY, Artifacts({}))
        found = made("utmos22_strong", item, per_turn=False)
        assert isinstance(found, MosPrediction)
        return found.scores["utmos"]

    clean, noisy = score(audio.samples), score(audio.samples + hiss)
    assert 2.5 < clean < 5
    assert noisy < clean - 0.8


@pytest.mark.weights("s3fd", "syncnet-v2")
def test_a_talking_head_talks(real_video: Path, tmp_path: Path) -> None:
    """C + D of real clips lies between 9.85 and 17.1 (200 clips of MoChaBench)."""
    path = real_video / "talking_head.mp4"
    frames, audio = seen(path, tmp_path), heard(path)
    faces = made("s3fd_faces", Inputs(audio, NOBODY, Artifacts({}), frames=frames))
    assert isinstance(faces, FaceTracks)
    assert set(faces.tracks) == {0}
    assert len(faces.boxes) > 0.95 * len(frames)
    item = Inputs(audio, NOBODY, Artifacts({FaceTracks: faces}), frames=frames)
    lips = made("syncnet_embeddings", item)
    assert isinstance(lips, LipSyncEmbeddings)
    metric = LseC(LseC.Settings())
    counts = metric.measure(NOBODY, Artifacts({LipSyncEmbeddings: lips}))
    assert metric.reduce(counts) > 2
    assert 9.85 < metric.components([counts])["c_plus_d"] < 17.1


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(id_, marks=pytest.mark.weights(id_))
        for id_ in ("i3d-torchscript", "i3d-kinetics-400")
    ],
)
def test_clips_of_one_scene_look_alike(model: str, real_video: Path, tmp_path: Path) -> None:
    found = []
    for name in ("talking_head.mp4", "two_people_interview.mp4"):
        frames, audio = seen(real_video / name, tmp_path), heard(real_video / name)
        one = made("i3d_features", Inputs(audio, NOBODY, Artifacts({}), frames=frames), model=model)
        assert isinstance(one, VideoFeatures)
        found.append(one.features)
    head, stage = found
    within = np.linalg.norm(head - head.mean(axis=0), axis=1).mean()
    assert np.linalg.norm(head.mean(axis=0) - stage.mean(axis=0)) > 2 * within
