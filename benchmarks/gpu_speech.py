"""The speech stages on an accelerator against the reference scripts' way, in one run.

Their way (MM-DIA's and ZipVoice's evaluation scripts): decode a file, give it to the model, next
file, everything in float32; embeddings one sentence at a time. Ours is the harness's own worker:
batches, sound decoded and read ahead. Both start from recordings on disk and an engine that is
loaded and has done one file. Weights are random, at the real sizes.

Targets: ten times the reference way, the GPU busy at least 80 % of a stage.

`python -m benchmarks.gpu_speech` wants a GPU; `--device cpu --tiny` shows that it runs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks import gpu_models
from benchmarks.gpu_stages import Utilisation, first_device, timed_stage
from mmdia_eval import devices, media, registry
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, Word
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.store import Store, file_sha256
from mmdia_eval.types import SAMPLE_RATE, Dialogue
from mmdia_eval.workers import Job, Source, default_jobs


@dataclass(frozen=True)
class File:
    """A recording of up to 30 s, which a Whisper hears whole, with its script and its alignment."""

    path: Path
    dialogue: Dialogue
    alignment: Alignment
    seconds: float


def one_file(extractor: Any, inputs: Inputs) -> None:
    """The file alone."""
    extractor.extract([inputs])


def one_stretch(extractor: Any, inputs: Inputs) -> None:
    """Each stretch of speech alone."""
    for heard in extractor.heard(inputs):
        extractor.embed([heard.samples])


@dataclass(frozen=True)
class Stage:
    """One of our extractors, and the extractor that is used in the reference way beside it."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    peer: str | None = None
    peer_settings: Mapping[str, Any] = field(default_factory=dict)
    way: Callable[[Any, Inputs], None] = one_file

    @property
    def extractor(self) -> Any:
        return _built(self.name, self.settings)

    @property
    def peer_extractor(self) -> Any:
        return _built(self.peer or self.name, self.peer_settings)


def _built(name: str, settings: Mapping[str, Any]) -> Any:
    cls: Any = registry.extractor.get(name)
    return cls(cls.Settings.model_validate(dict(settings)), ())


TOKENS = {"max_new_tokens": 100}
"""About what a dialogue of 25 s takes. CTranslate2 writes until its limit of 448."""

STAGES = (
    Stage("whisper_transcript", TOKENS, peer_settings=TOKENS),
    Stage("faster_whisper_transcript", peer="whisper_transcript"),
    Stage("pyannote_diarization"),
    Stage("ctc_alignment"),
    Stage("ecapa_embeddings", way=one_stretch),
    Stage("wavlm_ecapa_embeddings", way=one_stretch),
    Stage("utmos22_strong", {"per_turn": False}, peer_settings={"per_turn": False}),
)


def make_files(folder: Path, count: int, lengths: tuple[float, float]) -> list[File]:
    """Recordings of the mini benchmark, cut or repeated to lengths (seconds) drawn evenly."""
    benchmark = load_benchmark(resolve_benchmark("mini"))
    dialogues = [d for split in ("test", "ood", "hard") for d in benchmark.split(split)]
    rng = np.random.default_rng(0)
    files = []
    for number, seconds in enumerate(rng.uniform(*lengths, count)):
        dialogue = dialogues[number % len(dialogues)]
        assert dialogue.audio is not None
        audio = media.decode(dialogue.audio)[1]
        assert audio is not None
        samples = np.resize(audio.samples, round(seconds * SAMPLE_RATE))
        path = folder / f"{number}.wav"
        soundfile.write(path, samples + rng.normal(0, 1e-4, len(samples)), SAMPLE_RATE)
        files.append(File(path, dialogue, _evenly(dialogue, seconds), seconds))
    return files


def _evenly(dialogue: Dialogue, seconds: float) -> Alignment:
    """The script at even steps: where the words are does not matter to speed."""
    step = seconds / sum(len(turn.text.split()) for turn in dialogue.turns)
    turns, begin = [], 0.0
    for index, turn in enumerate(dialogue.turns):
        texts = turn.text.split()
        starts = [begin + place * step for place in range(len(texts))]
        words = [Word(text, start, start + step) for text, start in zip(texts, starts, strict=True)]
        turns.append(AlignedTurn(index, tuple(words), len(words)))
        begin += len(texts) * step
    return Alignment(tuple(turns))


def ours(stage: Stage, device: str, files: Sequence[File], root: Path) -> tuple[float, str]:
    """Seconds that the harness's worker takes for the files, and how busy the GPU was."""
    extractor = stage.extractor
    store = Store(root / stage.name)
    jobs = [_job(store, extractor, number, file) for number, file in enumerate(files)]
    return timed_stage(extractor, jobs, device, store)


def _job(store: Store, extractor: Extractor[Any], number: int, file: File) -> Job:
    inputs = []
    for kind in extractor.needs:
        key = f"{number:064}"
        store.write(key, file.alignment)
        inputs.append((kind, key))
    source = Source("output", file.dialogue, file.path, file_sha256(file.path))
    return Job(source, f"{number:064}", tuple(inputs), file.seconds)


def reference(stage: Stage, device: str, files: Sequence[File]) -> tuple[float, str]:
    """The same, the reference scripts' way, in this process."""
    extractor = stage.peer_extractor
    extractor.torch_device = device
    devices.set_up(device, default_jobs())
    extractor.load()
    devices.set_up(device, default_jobs())

    def run(some: Sequence[File]) -> None:
        for file in some:
            audio = media.decode(file.path)[1]
            assert audio is not None
            artifacts = Artifacts({Alignment: file.alignment})
            stage.way(extractor, Inputs(audio, file.dialogue, artifacts, file.path))

    run(files[:1])
    with Utilisation(device) as busy:
        begin = time.perf_counter()
        run(files[1:])
        return time.perf_counter() - begin, busy.text


def main() -> None:
    """Print both speeds of each stage, in seconds of audio a second, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--files", type=int, default=128, help="how many are timed")
    parser.add_argument("--tiny", action="store_true", help="small, to see that it runs")
    parser.add_argument("--stage", action="append", help="only this one; may be repeated")
    asked = parser.parse_args()
    device = first_device(asked.device)
    stages = [stage for stage in STAGES if not asked.stage or stage.name in asked.stage]
    sizes = gpu_models.TINY if asked.tiny else gpu_models.LARGE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MMDIA_MODELS"] = str(folder / "models")
        os.environ["MMDIA_ALLOW_UNVERIFIED_MODELS"] = "1"
        # One more than asked for, which warms up.
        files = make_files(folder, asked.files + 1, (8, 10) if asked.tiny else (10, 30))
        total = sum(file.seconds for file in files[1:])
        note = ", models of no size: these figures say nothing" if asked.tiny else ""
        print(f"{device}: {len(files) - 1} files, {total:.0f} s of audio{note}")
        print(f"{'stage':28}{'reference':>12}{'busy':>6}{'ours':>10}{'busy':>6}{'ratio':>8}")
        for stage in stages:
            for extractor in (stage.extractor, stage.peer_extractor):
                for id_ in extractor.models():
                    gpu_models.make(id_, folder / "models", sizes)
            took, busy = ours(stage, device, files, folder / "stores")
            peer, peer_busy = reference(stage, device, files)
            devices.free_memory(device)
            print(
                f"{stage.name:28}{total / peer:10.1f}x {peer_busy:>5}{total / took:9.1f}x "
                f"{busy:>5}{peer / took:7.1f}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
