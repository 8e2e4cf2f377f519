"""The example systems of Task 3: each has its one defect in its pixels, and no other."""

from __future__ import annotations

import shutil
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from mouths import (
    CLIPS,
    DIALOGUES,
    MINI,
    Series,
    correlation,
    darkness,
    pictures,
    scene_of,
    sound,
)

from mmdia_eval import example_video_systems
from mmdia_eval.errors import UserError
from mmdia_eval.example_clips import Frames, Scene
from mmdia_eval.example_video_systems import VIDEO_SYSTEMS, make_video_systems
from mmdia_eval.types import SAMPLE_RATE

SINGLE, TWO, REVERSE = "mini_video_02", "mini_video_05", "mini_video_09"
NAMES = (SINGLE, TWO, REVERSE)


@cache
def scene(name: str) -> Scene:
    return scene_of(CLIPS[name])


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini benchmark with the clips NAMES alone."""
    copy = tmp_path_factory.mktemp("few") / "mini"
    shutil.copytree(MINI, copy, ignore=shutil.ignore_patterns("takes"))
    lines = (copy / "clips.jsonl").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if any(name in line for name in NAMES)]
    (copy / "clips.jsonl").write_text("".join(kept), "utf-8")
    return copy


@pytest.fixture(scope="module")
def systems(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("systems")
    stale = out / "frozen" / "output_mini_video_01.mp4"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    assert make_video_systems(few, out) == [out / name for name in VIDEO_SYSTEMS]
    return out


@cache
def output(systems: Path, system: str, name: str) -> Frames:
    return pictures(systems / system / f"output_{name}.mp4")


def mouth(systems: Path, system: str, name: str, person: str) -> Series:
    return darkness(output(systems, system, name), scene(name), person)


def heads_apart(left: Frames, right: Frames, name: str) -> float:
    """Mean difference of the pictures' upper fifth and lower quarter, where no mouth is."""
    pair = left.astype(float), right.astype(float)
    top, bottom = (np.abs(pair[0][:, at] - pair[1][:, at]) for at in (slice(48), slice(-60, None)))
    return float((top.mean() + bottom.mean()) / 2)


def test_every_system_answers_every_clip_and_says_who_it_is(systems: Path) -> None:
    expected = {f"output_{name}.mp4" for name in NAMES} | {"submission.toml"}
    for name, system in VIDEO_SYSTEMS.items():
        assert {path.name for path in (systems / name).iterdir()} == expected
        told = tomllib.loads((systems / name / "submission.toml").read_text("utf-8"))
        assert (told["name"], told["notes"]) == (name, system.defect)


def test_reference_is_the_clip_itself(systems: Path) -> None:
    for name in NAMES:
        path = DIALOGUES[name].video
        assert path is not None
        copy = systems / "reference" / f"output_{name}.mp4"
        assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("system", list(VIDEO_SYSTEMS))
def test_sound_length_and_size_are_right_in_all(systems: Path, system: str) -> None:
    for name in NAMES:
        driving = sound(DIALOGUES[name].audio)
        heard = sound(systems / system / f"output_{name}.mp4")[: len(driving)]
        assert np.corrcoef(driving, heard)[0, 1] > 0.98
        frames = output(systems, system, name)
        assert frames.shape == output(systems, "reference", name).shape
        assert len(frames) == 25 * len(driving) // SAMPLE_RATE


@pytest.mark.parametrize("system", ["lagged", "swapped-mouths", "silent-mouths"])
def test_the_mouths_alone_are_wrong(systems: Path, system: str) -> None:
    for name in NAMES:
        found, right = output(systems, system, name), output(systems, "reference", name)
        assert heads_apart(found, right, name) < 2


def test_lagged_is_five_frames_late(systems: Path) -> None:
    for name, person in ((SINGLE, "Ruth"), (TWO, "Hugh"), (TWO, "Clara"), (REVERSE, "Paul")):
        late = mouth(systems, "lagged", name, person)
        right = mouth(systems, "reference", name, person)
        fits = [correlation(late[10 + k : -10 + k or None], right[10:-10]) for k in range(11)]
        assert np.argmax(fits) == 5
        assert max(fits) > 0.9


def test_swapped_moves_the_listeners_mouth_and_holds_the_speakers(systems: Path) -> None:
    for speaker, listener in (("Hugh", "Clara"), ("Clara", "Hugh")):
        right = scene(TWO).openings[speaker].astype(float)
        assert correlation(mouth(systems, "swapped-mouths", TWO, listener), right) > 0.9
        assert correlation(mouth(systems, "reference", TWO, speaker), right) > 0.9
        assert correlation(mouth(systems, "swapped-mouths", TWO, speaker), right) < 0.2


def test_swapped_holds_the_mouth_of_him_whom_the_camera_shows(systems: Path) -> None:
    for name, person in ((SINGLE, "Ruth"), (REVERSE, "Paul"), (REVERSE, "Mia")):
        moved = np.nanstd(mouth(systems, "swapped-mouths", name, person))
        assert moved < 0.2 * np.nanstd(mouth(systems, "reference", name, person))


def test_silent_mouths_stay_closed(systems: Path) -> None:
    for name in NAMES:
        for person in CLIPS[name].cast:
            closed = mouth(systems, "silent-mouths", name, person)
            opened = mouth(systems, "reference", name, person)
            assert np.nanmax(closed) < 0.35 * np.nanmax(opened)


def most_motion(frames: Frames) -> Series:
    """Mean difference of the 16 x 16 block that changes most, from each frame to the next."""
    change = np.abs(np.diff(frames.mean(axis=3, dtype=np.float32), axis=0))
    blocks = change.reshape(len(change), 15, 16, 20, 16).mean(axis=(2, 4), dtype=np.float64)
    return np.asarray(blocks.max(axis=(1, 2)))


def test_frozen_is_one_picture_but_for_what_coding_adds(systems: Path) -> None:
    for name in NAMES:
        frames, right = output(systems, "frozen", name), output(systems, "reference", name)
        assert most_motion(frames).max() < 1
        assert np.abs(frames.astype(np.int16) - frames[0]).max() < 10
        assert np.abs(frames[0].astype(float) - right[0]).mean() < 2
        assert np.mean(most_motion(right) > 2) > 0.9


def detail(frames: Frames) -> float:
    return float((np.diff(frames.mean(axis=3), axis=2) ** 2).mean())


def test_blurred_lacks_detail_and_nothing_else(systems: Path) -> None:
    for name in NAMES:
        right, blurred = (output(systems, system, name) for system in ("reference", "blurred"))
        assert detail(blurred) < 0.25 * detail(right)
        coarse = [f[:, ::24, ::24].astype(np.float64).reshape(len(f), -1) for f in (right, blurred)]
        assert correlation(coarse[0], coarse[1]) > 0.9
        assert correlation(most_motion(right), most_motion(blurred)) > 0.6


def test_missing_face_shows_hair_where_faces_were(systems: Path) -> None:
    for name in NAMES:
        frames = output(systems, "missing-face", name)
        for number in range(0, len(frames), 12):
            for person, pose in scene(name).poses[number].items():
                hair = np.array(scene(name).look(person).hair)
                for v in (-0.4, 0.0, 0.3):
                    x, y = pose.pixel(0, v)
                    around = frames[
                        number, round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4
                    ]
                    assert np.abs(around.mean(axis=(0, 1)) - hair).max() < 45


def test_a_face_detector_is_blind_to_missing_face_alone(systems: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    for system in VIDEO_SYSTEMS:
        found = wanted = 0
        for name in (TWO, REVERSE):
            for number, frame in enumerate(output(systems, system, name)):
                if number % 12 == 0:
                    gray = frame.mean(axis=2).astype(np.uint8)
                    found += len(detector.detectMultiScale(gray, 1.1, 5, minSize=(50, 50)))
                    wanted += len(scene(name).poses[number])
        if system == "missing-face":
            assert found == 0
        else:
            assert found >= 0.9 * wanted, system


def test_a_second_run_gives_the_same_bytes(few: Path, systems: Path, tmp_path: Path) -> None:
    lines = (few / "clips.jsonl").read_text("utf-8").splitlines(keepends=True)
    copy = shutil.copytree(few, tmp_path / "mini")
    (copy / "clips.jsonl").write_text(lines[0], "utf-8")
    make_video_systems(copy, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*/*.*"):
        assert path.read_bytes() == (systems / path.relative_to(tmp_path / "out")).read_bytes()


def test_what_is_there_is_not_drawn_again(
    few: Path, systems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*args: object) -> None:
        raise AssertionError

    written = {path: path.stat().st_mtime_ns for path in systems.rglob("*")}
    monkeypatch.setattr(example_video_systems, "make_scene", draw)
    assert make_video_systems(few, systems) == [systems / name for name in VIDEO_SYSTEMS]
    assert {path: path.stat().st_mtime_ns for path in systems.rglob("*")} == written


@pytest.mark.parametrize("change", ["a file is gone", "a file is another", "one too many", "clips"])
def test_what_is_not_all_there_is_drawn_again(
    few: Path, systems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    out = shutil.copytree(systems, tmp_path / "out")
    mini = shutil.copytree(few, tmp_path / "mini")
    name = out / "frozen" / f"output_{TWO}.mp4"
    if change == "clips":
        lines = (mini / "clips.jsonl").read_text("utf-8").splitlines(keepends=True)
        (mini / "clips.jsonl").write_text("".join(lines[:2]), "utf-8")
    elif change == "a file is gone":
        name.unlink()
    else:
        name = name.with_name("output_more.mp4") if change == "one too many" else name
        name.write_bytes(b"something")
    drawn: list[str] = []
    monkeypatch.setattr(
        example_video_systems, "_answer", lambda out, clip, *dialogues: drawn.append(clip.id)
    )
    make_video_systems(mini, out)
    assert sorted(drawn) == sorted(NAMES[:2] if change == "clips" else NAMES)
    assert not (out / "frozen" / "output_more.mp4").exists()


def test_a_benchmark_without_clips_is_refused(tmp_path: Path) -> None:
    copy = shutil.copytree(MINI, tmp_path / "mini")
    (copy / "clips.jsonl").unlink()
    with pytest.raises(UserError, match=r"clips\.jsonl is missing"):
        make_video_systems(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_clip_is_named(few: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(few, tmp_path / "mini")
    (copy / "media" / f"{TWO}.mp4").unlink()
    with pytest.raises(UserError, match=f"'{TWO}': its clip is missing"):
        make_video_systems(copy, tmp_path / "out")
