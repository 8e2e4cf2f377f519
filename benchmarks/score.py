"""The whole `score` against its bare engines in a loop, over the same files.

The loop is what a careful script would do: load each engine once, decode each file once, feed the
engines in order, keep everything in memory. Both sides are whole processes, from interpreter start
to the last artifact; the harness also measures, writes and reports. Targets: at most 5 % more on
one worker, at least 1.8 times faster on two.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmdia_eval import media
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifact, Artifacts
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark, write_benchmark
from mmdia_eval.plan import MEDIA, make_plan
from mmdia_eval.protocol import load_protocol
from mmdia_eval.submission import load_submission

METRICS = ("wer", "cpwer", "sasim", "dnsmos", "turn_order_accuracy", "duration_ratio")


def bare(benchmark: Path, outputs: Path) -> None:
    """Each engine of the embedded protocol over each file, one after the other."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    loaded = load_benchmark(benchmark)
    samples = load_submission(outputs, loaded.split("test"), 1).samples
    plan = make_plan(load_protocol("embedded"), 1, samples, loaded.scripts, METRICS)
    audio = {}
    found: dict[str, dict[str, Artifact]] = {MEDIA: {}}
    for sample in samples:
        assert sample.output is not None
        found[MEDIA][sample.dialogue.id], audio[sample.dialogue.id] = media.decode(sample.output)
    for stage in plan.stages:
        stage.extractor.load()
        found[stage.role] = {}
        for sample in samples:
            id_ = sample.dialogue.id
            sound = audio[id_]
            assert sound is not None
            artifacts = Artifacts({k: found[role][id_] for k, role in stage.inputs.items()})
            inputs = Inputs(sound, sample.dialogue, artifacts)
            (found[stage.role][id_],) = stage.extractor.extract([inputs])


def all_dialogues(folder: Path) -> tuple[Path, Path]:
    """A benchmark whose test split is the whole mini benchmark, and its recordings as outputs."""
    mini = load_benchmark(resolve_benchmark("mini"))
    dialogues = [dialogue for split in mini.splits.values() for dialogue in split]
    benchmark, outputs = folder / "benchmark", folder / "outputs"
    outputs.mkdir(parents=True)
    for dialogue in dialogues:
        assert dialogue.audio is not None
        copy = outputs / f"{dialogue.id}{dialogue.audio.suffix}"
        copy.write_bytes(dialogue.audio.read_bytes())
    write_benchmark(
        benchmark,
        name="all",
        version="1",
        license="CC0-1.0",
        splits={"test": [replace(dialogue, audio=None) for dialogue in dialogues]},
    )
    return benchmark, outputs


def seconds(arguments: Sequence[str | Path]) -> float:
    """Wall seconds of a Python process with these arguments."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    """Print both ratios from one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        benchmark, outputs = all_dialogues(folder)
        total = sum(media.decode(path)[0].duration for path in outputs.iterdir())
        loop = seconds(["-m", "benchmarks.score", "--bare", benchmark, outputs])
        print(f"score: {total:.0f} s of audio, {len(METRICS)} metrics")
        print(f"  bare engines in a loop       {loop:7.1f} s")
        for jobs in (1, 2):
            took = seconds(
                [
                    "-m",
                    "mmdia_eval",
                    "score",
                    outputs,
                    *("--benchmark", benchmark),
                    *(part for metric in METRICS for part in ("--metric", metric)),
                    *("--jobs", str(jobs)),
                    *("--cache", folder / f"cache{jobs}"),
                    *("--out", folder / f"{jobs}.json"),
                ]
            )
            print(
                f"  mmdia-eval score --jobs {jobs}    {took:7.1f} s   {loop / took:.2f}x the loop"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        bare(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
