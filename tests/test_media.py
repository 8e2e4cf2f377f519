"""The door: good files of every kind decode alike, bad ones are named and never raise."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from mmdia_eval.errors import UserError
from mmdia_eval.media import Limits, decode, decode_at, read_duration
from mmdia_eval.types import SAMPLE_RATE

Signal = NDArray[np.float32]


def tone(seconds: float = 1.0, rate: int = SAMPLE_RATE, channels: int = 1) -> Signal:
    t = np.arange(int(seconds * rate)) / rate
    wave = (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    return np.stack([wave] * channels, axis=1) if channels > 1 else wave


def write(path: Path, samples: Signal, rate: int = SAMPLE_RATE, **options: str) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def encode(path: Path, codec: str, layout: str, samples: Signal, rate: int) -> Path:
    """Samples of shape (n, channels) as PyAV's encoder writes them."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "rate", "channels", "options"),
    [
        ("a.wav", 16_000, 1, {"subtype": "PCM_16"}),
        ("a.wav", 44_100, 2, {"subtype": "FLOAT"}),
        ("a.flac", 24_000, 1, {}),
        ("a.flac", 48_000, 2, {}),
        ("a.ogg", 48_000, 1, {"format": "OGG", "subtype": "OPUS"}),
        ("a.ogg", 22_050, 1, {"format": "OGG", "subtype": "VORBIS"}),
    ],
)
def test_formats_rates_and_channels_give_the_same_sound(
    tmp_path: Path, name: str, rate: int, channels: int, options: dict[str, str]
) -> None:
    path = write(tmp_path / name, tone(1.0, rate, channels), rate, **options)
    info, audio = decode(path)
    assert audio is not None
    assert info.problem is None
    assert (info.sample_rate, info.channels) == (rate, channels)
    assert info.duration == pytest.approx(1.0, abs=0.01)
    assert audio.samples.dtype == np.float32
    inner = slice(2000, 14_000)
    spectrum = np.abs(np.fft.rfft(audio.samples[inner]))
    assert np.argmax(spectrum) * SAMPLE_RATE / 12_000 == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(audio.samples[inner] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_opus_is_not_shifted(tmp_path: Path) -> None:
    """Times in a manifest must mean the same in every format; libopus begins with a pre-skip."""
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal(96_000) * 0.1).astype(np.float32)
    path = encode(tmp_path / "a.opus", "libopus", "mono", noise[:, None], 48_000)
    _, audio = decode(path)
    assert audio is not None
    middle = soxr.resample(noise, 48_000, SAMPLE_RATE)[12_000:20_000]
    lags = np.correlate(audio.samples[11_800:20_200], middle, "valid")
    assert np.argmax(lags) - 200 == pytest.approx(0, abs=1)


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mp3", "libmp3lame")])
def test_compressed_containers_go_through_pyav(tmp_path: Path, name: str, codec: str) -> None:
    info, audio = decode(encode(tmp_path / name, codec, "stereo", tone(1.0, 44_100, 2), 44_100))
    assert info.problem is None
    assert audio is not None
    assert (info.sample_rate, info.channels) == (44_100, 2)
    assert audio.duration == pytest.approx(1.0, abs=0.1)
    assert info.level == pytest.approx(-13.5, abs=1)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = tone()
    path = write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), subtype="FLOAT")
    _, audio = decode(path)
    assert audio is not None
    np.testing.assert_allclose(audio.samples, left / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "rate", "code"),
    [
        (np.zeros(16_000, np.float32), 16_000, "silent"),
        (np.full(16_000, 0.5, np.float32), 16_000, "constant"),
        (np.full(16_000, np.nan, np.float32), 16_000, "non_finite"),
        (np.full(16_000, np.inf, np.float32), 16_000, "non_finite"),
        (tone() * 1e6, 16_000, "out_of_range"),
        (tone(0.0), 16_000, "empty"),
        (tone(0.1, 96_000, 8), 96_000, "channels"),
        (tone(0.1, 4_000), 4_000, "rate"),
        (tone(0.1, 192_000), 192_000, "rate"),
    ],
    ids=["silent", "constant", "nan", "inf", "huge", "empty", "8-channels", "4-kHz", "192-kHz"],
)
def test_degenerate_sound_is_named(tmp_path: Path, samples: Signal, rate: int, code: str) -> None:
    info, audio = decode(write(tmp_path / "a.wav", samples, rate, subtype="FLOAT"))
    assert audio is None
    assert info.problem is not None
    assert info.problem.startswith(f"{code}: ")


def test_clipping_is_measured_but_scored(tmp_path: Path) -> None:
    clipped = np.clip(tone() * 20, -1, 1)
    info, audio = decode(write(tmp_path / "a.wav", clipped, subtype="FLOAT"))
    assert audio is not None
    assert info.clipped > 0.5


def test_forty_minutes_of_silence_are_refused_by_their_header(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        for _ in range(40):
            file.write(np.zeros(60 * SAMPLE_RATE, np.float32))
    begin = time.perf_counter()
    info, _ = decode(path)
    assert info.problem == "too_long: 2400 s, at most 300"
    assert time.perf_counter() - begin < 1


def test_a_zero_byte_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    assert decode(path)[0].problem == "empty: the file has no bytes"


@pytest.mark.parametrize(
    "content",
    [
        b"dear reviewer, here is the sound",
        b"ffconcat version 1.0\nfile secret.wav\n",
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    ],
    ids=["text", "ffconcat", "playlist", "sdp"],
)
def test_text_called_wav_is_unreadable_and_opens_nothing_else(
    tmp_path: Path, content: bytes
) -> None:
    write(tmp_path / "secret.wav", tone())
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    info, audio = decode(path)
    assert audio is None
    assert info.problem is not None
    assert info.problem.startswith("unreadable: ")


def test_a_truncated_flac_is_not_scored_as_a_short_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path / "a.flac", (rng.standard_normal(48_000) * 0.1).astype(np.float32))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    info, audio = decode(path)
    assert audio is None
    assert info.problem is not None
    assert info.problem.split(":")[0] in ("truncated", "unreadable")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = write(tmp_path / "a.wav", tone())
    link = tmp_path / "b.wav"
    link.symlink_to(target)
    problem = decode(link)[0].problem
    assert problem is not None
    assert problem.startswith("unreadable: ")


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    assert decode(tmp_path / "a.wav")[0].problem == "unreadable: not a regular file"


def test_a_file_over_the_size_limit_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone())
    problem = decode(path, Limits(size=1000))[0].problem
    assert problem is not None
    assert problem.startswith("too_large: ")


def test_read_duration_reads_the_header(tmp_path: Path) -> None:
    assert read_duration(write(tmp_path / "a.flac", tone(2.5))) == 2.5
    (tmp_path / "b.wav").write_bytes(b"no")
    assert read_duration(tmp_path / "b.wav") is None


def test_another_rate_is_made_of_the_file_and_not_of_16_khz(tmp_path: Path) -> None:
    times = np.arange(24_000) / 24_000
    tone = (0.3 * np.sin(2 * np.pi * 10_000 * times)).astype(np.float32)
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone, 24_000, subtype="FLOAT")
    same = decode_at(path, 24_000)
    assert same.sample_rate == 24_000
    assert np.array_equal(same.samples, tone)
    half = decode_at(path, 48_000)
    assert half.duration == 1.0
    assert np.abs(half.samples[4_800:-4_800]).max() == pytest.approx(0.3, abs=0.01)


def test_a_file_that_went_bad_is_an_error_at_another_rate(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.wav: unreadable"):
        decode_at(tmp_path / "gone.wav", 24_000)
