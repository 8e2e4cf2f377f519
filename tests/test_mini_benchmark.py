"""The shipped mini benchmark: what it promises, and that its recordings are what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmdia_eval.benchmark import Benchmark, load_benchmark, resolve_benchmark
from mmdia_eval.categories import INTERACTION_TYPES, RELATIONSHIPS
from mmdia_eval.examples import make_mini
from mmdia_eval.examples.make_mini import Script, Take, bare
from mmdia_eval.text import strip_marks
from mmdia_eval.types import SAMPLE_RATE, SPLITS, Dialogue, FloatArray, Segment

MINI = resolve_benchmark("mini")
FRAME = 0.01
VOICES = {"slt", "rms", "awb", "kal16"}


@cache
def mini() -> Benchmark:
    return load_benchmark(MINI)


@cache
def scripts() -> dict[str, Script]:
    return {script.id: script for script in make_mini.read_scripts(make_mini.TEXTS)}


@cache
def takes() -> tuple[Take, ...]:
    lines = (MINI / "takes.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return tuple(Take(**(entry | {"systems": tuple(entry["systems"])})) for entry in entries)


@cache
def sound(path: Path) -> FloatArray:
    samples, rate = soundfile.read(path, dtype="float32")
    assert (rate, samples.ndim) == (SAMPLE_RATE, 1)
    return np.asarray(samples, np.float32)


def scripted(split: str) -> list[Dialogue]:
    """The dialogues of a split that make_mini.py made: all but the clips."""
    return [dialogue for dialogue in mini().split(split) if dialogue.video is None]


def all_dialogues() -> list[Dialogue]:
    return [dialogue for split in mini().splits for dialogue in scripted(split)]


def vocabulary() -> set[str]:
    texts = [text for script in scripts().values() for text in script.spoken]
    return {bare(word) for text in texts for word in text.split()}


def level(samples: FloatArray, segment: Segment) -> float:
    """RMS inside `segment`, of full scale."""
    part = samples[round(segment.start * SAMPLE_RATE) : round(segment.end * SAMPLE_RATE)]
    return float(np.sqrt(np.mean(part**2)))


def spoken_segments(dialogue: Dialogue) -> list[Segment]:
    segments = [turn.segment for turn in dialogue.turns if turn.segment is not None]
    assert len(segments) == len(dialogue.turns)
    return segments


def test_has_the_promised_splits_and_speakers() -> None:
    sizes = {name: len(scripted(name)) for name in mini().splits}
    assert sizes == {"hard": 8, "test": 8, "ood": 6, "bench": 6}
    assert Counter(len(dialogue.speakers) for dialogue in all_dialogues()) == {2: 24, 3: 4}
    assert all(len(dialogue.speakers) == 2 for dialogue in scripted("bench"))
    assert any(len(dialogue.speakers) == 3 for dialogue in mini().split("test"))


def test_covers_every_category_and_describes_every_style() -> None:
    styles = [dialogue.style for dialogue in all_dialogues()]
    assert {style.relationship for style in styles} == set(RELATIONSHIPS)
    assert {style.interaction_type for style in styles} == set(INTERACTION_TYPES)
    assert {d.style.relationship for d in mini().split("test")} == set(RELATIONSHIPS)
    assert all(style.emotional_tone for style in styles)
    assert len({style.description for style in styles if style.description}) == len(styles)


def test_is_made_of_the_scripts_as_they_are_now() -> None:
    for split in SPLITS:
        expected = [script for script in scripts().values() if script.split == split]
        for dialogue, script in zip(scripted(split), expected, strict=True):
            assert dialogue.id == script.id
            assert dialogue.style == script.style
            found = [(turn.speaker, turn.text) for turn in dialogue.turns]
            assert found == [(turn.speaker, turn.text) for turn in script.turns]


def test_every_speaker_has_two_turns_long_enough_to_compare() -> None:
    for dialogue in all_dialogues():
        assert 4 <= len(dialogue.turns) <= 8
        seconds: dict[str, list[float]] = {}
        for turn, segment in zip(dialogue.turns, spoken_segments(dialogue), strict=True):
            seconds.setdefault(turn.speaker, []).append(segment.duration)
        for speaker, durations in seconds.items():
            assert sum(duration >= 1.2 for duration in durations) >= 2, (dialogue.id, speaker)


def test_has_consecutive_turns_of_one_speaker_and_marks_of_each_kind() -> None:
    consecutive = [
        left.speaker == right.speaker
        for dialogue in all_dialogues()
        for left, right in zip(dialogue.turns, dialogue.turns[1:], strict=False)
    ]
    assert 5 <= sum(consecutive) <= 15
    texts = [turn.text for dialogue in all_dialogues() for turn in dialogue.turns]
    marked = [text for text in texts if text != strip_marks(text)]
    assert {mark for text in marked for mark in "<([" if mark in text} == set("<([")


def test_voices_differ_within_a_dialogue() -> None:
    for script in scripts().values():
        assert len(set(script.voices.values())) == len(script.voices)
        assert set(script.voices.values()) <= VOICES
        assert {turn.speaker for turn in script.turns} == set(script.voices)


def test_every_spoken_word_is_in_the_recognizers_dictionary() -> None:
    import pocketsphinx

    dictionary = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    known = {line.split(maxsplit=1)[0] for line in dictionary.read_text("utf-8").splitlines()}
    said = vocabulary() | {bare(word) for take in takes() for word in take.text.split()}
    assert said - known == set()


def test_turn_times_are_where_the_sound_is() -> None:
    for dialogue in all_dialogues():
        assert dialogue.audio is not None
        samples = sound(dialogue.audio)
        duration = len(samples) / SAMPLE_RATE
        assert dialogue.duration == duration
        assert 10 <= duration <= 20
        position = 0.0
        for segment in spoken_segments(dialogue):
            assert 0.15 - 1e-9 <= segment.start - position <= 0.45 + 1e-9
            pause = Segment(position + 2 * FRAME, segment.start - 2 * FRAME)
            assert level(samples, segment) == pytest.approx(make_mini.LEVEL, rel=0.05)
            assert level(samples, pause) < make_mini.LEVEL / 30, (dialogue.id, pause)
            for edge in (segment.start, segment.end - 3 * FRAME):
                assert level(samples, Segment(edge, edge + 3 * FRAME)) > level(samples, pause)
            position = segment.end
        assert position + 0.25 == pytest.approx(duration)


def test_is_small_and_holds_nothing_unnamed() -> None:
    assert sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file()) < 4_000_000
    named = {dialogue.audio for split in mini().splits.values() for dialogue in split}
    assert set(MINI.rglob("*.opus")) == named | {MINI / take.file for take in takes()}


def takes_of(system: str) -> list[tuple[Script, list[Take]]]:
    """The takes of a system in the order of turns, for every dialogue of the test split."""
    ordered = sorted(takes(), key=lambda take: take.turn)
    return [
        (
            scripts()[dialogue.id],
            [take for take in ordered if take.dialogue == dialogue.id and system in take.systems],
        )
        for dialogue in mini().split("test")
    ]


def test_takes_are_where_the_sound_is() -> None:
    for take in takes():
        samples = sound(MINI / take.file)
        assert level(samples, Segment(take.start, take.end)) == pytest.approx(0.06, rel=0.05)
        assert level(samples, Segment(take.end + 0.02, take.end + 0.18)) < 0.002


def test_one_voice_takes_cover_exactly_the_other_speakers() -> None:
    for script, found in takes_of("one-voice"):
        first = script.turns[0].speaker
        others = [n for n, turn in enumerate(script.turns) if turn.speaker != first]
        assert [take.turn for take in found] == others
        assert {take.voice for take in found} == {script.voices[first]}
        assert all(take.text == script.spoken[take.turn] for take in found)


def test_swapped_takes_exchange_exactly_two_neighbors() -> None:
    for script, (left, right) in takes_of("swapped-turns"):
        assert right.turn == left.turn + 1
        assert left.voice == script.voice(right.turn)
        assert right.voice == script.voice(left.turn)
        assert left.voice != right.voice
        assert all(take.text == script.spoken[take.turn] for take in (left, right))


def test_word_salad_takes_replace_three_words_in_ten() -> None:
    for script, found in takes_of("word-salad"):
        assert [take.turn for take in found] == list(range(len(script.turns)))
        assert all(take.voice == script.voice(take.turn) for take in found)
        pairs = [
            pair
            for text, take in zip(script.spoken, found, strict=True)
            for pair in zip(text.split(), take.text.split(), strict=True)
        ]
        changed = [bare(new) for old, new in pairs if new != old]
        assert len(changed) / len(pairs) == pytest.approx(0.3, abs=0.05)
        assert set(changed) <= vocabulary()


def test_opus_files_are_deterministic_and_keep_their_length(tmp_path: Path) -> None:
    samples = (np.sin(np.arange(41_234) / 9) / 3).astype(np.float32)
    make_mini.write_opus(tmp_path / "a.opus", samples)
    make_mini.write_opus(tmp_path / "b.opus", samples)
    assert (tmp_path / "a.opus").read_bytes() == (tmp_path / "b.opus").read_bytes()
    heard = sound(tmp_path / "a.opus")
    assert len(heard) == len(samples)
    assert np.corrcoef(samples, heard)[0, 1] > 0.99


def flite_voices() -> set[str]:
    if shutil.which("flite") is None:
        return set()
    return set(
        subprocess.run(["flite", "-lv"], capture_output=True, check=True, text=True).stdout.split()
    )


@pytest.mark.skipif(not flite_voices() >= VOICES, reason="needs flite with its four voices")
def test_flite_says_the_turns_again_at_the_same_length() -> None:
    dialogue = mini().split("test")[5]
    script = scripts()[dialogue.id]
    for number, segment in enumerate(spoken_segments(dialogue)):
        again = make_mini.speak(script.voice(number), script.spoken[number])
        assert len(again) / SAMPLE_RATE == pytest.approx(segment.duration, abs=5 * FRAME)
