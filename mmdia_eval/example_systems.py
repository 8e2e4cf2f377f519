"""Seven systems of Task 1 made of the mini benchmark, six of which have one known defect each.

For the demo and the tests: each metric can be seen to notice what it ought to notice.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from mmdia_eval import media
from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.types import SAMPLE_RATE, Dialogue, FloatArray, Segment

SPLIT = "test"
"""The split that the systems answer: the only one with takes."""

TAKES = "takes.jsonl"

SNR = 15.0
"""dB, for `noisy`: mean power of the whole file against that of white noise.

There pocketsphinx mishears a third of the words (20 dB: a tenth, 10 dB: two thirds)."""

KEPT = 0.75
"""Share of each dialogue that `truncated` keeps."""

MISSING = (1, 4)
UNREADABLE = 6
"""The dialogues of the split, counted from 0, that `partial` lacks and spoils."""


@dataclass(frozen=True, eq=False)
class Material:
    """What an answer is made of: mono `samples` of the reference at SAMPLE_RATE, shape (n,).

    `takes` are the turns that the system speaks otherwise than the reference, by number.
    """

    dialogue: Dialogue
    samples: FloatArray
    takes: Mapping[int, FloatArray]


def as_is(material: Material) -> FloatArray:
    """The reference itself."""
    return material.samples


def add_noise(material: Material) -> FloatArray:
    """The reference under white noise at SNR; the seed is the dialogue's id."""
    speech = material.samples
    dice = np.random.default_rng(zlib.crc32(material.dialogue.id.encode()))
    noise = dice.standard_normal(len(speech), dtype=np.float32)
    scale = np.sqrt((speech**2).mean() / (noise**2).mean() / 10 ** (SNR / 10))
    noisy: FloatArray = speech + noise * scale
    return noisy


def cut_off(material: Material) -> FloatArray:
    """The first KEPT share of the reference."""
    return material.samples[: round(KEPT * len(material.samples))]


def splice(material: Material) -> FloatArray:
    """The reference with the takes in the place of their turns; the pauses stay."""
    pieces = []
    position = 0.0
    for number, turn in enumerate(material.dialogue.turns):
        if turn.segment is None:
            raise UserError(f"dialogue {material.dialogue.id!r}: turn {number} has no times")
        pause = Segment(position, turn.segment.start)
        spoken = material.takes.get(number, cut(material.samples, turn.segment))
        pieces += [cut(material.samples, pause), spoken]
        position = turn.segment.end
    return np.concatenate([*pieces, cut(material.samples, Segment(position, np.inf))])


@dataclass(frozen=True)
class System:
    """A way to answer a dialogue, and what is wrong with it in one line."""

    defect: str
    answer: Callable[[Material], FloatArray]


SYSTEMS: Mapping[str, System] = {
    "reference": System("None: the reference recordings as they are.", as_is),
    "noisy": System(f"White noise at a signal-to-noise ratio of {SNR:g} dB.", add_noise),
    "one-voice": System("Every turn is in the first speaker's voice.", splice),
    "word-salad": System("30 % of the words are other words of the benchmark.", splice),
    "swapped-turns": System("Two neighboring turns have each other's voice.", splice),
    "truncated": System("The last quarter is cut off.", cut_off),
    "partial": System("Two files are missing and one is unreadable.", as_is),
}


def make_systems(benchmark_dir: Path, out: Path) -> list[Path]:
    """Write `out`/<system>/output_<id>.flac and submission.toml for each of SYSTEMS.

    `benchmark_dir` is a folder that make_mini.py made. Gives the systems' folders, in the order
    of SYSTEMS. The same benchmark gives the same bytes; FLAC files already there are removed.

    Raises:
        UserError: the benchmark has no takes, or a recording of it cannot be read.
    """
    dialogues = load_benchmark(benchmark_dir).split(SPLIT)
    references = {dialogue.id: read_reference(dialogue) for dialogue in dialogues}
    takes = _read_takes(benchmark_dir)
    for name, system in SYSTEMS.items():
        empty_folder(out / name, "output_*.flac")
        write_system_file(out / name, system.defect)
        for dialogue in dialogues:
            material = Material(dialogue, references[dialogue.id], takes[name, dialogue.id])
            answer = system.answer(material)
            soundfile.write(_output(out / name, dialogue), answer, SAMPLE_RATE, subtype="PCM_16")
    for number in MISSING:
        _output(out / "partial", dialogues[number]).unlink()
    _spoil(_output(out / "partial", dialogues[UNREADABLE]))
    return [out / name for name in SYSTEMS]


def cut(samples: FloatArray, segment: Segment) -> FloatArray:
    """The part of `samples` inside `segment`, which may end at infinity."""
    end = len(samples) if np.isinf(segment.end) else round(segment.end * SAMPLE_RATE)
    return samples[round(segment.start * SAMPLE_RATE) : end]


def _output(folder: Path, dialogue: Dialogue) -> Path:
    return folder / f"output_{dialogue.id}.flac"


def empty_folder(folder: Path, pattern: str) -> None:
    """Make a folder, or remove from it the files of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(pattern):
        left_over.unlink()


def _spoil(path: Path) -> None:
    """Leave what an upload that broke off in the header leaves."""
    path.write_bytes(path.read_bytes()[:40])


def write_system_file(folder: Path, defect: str) -> None:
    """Write the submission.toml of a system that is called as its folder."""
    text = (
        f'name = "{folder.name}"\n'
        'organization = "mmdia-eval examples"\n'
        'date = "2026-11-21"\n'
        "open_weights = true\n"
        'training_data_overlap = "none"\n'
        f'notes = "{defect}"\n'
    )
    (folder / "submission.toml").write_text(text, "utf-8")


def read_recording(path: Path) -> FloatArray:
    """The samples of a recording of the mini benchmark.

    Raises:
        UserError: it cannot be read.
    """
    info, audio = media.decode(path)
    if audio is None:
        raise UserError(f"{path}: {info.problem}; restore the mini benchmark")
    return audio.samples


def read_reference(dialogue: Dialogue) -> FloatArray:
    """The samples of a dialogue's recording.

    Raises:
        UserError: it has none, or one that cannot be read.
    """
    if dialogue.audio is None:
        raise UserError(f"dialogue {dialogue.id!r} has no recording to make example systems of")
    return read_recording(dialogue.audio)


def _read_takes(benchmark_dir: Path) -> defaultdict[tuple[str, str], dict[int, FloatArray]]:
    """By (system, dialogue id); a pair without takes gets none."""
    path = benchmark_dir / TAKES
    if not path.is_file():
        raise UserError(f"{path} is missing; example systems are made of the mini benchmark only")
    takes: defaultdict[tuple[str, str], dict[int, FloatArray]] = defaultdict(dict)
    recordings: dict[str, FloatArray] = {}
    for line in path.read_text("utf-8").splitlines():
        take = json.loads(line)
        file = take["file"]
        if file not in recordings:
            recordings[file] = read_recording(benchmark_dir / file)
        samples = cut(recordings[file], Segment(take["start"], take["end"]))
        for system in take["systems"]:
            takes[system, take["dialogue"]][take["turn"]] = samples
    return takes
