"""Strangers' media are opened in a process of their own that sees one file and nothing else.

Each file gets a fresh `mmdia_eval.decoder`, without network, references, keys or home folder, with
limits of time, memory and output. What it writes is checked here and is all that others read; one
that crashes costs its clip. The benchmark's own recordings are opened without.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, TypeVar, get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mmdia_eval import media, reencode, video
from mmdia_eval.artifacts import MediaInfo, VideoInfo
from mmdia_eval.errors import UserError
from mmdia_eval.isolation import (
    CLIP,
    ISOLATED,
    MOST_SAID,
    Ended,
    enter,
    lacking,
    python,
    run_limited,
)
from mmdia_eval.strict_json import parse_json
from mmdia_eval.types import FRAME_RATE, SAMPLE_RATE, Audio, FloatArray, SandboxMode

Choice = Literal["auto", "required", "off"]

MEMORY = 4 * 2**30
"""Bytes of address space; the longest sound that is allowed takes less than 1 GiB."""
WAITING = 300
"""Seconds by the clock that a decoder may take beyond its limit of processor time."""


@dataclass(frozen=True)
class _Cost:
    """What an operation may take: seconds of processor time, bytes of its output."""

    seconds: int
    output: int


_COSTS = {
    "check": _Cost(60, 0),
    "header": _Cost(30, 0),
    "sound": _Cost(60, 4 * SAMPLE_RATE * int(media.LIMITS.duration + 1)),
    "details": _Cost(60, 0),
    "sound_at": _Cost(60, 4 * media.LIMITS.highest_rate * int(media.LIMITS.duration + 1)),
    "frames": _Cost(
        600,
        video.HEADER + 3 * video.LIMITS.pixels * int((video.LIMITS.duration + 1) * FRAME_RATE),
    ),
    "video_copy": _Cost(600, 256 * 2**20),
    "listening_copy": _Cost(120, 256 * 2**20),
}

LONGEST = max(cost.seconds for cost in _COSTS.values()) + WAITING
"""Seconds within which every decoder has ended."""


def resolve(choice: Choice) -> SandboxMode:
    """How strangers' files are opened here; tried once a process.

    Raises:
        UserError: a sandbox is required, and none works here.
    """
    if choice == "off":
        return "off"
    mode, reasons = _strongest()
    if choice == "required" and mode not in ISOLATED:
        raise UserError(
            f"--sandbox required, but none works here: {'; '.join(reasons)}. Install bubblewrap, "
            "allow unprivileged user namespaces, or score in a container without a network "
            "(SECURITY.md has a command) with --sandbox off"
        )
    return mode


def usual() -> SandboxMode:
    """As `resolve`, of what MMDIA_SANDBOX says: for commands that have no option for it.

    Raises:
        UserError: as `resolve`, or it says none of the three.
    """
    named = os.environ.get("MMDIA_SANDBOX", "auto")
    choice = next((known for known in get_args(Choice) if known == named), None)
    if choice is None:
        raise UserError(f"MMDIA_SANDBOX={named!r}: it should be {', '.join(get_args(Choice))}")
    return resolve(choice)


@cache
def _strongest() -> tuple[SandboxMode, tuple[str, ...]]:
    """The strongest mode that works here, and why each stronger one does not."""
    reasons = []
    modes: tuple[SandboxMode, ...] = ("bubblewrap", "namespaces", "process")
    for mode in modes:
        try:
            check(mode)
        except (OSError, RuntimeError, media.UnusableError) as error:
            reasons.append(f"{mode}: {error}")
        else:
            return mode, tuple(reasons)
    return "off", tuple(reasons)


def check(mode: SandboxMode) -> None:
    """Start a decoder in this mode, and let it end. Raises OSError or RuntimeError: why it cannot.

    `mode` is not "off".
    """
    if why := lacking(mode):
        raise RuntimeError(why)
    with tempfile.TemporaryFile() as data:
        _run("check", Path(__file__).resolve(), mode, data)


@dataclass(frozen=True)
class Header:
    """What a file claims: seconds of sound, None where it says nothing; bytes of its frames."""

    duration: float | None
    frame_bytes: int


def read_header(path: Path, mode: SandboxMode) -> Header:
    """What the file's header claims; nothing and 0 where it cannot be read."""
    if mode == "off":
        return Header(media.read_duration(path), video.frame_bytes(path))
    with tempfile.TemporaryFile() as data:
        try:
            return _checked(Header, _run("header", path, mode, data))
        except (media.UnusableError, RuntimeError):
            return Header(None, 0)


def decode(path: Path, mode: SandboxMode) -> tuple[MediaInfo, Audio | None]:
    """As `media.decode`; also "resource_limit: …" and "crashed: …" are problems.

    Raises:
        RuntimeError: the decoder could not be started, or broke where no file is to blame.
    """
    if mode == "off":
        return media.decode(path)
    with tempfile.TemporaryFile() as data:
        try:
            info = _checked(MediaInfo, _run("sound", path, mode, data))
            samples = _samples(data)
        except media.UnusableError as error:
            return MediaInfo(problem=str(error)), None
    if abs(len(samples) / SAMPLE_RATE - info.duration) > 0.1:
        return MediaInfo(problem=_nonsense("another length than it said")), None
    return info, Audio(samples)


@dataclass(frozen=True)
class _Details:
    info: MediaInfo
    pcm_sha256: str


def read_details(path: Path, mode: SandboxMode) -> tuple[MediaInfo, str | None]:
    """As `media.read_details`; problems and errors are those of `decode`."""
    if mode == "off":
        return media.read_details(path)
    with tempfile.TemporaryFile() as data:
        try:
            found = _checked(_Details, _run("details", path, mode, data))
        except media.UnusableError as error:
            return MediaInfo(problem=str(error)), None
    return found.info, found.pcm_sha256


def decode_at(path: Path, sample_rate: int, mode: SandboxMode) -> Audio:
    """As `media.decode_at`."""
    if mode == "off":
        return media.decode_at(path, sample_rate)
    with tempfile.TemporaryFile() as data:
        try:
            _run("sound_at", path, mode, data, sample_rate)
            return Audio(_samples(data), sample_rate)
        except media.UnusableError as error:
            raise UserError(f"{path}: {error}") from None


def decode_frames(path: Path, out: Path, mode: SandboxMode) -> VideoInfo:
    """As `video.decode`; also "resource_limit: …" and "crashed: …" are problems.

    Raises:
        RuntimeError: the decoder could not be started, or broke where no file is to blame.
    """
    if mode == "off":
        return video.decode(path, out)
    with out.open("w+b") as data:
        try:
            info = _checked(VideoInfo, _run("frames", path, mode, data))
            _check_frames(data, info)
        except media.UnusableError as error:
            out.unlink()
            return VideoInfo(problem=str(error))
    return info


def reencode_video(
    path: Path,
    mode: SandboxMode,
    form: reencode.VideoForm = reencode.SMALL_VIDEO,
    sound: Path | None = None,
) -> bytes:
    """As `reencode.video`; `sound` is a recording of the benchmark's, which is opened here.

    Where it cannot be used the copy has the video's own.
    """
    other = None
    if sound is not None and media.decode(sound)[1] is not None:
        other = media.decode_at(sound, form.sample_rate)
    if mode == "off":
        return reencode.video(path, form=form, sound=other)
    with tempfile.TemporaryFile() as data:
        if other is not None:  # the decoder finds it in the file that it is to write
            data.write(other.samples.tobytes())
            data.seek(0)
        try:
            _run("video_copy", path, mode, data, asdict(form))
        except media.UnusableError as error:
            raise UserError(f"{path}: {error}") from None
        return _written(data)


def write_listening_copy(path: Path, out: Path, mode: SandboxMode) -> str | None:
    """As `media.write_listening_copy`."""
    if mode == "off":
        return media.write_listening_copy(path, out)
    with out.open("w+b") as data:
        try:
            _run("listening_copy", path, mode, data)
        except media.UnusableError as error:
            out.unlink()
            return str(error)
    return None


F = TypeVar("F", Header, MediaInfo, VideoInfo, _Details)


def _checked(kind: type[F], found: Any) -> F:
    """What the decoder says it found. It may be anything: the file may have taken it over."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(found), strict=True)
    except ValidationError:
        raise media.UnusableError(_nonsense("no such finding")) from None


def _nonsense(what: str) -> str:
    return f"crashed: the decoder gave {what}"


def _written(data: IO[bytes]) -> bytes:
    data.seek(0)
    return data.read()


def _samples(data: IO[bytes]) -> FloatArray:
    raw = _written(data)
    if not raw or len(raw) % 4:
        raise media.UnusableError(_nonsense("no whole samples"))
    samples: FloatArray = np.frombuffer(raw, "<f4").astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise media.UnusableError(_nonsense("samples that are NaN or infinite"))
    return samples


def _check_frames(data: IO[bytes], info: VideoInfo) -> None:
    shape = (info.frames, info.height, info.width, 3)
    data.seek(0)
    header = data.read(video.HEADER)
    size = video.HEADER + info.frames * info.height * info.width * 3
    if min(shape) < 1 or header != video.npy_header(shape) or data.seek(0, os.SEEK_END) != size:
        raise media.UnusableError(_nonsense("other frames than it said"))


def _run(
    operation: str,
    path: Path,
    mode: SandboxMode,
    data: IO[bytes],
    argument: int | Mapping[str, int] | None = None,
) -> Any:
    """What a decoder found in one file; its output is then in `data`.

    Raises:
        UnusableError: the file cannot be used, or it broke its decoder or a limit.
        RuntimeError: it is not the file's fault.
    """
    with media.opened(path):
        pass
    cost = _COSTS[operation]
    order = {
        "operation": operation,
        "path": str(CLIP if mode in ISOLATED else path.absolute()),
        "data": data.fileno(),
        "argument": argument,
        "seconds": cost.seconds,
        "memory": MEMORY,
        "output": cost.output + MOST_SAID,
    }
    command = [*enter(mode, path.absolute()), *python(mode), json.dumps(order)]
    return _finding(run_limited(command, cost.seconds + WAITING, data), cost, mode)


def _finding(ended: Ended, cost: _Cost, mode: SandboxMode) -> Any:
    if ended.timed_out:
        raise media.UnusableError(f"resource_limit: no end after {cost.seconds + WAITING} s")
    if ended.died_of == signal.SIGXCPU:
        raise media.UnusableError(f"resource_limit: over {cost.seconds} s of processor time")
    if not ended.said.startswith(b"\n"):
        last = (ended.complaints.splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"the decoder did not start ({mode}): {last}")
    if len(ended.said) >= MOST_SAID:
        raise media.UnusableError(_nonsense("too long an answer"))
    if ended.died_of == signal.SIGKILL:
        raise RuntimeError("the decoder was killed; the machine may be short of memory")
    if ended.died_of:
        raise media.UnusableError(f"crashed: the decoder died of {_name(ended.died_of)}")
    return _answer(ended.said)


def _answer(said: bytes) -> Any:
    try:
        answer = parse_json(said, "answer")
    except UserError:
        answer = None
    match answer:
        case {"found": found}:
            return found
        case {"problem": str(problem)} if _is_plain(problem):
            raise media.UnusableError(problem)
        case {"failed": str(why)} if _is_plain(why):
            raise RuntimeError(f"the decoder failed: {why}")
    raise media.UnusableError(_nonsense("no answer"))


def _is_plain(text: str) -> bool:
    return text.isprintable() and len(text) < 500


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
