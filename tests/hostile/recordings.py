"""Recordings that are bombs, damaged, degenerate, or no recordings at all."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from hostile.case import Case, Site, cases

Signal = NDArray[np.float32]
RATE = 16_000


def speech(seconds: float = 2.0, rate: int = RATE) -> Signal:
    """Noise that swells and fades as syllables do."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(t)) * 0.1
    return (noise * np.abs(np.sin(2 * np.pi * 1.5 * t))).astype(np.float32)


def sound(samples: Signal, rate: int = RATE, **options: str) -> Callable[[Site], None]:
    return lambda site: soundfile.write(site.path, samples, rate, **options)


def written(content: bytes) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        site.path.write_bytes(content)

    return make


def wav(samples: Signal, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, subtype, format="WAV")
    return file.getvalue()


def header(rate: int = RATE, channels: int = 1, size: int = 64, bits: int = 16) -> bytes:
    """A WAV header that claims this, before 64 bytes of sound."""
    block = channels * bits // 8
    fields = struct.pack("<HHIIHH", 1, channels % 2**16, rate, rate, block % 2**16, bits)
    return b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0" + fields + struct.pack("<4sI", b"data", size)


def quiet(rate: int, channels: int, seconds: int) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        with soundfile.SoundFile(site.path, "w", rate, channels) as file:
            block = np.zeros((rate, channels), np.int16)
            for _ in range(seconds):
                file.write(block)

    return make


def opus(seconds: int) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        with soundfile.SoundFile(site.path, "w", 8000, 1, "OPUS", format="OGG") as file:
            file.write(np.zeros(8000 * seconds, np.float32))

    return make


def sparse(size: int) -> Callable[[Site], None]:
    """A WAV file of so many bytes that takes next to none on the disk."""

    def make(site: Site) -> None:
        with site.path.open("wb") as file:
            file.write(header(size=min(size, 2**31 - 1)) + bytes(64))
            try:
                os.truncate(file.fileno(), size)
            except OSError:
                os.truncate(file.fileno(), 3 * 2**30)

    return make


def array(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + text.encode()


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", content)
    return file.getvalue()


BOMBS: list[Case] = [
    *cases("bombs", ("rate", "channels"), {"eight channels, 192 kHz.flac": quiet(192_000, 8, 10)}),
    *cases(
        "bombs",
        "too_long",
        {
            "an hour of silence.flac": quiet(RATE, 1, 3600),
            "silence in opus.opus": opus(310),
            "sparse, 78 minutes.wav": sparse(150 * 2**20),
        },
    ),
    *cases(
        "bombs",
        "too_large",
        {"sparse, 3 GB.wav": sparse(3 * 2**30), "sparse, 10 TB.wav": sparse(10**13)},
    ),
    *cases(
        "bombs",
        ("unreadable", "rate", "channels", "too_long"),
        {
            "65535 channels": written(header(channels=65535) + bytes(64)),
            "no channels": written(header(channels=0) + bytes(64)),
            "4 GHz": written(header(rate=2**32 - 1) + bytes(64)),
            "0 Hz": written(header(rate=0) + bytes(64)),
            "array of 10^12": written(array("(1000000000000,)")),
            "gzip": written(gzip.compress(bytes(10**7))),
            "zip": written(zipped(bytes(10**7))),
            "picture": written(b"\x89PNG\r\n\x1a\n" + bytes(1000)),
        },
    ),
    *cases("bombs", "too_short", {"4 GB claimed": written(header(size=2**32 - 16) + bytes(64))}),
    *cases(
        "bombs",
        "non_finite",
        {
            "NaN": sound(np.full(RATE, np.nan, np.float32), subtype="FLOAT"),
            "infinity": sound(np.full(RATE, np.inf, np.float32), subtype="FLOAT"),
        },
    ),
    *cases("bombs", "out_of_range", {"3e38": sound(speech() * 3e38, subtype="FLOAT")}),
]


def cut(extension: str, share: float, **options: str) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        soundfile.write(site.path, speech(), RATE, **options)
        raw = site.path.read_bytes()
        site.path.write_bytes(raw[: int(len(raw) * share)])

    return make


def flipped(site: Site) -> None:
    """A FLAC file with bits turned over throughout."""
    soundfile.write(site.path, speech(), RATE, format="FLAC")
    raw = bytearray(site.path.read_bytes())
    for place in np.random.default_rng(0).integers(200, len(raw), 200):
        raw[place] ^= 0xFF
    site.path.write_bytes(raw)


def cut_aac(site: Site) -> None:
    """An MPEG-4 file without its index, which comes last."""
    with av.open(str(site.path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech()[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    raw = site.path.read_bytes()
    site.path.write_bytes(raw[: len(raw) // 2])


CORRUPT: list[Case] = [
    *cases("corrupt", "empty", {"no bytes": written(b"")}),
    *cases(
        "corrupt",
        ("truncated", "unreadable"),
        {
            "a header alone": written(wav(speech())[:44]),
            "cut.wav": written(wav(speech())[:20_000]),
            "cut.flac": cut(".flac", 0.5),
            "cut.m4a": cut_aac,
            "flipped bits.flac": flipped,
            "a header and chance.wav": written(b"RIFF" + np.random.default_rng(0).bytes(5000)),
            "chance.mp3": written(np.random.default_rng(1).bytes(5000)),
            "a header and chance.m4a": written(
                b"\0\0\0\x18ftypM4A " + np.random.default_rng(2).bytes(5000)
            ),
        },
    ),
]


class Executed:
    """What writes the marker when it is unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.marker,)


def pickled(site: Site) -> None:
    site.path.write_bytes(pickle.dumps(Executed(str(site.marker))))


def object_array(site: Site) -> None:
    with site.path.open("wb") as file:
        np.save(file, np.array([Executed(str(site.marker))], dtype=object), allow_pickle=True)


def torch_file(site: Site) -> None:
    """As `torch.save` writes it: a zip archive with a pickle in it."""
    with zipfile.ZipFile(site.path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Executed(str(site.marker))))
        archive.writestr("archive/version", "3\n")


def compressed_pickle(site: Site) -> None:
    site.path.write_bytes(gzip.compress(pickle.dumps(Executed(str(site.marker)))))


def beside_a_good_one(names: tuple[str, ...]) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        soundfile.write(site.path, speech(), RATE)
        for name in names:
            content = pickle.dumps(Executed(str(site.marker)))
            site.path.with_name(f"{site.path.stem}{name}").write_bytes(content)

    return make


PICKLES: list[Case] = [
    *cases(
        "pickles",
        "unreadable",
        {
            "pickle.wav": pickled,
            "array of objects.wav": object_array,
            "torch.save.mp3": torch_file,
            "gzipped.flac": compressed_pickle,
        },
    ),
    *cases(
        "pickles", "scored", {"models beside": beside_a_good_one((".pkl", ".pt", ".npy", ".ckpt"))}
    ),
]


def yaml_beside(site: Site) -> None:
    soundfile.write(site.path, speech(), RATE)
    program = f"!!python/object/apply:os.mkdir ['{site.marker}']\n"
    for name in ("submission.yaml", "metadata.yml", "submission.yml"):
        site.path.with_name(name).write_text(program)


YAML: list[Case] = cases("yaml", "scored", {"submission.yaml with a program": yaml_beside})

_t = np.arange(2 * RATE) / RATE
_tone = (0.3 * np.sin(2 * np.pi * 440 * _t)).astype(np.float32)
_white = (np.random.default_rng(0).standard_normal(2 * RATE) * 0.1).astype(np.float32)

SILENCE: list[Case] = [
    *cases(
        "silence",
        "silent",
        {
            "digital silence": sound(np.zeros(RATE, np.float32)),
            "dither": sound((_white / 1e4).astype(np.float32), subtype="FLOAT"),
        },
    ),
    *cases(
        "silence",
        "constant",
        {
            "direct current": sound(np.full(RATE, 0.5, np.float32)),
            "full scale": sound(np.full(RATE, -1.0, np.float32)),
        },
    ),
    *cases("silence", "too_short", {"a click": sound(speech(0.02))}),
    *cases(
        "silence",
        "scored",
        {
            "tone": sound(_tone),
            "white noise": sound(_white),
            "a loop of 20 ms": sound(np.tile(speech(0.02), 100).astype(np.float32)),
            "clipped": sound(np.clip(speech() * np.float32(50), -1, 1)),
            "mostly zeros": sound(np.concatenate([np.zeros(6 * RATE, np.float32), speech()])),
            "speech on direct current": sound((speech() / 2 + 0.3).astype(np.float32)),
        },
    ),
]
STEADY = ("tone", "white noise", "a loop of 20 ms")
