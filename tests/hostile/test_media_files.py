"""Each hostile file among good ones: its own code, nothing asked or told, no other clip changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import soundfile
from tiny_video import pictures, write_video

from hostile import files, playlists, recordings, videos
from hostile.case import Case, marked
from hostile.lab import GOOD, Lab, Run, ids_of, lab
from hostile.recordings import RATE, speech

SOUNDS: list[Case] = [
    *playlists.PLAYLISTS,
    *files.PROTOCOLS,
    *recordings.BOMBS,
    *recordings.CORRUPT,
    *files.OBJECTS,
    *files.UNICODE,
    *recordings.PICKLES,
    *recordings.YAML,
    *recordings.SILENCE,
]
SECONDS = 120.0
"""In which all of them must be done: bounded time for each, on a slow and busy machine."""
TOY_VIDEO = """
name = "toy"
version = "1"
summary = "toys"
comparable = false
tasks = [3]
[extractors.seen]
extractor = "toy_seen"
[[metrics]]
name = "seen"
metric = "toy_seen"
"""


@dataclass
class Scored:
    lab: Lab
    ids: dict[str, Case]
    alone: Run
    runs: dict[str, Run]

    def dialogue(self, case: Case) -> str:
        return next(id_ for id_, one in self.ids.items() if one is case)


def _scored(place: Lab, cases: list[Case], arguments: list[str], plugins: str = "") -> Scored:
    """The good ones alone, then all, with the strongest sandbox and with none."""
    ids = ids_of(cases)
    alone = place.run(*arguments, "--sandbox", "off", name="alone", plugins=plugins)
    for id_, case in ids.items():
        case.make(place.site(id_, case.extension))
    runs = {
        mode: place.run(*arguments, "--sandbox", mode, name=mode, plugins=plugins)
        for mode in ("auto", "off")
    }
    return Scored(place, ids, alone, runs)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    with lab(tmp_path_factory.mktemp("sounds")) as place:
        place.benchmark([*GOOD, *ids_of(SOUNDS)])
        for number, id_ in enumerate(GOOD):
            soundfile.write(place.outputs / f"{id_}.wav", speech(2 + number / 4), RATE)
        yield _scored(place, SOUNDS, ["--metric", "duration_ratio"])


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    with lab(tmp_path_factory.mktemp("videos")) as place:
        good = write_video(place.root / "good.mp4", pictures(10))
        place.benchmark([*GOOD, *ids_of(videos.VIDEOS)], video=good)
        for id_ in GOOD:
            (place.outputs / f"{id_}.mp4").write_bytes(good.read_bytes())
        (place.root / "toy.toml").write_text(TOY_VIDEO, encoding="utf-8")
        arguments = ["--task", "3", "--protocol", str(place.root / "toy.toml")]
        yield _scored(place, videos.VIDEOS, arguments, "import toy_video_plugins")


@pytest.fixture(params=["sounds", "videos"])
def scored(request: pytest.FixtureRequest) -> Scored:
    name = "seen" if request.param == "videos" else request.param
    found: Scored = request.getfixturevalue(name)
    return found


@pytest.mark.parametrize("case", marked(SOUNDS))
def test_a_recording_gets_its_code(sounds: Scored, case: Case) -> None:
    _check(sounds, case)


@pytest.mark.parametrize("case", marked(videos.VIDEOS))
def test_a_video_gets_its_code(seen: Scored, case: Case) -> None:
    _check(seen, case)


def _check(scored: Scored, case: Case) -> None:
    dialogue = scored.dialogue(case)
    for mode, run in scored.runs.items():
        assert run.code_of(dialogue) in case.expected, (mode, run.rows[dialogue])


def test_no_other_clip_is_changed(scored: Scored) -> None:
    for run in scored.runs.values():
        for id_ in GOOD:
            assert run.rows[id_]["status"] == "scored"
            assert run.rows[id_] == scored.alone.rows[id_]


def test_the_result_is_complete_and_says_how_files_were_opened(scored: Scored) -> None:
    """No hostile file is taken for a fault of the harness's, which would leave it out."""
    for mode, run in scored.runs.items():
        assert run.code == 0, run.said
        assert run.results["status"] == "complete"
        assert (run.results["provenance"]["sandbox"] == "off") == (mode == "off")


def test_it_takes_bounded_time(scored: Scored) -> None:
    assert max(run.seconds for run in scored.runs.values()) < SECONDS


def test_nobody_asks_the_network(scored: Scored) -> None:
    assert scored.lab.canary.asked == 0


def test_no_secret_comes_out(scored: Scored) -> None:
    for mode, run in scored.runs.items():
        assert scored.lab.leaks(run, mode) == []


def test_nothing_is_executed(scored: Scored) -> None:
    assert not scored.lab.marker.exists()


def test_names_are_shown_without_what_a_terminal_obeys(sounds: Scored) -> None:
    for run in sounds.runs.values():
        shown = run.said.replace("\n", "")
        assert all(c.isprintable() for c in shown), [c for c in shown if not c.isprintable()]
        strangers = len(files.PROTOCOLS) + len(files.UNICODE)
        (warning,) = (w for w in run.results["warnings"] if "match no dialogue" in w)
        assert int(warning.split()[0]) > strangers
        (refused,) = (w for w in run.results["warnings"] if "left unopened" in w)
        assert refused.startswith(f"{len(files.OBJECTS)} outputs")


def test_what_no_speech_sounds_like_is_pointed_out(sounds: Scored) -> None:
    steady = {sounds.dialogue(c) for c in recordings.SILENCE if c.name in recordings.STEADY}
    (warning,) = (w for w in sounds.runs["off"].results["warnings"] if "all the time" in w)
    assert warning.startswith(f"{len(steady)} outputs")
    assert all(id_ in warning for id_ in steady)
