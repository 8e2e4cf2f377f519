from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny_wav2vec2
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_wav2vec2 import speak, spoken

from mmdia_eval import models
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts
from mmdia_eval.extractors.ctc_alignment import (
    MODEL,
    Alphabet,
    CtcAlignment,
    CtcSettings,
    turn_log_probabilities,
    windows,
    word_times,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import Audio, Dialogue, FloatArray, Turn

SAID = [("bad", 0.5), ("cab", 1.2), ("dad", 2.4), ("ace", 3.6)]
SCRIPT = ["Bad cab!", "(sighs)", "<laugh> Dad … 'ACE'."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = tiny_wav2vec2.make(tmp_path_factory.mktemp("wav2vec2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "folder", {MODEL: made}.__getitem__)
        yield made
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def aligner(folder: Path) -> CtcAlignment:
    return loaded(CtcSettings())


def loaded(settings: CtcSettings) -> CtcAlignment:
    made = CtcAlignment(settings, ())
    made.load()
    return made


def inputs(samples: FloatArray, texts: Sequence[str]) -> Inputs:
    dialogue = Dialogue("d", tuple(Turn("A", text) for text in texts))
    return Inputs(Audio(samples), dialogue, Artifacts({}))


def align(made: CtcAlignment, samples: FloatArray, *texts: str) -> Alignment:
    (found,) = made.extract([inputs(samples, texts)])
    return found


def assert_placed(found: Alignment, said: Sequence[tuple[str, float]], within: float) -> None:
    words = [word for turn in found.turns for word in turn.words]
    for word, true in zip(words, spoken(said), strict=True):
        assert word.text == true.text
        assert word.start == pytest.approx(true.start, abs=within)
        assert word.end == pytest.approx(true.end, abs=within)


def test_is_registered() -> None:
    assert extractor.get("ctc_alignment") is CtcAlignment
    assert CtcAlignment(CtcSettings(), ()).models() == ("wav2vec2-base-960h",)


def test_words_are_where_they_were_planted(aligner: CtcAlignment) -> None:
    found = align(aligner, speak(SAID, 5.0, 99), *SCRIPT)
    assert found.problem is None
    assert [(turn.index, len(turn.words), turn.expected) for turn in found.turns] == [
        (0, 2, 2),
        (1, 0, 0),
        (2, 2, 2),
    ]
    assert_placed(found, SAID, within=0.041)


def test_a_file_of_ninety_seconds_is_heard_in_windows(aligner: CtcAlignment) -> None:
    said = [(("bad", "cab", "dad", "ace")[n % 4], 0.3 + 0.9 * n) for n in range(99)]
    found = align(aligner, speak(said, 90.0, 99), " ".join(word for word, _ in said))
    assert found.problem is None
    assert_placed(found, said, within=0.041)


def test_windows_change_little(folder: Path, aligner: CtcAlignment) -> None:
    """The whole file's log probabilities come back but for what lies out of a window's sight."""
    narrow = loaded(CtcSettings(window=4.0, context=1.0))
    said = [("bad", 0.5 + 0.8 * n) for n in range(24)]
    audio = Audio(speak(said, 20.0, 99))
    whole, parts = aligner._log_probabilities(audio), narrow._log_probabilities(audio)
    assert whole.shape == parts.shape
    assert (whole.argmax(1) == parts.argmax(1)).float().mean() > 0.98


def test_results_do_not_depend_on_the_batch(aligner: CtcAlignment) -> None:
    batch = [
        inputs(speak(SAID, 5.0, 99), SCRIPT),
        inputs(speak(SAID[:1], 1.2, 98), ["bad"]),
        inputs(speak([], 0.3, 97), SCRIPT),
        inputs(speak(SAID, 7.0, 96), ["…", "bad cab dad ace"]),
    ]
    together = aligner.extract(batch)
    assert [aligner.extract([item])[0] for item in batch] == together
    assert aligner.extract(batch[::-1])[::-1] == together


def test_letters_that_are_unknown_are_dropped() -> None:
    alphabet = Alphabet({"<pad>": 0, "|": 4, "A": 7, "b": 9}, blank=0, separator=4)
    assert alphabet.spell(["ab", "xyz", "bxa", "c"]) == ([7, 9, 4, 9, 7], [0, 0, -1, 2, 2])
    assert alphabet.spell(["xyz"]) == ([], [])


def test_a_word_without_letters_gets_no_time() -> None:
    path = np.array([-1, 0, 0, -1, 1, 2, 2, 3])
    words = list(word_times(["ab", "x", "ba"], [0, 0, -1, 2], path, 0.02))
    assert [word and (word.start, word.end) for word in words] == [(0.02, 0.1), None, (0.14, 0.16)]


def test_numbers_are_spelled_out(aligner: CtcAlignment) -> None:
    (turn,) = align(aligner, speak(SAID, 5.0), "bad 21").turns
    assert [word.text for word in turn.words] == ["bad", "twenty", "one"]
    assert turn.expected == 3


@pytest.mark.parametrize("samples", [0, 1, 399, 4_800])
def test_too_short_a_file_is_a_problem(aligner: CtcAlignment, samples: int) -> None:
    found = align(aligner, speak([], 0.3)[:samples], "This takes longer than that.", "Yes!")
    assert found.turns == (AlignedTurn(0, (), 5), AlignedTurn(1, (), 1))
    assert found.problem is not None
    assert "frames, the script's letters need 31" in found.problem


@pytest.mark.parametrize("text", ["", "(laughs)", "你好", "…"])
def test_a_script_without_letters_is_a_problem(aligner: CtcAlignment, text: str) -> None:
    found = align(aligner, speak(SAID, 5.0), text)
    assert found.turns == (AlignedTurn(0, (), 0),)
    assert found.problem == "the script has no word with letters that the model knows"


def test_words_never_said_are_squeezed_in_or_refused(folder: Path, aligner: CtcAlignment) -> None:
    texts = ("bad cab", "ee eee", "dad ace")
    squeezed = align(aligner, speak(SAID, 5.0, 99), *texts)
    assert squeezed.problem is None
    assert squeezed.turns[1].segment is not None
    strict = align(loaded(CtcSettings(min_log_probability=-2.0)), speak(SAID, 5.0, 99), *texts)
    assert strict.turns[1] == AlignedTurn(1, (), 2)
    assert strict.problem == "log probability under -2 in the turns [2]"
    assert_placed(Alignment((strict.turns[0], strict.turns[2])), SAID, within=0.2)


def test_the_score_of_a_turn_is_the_mean_over_its_letters_frames() -> None:
    log_probs = -np.arange(24, dtype=np.float32).reshape(6, 4)
    path = np.array([0, 0, -1, 1, 2, -1])
    found = turn_log_probabilities([["a"], [], ["b"]], [1, 3, 2], [0, -1, 1], path, log_probs)
    assert found == [-3.0, 0.0, -18.0]


@given(st.integers(1, 400), st.integers(3, 60), st.integers(0, 20))
def test_windows_use_each_frame_once_with_context(frames: int, length: int, context: int) -> None:
    context = min(context, (length - 1) // 2)
    found = list(windows(frames, length, context))
    assert (found[0].kept, found[-1].kept_last) == (0, frames)
    assert all(left.kept_last == right.kept for left, right in pairwise(found))
    for window in found:
        assert window.last - window.first == min(length, frames)
        assert window.kept < window.kept_last
        assert window.kept - window.first >= context or window.kept == 0
        assert window.last - window.kept_last >= context or window.kept_last == frames


def test_a_window_needs_room_between_its_contexts() -> None:
    with pytest.raises(ValidationError, match="longer than two contexts"):
        CtcSettings(window=10.0, context=5.0)


def test_a_checkpoint_without_all_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "folder", {MODEL: tmp_path}.__getitem__)
        with pytest.raises(RuntimeError, match=r"lacks weights: lm_head\.weight"):
            loaded(CtcSettings())
