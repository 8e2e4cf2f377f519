"""Scoring 600 dialogues again with every artifact in the cache. Target: under 2 s after start-up.

The 600 dialogues are the mini benchmark's 28 under new names, so their files are hashed, and their
artifacts read and verified, 600 times, while the engines had to hear each recording once. Start-up
is what the same command takes for a single dialogue.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.score import seconds
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark, write_benchmark

DIALOGUES = 600


def make(folder: Path, count: int) -> tuple[Path, Path]:
    """A benchmark with `count` dialogues and their recordings as outputs."""
    mini = load_benchmark(resolve_benchmark("mini"))
    dialogues = [dialogue for split in mini.splits.values() for dialogue in split]
    outputs = folder / "outputs"
    outputs.mkdir(parents=True)
    made = []
    for i in range(count):
        dialogue = replace(dialogues[i % len(dialogues)], id=f"d{i:04d}")
        assert dialogue.audio is not None
        (outputs / f"d{i:04d}.opus").write_bytes(dialogue.audio.read_bytes())
        made.append(replace(dialogue, audio=None))
    write_benchmark(
        folder / "benchmark", name="many", version="1", license="CC0-1.0", splits={"test": made}
    )
    return folder / "benchmark", outputs


def main() -> None:
    """Print the times of the first scoring, of the second, and of start-up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def score(count: int) -> float:
            part = folder / str(count)
            benchmark, outputs = (
                (part / "benchmark", part / "outputs") if part.exists() else make(part, count)
            )
            places = "--benchmark", benchmark, "--cache", folder / "cache", "--out", part / "r.json"
            return seconds(["-m", "mmdia_eval", "score", outputs, *places])

        first, again = score(DIALOGUES), score(DIALOGUES)
        score(1)
        start_up = score(1)
        print(f"rescore: {DIALOGUES} dialogues, 7 metrics")
        print(f"  first scoring                {first:7.1f} s")
        print(f"  again, from cache            {again:7.2f} s   {first / again:.0f}x")
        print(f"  after start-up ({start_up:.2f} s)      {again - start_up:7.2f} s")


if __name__ == "__main__":
    main()
