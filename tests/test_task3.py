"""Videos through the harness: decoded once, in parts, with the sound that drives them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import toy_video_plugins  # noqa: F401 - registers the plugins
from tiny_video import pictures, write_video

from mmdia_eval import run as running
from mmdia_eval.choices import Choices
from mmdia_eval.plan import Plan, make_plan
from mmdia_eval.protocol import Protocol
from mmdia_eval.run import RunResult, run
from mmdia_eval.sets import set_value
from mmdia_eval.sources import find_sources
from mmdia_eval.store import Store
from mmdia_eval.types import Dialogue, Sample, Turn

PROTOCOL = Protocol.model_validate(
    {
        "name": "toy",
        "version": "1",
        "summary": "toys",
        "comparable": False,
        "tasks": [1, 3],
        "extractors": {
            "seen": {"extractor": "toy_seen"},
            "video_features": {"extractor": "toy_brightness"},
            "reference_video_features": {"extractor": "toy_brightness"},
        },
        "metrics": [
            {"name": "seen", "metric": "toy_seen", "tasks": [3]},
            {"name": "distance", "metric": "toy_distance", "tasks": [3]},
        ],
    }
)


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * 16000)) / 9)).astype(np.float32)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Ten videos without sound, of references half as bright, driven by recordings."""
    found = []
    for index in range(10):
        folder = tmp_path / f"d{index}"
        folder.mkdir()
        frames = pictures(20 + index)
        reference = write_video(folder / "reference.mp4", frames // 2)
        soundfile.write(folder / "driving.wav", tone(1.5), 16000)
        turns = (Turn("A", "Hello."),)
        dialogue = Dialogue(f"d{index}", turns, audio=folder / "driving.wav", video=reference)
        found.append(Sample(dialogue, write_video(folder / "output.mp4", frames)))
    return found


def plan_of(samples: list[Sample]) -> Plan:
    return make_plan(PROTOCOL, 3, samples, (), choices=Choices(sandbox="off"))


def statuses(result: RunResult, metric: str) -> dict[str, tuple[str, str | None]]:
    return {o.dialogue: (o.status, o.reason) for o in result.outcomes if o.metric == metric}


def test_every_file_is_decoded_once_and_seen_whole(
    tmp_path: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, plan = Store(tmp_path / "cache"), plan_of(samples)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "drop_media", lambda *_: None)
        result = run(plan, store, 2)
    for index, outcome in enumerate(o for o in result.outcomes if o.metric == "seen"):
        assert outcome.counts == {
            "frames": 20 + index,
            "reference_frames": 20 + index,
            "seconds": 1.5,
            "errors": 0,
            "n": 1,
        }
    sources = find_sources(plan)
    assert len(sources) == 20
    assert {store.decodes(source.sha256) for source in sources.values()} == {1}
    found = result.sets["distance"]
    assert found.value is not None
    assert found.value > 10
    assert found.interval is not None
    assert found.interval.lower < found.value < found.interval.upper
    assert found.components is not None
    assert found.components["floor"] < 5


def test_files_go_in_parts_when_their_frames_do_not_fit(
    tmp_path: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(plan_of(samples), Store(tmp_path / "a"), 2)
    monkeypatch.setattr(running, "FRAMES_AT_ONCE", 4 * 25 * 64 * 48 * 3)
    store = Store(tmp_path / "b")
    parts = run(plan_of(samples), store, 2)
    assert parts.outcomes == whole.outcomes
    assert parts.sets == whole.sets
    assert list((store.root / "frames").iterdir()) == []


def test_again_from_the_cache_nothing_is_decoded(
    tmp_path: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, plan = Store(tmp_path / "cache"), plan_of(samples)
    first = run(plan, store, 2)
    monkeypatch.setattr(Store, "drop_media", lambda *_: None)
    assert run(plan, store, 2) == first
    assert all(store.decodes(s.sha256) == 0 for s in find_sources(plan).values())


def test_the_next_systems_outputs_see_the_references_that_the_first_left_in_the_cache(
    tmp_path: Path, samples: list[Sample]
) -> None:
    store = Store(tmp_path / "cache")
    run(plan_of(samples), store, 2)
    others = [
        Sample(sample.dialogue, write_video(tmp_path / f"{index}.mp4", pictures(15)))
        for index, sample in enumerate(samples)
    ]
    result = run(plan_of(others), store, 2)
    seen = [outcome.counts for outcome in result.outcomes if outcome.metric == "seen"]
    assert [counts["reference_frames"] for counts in seen] == list(range(20, 30))
    assert {counts["frames"] for counts in seen} == {15}
    assert list((store.root / "frames").iterdir()) == []


def test_a_metric_may_do_without_the_reference_that_it_shows_beside(
    tmp_path: Path, samples: list[Sample]
) -> None:
    changes = {
        "extractors": {
            "frame_statistics": {"extractor": "frame_statistics"},
            "reference_frame_statistics": {"extractor": "frame_statistics"},
        },
        "metrics": [{"name": "flicker", "metric": "flicker"}],
    }
    protocol = Protocol.model_validate(PROTOCOL.model_dump() | changes)
    alone = Sample(replace(samples[1].dialogue, video=None), samples[1].output)
    plan = make_plan(protocol, 3, [samples[0], alone], (), choices=Choices(sandbox="off"))
    result = run(plan, Store(tmp_path / "cache"), 1)
    assert [outcome.status for outcome in result.outcomes] == ["scored", "scored"]
    assert [outcome.counts["compared"] for outcome in result.outcomes] == [1.0, 0.0]


def test_trouble_costs_its_own_dialogue_and_the_distance_of_all(
    tmp_path: Path, samples: list[Sample]
) -> None:
    silent = write_video(tmp_path / "own.mp4", pictures(20))
    samples[0] = Sample(replace(samples[0].dialogue, audio=None), silent)
    samples[1] = Sample(samples[1].dialogue, None)
    soundfile.write(tmp_path / "sound.wav", tone(1), 16000)
    samples[2] = Sample(samples[2].dialogue, (tmp_path / "sound.wav").rename(tmp_path / "s.mp4"))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nd3/output.mp4\n#EXT-X-ENDLIST\n")
    samples[3] = Sample(samples[3].dialogue, tmp_path / "list.mp4")
    broken = tmp_path / "driving.wav"
    broken.write_bytes(b"no sound")
    samples[4] = Sample(replace(samples[4].dialogue, audio=broken), samples[4].output)
    result = run(plan_of(samples), Store(tmp_path / "cache"), 2)
    found = statuses(result, "seen")
    assert found["d0"] == ("missing", "unreadable: the file has no audio stream")
    assert found["d1"] == ("missing", "no output file")
    assert found["d2"][0] == "missing"
    assert found["d3"][0] == "missing"
    assert found["d4"][0] == "failed"
    assert "driving recording" in (found["d4"][1] or "")
    assert {found[f"d{index}"][0] for index in range(5, 10)} == {"scored"}
    assert result.sets["distance"].value is None
    assert result.sets["distance"].problem is not None


def test_own_sound_is_heard_where_the_benchmark_has_none(
    tmp_path: Path, samples: list[Sample]
) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(25), sound=tone(1.0))
    sample = Sample(replace(samples[0].dialogue, audio=None, video=None), path)
    result = run(plan_of([sample]), Store(tmp_path / "c"), 1)
    (outcome,) = (o for o in result.outcomes if o.metric == "seen")
    assert outcome.status == "scored"
    assert outcome.counts["seconds"] == pytest.approx(1.0, abs=0.1)
    assert outcome.counts["reference_frames"] == 0


def test_metrics_of_another_task_are_not_planned(samples: list[Sample]) -> None:
    assert make_plan(PROTOCOL, 3, samples, (), choices=Choices(sandbox="off")).metrics
    with pytest.raises(Exception, match="nothing to score"):
        make_plan(PROTOCOL, 1, samples, (), choices=Choices(sandbox="off"))


def test_a_distance_of_equal_sets_is_near_its_floor() -> None:
    draw = np.random.default_rng(0)
    outputs, references = (
        [draw.normal(size=(4, 3)).astype(np.float32) for _ in range(40)] for _ in range(2)
    )
    found = set_value(outputs, references, lambda x, y: float(np.sum((x.mean(0) - y.mean(0)) ** 2)))
    assert found.components is not None
    assert found.components["half"] == pytest.approx(found.components["floor"], rel=0.5)
    assert (found.components["clips"], found.components["dialogues"]) == (160, 40)
    few = set_value(outputs[:7], references[:7], lambda x, y: 0.0)
    assert few.interval is None
