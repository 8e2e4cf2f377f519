"""The example systems: each is the reference but for its one defect."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.example_systems import SYSTEMS, make_systems
from mmdia_eval.types import SAMPLE_RATE, Dialogue, FloatArray

MINI = resolve_benchmark("mini")
DIALOGUES = load_benchmark(MINI).split("test")
STEP = 1 / 32768
"""The finest difference that a 16-bit file holds."""


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("systems")
    assert make_systems(MINI, out) == [out / name for name in SYSTEMS]
    return out


def read(path: Path) -> FloatArray:
    samples, rate = soundfile.read(path, dtype="float32")
    assert (rate, samples.ndim) == (SAMPLE_RATE, 1)
    return np.asarray(samples, np.float32)


def output(systems: Path, system: str, dialogue: Dialogue) -> FloatArray:
    return read(systems / system / f"output_{dialogue.id}.flac")


def original(dialogue: Dialogue) -> FloatArray:
    assert dialogue.audio is not None
    return read(dialogue.audio)


def turn_samples(dialogue: Dialogue) -> list[slice]:
    """Where each turn lies in the reference."""
    return [
        slice(round(turn.segment.start * SAMPLE_RATE), round(turn.segment.end * SAMPLE_RATE))
        for turn in dialogue.turns
        if turn.segment is not None
    ]


def same(left: FloatArray, right: FloatArray) -> bool:
    return len(left) == len(right) and bool(np.abs(left - right).max() <= STEP)


def test_every_system_says_who_it_is(systems: Path) -> None:
    for name, system in SYSTEMS.items():
        told = tomllib.loads((systems / name / "submission.toml").read_text("utf-8"))
        assert told == {
            "name": name,
            "organization": "mmdia-eval examples",
            "date": "2026-11-21",
            "open_weights": True,
            "training_data_overlap": "none",
            "kind": system.kind,
            "notes": system.defect,
        }


def test_all_but_partial_answer_every_dialogue(systems: Path) -> None:
    expected = {f"output_{dialogue.id}.flac" for dialogue in DIALOGUES} | {"submission.toml"}
    for name in SYSTEMS.keys() - {"partial"}:
        assert {path.name for path in (systems / name).iterdir()} == expected


def test_reference_is_the_reference(systems: Path) -> None:
    for dialogue in DIALOGUES:
        assert same(output(systems, "reference", dialogue), original(dialogue))


def test_noisy_has_its_signal_to_noise_ratio(systems: Path) -> None:
    for dialogue in DIALOGUES:
        speech = original(dialogue)
        noise = output(systems, "noisy", dialogue) - speech
        assert 10 * np.log10((speech**2).mean() / (noise**2).mean()) == pytest.approx(15, abs=0.1)
        assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02


def test_truncated_keeps_three_quarters(systems: Path) -> None:
    for dialogue in DIALOGUES:
        whole, kept = original(dialogue), output(systems, "truncated", dialogue)
        assert len(kept) / len(whole) == pytest.approx(0.75, abs=1e-4)
        assert same(kept, whole[: len(kept)])


def test_swapped_turns_differ_in_two_turns_only(systems: Path) -> None:
    for dialogue in DIALOGUES:
        whole, swapped = original(dialogue), output(systems, "swapped-turns", dialogue)
        turns, speakers = turn_samples(dialogue), [turn.speaker for turn in dialogue.turns]
        first = next(n for n in range(2, len(turns) - 1) if speakers[n] != speakers[n + 1])
        left, right = turns[first], turns[first + 1]
        after = len(whole) - right.stop
        assert same(swapped[: left.start], whole[: left.start])
        assert same(swapped[-after:], whole[-after:])
        assert not same(swapped[left], whole[left])
        last = slice(-after - 8000, -after)
        assert not same(swapped[last], whole[last])


def test_one_voice_changes_the_others_turns_only(systems: Path) -> None:
    for dialogue in DIALOGUES:
        whole, single = original(dialogue), output(systems, "one-voice", dialogue)
        speakers = [turn.speaker for turn in dialogue.turns]
        other = next(n for n, speaker in enumerate(speakers) if speaker != speakers[0])
        turn = turn_samples(dialogue)[other]
        assert same(single[: turn.start], whole[: turn.start])
        assert not same(single[turn], whole[turn])


def test_takes_change_the_duration_little(systems: Path) -> None:
    for dialogue in DIALOGUES:
        for system in ("one-voice", "word-salad", "swapped-turns"):
            ratio = len(output(systems, system, dialogue)) / len(original(dialogue))
            assert 0.8 < ratio < 1.2, (system, dialogue.id)


def test_partial_lacks_two_files_and_spoils_one(systems: Path) -> None:
    present = list((systems / "partial").glob("*.flac"))
    assert len(present) == len(DIALOGUES) - 2
    spoiled = []
    for path in present:
        try:
            soundfile.info(path)
        except soundfile.SoundFileError:
            spoiled.append(path)
        else:
            assert path.read_bytes() == (systems / "reference" / path.name).read_bytes()
    assert len(spoiled) == 1


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_second_run_gives_the_same_bytes_and_no_left_overs(systems: Path, tmp_path: Path) -> None:
    stale = tmp_path / "partial" / f"output_{DIALOGUES[1].id}.flac"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    make_systems(MINI, tmp_path)
    assert contents(tmp_path) == contents(systems)


def test_a_benchmark_without_takes_is_refused(tmp_path: Path) -> None:
    copy = shutil.copytree(MINI, tmp_path / "mini")
    (copy / "takes.jsonl").unlink()
    with pytest.raises(UserError, match=r"takes\.jsonl is missing"):
        make_systems(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_recording_is_named(tmp_path: Path) -> None:
    copy = shutil.copytree(MINI, tmp_path / "mini")
    (copy / "media" / "mini_test_03.opus").write_bytes(b"not Opus")
    with pytest.raises(UserError, match=r"mini_test_03\.opus: unreadable: .* restore"):
        make_systems(copy, tmp_path / "out")
