"""The mini benchmark's clips: what they promise, and that pictures and sound are what is told."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from mouths import (
    CLIPS,
    DIALOGUES,
    MINI,
    correlation,
    darkness,
    dialogue_of,
    envelope,
    pictures,
    scene_of,
    sound,
)

from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.example_clips import (
    FRAMINGS,
    HEIGHT,
    SAMPLES,
    WIDTH,
    Clip,
    Frames,
    Scene,
    opening,
    read_clips,
    segments_of,
    write_mp4,
)
from mmdia_eval.example_faces import LOOKS, Pose, draw_mouth, draw_person, draw_room, finished
from mmdia_eval.examples import make_mini_clips
from mmdia_eval.types import FRAME_RATE, SAMPLE_RATE, Audio, Segment

ALL = pytest.mark.parametrize("clip", CLIPS.values(), ids=list(CLIPS))


@cache
def scene(name: str) -> Scene:
    return scene_of(CLIPS[name])


@cache
def shown(name: str) -> Frames:
    return pictures(DIALOGUES[name].video)


def seen(clip: Clip) -> list[set[str]]:
    return [set(shot.people) for shot in clip.shots]


def test_twelve_clips_of_task_3_in_the_bench_split() -> None:
    mini = load_benchmark(MINI)
    assert [one.id for one in mini.split("bench", 3)] == list(CLIPS)
    assert len(CLIPS) == 12
    assert all(one.video is None for one in mini.split("bench", 1))
    assert len(mini.scripts) == 167, "excerpts say nothing new to a language model"


def test_every_kind_of_shot_is_there() -> None:
    clips = CLIPS.values()
    speakers = {clip.id: set(dialogue_of(clip).speakers) for clip in clips}
    single = [c for c in clips if all(people == speakers[c.id] for people in seen(c)) and c.cast]
    single = [c for c in single if len(speakers[c.id]) == 1]
    two = [c for c in clips if len(c.shots) == 1 and len(c.shots[0].people) == 2]
    cut = [c for c in clips if len(c.shots) > 1]
    unseen = [c for c in clips if speakers[c.id] - set(c.cast)]
    assert (len(single), len(two), len(cut), len(unseen)) == (3, 4, 4, 1)
    looks = [clip.cast[name] for clip in clips for name in clip.cast]
    assert set(looks) == set(LOOKS)
    assert all(len(set(clip.cast.values())) == len(clip.cast) for clip in clips)


def test_only_one_clip_has_two_speaking_at_once() -> None:
    overlaps = {}
    for clip in CLIPS.values():
        segments = segments_of(dialogue_of(clip))
        overlaps[clip.id] = sum(left.overlap(right) for left, right in pairwise(segments))
    assert overlaps.pop("mini_video_12") == pytest.approx(0.7)
    assert set(overlaps.values()) == {0}


def test_a_cut_falls_inside_a_turn() -> None:
    (cut,) = (shot.first / FRAME_RATE for shot in CLIPS["mini_video_07"].shots[1:])
    first = segments_of(dialogue_of(CLIPS["mini_video_07"]))[0]
    assert first.start + 0.5 < cut < first.end - 0.5


@ALL
def test_files_are_what_the_manifest_says(clip: Clip) -> None:
    dialogue = dialogue_of(clip)
    assert dialogue.duration is not None
    assert 4 <= dialogue.duration <= 8
    assert 2 <= len(dialogue.turns) <= 3
    with av.open(str(dialogue.video)) as container:
        picture, speech = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, speech.codec_context.name) == ("h264", "aac")
        assert (picture.width, picture.height) == (WIDTH, HEIGHT)
        assert picture.average_rate == FRAME_RATE
        assert picture.start_time == speech.start_time == 0
        assert (speech.sample_rate, speech.channels) == (SAMPLE_RATE, 1)
        times = [frame.time for frame in container.decode(video=0)]
    frames = round(dialogue.duration * FRAME_RATE)
    assert times == pytest.approx(np.arange(frames) / FRAME_RATE)


def test_the_clips_are_small() -> None:
    clips = sum(path.stat().st_size for path in MINI.glob("media/mini_video_*"))
    everything = sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file())
    assert clips < 1_200_000
    assert everything < 4_000_000


@ALL
def test_the_driving_recording_is_the_sound_of_the_clip(clip: Clip) -> None:
    dialogue = dialogue_of(clip)
    driving, heard = sound(dialogue.audio), sound(dialogue.video)
    assert len(driving) / SAMPLE_RATE == dialogue.duration
    middle = driving[4000:-4000]
    match = [float(middle @ heard[4000 + k : 4000 + k + len(middle)]) for k in range(-40, 41)]
    assert np.argmax(match) == 40, "they begin together, to the sample"
    assert np.corrcoef(driving, heard[: len(driving)])[0, 1] > 0.98


@ALL
def test_turns_are_where_the_sound_is(clip: Clip) -> None:
    dialogue, source = dialogue_of(clip), DIALOGUES[clip.source]
    driving, whole = Audio(sound(dialogue.audio)), Audio(sound(source.audio))
    spoken = np.zeros(len(driving.samples), bool)
    origin = [segments_of(source)[number] for number in clip.turns]
    for segment, there in zip(segments_of(dialogue), origin, strict=True):
        spoken[round(segment.start * SAMPLE_RATE) : round(segment.end * SAMPLE_RATE)] = True
        alone = 0.7 if clip.id == "mini_video_12" else 0.98
        pair = driving.cut(segment).samples, whole.cut(there).samples
        assert np.corrcoef(*pair)[0, 1] > alone
    assert np.sqrt((driving.samples[~spoken] ** 2).mean()) < 0.005


def test_scenes_and_turns_are_those_of_the_scripts_as_they_are_now() -> None:
    scripts = make_mini_clips.read_scripts(make_mini_clips.SCRIPTS)
    assert [json.loads(json.dumps(asdict(make_mini_clips.to_clip(s)))) for s in scripts] == [
        json.loads(line) for line in (MINI / "clips.jsonl").read_text("utf-8").splitlines()
    ]
    for script in scripts:
        made = make_mini_clips.excerpt(script, DIALOGUES[script["source"]])
        stored = DIALOGUES[script["id"]]
        assert made.turns == stored.turns
        assert (made.duration, made.style) == (stored.duration, stored.style)
        assert made.tasks == stored.tasks == (3,)


def test_the_licence_covers_the_clips() -> None:
    text = make_mini_clips.SCRIPTS.with_name("LICENSE-mini.txt").read_text("utf-8")
    assert "pictures of the clips (*.mp4)" in text
    assert "drawn by mmdia_eval/example_faces.py" in text


@pytest.mark.parametrize("name", ["mini_video_03", "mini_video_08"])
def test_the_files_show_what_is_drawn(name: str) -> None:
    drawn = scene(name).film(scene(name).openings)
    for found, wanted in zip(shown(name)[::7], drawn[::7], strict=True):
        error = np.mean((found.astype(float) - wanted) ** 2)
        assert 10 * np.log10(255**2 / error) > 34


@pytest.mark.parametrize("name", ["mini_video_01", "mini_video_05", "mini_video_09"])
def test_mouths_open_with_their_owners_turns_and_with_no_other(name: str) -> None:
    dialogue, frames = DIALOGUES[name], shown(name)
    loudness = envelope(sound(dialogue.audio))
    for person in CLIPS[name].cast:
        dark = darkness(frames, scene(name), person)
        own = np.zeros(len(frames), bool)
        for turn, segment in zip(dialogue.turns, segments_of(dialogue), strict=True):
            if turn.speaker == person:
                own[round(segment.start * FRAME_RATE) : round(segment.end * FRAME_RATE)] = True
        seen_then = own & np.isfinite(dark)
        assert correlation(dark[seen_then], loudness[: len(dark)][seen_then]) > 0.75
        assert correlation(dark, scene(name).openings[person].astype(float)) > 0.95
        still = np.isfinite(dark) & ~np.convolve(own, np.ones(3), mode="same").astype(bool)
        assert np.ptp(dark[still]) < 0.3 * np.ptp(dark[seen_then])


def test_in_an_overlap_both_mouths_move() -> None:
    moving = scene("mini_video_12").openings
    first, second = segments_of(DIALOGUES["mini_video_12"])
    both = slice(round(second.start * FRAME_RATE), round(first.end * FRAME_RATE))
    assert min(float(moving[name][both].max()) for name in ("Lawyer", "Judge")) > 0.5


def test_an_opening_follows_loudness() -> None:
    tone = np.sin(np.arange(20 * SAMPLES) / 5).astype(np.float32)
    gain = np.repeat(np.r_[np.zeros(5), np.linspace(0.2, 1, 10), np.zeros(5)], SAMPLES)
    opened = opening(tone * gain.astype(np.float32))
    assert opened.shape == (20,)
    assert 0 <= opened.min() < opened.max() <= 1
    assert (np.diff(opened[4:13]) > 0).all()
    assert not opened[:4].any()
    assert not opened[-4:].any()
    assert not opening(np.zeros(3 * SAMPLES, np.float32)).any()


def test_the_same_scene_gives_the_same_frames_and_files(tmp_path: Path) -> None:
    clip = CLIPS["mini_video_04"]
    first, second = (scene_of(clip) for _ in range(2))
    frames = first.film(first.openings)
    assert np.array_equal(frames, second.film(second.openings))
    for file in ("a.mp4", "b.mp4"):
        write_mp4(tmp_path / file, frames[:30].copy(), first.sound[: 30 * SAMPLES])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_mouth_changes_nothing_but_its_place() -> None:
    picture = draw_room(WIDTH, HEIGHT, (150, 150, 150))
    pose = Pose(150, 110, 60, tilt=0.05, turn=0.3)
    draw_person(picture, LOOKS["brown"], pose)
    before = np.ascontiguousarray(finished(picture))
    frame = before.copy()
    draw_mouth(frame, LOOKS["brown"], pose, 1.0)
    rows, columns = np.nonzero((frame != before).any(axis=2))
    x, y = pose.mouth
    assert abs(columns - x).max() < 0.45 * pose.size
    assert -0.2 * pose.size < (rows - y).min() < (rows - y).max() < 0.51 * pose.size
    assert frame[round(y + 0.1 * pose.size), round(x)].mean() < 60


def test_a_head_half_outside_the_picture_is_cut_off() -> None:
    for x, y in ((-30, 100), (330, 100), (160, -40), (160, 270), (900, 900)):
        picture = draw_room(WIDTH, HEIGHT, (150, 150, 150))
        draw_person(picture, LOOKS["auburn"], Pose(x, y, 60))
        frame = np.ascontiguousarray(finished(picture))
        draw_mouth(frame, LOOKS["auburn"], Pose(x, y, 60), 0.5)
        assert frame.shape == (HEIGHT, WIDTH, 3)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"clips\.jsonl is missing"):
        read_clips(tmp_path)


def haar() -> Any:
    cv2 = pytest.importorskip("cv2")
    return cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")


def covers(box: tuple[float, ...], face: tuple[float, float, float, float]) -> bool:
    """Intersection over union above 0.4."""
    x, y, width, height = box
    inner = Segment(x, x + width).overlap(Segment(face[0], face[2]))
    inner *= Segment(y, y + height).overlap(Segment(face[1], face[3]))
    union = width * height + (face[2] - face[0]) * (face[3] - face[1]) - inner
    return inner / union > 0.4


def test_a_face_detector_finds_every_face_and_nothing_else() -> None:
    detector, others = haar(), 0
    found: dict[tuple[str, str], int] = {}
    wanted: dict[tuple[str, str], int] = {}
    for name in CLIPS:
        for frame, poses in list(zip(shown(name), scene(name).poses, strict=True))[::10]:
            gray = frame.mean(axis=2).astype(np.uint8)
            boxes = list(detector.detectMultiScale(gray, 1.1, 5, minSize=(50, 50)))
            for person, pose in poses.items():
                hits = [box for box in boxes if covers(box, pose.box)]
                wanted[name, person] = wanted.get((name, person), 0) + 1
                found[name, person] = found.get((name, person), 0) + bool(hits)
                others -= len(hits)
            others += len(boxes)
    assert min(found[face] / wanted[face] for face in wanted) > 0.95
    assert others <= 1


def test_a_cut_detector_finds_exactly_the_cuts() -> None:
    scenedetect = pytest.importorskip("scenedetect")
    for clip in CLIPS.values():
        path = str(dialogue_of(clip).video)
        scenes = scenedetect.detect(path, scenedetect.ContentDetector())
        assert [one[0].frame_num for one in scenes[1:]] == [shot.first for shot in clip.shots[1:]]


def test_a_shot_shows_as_many_as_its_framing_has_places() -> None:
    for clip in CLIPS.values():
        assert clip.shots[0].first == 0
        for shot in clip.shots:
            assert len(shot.people) == len(FRAMINGS[shot.framing].places)
            assert set(shot.people) <= set(clip.cast) <= set(dialogue_of(clip).speakers)
