"""The one door through which media enter: decoding with limits, and the checks before any metric.

Nothing else in the harness opens a recording, a video or a picture. WAV, FLAC and Ogg go through
libsndfile; other containers through PyAV, opened with protocol and format whitelists so that a
playlist in disguise cannot reach another file or the network.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.artifacts import MediaInfo
from mmdia_eval.errors import UserError
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray

VERSION = "2"
"""Raised when decoding or a check changes, so that cached findings are made again."""

SILENT_BELOW = -60.0
"""dBFS; quieter files hold no speech. Dither measured -100, speech -40 and louder."""
CLIPPED_ABOVE = 0.01
"""Share of samples at full scale above which a file is reported as clipped; it is still scored."""

STEADY_BELOW = 6.0
"""dB between loud and quiet 20 ms frames; below it a file is reported as steady, and still scored.
A tone measured 0, white noise 1, a loop of 20 ms 0.7, speech 33."""
STREAMED = 2**31 - 2**13
"""Bytes of sound from which on a WAV header says no length: what encoders write into a pipe."""

_SNDFILE_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS")
_CUT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
_AV_FORMATS = "mov,matroska,mp3,aac"
_FRAME = SAMPLE_RATE // 50


@dataclass(frozen=True)
class Limits:
    """What a file may be: sizes in bytes, times in seconds, rates in Hz."""

    size: int = 200 * 2**20
    duration: float = 300.0
    shortest: float = 0.1
    lowest_rate: int = 8_000
    highest_rate: int = 96_000
    channels: int = 2
    peak: float = 16.0


LIMITS = Limits()


class UnusableError(Exception):
    """The file is out of the question; the message says why, beginning with a code."""


@dataclass(frozen=True)
class _Pcm:
    samples: FloatArray
    sample_rate: int
    channels: int


def decode(path: Path, limits: Limits = LIMITS) -> tuple[MediaInfo, Audio | None]:
    """Decode a recording to 16 kHz mono float32, and say what was found.

    Channels are averaged; resampling is soxr HQ. The audio is None exactly when
    `MediaInfo.problem` is set: "unreadable: …", "too_long: …", "too_short: …", "too_large: …",
    "rate: …", "channels: …", "empty: …", "truncated: …", "non_finite: …", "out_of_range: …",
    "silent: …", "constant: …". A bad file never raises.
    """
    try:
        pcm = _read(path, limits)
        return _examine(pcm, limits)
    except UnusableError as error:
        return MediaInfo(problem=str(error)), None


def write_listening_copy(path: Path, out: Path | BinaryIO, limits: Limits = LIMITS) -> str | None:
    """Write a recording anew as 24-bit FLAC, one channel at its own rate, without its metadata.

    Returns what is wrong with the file, as `MediaInfo.problem` says it, or None.
    """
    import soundfile  # noqa: PLC0415

    try:
        pcm = _read(path, limits)
        _examine(pcm, limits)
    except UnusableError as error:
        return str(error)
    whole = _whole_samples(pcm) << 8  # soundfile takes the upper 24 of 32 bits
    soundfile.write(out, whole, pcm.sample_rate, "PCM_24", format="FLAC")
    return None


def read_details(path: Path, limits: Limits = LIMITS) -> tuple[MediaInfo, str | None]:
    """What `decode` finds, and the sha256 of the sound: that of its listening copy too.

    Of one channel at the file's own rate, 24-bit little-endian in 32 bits. None for a bad file.
    """
    try:
        pcm = _read(path, limits)
        info, _ = _examine(pcm, limits)
    except UnusableError as error:
        return MediaInfo(problem=str(error)), None
    return info, hashlib.sha256(_whole_samples(pcm).astype("<i4").tobytes()).hexdigest()


def _whole_samples(pcm: _Pcm) -> NDArray[np.int32]:
    """As 24-bit integers; a file of 16 or 24 bits and one channel keeps its own."""
    scaled = np.rint(pcm.samples.astype(np.float64) * 2**23)
    return np.clip(scaled, -(2**23), 2**23 - 1).astype(np.int32)


def decode_at(path: Path, sample_rate: int) -> Audio:
    """A recording that `decode` found good, at another rate: for engines that hear beyond 8 kHz.

    Raises:
        UserError: it is no longer good; the message says why.
    """
    import soxr  # noqa: PLC0415

    try:
        pcm = _read(path, LIMITS)
    except UnusableError as error:
        raise UserError(f"{path}: {error}") from None
    samples = soxr.resample(pcm.samples, pcm.sample_rate, sample_rate, quality="HQ")
    return Audio(np.ascontiguousarray(samples, dtype=np.float32), sample_rate)


def read_duration(path: Path) -> float | None:
    """Seconds according to the header, or None where it cannot tell. Decodes nothing."""
    import soundfile  # noqa: PLC0415

    try:
        with opened(path, LIMITS) as descriptor:
            if os.pread(descriptor, 4, 0) in _SNDFILE_MAGIC:
                with soundfile.SoundFile(descriptor, closefd=False) as file:
                    return float(file.frames / file.samplerate) or None
        with _opened_av(path, "audio") as container:
            return float(container.duration / 1e6) if container.duration else None
    except (UnusableError, soundfile.LibsndfileError):
        return None


@contextmanager
def opened(path: Path, limits: Limits = LIMITS) -> Iterator[int]:
    """A descriptor of a regular file that is no link, within the size limit.

    Raises:
        UnusableError: the file is none, or cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise UnusableError(f"unreadable: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableError("unreadable: not a regular file")
        if status.st_size == 0:
            raise UnusableError("empty: the file has no bytes")
        if status.st_size > limits.size:
            raise UnusableError(
                f"too_large: {status.st_size / 2**20:.0f} MiB, at most {limits.size / 2**20:.0f}"
            )
        yield descriptor
    finally:
        os.close(descriptor)


def _read(path: Path, limits: Limits) -> _Pcm:
    with opened(path, limits) as descriptor:
        if os.pread(descriptor, 4, 0) in _SNDFILE_MAGIC:
            return _read_sndfile(descriptor, limits)
    with _opened_av(path, "audio") as container:
        return _read_av_stream(container, container.streams.audio[0], limits)


def _read_sndfile(descriptor: int, limits: Limits) -> _Pcm:
    import soundfile  # noqa: PLC0415

    try:
        with soundfile.SoundFile(descriptor, closefd=False) as file:
            _check_format(file.samplerate, file.channels, file.frames / file.samplerate, limits)
            file.seek(0)  # else libsndfile leaves the pre-skip of Opus in (libsndfile 1.2)
            samples = file.read(dtype="float32", always_2d=True)
            expected, log = file.frames, file.extra_info
    except soundfile.LibsndfileError as error:
        raise UnusableError(f"unreadable: {error.error_string.rstrip('.')}") from None
    if len(samples) < expected:
        raise UnusableError(f"truncated: {len(samples)} of {expected} samples could be decoded")
    # A cut WAV file reads to its end without an error; libsndfile only notes it.
    if (cut := _CUT.search(log)) and int(cut[1]) < STREAMED:
        raise UnusableError(f"truncated: {cut[2]} of {cut[1]} bytes of sound are there")
    return _Pcm(samples.mean(axis=1, dtype=np.float32), file.samplerate, samples.shape[1])


@contextmanager
def opened_video(path: Path, limits: Limits = LIMITS) -> Iterator[Any]:
    """A container with pictures: a regular file that is no link, within the size limit.

    Raises:
        UnusableError: the file is none, or its data cannot be read.
    """
    with opened(path, limits):
        pass
    with _opened_av(path, "video") as container:
        yield container


@contextmanager
def _opened_av(path: Path, kind: Literal["audio", "video"]) -> Iterator[Any]:
    """A container with such a stream; no other file and no network can be reached from it."""
    import av  # noqa: PLC0415

    options = {"protocol_whitelist": "file", "format_whitelist": _AV_FORMATS}
    try:
        with av.open(f"file:{path.resolve()}", options=options, timeout=10) as container:
            streams = getattr(container.streams, kind)
            if not streams:
                raise UnusableError(f"unreadable: the file has no {kind} stream")
            streams[0].codec_context.thread_count = 1  # as many files at once as processors
            yield container
    # No other OSError: what is written meanwhile may meet a full disk, and that is not the file's.
    except (av.error.FFmpegError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise UnusableError(f"unreadable: {text}") from None


def _read_av_stream(container: Any, stream: Any, limits: Limits) -> _Pcm:
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    _check_format(rate, channels, (container.duration or 0) / 1e6, limits)
    parts: list[FloatArray] = []
    total = 0
    for frame in container.decode(stream):
        samples = _planar_float(frame, channels)
        total += samples.shape[-1]
        _check_format(rate, channels, total / rate, limits)
        parts.append(samples.mean(axis=0, dtype=np.float32))
    if not parts:
        raise UnusableError("empty: no sound could be decoded")
    return _Pcm(np.concatenate(parts), rate, channels)


def _planar_float(frame: Any, channels: int) -> FloatArray:
    """Shape (channels, n), full scale 1."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, channels).T
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / np.float32(np.iinfo(samples.dtype).max + 1)
    floats: FloatArray = samples.astype(np.float32)
    return floats


def _check_format(rate: int, channels: int, seconds: float, limits: Limits) -> None:
    if not limits.lowest_rate <= rate <= limits.highest_rate:
        raise UnusableError(
            f"rate: {rate} Hz, expected {limits.lowest_rate} to {limits.highest_rate}"
        )
    if channels > limits.channels:
        raise UnusableError(f"channels: {channels}, at most {limits.channels}")
    if seconds > limits.duration:
        raise UnusableError(f"too_long: {seconds:.0f} s, at most {limits.duration:.0f}")


def _examine(pcm: _Pcm, limits: Limits) -> tuple[MediaInfo, Audio | None]:
    import soxr  # noqa: PLC0415

    samples = pcm.samples
    if not len(samples):
        raise UnusableError("empty: no sound could be decoded")
    if len(samples) < limits.shortest * pcm.sample_rate:
        raise UnusableError(
            f"too_short: {len(samples) / pcm.sample_rate:.3f} s, at least {limits.shortest:g}"
        )
    if not np.isfinite(samples).all():
        raise UnusableError("non_finite: samples that are NaN or infinite")
    peak = float(np.abs(samples).max())
    if peak > limits.peak:
        raise UnusableError(f"out_of_range: a sample of {peak:.3g}, full scale is 1")
    level = _dbfs(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))
    if level < SILENT_BELOW:
        raise UnusableError(f"silent: {level:.0f} dBFS")
    if float(np.ptp(samples)) < 1e-4:
        raise UnusableError("constant: every sample has the same value")
    if pcm.sample_rate != SAMPLE_RATE:
        samples = soxr.resample(samples, pcm.sample_rate, SAMPLE_RATE, quality="HQ")
    info = MediaInfo(
        duration=len(pcm.samples) / pcm.sample_rate,
        sample_rate=pcm.sample_rate,
        channels=pcm.channels,
        peak=peak,
        level=level,
        clipped=float(np.mean(np.abs(pcm.samples) >= 0.999)),
        active=_active_share(samples),
        dynamics=_dynamics(samples),
    )
    return info, Audio(np.ascontiguousarray(samples, dtype=np.float32))


def _dbfs(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, 1e-10)))


def _active_share(samples: FloatArray) -> float:
    """Share of 20 ms frames louder than 40 dB below the loudest one."""
    power = _frame_power(samples)
    return float(np.mean(power > power.max() * 1e-4))


def _dynamics(samples: FloatArray) -> float:
    """Between the 95th and the 5th percentile of the levels of 20 ms frames, in dB."""
    loud, quiet = np.percentile(_frame_power(samples - samples.mean()), (95, 5))
    return float(10 * np.log10(max(loud, 1e-10) / max(quiet, 1e-10)))


def _frame_power(samples: FloatArray) -> NDArray[np.float64]:
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power: NDArray[np.float64] = np.mean(np.square(frames, dtype=np.float64), axis=1)
    return power


def wav_bytes(audio: Audio) -> bytes:
    """The sound as a WAV file, 16 bit, without any metadata; what exceeds full scale is clipped."""
    import soundfile  # noqa: PLC0415

    file = io.BytesIO()
    samples = np.clip(audio.samples, -1.0, 1.0)
    soundfile.write(file, samples, audio.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
