"""Face tracks from files: what they say comes through, what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.given_faces import GivenFaces, GivenFacesSettings
from mmdia_eval.face_tracks_file import Detector, face_tracks_text, read_face_tracks
from mmdia_eval.faces import Track, pack_tracks, unpack_tracks
from mmdia_eval.types import Audio, Dialogue

SIZE = (100, 48, 64)
BOX = [10.0, 8.0, 30.0, 28.0]


def document(**changes: Any) -> dict[str, Any]:
    track = {"person": "ann", "frames": [4, 5, 8], "boxes": [BOX, BOX, [16.0, 8.0, 36.0, 28.0]]}
    return {
        "dialogue": "d",
        "frame_rate": 25,
        "detector": {"id": "by hand", "sha256": None},
        "tracks": [track],
        **changes,
    }


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_gaps_are_filled_and_marked(tmp_path: Path) -> None:
    path = write(tmp_path / "d.tracks.json", document())
    found = read_face_tracks(path, "d", SIZE)
    assert found.frames.tolist() == [4, 5, 6, 7, 8]
    np.testing.assert_allclose(found.boxes[:, 0], [10, 10, 12, 14, 16])
    assert found.scores.tolist() == [1, 1, 0, 0, 1]
    assert found.identities == ("ann",)
    assert found.shots == ((0, 100),)


coordinates = st.integers(0, 40)
drawn_tracks = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30), coordinates, coordinates), max_size=4
)


@given(drawn_tracks)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int, int, int]]
) -> None:
    tracks = [
        Track(
            first,
            np.tile(np.array([x, y, x + 12.5, y + 16], dtype=np.float32), (length, 1)),
            np.linspace(0, 1, length).round(4).astype(np.float32),
        )
        for first, length, x, y in drawn
    ]
    people = [f"person {n}" for n in range(len(tracks))]
    packed = pack_tracks(tracks, people, [(0, 50), (50, 100)])
    path = tmp_path_factory.mktemp("tracks") / "d.tracks.json"
    path.write_text(face_tracks_text(packed, "d", Detector(id="s3fd", sha256="0" * 64)))
    found = read_face_tracks(path, "d", SIZE)
    assert (found.identities, found.shots) == (packed.identities, packed.shots)
    for name in ("boxes", "scores", "frames", "tracks"):
        np.testing.assert_allclose(getattr(found, name), getattr(packed, name), atol=1e-6)
    assert [track.first for track in unpack_tracks(found)] == [track.first for track in tracks]


def track(**changes: Any) -> dict[str, Any]:
    return {"person": "bob", "frames": [0, 1], "boxes": [BOX, BOX], **changes}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('{"dialogue": "d",\n "frame_rate" 25}', r"d\.tracks\.json: not valid JSON: .* at line 2"),
        ('{"dialogue": "d", "dialogue": "e"}', "'dialogue' is given twice"),
        (document(dialogue="e"), "is of dialogue 'e', expected 'd'"),
        (document(frame_rate=30), "frame_rate: Input should be 25"),
        (document(extra=1), "extra: Extra inputs are not permitted"),
        (document(detector={"id": "x", "sha256": "abc"}), "detector.sha256"),
        (document(tracks=[track(frames=[0])]), "track 1: 1 frames, but 2 boxes"),
        (document(tracks=[track(scores=[1.0])]), "track 1: 2 frames, but 1 scores"),
        (document(tracks=[track(frames=[1, 1])]), "frames must rise"),
        (document(tracks=[track(frames=[0, 40])]), "make two tracks"),
        (document(tracks=[track(frames=[0, 1.5])]), "track 1, frames 2"),
        (document(tracks=[track(frames=[0, 100])]), "make two tracks"),
        (document(tracks=[track(frames=[99, 100])]), "frame 100, but the video has 100"),
        (document(tracks=[track(boxes=[BOX, [30, 8, 10, 28.0]])]), "frame 1: the box must have"),
        (document(tracks=[track(boxes=[BOX, [1.0, 2.0]])]), "track 1, boxes 2"),
        (document(tracks=[track(boxes=[BOX, [70.0, 1, 90, 9]])]), "does not fit .* of 64x48"),
        (document(tracks=[track(boxes=[BOX, [-900.0, 1, 900, 9]])]), "does not fit"),
        (document(tracks=[track(person="")]), "track 1, person"),
    ],
)
def test_problems_are_named_with_their_place(tmp_path: Path, value: Any, problem: str) -> None:
    path = write(tmp_path / "d.tracks.json", value)
    with pytest.raises(UserError, match=problem):
        read_face_tracks(path, "d", SIZE)


def test_a_problem_has_the_line_of_its_track(tmp_path: Path) -> None:
    text = json.dumps(document(tracks=[track(), track(frames=[3, 2])]), indent=1)
    line = text.split("\n").index("  {", text.count("\n", 0, text.index('"tracks"')) + 3) + 1
    path = write(tmp_path / "d.tracks.json", text)
    with pytest.raises(UserError, match=rf"d\.tracks\.json:{line}: track 2: frame 2 comes after"):
        read_face_tracks(path, "d", SIZE)


def test_more_problems_than_a_person_reads_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "d.tracks.json", document(tracks=[track(person="")] * 8))
    with pytest.raises(UserError, match="and 3 more"):
        read_face_tracks(path, "d", SIZE)


def extractor(folder: Path) -> GivenFaces:
    return GivenFaces(GivenFacesSettings(folder=str(folder)), ())


def inputs(dialogue: str) -> Inputs:
    audio = Audio(np.zeros(64_000, dtype=np.float32))
    frames = np.zeros((*SIZE, 3), dtype=np.uint8)
    return Inputs(audio, Dialogue(dialogue, ()), Artifacts({}), frames=frames)


def test_the_extractor_reads_the_dialogues_own_file(tmp_path: Path) -> None:
    write(tmp_path / "d.tracks.json", document())
    write(tmp_path / "e.tracks.json", document(dialogue="e", tracks=[]))
    first, second = extractor(tmp_path).extract([inputs("d"), inputs("e")])
    assert len(first.boxes) == 5
    assert (len(second.boxes), second.identities) == (0, ())
    with pytest.raises(UserError, match=r"f\.tracks\.json: no such file"):
        extractor(tmp_path).extract([inputs("f")])


def test_a_changed_file_is_another_identity_and_an_empty_folder_a_problem(tmp_path: Path) -> None:
    assert "no .tracks.json file in" in extractor(tmp_path).problems()[0]
    write(tmp_path / "d.tracks.json", document())
    before = extractor(tmp_path).identity()
    assert extractor(tmp_path).problems() == []
    write(tmp_path / "d.tracks.json", document(tracks=[]))
    assert extractor(tmp_path).identity() != before
