"""Time of cpWER against MeetEval's, on equal inputs, with equal errors asserted.

MeetEval is called in its fastest public way: `cp_word_error_rate` on `SegLST` objects made before
the clock starts, without sorting by time. Ours gets plain strings by speaker. CPU seconds.

    python benchmarks/cpwer.py
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from meeteval.io import SegLST
from meeteval.wer.wer.cp import cp_word_error_rate

from mmdia_eval.metrics.cpwer import cpwer

DIALOGUES = {2: 10_000, 3: 3_000, 4: 2_000, 8: 500}
WORDS_PER_SPEAKER = 100
VOCABULARY = [f"word{i}" for i in range(2_000)]
SUBSTITUTED = 0.1

Speakers = dict[str, str]


def made_up(speakers: int, rng: random.Random) -> tuple[Speakers, Speakers]:
    """A reference, and the same with words replaced and speakers in another order."""
    texts = [rng.choices(VOCABULARY, k=WORDS_PER_SPEAKER) for _ in range(speakers)]
    heard = [
        [rng.choice(VOCABULARY) if rng.random() < SUBSTITUTED else word for word in words]
        for words in rng.sample(texts, speakers)
    ]
    return by_speaker(texts), by_speaker(heard)


def by_speaker(texts: Sequence[Sequence[str]]) -> Speakers:
    """Texts under speakers' names."""
    return {f"speaker {i}": " ".join(words) for i, words in enumerate(texts)}


def seglst(side: Speakers) -> SegLST:
    """MeetEval's own type for one side of a dialogue."""
    return SegLST([{"session_id": "d", "speaker": who, "words": side[who]} for who in side])


def timed(
    function: Callable[..., Any], pairs: Sequence[tuple[Any, Any]]
) -> tuple[list[int], float]:
    """Errors of each pair, and CPU seconds for all."""
    start = time.process_time()
    errors = [function(reference, hypothesis).errors for reference, hypothesis in pairs]
    return errors, time.process_time() - start


def peer(reference: SegLST, hypothesis: SegLST) -> Any:
    """MeetEval's cpWER."""
    return cp_word_error_rate(reference, hypothesis, reference_sort=False, hypothesis_sort=False)


def main() -> None:
    """Print one row for each number of speakers."""
    rng = random.Random(0)
    cpwer({"a": "warm"}, {"b": "up"})
    print(f"{'speakers':>8} {'dialogues':>9} {'meeteval':>12} {'mmdia-eval':>12} {'ratio':>6}")
    for speakers, dialogues in DIALOGUES.items():
        pairs = [made_up(speakers, rng) for _ in range(dialogues)]
        theirs, slow = timed(peer, [(seglst(ref), seglst(hyp)) for ref, hyp in pairs])
        ours, fast = timed(cpwer, pairs)
        assert ours == theirs
        per_dialogue = f"{slow / dialogues * 1e6:9.0f} µs {fast / dialogues * 1e6:9.0f} µs"
        print(f"{speakers:8} {dialogues:9} {per_dialogue} {slow / fast:5.1f}x")


if __name__ == "__main__":
    main()
