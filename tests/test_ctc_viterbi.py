from __future__ import annotations

import time
from itertools import groupby, pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdia_eval import torch_audio
from mmdia_eval.extractors.ctc_viterbi import (
    NO_TOKEN,
    TokenPath,
    frames_needed,
    viterbi,
    viterbi_batch,
)

LogProbs = NDArray[np.float64]


def log_probabilities(frames: int, vocabulary: int, seed: int) -> LogProbs:
    raw = np.random.default_rng(seed).standard_normal((frames, vocabulary)) * 2
    return np.asarray(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)))


def labels(path: TokenPath, tokens: list[int], blank: int) -> list[int]:
    return [blank if index == NO_TOKEN else tokens[index] for index in path.tolist()]


def collapsed(spelled: list[int] | tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in groupby(spelled) if label != blank]


def score(log_probs: LogProbs, spelled: list[int] | tuple[int, ...]) -> float:
    return float(sum(log_probs[frame, label] for frame, label in enumerate(spelled)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[LogProbs, list[int], int]:
    vocabulary = draw(st.integers(2, 4))
    blank = draw(st.integers(0, vocabulary - 1))
    letters = [label for label in range(vocabulary) if label != blank]
    tokens = draw(st.lists(st.sampled_from(letters), max_size=4))
    frames = draw(st.integers(frames_needed(tokens), 7))
    return log_probabilities(frames, vocabulary, draw(st.integers(0, 2**31))), tokens, blank


@given(cases())
def test_is_the_best_of_all_paths_that_spell_the_text(
    case: tuple[LogProbs, list[int], int],
) -> None:
    log_probs, tokens, blank = case
    frames, vocabulary = log_probs.shape
    path = viterbi(log_probs, tokens, blank)
    spelled = labels(path, tokens, blank)
    assert collapsed(spelled, blank) == tokens
    emitted = [index for index in path.tolist() if index != NO_TOKEN]
    assert sorted(set(emitted)) == list(range(len(tokens)))
    assert all(a <= b for a, b in pairwise(emitted))
    best = max(
        score(log_probs, every)
        for every in product(range(vocabulary), repeat=frames)
        if collapsed(every, blank) == tokens
    )
    assert score(log_probs, spelled) == pytest.approx(best, abs=1e-9)


@given(st.lists(cases(), min_size=1, max_size=4))
def test_texts_do_not_depend_on_each_other(
    some: list[tuple[LogProbs, list[int], int]],
) -> None:
    import torch

    vocabulary = max(log_probs.shape[1] for log_probs, _, _ in some)
    blank = some[0][2]
    texts = [[t for t in tokens if t != blank] for _, tokens, _ in some]
    heard = [
        log_probabilities(max(1, frames_needed(tokens)) + 3 * n, vocabulary, n)
        for n, tokens in enumerate(texts)
    ]
    together = viterbi_batch([torch.tensor(rows) for rows in heard], texts, blank)
    for rows, tokens, path in zip(heard, texts, together, strict=True):
        assert viterbi(rows, tokens, blank).tolist() == path.tolist()


def test_nothing_to_spell() -> None:
    assert viterbi(log_probabilities(3, 4, 0), []).tolist() == [NO_TOKEN] * 3
    assert viterbi(log_probabilities(0, 4, 0), []).tolist() == []


def test_just_enough_frames() -> None:
    assert viterbi(log_probabilities(4, 3, 0), [1, 1, 2]).tolist() == [0, NO_TOKEN, 1, 2]


@pytest.mark.parametrize(
    ("frames", "tokens", "message"),
    [(3, [1, 1, 2], "3 frames cannot emit 3 tokens, which need 4"), (3, [1, 0], "0 is the blank")],
)
def test_what_cannot_be_spelled_is_refused(frames: int, tokens: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        viterbi(log_probabilities(frames, 3, 0), tokens)


def test_ninety_seconds_take_well_under_a_second() -> None:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    log_probs = log_probabilities(4_500, 32, 0)
    tokens = np.random.default_rng(0).integers(1, 32, 1_500).tolist()
    took = []
    for _ in range(3):
        begin = time.perf_counter()
        viterbi(log_probs, tokens)
        took.append(time.perf_counter() - begin)
    torch.set_num_threads(threads)
    assert min(took) < 2.0, took  # 0.2 s on an idle core


def test_agrees_with_torchaudio() -> None:
    torch_audio.prepare()
    import torch
    from torchaudio import functional

    heard = torch.tensor(log_probabilities(400, 29, 0), dtype=torch.float32)
    tokens = np.random.default_rng(0).integers(1, 29, 120).tolist()
    try:
        peers, _ = functional.forced_align(heard[None], torch.tensor([tokens]))
    except (RuntimeError, AttributeError) as error:
        pytest.skip(f"torchaudio's forced_align is not to be had here: {error}")
    assert labels(viterbi(heard, tokens), tokens, 0) == peers[0].tolist()
