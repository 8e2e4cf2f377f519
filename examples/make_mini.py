"""Make the mini benchmark: `python -m mmdia_eval.examples.make_mini` turns the scripts into speech.

Reads mini_texts.toml, writes the folder mini beside it. Needs flite with the voices slt, rms, awb
and kal16 (Debian: `apt install flite`). The same flite and libopus give the same bytes. Run
make_mini_clips.py afterwards: the folder is made anew, without its clips.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import av
import numpy as np
import soundfile

from mmdia_eval.benchmark import write_benchmark
from mmdia_eval.text import strip_marks
from mmdia_eval.types import SAMPLE_RATE, SPLITS, Dialogue, FloatArray, Segment, Style, Turn

HERE = Path(__file__).resolve().parent
TEXTS = HERE / "mini_texts.toml"
MINI = HERE / "mini"

BIT_RATE = 28_000
"""Bits per second of the Opus files."""

FRAME = SAMPLE_RATE // 100
"""Turns and pauses are whole frames of 10 ms, so that times in the manifest are exact."""

LEVEL = 0.06
"""RMS of every turn, of full scale: flite's voices differ in loudness."""

SILENCE = 10 ** (-45 / 20)
"""A frame at either end of a turn is trimmed when its RMS is below this share of the loudest's."""

EDGE = 25
PAUSES = (15, 45)
TAKE_GAP = 20
"""Frames of silence: at both ends of a file, the range between turns, between takes."""

REPLACED = 0.3
"""Share of a dialogue's words that the word-salad takes replace."""


@dataclass(frozen=True)
class Script:
    """One entry of mini_texts.toml."""

    id: str
    voices: Mapping[str, str]
    style: Style
    turns: tuple[Turn, ...]

    @property
    def split(self) -> str:
        return self.id.split("_")[1]

    @cached_property
    def spoken(self) -> tuple[str, ...]:
        """What flite is to say in each turn."""
        return tuple(strip_marks(turn.text) for turn in self.turns)

    def voice(self, turn: int) -> str:
        return self.voices[self.turns[turn].speaker]


@dataclass(frozen=True)
class Take:
    """A turn spoken otherwise than in the reference, for the example systems that need it so.

    One line of takes.jsonl; `file` is relative to the benchmark, `start` and `end` are seconds.
    """

    dialogue: str
    turn: int
    systems: tuple[str, ...]
    voice: str
    text: str
    file: str = ""
    start: float = 0.0
    end: float = 0.0


def read_scripts(path: Path) -> list[Script]:
    """The scripts of a TOML file, in its order."""
    return [
        Script(
            id=entry["id"],
            voices=entry["voices"],
            style=Style(
                entry["description"],
                entry["relationship"],
                entry["interaction_type"],
                entry["emotional_tone"],
            ),
            turns=tuple(Turn(*turn.split(": ", 1)) for turn in entry["turns"]),
        )
        for entry in tomllib.loads(path.read_text("utf-8"))["dialogue"]
    ]


@cache
def speak(voice: str, text: str) -> FloatArray:
    """`text` in a flite voice: trimmed, at LEVEL, a whole number of frames, at SAMPLE_RATE."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "turn.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(wav)], check=True)
        samples, rate = soundfile.read(wav, dtype="float32")
    if rate != SAMPLE_RATE:
        raise ValueError(f"flite's voice {voice} speaks at {rate} Hz, not {SAMPLE_RATE}")
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    loudness = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(loudness > SILENCE * loudness.max())
    kept: FloatArray = frames[loud[0] : loud[-1] + 1].ravel()
    return kept * np.float32(LEVEL / np.sqrt((kept**2).mean()))


def silence(frames: int) -> FloatArray:
    """So many frames of digital silence."""
    return np.zeros(frames * FRAME, np.float32)


def join(parts: Sequence[FloatArray], pauses: Iterator[int]) -> tuple[FloatArray, list[Segment]]:
    """`parts` one after the other with pauses (in frames) between, and where each one lies."""
    pieces = [silence(EDGE)]
    segments = []
    position = EDGE
    for number, part in enumerate(parts):
        if number:
            pause = next(pauses)
            pieces.append(silence(pause))
            position += pause
        pieces.append(part)
        end = position + len(part) // FRAME
        segments.append(Segment(position / 100, end / 100))
        position = end
    return np.concatenate([*pieces, silence(EDGE)]), segments


def write_opus(path: Path, samples: FloatArray) -> None:
    """Write mono Ogg/Opus. The same samples give the same bytes: the stream's serial is fixed.

    `samples` last more than a second: libsndfile misreads shorter files of this encoder.
    """
    exact = {"fflags": "+bitexact", "serial_offset": "1"}
    with av.open(str(path), "w", format="ogg", container_options=exact) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, options={"flags": "+bitexact"})
        stream.bit_rate = BIT_RATE
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for item in (frame, None):
            for packet in stream.encode(item):
                container.mux(packet)


def render(script: Script) -> Dialogue:
    """Speak a dialogue into MINI/media; the dialogue comes back with its turns' times."""
    parts = [speak(script.voice(turn), text) for turn, text in enumerate(script.spoken)]
    dice = random.Random(script.id)  # noqa: S311
    samples, segments = join(parts, (dice.randint(*PAUSES) for _ in parts))
    audio = MINI / "media" / f"{script.id}.opus"
    write_opus(audio, samples)
    return Dialogue(
        id=script.id,
        turns=tuple(
            replace(turn, segment=segment)
            for turn, segment in zip(script.turns, segments, strict=True)
        ),
        style=script.style,
        audio=audio,
        duration=len(samples) / SAMPLE_RATE,
    )


def one_voice(script: Script) -> Iterator[tuple[int, str, str]]:
    """(turn, voice, text) of every turn of the others, in the first speaker's voice."""
    first = script.voice(0)
    for turn, text in enumerate(script.spoken):
        if script.voice(turn) != first:
            yield turn, first, text


def swapped_turns(script: Script) -> Iterator[tuple[int, str, str]]:
    """The first two neighbours from the third turn on that have different voices, exchanged."""
    left = next(
        turn
        for turn in range(2, len(script.turns) - 1)
        if script.voice(turn) != script.voice(turn + 1)
    )
    yield left, script.voice(left + 1), script.spoken[left]
    yield left + 1, script.voice(left), script.spoken[left + 1]


def word_salad(script: Script, vocabulary: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Every turn in its voice, a REPLACED share of the dialogue's words drawn anew."""
    dice = random.Random(f"word-salad {script.id}")  # noqa: S311
    words = [text.split() for text in script.spoken]
    places = [(turn, word) for turn, line in enumerate(words) for word in range(len(line))]
    for turn, word in dice.sample(places, round(REPLACED * len(places))):
        old = words[turn][word]
        new = dice.choice([entry for entry in vocabulary if entry != bare(old)])
        new = new.capitalize() if old[0].isupper() else new
        words[turn][word] = re.sub(r"[\w']+", new, old)
    for turn, line in enumerate(words):
        yield turn, script.voice(turn), " ".join(line)


def bare(token: str) -> str:
    """A word without its punctuation, in lower case."""
    return token.strip(".,!?").lower()


def record_takes(script: Script, vocabulary: Sequence[str]) -> list[Take]:
    """Speak a dialogue's takes, each once, into one file of MINI/takes."""
    users: dict[tuple[int, str, str], list[str]] = {}
    for system, wanted in (
        ("one-voice", one_voice(script)),
        ("swapped-turns", swapped_turns(script)),
        ("word-salad", word_salad(script, vocabulary)),
    ):
        for key in wanted:
            users.setdefault(key, []).append(system)
    file = f"takes/{script.id}.opus"
    samples, segments = join(
        [speak(voice, text) for _, voice, text in users], iter([TAKE_GAP] * len(users))
    )
    write_opus(MINI / file, samples)
    return [
        Take(script.id, turn, tuple(systems), voice, text, file, segment.start, segment.end)
        for ((turn, voice, text), systems), segment in zip(users.items(), segments, strict=True)
    ]


def main() -> None:
    """Make the folder MINI anew."""
    scripts = read_scripts(TEXTS)
    vocabulary = sorted({bare(word) for s in scripts for text in s.spoken for word in text.split()})
    shutil.rmtree(MINI, ignore_errors=True)
    for folder in ("media", "takes"):
        (MINI / folder).mkdir(parents=True)
    write_benchmark(
        MINI,
        name="mini",
        version="1",
        license="CC0-1.0",
        splits={split: [render(s) for s in scripts if s.split == split] for split in SPLITS},
    )
    takes = [take for s in scripts if s.split == "test" for take in record_takes(s, vocabulary)]
    lines = [json.dumps(asdict(take), ensure_ascii=False) + "\n" for take in takes]
    (MINI / "takes.jsonl").write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
