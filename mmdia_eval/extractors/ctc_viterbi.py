"""The best CTC path that spells a given text, for many texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

TokenPath = NDArray[np.int64]

NO_TOKEN = -1
"""What a frame that emits blank has instead of a token's index."""


def viterbi(log_probs: Any, tokens: Sequence[int], blank: int = 0) -> TokenPath:
    """For each frame the index in `tokens` of the token it emits, or `NO_TOKEN` for blank.

    `log_probs` has shape (frames, vocabulary), natural logarithms, any real torch or numpy type.
    The path is the most probable of those that CTC (Graves et al. 2006, section 3.1) collapses to
    `tokens`: repeats merge, then blanks go, so equal neighbours have a blank between them. Of
    equally probable paths it is always the same one.

    >>> import numpy as np
    >>> viterbi(np.log([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]), [1, 2]).tolist()
    [0, -1, 1]

    Raises:
        ValueError: fewer frames than `frames_needed`, or `tokens` holds the blank.
    """
    import torch  # noqa: PLC0415

    (path,) = viterbi_batch([torch.as_tensor(log_probs)], [tokens], blank)
    return path


def frames_needed(tokens: Sequence[int]) -> int:
    """The fewest frames that can emit `tokens`: one each, and a blank between equal neighbours.

    >>> frames_needed([3, 3, 5])
    4
    """
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))


def viterbi_batch(
    log_probs: Sequence[torch.Tensor], tokens: Sequence[Sequence[int]], blank: int = 0
) -> list[TokenPath]:
    """`viterbi` of each text, on the device of `log_probs`, which share the vocabulary.

    A text's path does not depend on the others. Scores are added in float64, for a sum over 90 s
    would leave single precision three decimals.
    """
    import torch  # noqa: PLC0415

    for rows, spelled in zip(log_probs, tokens, strict=True):
        if len(rows) < frames_needed(spelled):
            raise ValueError(
                f"{len(rows)} frames cannot emit {len(spelled)} tokens, "
                f"which need {frames_needed(spelled)}"
            )
        if blank in spelled:
            raise ValueError(f"token {blank} is the blank")
    emissions = torch.nn.utils.rnn.pad_sequence([rows.double() for rows in log_probs], True)
    labels, skippable = _topology(tokens, blank)
    lengths = np.array([len(rows) for rows in log_probs])
    steps, skips, finals = _forward(
        emissions, labels.to(emissions.device), skippable.to(emissions.device), lengths
    )
    last = np.array([2 * len(spelled) for spelled in tokens])
    ends = np.where(_before_last(finals, last) > finals[range(len(last)), last], last - 1, last)
    return _backward(steps, skips, ends, lengths)


def _topology(tokens: Sequence[Sequence[int]], blank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels (texts, states) of blank, token, blank, ..., blank, and what reaching each by a skip
    over the blank before it costs: nothing, or all where it is a blank or repeats a token.
    """
    import torch  # noqa: PLC0415

    states = 2 * max(len(spelled) for spelled in tokens) + 1
    labels = torch.full((len(tokens), states), blank)
    costs = torch.full((len(tokens), states), -torch.inf, dtype=torch.float64)
    for row, spelled in enumerate(tokens):
        of_tokens = torch.tensor(spelled, dtype=torch.int64)
        labels[row, 1 : 2 * len(spelled) : 2] = of_tokens
        changes = of_tokens[1:] != of_tokens[:-1]
        costs[row, 3 : 2 * len(spelled) : 2][changes] = 0.0
    return labels, costs


def _forward(
    emissions: torch.Tensor,
    labels: torch.Tensor,
    skip_costs: torch.Tensor,
    lengths: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each state (frames, texts, states) is best reached by a step from the one before, by
    a skip from the one before that; and the scores (texts, states) at each text's last frame.
    """
    import torch  # noqa: PLC0415

    texts, states = labels.shape
    frames = emissions.shape[1]
    # Two columns that no path is in stand before the first state.
    scores = emissions.new_full((texts, states + 2), -torch.inf)
    finals = emissions.new_full((texts, states), -torch.inf)
    steps = torch.zeros((frames, texts, states), dtype=torch.bool, device=emissions.device)
    skips = torch.zeros_like(steps)
    ending: dict[int, list[int]] = {}
    for text, length in enumerate(lengths.tolist()):
        ending.setdefault(length - 1, []).append(text)
    for frame in range(frames):
        emitted = emissions[:, frame].gather(1, labels)
        if frame == 0:
            scores[:, 2:4] = emitted[:, :2]
        else:
            stay, step, skip = scores[:, 2:], scores[:, 1:-1], scores[:, :-2] + skip_costs
            torch.gt(step, stay, out=steps[frame])
            best = torch.maximum(step, stay)
            torch.gt(skip, best, out=skips[frame])
            scores[:, 2:] = torch.maximum(best, skip).add_(emitted)
        for text in ending.get(frame, ()):
            finals[text] = scores[text, 2:]
    return steps.cpu().numpy(), skips.cpu().numpy(), finals.cpu().numpy()


def _before_last(finals: NDArray[np.float64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    """The score of each text's last token; minus infinity where it has none."""
    found = finals[range(len(last)), np.maximum(last - 1, 0)]
    return np.where(last > 0, found, -np.inf)


def _backward(
    steps: NDArray[np.bool_],
    skips: NDArray[np.bool_],
    ends: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> list[TokenPath]:
    """The tokens' indices, frame by frame, of the paths that end in the states `ends`."""
    texts = np.arange(len(ends))
    states = ends.copy()
    visited = np.empty((len(steps), len(ends)), dtype=np.int64)
    for frame in range(len(steps) - 1, -1, -1):
        visited[frame] = states
        by_skip = skips[frame, texts, states]
        moved = np.where(by_skip, 2, steps[frame, texts, states])
        states = np.where(frame < lengths, states - moved, states)
    paths = np.where(visited % 2 == 1, visited // 2, NO_TOKEN)
    return [paths[:length, text] for text, length in enumerate(lengths.tolist())]
