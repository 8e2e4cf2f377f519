"""The process that opens one stranger's file: `mmdia_eval.sandbox` starts one for each.

It reads the file, writes its canonical copy to a file that is already open, and says what it found
on standard output: a blank line when it is about to open the file, then one JSON object.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mmdia_eval import media, reencode, video
from mmdia_eval.errors import UserError
from mmdia_eval.types import Audio

SHORT_OF_MEMORY = "resource_limit: it takes more memory than a decoder may have"


@dataclass(frozen=True)
class _Task:
    """One file to open, and the one to write to; what `argument` is depends on the operation."""

    path: Path
    data: BinaryIO
    argument: Any


def main() -> None:
    """Do what the first argument orders, in JSON, as `mmdia_eval.sandbox` writes it."""
    order = json.loads(sys.argv[1])
    _limit(order["seconds"], order["memory"], order["output"])
    operation = OPERATIONS[order["operation"]]
    print(flush=True)  # what happens from here on is the file's doing
    with open(order["data"], "r+b") as data:  # noqa: PTH123 - it is open already
        answer = _answer(operation, _Task(Path(order["path"]), data, order["argument"]))
    json.dump(answer, sys.stdout)


def _limit(seconds: int, memory: int, output: int) -> None:
    """What this process may take; none of it can be raised again."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, output),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 0),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (OSError, ValueError):  # macOS has no limit of the address space
            continue
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def _answer(operation: Operation, task: _Task) -> Mapping[str, Any]:
    """`found`, or the file's `problem`, or why this `failed` where no file is to blame."""
    try:
        found = operation(task)
        task.data.flush()
        problem = found.get("problem")
    except UserError as error:
        problem = str(error).removeprefix(f"{task.path}: ")
    except MemoryError:
        problem = SHORT_OF_MEMORY
    except Exception as error:  # noqa: BLE001 - told by the parent
        if getattr(error, "errno", None) != errno.EFBIG:
            return {"failed": f"{type(error).__name__}: {error}"}
        problem = "resource_limit: its decoded copy is larger than any may be"
    if problem and _is_short_of_memory(problem):
        problem = SHORT_OF_MEMORY
    return {"problem": problem} if problem else {"found": found}


def _is_short_of_memory(problem: str) -> bool:
    """Whether a codec that could get no memory took the file for damaged.

    libav says so in some places, and in others that its input is invalid.
    """
    if "allocate memory" in problem or "temporarily unavailable" in problem:
        return True
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return problem.startswith(("unreadable", "truncated")) and 0 < most < 2 * _most_taken()


def _most_taken() -> int:
    """Bytes of memory at the peak of this process.

    What getrusage says begins with the peak of the process that started this one, unless one
    between them has forked, as in the isolated modes, where there is no /proc.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * kilobytes


def _check(task: _Task) -> Mapping[str, Any]:
    """Whether everything is here that decoding takes."""
    import av  # noqa: PLC0415, F401
    import soundfile  # noqa: PLC0415, F401
    import soxr  # noqa: PLC0415, F401

    return {"path": str(task.path)}


def _header(task: _Task) -> Mapping[str, Any]:
    duration = media.read_duration(task.path)
    return {"duration": duration, "frame_bytes": video.frame_bytes(task.path)}


def _sound(task: _Task) -> Mapping[str, Any]:
    """16 kHz float32 samples without a header."""
    info, audio = media.decode(task.path)
    if audio is not None:
        task.data.write(audio.samples.tobytes())
    return asdict(info)


def _details(task: _Task) -> Mapping[str, Any]:
    info, pcm_sha256 = media.read_details(task.path)
    return {"info": asdict(info), "pcm_sha256": pcm_sha256, "problem": info.problem}


def _sound_at(task: _Task) -> Mapping[str, Any]:
    """At `argument` Hz."""
    task.data.write(media.decode_at(task.path, task.argument).samples.tobytes())
    return {}


def _frames(task: _Task) -> Mapping[str, Any]:
    """An .npy file, as `video.decode` writes it."""
    return asdict(video.decode_into(task.path, task.data))


def _video_copy(task: _Task) -> Mapping[str, Any]:
    """In the form that `argument` says, with the samples that lie in `data`, if any, for sound."""
    form = reencode.VideoForm(**task.argument)
    samples = np.frombuffer(task.data.read(), np.float32)
    task.data.seek(0)
    task.data.truncate()
    sound = Audio(samples, form.sample_rate) if len(samples) else None
    task.data.write(reencode.video(task.path, form=form, sound=sound))
    return {}


def _listening_copy(task: _Task) -> Mapping[str, Any]:
    return {"problem": media.write_listening_copy(task.path, task.data)}


Operation = Callable[[_Task], Mapping[str, Any]]
OPERATIONS: Mapping[str, Operation] = {
    "check": _check,
    "header": _header,
    "sound": _sound,
    "details": _details,
    "sound_at": _sound_at,
    "frames": _frames,
    "video_copy": _video_copy,
    "listening_copy": _listening_copy,
}
