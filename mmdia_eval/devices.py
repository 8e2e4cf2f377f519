"""Which devices torch has here, and how a worker sets itself up for one. Imports torch late."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from mmdia_eval.errors import UserError

CPU = "cpu"


def check_name(asked: str) -> None:
    """Raise UserError unless `asked` is auto, cpu, cuda or cuda:N."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", asked):
        raise UserError(
            f"--device {asked}: unknown; it is auto, cpu, cuda, or one GPU such as cuda:0"
        )


def resolve(asked: str) -> tuple[str, ...]:
    """The torch devices behind `--device`, one worker each. Imports torch unless asked for "cpu".

    Raises:
        UserError: a CUDA device was asked for that torch does not see; the message says why.
    """
    check_name(asked)
    if asked == CPU:
        return (CPU,)
    count, why = _cuda_devices()
    if asked == "auto":
        return tuple(f"cuda:{i}" for i in range(count)) or (CPU,)
    if not count:
        raise UserError(f"--device {asked}: {why}; --device cpu runs everything, slower")
    found = tuple(f"cuda:{i}" for i in range(count))
    if asked == "cuda":
        return found
    if asked not in found:
        raise UserError(f"--device {asked}: there is none; this machine has {', '.join(found)}")
    return (asked,)


def _cuda_devices() -> tuple[int, str]:
    """How many there are, and why there are none."""
    if find_spec("torch") is None:
        return 0, "torch is not installed (pip install 'mmdia-eval[speech]')"
    import torch  # noqa: PLC0415

    if torch.version.cuda is None and torch.version.hip is None:
        return 0, f"torch {torch.__version__} is built without CUDA (see pytorch.org for one with)"
    with warnings.catch_warnings():
        # An unfit driver is told as a warning; what counts is that there is no device then.
        warnings.simplefilter("ignore")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return count, "torch sees no CUDA device (driver? CUDA_VISIBLE_DEVICES?)"


def set_up(device: str, threads: int) -> None:
    """Make torch, where it is in use, give the same numbers in every run, on `threads` threads.

    TF32 rounds the inputs of float32 products to 10 bits of mantissa, and cuDNN otherwise picks
    its algorithms by trial: both change values from machine to machine.
    """
    if device != CPU:
        import torch  # noqa: PLC0415
    elif (torch := sys.modules.get("torch")) is None:  # type: ignore[assignment]
        return
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def describe(device: str, threads: int) -> Mapping[str, Any]:
    """What ran, for the results file. JSON-able."""
    found: dict[str, Any] = {"device": device, "threads": threads}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = str(torch.__version__)
    if torch is not None and device != CPU:
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "driver": _driver(),
            "cuda": torch.version.cuda or torch.version.hip,
            "cudnn": torch.backends.cudnn.version(),
            "tf32": False,
            "cudnn_deterministic": True,
        }
    return found


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return out.splitlines()[0].strip() if out.strip() else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device (or this machine) had too little memory, whichever library says so.

    torch raises `torch.OutOfMemoryError` on a device and RuntimeError on the CPU, CTranslate2
    RuntimeError; by name and text, because this must not import them.
    """
    if isinstance(error, MemoryError):
        return True
    if any(cls.__name__ == "OutOfMemoryError" for cls in type(error).__mro__):
        return True
    text = str(error).lower()
    signs = ("out of memory", "cublas_status_alloc_failed", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(sign in text for sign in signs)


def is_broken(error: BaseException) -> bool:
    """Whether the process can use its device no more: a CUDA error stays for all later calls."""
    named = any(cls.__name__ == "AcceleratorError" for cls in type(error).__mro__)
    return named or (isinstance(error, RuntimeError) and "CUDA error" in str(error))


def free_memory(device: str) -> None:
    """Give back what a failed batch held."""
    import gc  # noqa: PLC0415

    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and device != CPU:
        torch.cuda.empty_cache()
