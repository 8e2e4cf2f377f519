"""Makes torchaudio importable beside a CPU build of torch, and libraries keep to this machine.

speechbrain, pyannote.audio and transformers' audio classes import torchaudio, whose only wheel on
PyPI is linked to CUDA: beside a CPU build of torch its import raises OSError. Its Python parts need
none of the linked code, so the loader of that code is replaced.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_EXTENSION = "torchaudio._extension"


def prepare() -> None:
    """Call before importing speechbrain, pyannote.audio or transformers. Imports torch.

    Also switches off pyannote's telemetry, which is on by default (pyannote.audio 4.0).
    """
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    if "torchaudio" in sys.modules or _EXTENSION in sys.modules:
        return
    spec = importlib.util.find_spec("torchaudio")
    if spec is None or not spec.submodule_search_locations:
        return
    import torch  # noqa: PLC0415

    version = Path(spec.submodule_search_locations[0], "version.py").read_text("utf-8")
    if torch.version.cuda is None and "+cu" in version:
        sys.modules[_EXTENSION] = _without_linked_code()


def full_precision() -> None:
    """Have CUDA compute float32 in float32: TensorFloat-32, which convolutions use by default, is
    no reproducible substitute (pyannote/pyannote-audio issue 1370). For the rest of the process.
    """
    import torch  # noqa: PLC0415

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _without_linked_code() -> ModuleType:
    def refuse(function: Any) -> Any:
        def refused(*_: Any, **__: Any) -> Any:
            raise RuntimeError(f"torchaudio's {function.__name__} needs a CUDA build of torch")

        return refused

    def no_check() -> None:
        """There is no CUDA to compare versions with."""

    stub: Any = ModuleType(_EXTENSION)
    stub.__path__ = []
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False  # noqa: SLF001 - names that torchaudio reads
    stub._IS_ALIGN_AVAILABLE = False  # noqa: SLF001
    stub.fail_if_no_align = refuse
    stub._check_cuda_version = no_check  # noqa: SLF001
    return stub  # type: ignore[no-any-return]
