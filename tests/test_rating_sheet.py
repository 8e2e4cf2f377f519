from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from test_leaderboard import CHROMIUM, browse
from tiny_video import pictures, write_video

from mmdia_eval.errors import UserError
from mmdia_eval.rating_sheet import make_sheet
from mmdia_eval.submission import Submission, SystemInfo
from mmdia_eval.types import Dialogue, Keyframe, Sample, Style, Turn

DIALOGUES = [
    Dialogue(
        f"d{number}",
        (Turn("Ann", "Hello. </script><script>window.xss=1</script>"), Turn("Bob", "(laughs) Hi.")),
        Style(description="calm <b>"),
    )
    for number in range(3)
]


def submission(folder: Path, name: str, ids: range, channels: int = 1) -> Submission:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(len(name)).normal(0, 0.1, (4410, channels))
    samples = []
    for number, dialogue in enumerate(DIALOGUES):
        path = folder / f"{dialogue.id}.wav"
        if number in ids:
            soundfile.write(path, noise, 44100)
        samples.append(Sample(dialogue, path if number in ids else None))
    return Submission(SystemInfo(name=name), tuple(samples))


@pytest.fixture
def pair(tmp_path: Path) -> list[Submission]:
    return [
        submission(tmp_path / "alpha", "alpha", range(3)),
        submission(tmp_path / "beta", "beta", range(2), channels=2),
    ]


def page_data(page: Path) -> dict[str, Any]:
    text = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert text is not None
    data: dict[str, Any] = json.loads(text[1])
    return data


def test_a_sheet_is_blind_and_its_key_tells(tmp_path: Path, pair: list[Submission]) -> None:
    key = make_sheet(pair, ["quality"], tmp_path / "sheet", seed="x")
    page = (tmp_path / "sheet" / "index.html").read_text()
    assert not re.search("alpha|beta|d0", page)
    lines = list(csv.DictReader(key.read_text().splitlines()))
    assert sorted((line["system"], line["dialogue"]) for line in lines) == [
        ("alpha", "d0"),
        ("alpha", "d1"),
        ("beta", "d0"),
        ("beta", "d1"),
    ]
    clips = sorted(path.stem for path in (tmp_path / "sheet" / "clips").iterdir())
    assert clips == sorted(line["clip"] for line in lines)


def test_clips_keep_rate_and_length_in_one_channel(tmp_path: Path, pair: list[Submission]) -> None:
    make_sheet(pair, ["quality"], tmp_path / "sheet", seed="x")
    for clip in (tmp_path / "sheet" / "clips").iterdir():
        info = soundfile.info(clip)
        assert (info.samplerate, info.frames, info.channels) == (44100, 4410, 1)


def test_the_seed_decides(tmp_path: Path, pair: list[Submission]) -> None:
    keys = [
        make_sheet(pair, ["quality"], tmp_path / str(number), seed=seed, dialogues=1).read_text()
        for number, seed in enumerate("xxy")
    ]
    assert keys[0] == keys[1] != keys[2]


def test_texts_cannot_leave_their_element(tmp_path: Path, pair: list[Submission]) -> None:
    make_sheet(pair, ["quality"], tmp_path / "sheet", seed="x")
    page = tmp_path / "sheet" / "index.html"
    assert page.read_text().count("<script>") == 1
    clips = page_data(page)["clips"]
    assert isinstance(clips, list)
    assert clips[0]["turns"][1] == ["Bob", "Hi."]


def test_what_cannot_be_made_is_refused_and_nothing_is_left(
    tmp_path: Path, pair: list[Submission]
) -> None:
    out = tmp_path / "sheet"
    with pytest.raises(UserError, match="two folders are of the system alpha"):
        make_sheet([pair[0], pair[0]], ["quality"], out, seed="x")
    (tmp_path / "beta" / "d1.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match=r"beta/d1\.wav: unreadable"):
        make_sheet(pair, ["quality"], out, seed="x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alpha", "beta"]
    lone = submission(tmp_path / "gamma", "gamma", range(2, 3))
    with pytest.raises(UserError, match="no dialogue that every system answered"):
        make_sheet([pair[1], lone], ["quality"], out, seed="x")
    out.mkdir()
    with pytest.raises(UserError, match="is there already"):
        make_sheet(pair, ["quality"], out, seed="x")


def test_videos_are_shown_with_the_recording_they_were_made_for(tmp_path: Path) -> None:
    rate, seconds = 22050, 1.0
    tone = (0.3 * np.sin(np.arange(round(rate * seconds)) / 9)).astype(np.float32)
    soundfile.write(tmp_path / "driving.wav", tone, rate)
    dialogue = replace(DIALOGUES[0], audio=tmp_path / "driving.wav")
    source = write_video(tmp_path / "d0.mp4", pictures(25, 1280, 720))
    system = Submission(SystemInfo(name="alpha"), (Sample(dialogue, source),))
    make_sheet([system], ["quality"], tmp_path / "sheet", seed="x", task=3)
    page = tmp_path / "sheet" / "index.html"
    assert '<video id="player"' in page.read_text()
    (clip,) = page_data(page)["clips"]
    assert clip["file"] == f"{clip['code']}.mp4"
    assert (clip["description"], clip["pictures"]) == ("", [])
    assert "How good is the picture?" in page.read_text()
    with av.open(str(page.parent / "clips" / clip["file"])) as made:
        assert (made.streams.video[0].height, made.streams.audio[0].rate) == (720, 48_000)
        assert float(made.duration or 0) / 1e6 == pytest.approx(1, abs=0.1)
    source.write_bytes(b"no video")
    with pytest.raises(UserError, match=r"d0\.mp4: unreadable"):
        make_sheet([system], ["quality"], tmp_path / "other", seed="x", task=3)


def test_task_2_shows_the_keyframes_in_the_place_of_the_description(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "secret-name.png"), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        frame = av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    system = submission(tmp_path / "alpha", "alpha", range(1))
    keyframe = Keyframe(tmp_path / "secret-name.png", 1.5, "Ann")
    dialogue = replace(DIALOGUES[0], keyframes=(keyframe,))
    system = replace(system, samples=(replace(system.samples[0], dialogue=dialogue),))
    make_sheet([system], ["instruction_following"], tmp_path / "sheet", seed="x", task=2)
    page = tmp_path / "sheet" / "index.html"
    (clip,) = page_data(page)["clips"]
    assert clip["pictures"] == [[f"{clip['code']}-1.jpg", "Ann, 1.5 s"]]
    assert (page.parent / "clips" / clip["pictures"][0][0]).read_bytes()[:2] == b"\xff\xd8"
    assert clip["description"] == ""
    assert "fit the pictures?" in page.read_text()
    assert "secret-name" not in page.read_text()


PROBE = """<script>
document.getElementById("rater").value = "ann";
document.getElementById("begin").requestSubmit();
document.getElementById("clip").requestSubmit();
document.querySelector('input[value="4"]').click();
document.getElementById("player").dispatchEvent(new Event("ended"));
document.getElementById("clip").requestSubmit();
document.title = JSON.stringify(
  [document.getElementById("progress").textContent, csv(), window.xss ?? null]);
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_rater_in_a_browser(tmp_path: Path, pair: list[Submission]) -> None:
    make_sheet(pair, ["quality"], tmp_path / "sheet", seed="x")
    page = tmp_path / "sheet" / "index.html"
    # The probe is a script of ours, so the policy that would refuse it is lifted for the test.
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    page.write_text(html.replace("</body>", f"{PROBE}</body>"))
    seen = browse(page, tmp_path / "profile").stdout
    title = re.search(r"<title>(.*?)</title>", seen, re.DOTALL)
    assert title is not None
    progress, lines, xss = json.loads(title[1])
    assert progress == "Clip 2 of 4"
    header, rating = lines.splitlines()
    assert header == '"rater","clip","dimension","rating","position"'
    assert re.fullmatch(r'"ann","[0-9a-f]{12}","quality","4","1"', rating)
    assert xss is None
