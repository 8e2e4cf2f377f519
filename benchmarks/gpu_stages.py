"""A stage on an accelerator, by the harness's own worker: its time, and how busy the GPU was."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from mmdia_eval import devices
from mmdia_eval.accelerator import Accelerators
from mmdia_eval.api import Extractor
from mmdia_eval.background import Background
from mmdia_eval.errors import UserError
from mmdia_eval.store import Store
from mmdia_eval.workers import Done, Job, Pool, StageSpec, default_jobs


def first_device(asked: str) -> str:
    """The first of the devices that `--device` names; ends the program where there is none."""
    try:
        return devices.resolve(asked)[0]
    except UserError as error:
        raise SystemExit(str(error)) from None


def timed_stage(
    extractor: Extractor[Any], jobs: Sequence[Job], device: str, store: Store
) -> tuple[float, str]:
    """Seconds for all jobs but the first, which loads the model, and how busy the GPU was."""
    spec = StageSpec(type(extractor), extractor.settings)
    cores = default_jobs()
    with (
        Pool(cores, store, ()) as pool,
        Accelerators([device], cores, store, (), pool) as accelerators,
        Background() as background,
    ):

        def run(some: Sequence[Job]) -> None:
            ends: list[Done] = []
            background.start(accelerators.extract(spec, some, ends.append)).result()
            if problem := next((end.problem for end in ends if end.problem), None):
                raise SystemExit(f"{extractor.name}: {problem}")

        run(jobs[:1])
        with Utilisation(device) as busy:
            begin = time.perf_counter()
            run(jobs[1:])
            return time.perf_counter() - begin, busy.text


class Utilisation:
    """How much of the time the GPU had a kernel running, as NVML says five times a second."""

    def __init__(self, device: str) -> None:
        self._index = device.partition(":")[2] or "0"
        self._found: list[float] = []
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Utilisation:
        command = ["nvidia-smi", f"--id={self._index}", "--query-gpu=utilization.gpu"]
        options = ["--format=csv,noheader,nounits", "--loop-ms=200"]
        with suppress(OSError):
            self._process = subprocess.Popen(
                [*command, *options], stdout=subprocess.PIPE, text=True
            )
            threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):
                self._found.append(float(line))

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    @property
    def text(self) -> str:
        return f"{np.mean(self._found):.0f} %" if self._found else "-"
