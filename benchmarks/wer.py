"""Time of word error counts against jiwer called once a pair, with equal counts asserted.

python benchmarks/wer.py
"""

from __future__ import annotations

import random
import time

import jiwer

from mmdia_eval.metrics.wer import word_errors

PAIRS = {10: 20_000, 70: 10_000, 300: 2_000}
VOCABULARY = [f"word{i}" for i in range(2_000)]
SUBSTITUTED = 0.1


def made_up(words: int, rng: random.Random) -> tuple[str, str]:
    """A reference text and the same with some of its words replaced."""
    spoken = rng.choices(VOCABULARY, k=words)
    heard = [rng.choice(VOCABULARY) if rng.random() < SUBSTITUTED else word for word in spoken]
    return " ".join(spoken), " ".join(heard)


def main() -> None:
    """Print one row for each length of text."""
    rng = random.Random(0)
    print(f"{'words':>6} {'pairs':>7} {'jiwer':>12} {'mmdia-eval':>12} {'ratio':>6}")
    for words, count in PAIRS.items():
        pairs = [made_up(words, rng) for _ in range(count)]
        start = time.process_time()
        theirs = [jiwer.process_words(*pair) for pair in pairs]
        slow = time.process_time() - start
        start = time.process_time()
        ours = [word_errors(*pair) for pair in pairs]
        fast = time.process_time() - start
        for one, other in zip(ours, theirs, strict=True):
            assert (one.substitutions, one.deletions, one.insertions) == (
                other.substitutions,
                other.deletions,
                other.insertions,
            )
        per_pair = f"{slow / count * 1e6:9.1f} µs {fast / count * 1e6:9.1f} µs"
        print(f"{words:6} {count:7} {per_pair} {slow / fast:5.1f}x")


if __name__ == "__main__":
    main()
