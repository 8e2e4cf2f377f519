"""Plugins for tests of the harness itself: an extractor that measures a peak, or misbehaves.

What it does is told by the first turn's text: "die" kills the worker, "raise" raises, "slow"
takes a fifth of a second, "hang" a minute. It writes a line to the file in `log` for every load and
extraction.

Variants stand for engines that no test can have: `toy_batched` for a model on an accelerator,
`toy_large` for one whose device has little memory, `toy_service` for a judge behind a network.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from mmdia_eval import api, registry
from mmdia_eval.api import Counts, Extractor, Inputs, Metric, RemoteExtractor
from mmdia_eval.artifacts import Artifact, Artifacts
from mmdia_eval.errors import MissingOutputError, StageStoppedError
from mmdia_eval.judges.account import MaxCost
from mmdia_eval.protocol import Protocol
from mmdia_eval.types import Dialogue


@dataclass(frozen=True)
class Peak(Artifact):
    kind: ClassVar[str] = "peak"
    value: float


@dataclass(frozen=True)
class Doubled(Artifact):
    kind: ClassVar[str] = "doubled"
    value: float


class ToySettings(api.Settings):
    log: str


class _Logging(Extractor[Any]):
    Settings = ToySettings

    def identity(self) -> Mapping[str, Any]:
        return {}

    def load(self) -> None:
        self._say(f"load {self.name} {os.getpid()}")

    def _say(self, line: str) -> None:
        with Path(self.settings.log).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@registry.extractor("toy_peak")
class PeakExtractor(_Logging):
    version = "1"
    makes = Peak
    cost = 0.5

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Peak]:
        return [self._one(inputs) for inputs in batch]

    def _one(self, inputs: Inputs) -> Peak:
        text = inputs.dialogue.turns[0].text
        self._say(f"peak {inputs.dialogue.id}")
        if text == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "raise":
            raise RuntimeError("the engine is out of order")
        if text == "slow":
            time.sleep(0.2)
        if text == "hang":
            time.sleep(60)
        return Peak(float(np.abs(inputs.audio.samples).max()))


@registry.extractor("toy_doubled")
class DoubledExtractor(_Logging):
    version = "1"
    makes = Doubled
    needs = (Peak,)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Doubled]:
        for inputs in batch:
            self._say(f"doubled {inputs.dialogue.id}")
        return [Doubled(2 * inputs.artifacts[Peak].value) for inputs in batch]


@registry.extractor("toy_batched")
class BatchedExtractor(PeakExtractor):
    """Runs on an accelerator: a line a batch with its ids. "cuda" breaks the process for good."""

    device = "gpu"
    batch_seconds = 10.0
    broken = False

    def load(self) -> None:
        super().load()
        self._say(f"device {self.torch_device} threads {os.environ['OMP_NUM_THREADS']}")
        if Path(self.settings.log).with_name("unloadable").exists():
            raise OSError("no such weights")

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Peak]:
        self._say("batch " + " ".join(inputs.dialogue.id for inputs in batch))
        for inputs in batch:
            if inputs.dialogue.turns[0].text == "cuda":
                BatchedExtractor.broken = True
        if BatchedExtractor.broken:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return super().extract(batch)


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's own, which the CPU build never raises; the harness goes by it."""


@registry.extractor("toy_large")
class LargeExtractor(BatchedExtractor):
    """Has memory for four seconds of padded sound."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Peak]:
        if len(batch) * max(inputs.audio.duration for inputs in batch) > 4:
            self._say("full " + " ".join(inputs.dialogue.id for inputs in batch))
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().extract(batch)


class ServiceSettings(ToySettings):
    judge: str
    max_cost: MaxCost | None = Field(None, exclude=True)
    stop_after: int | None = None
    seconds: float = 0.0


@registry.extractor("toy_service")
class ServiceExtractor(RemoteExtractor[Doubled]):
    """A service in this process that doubles the peak of what it is sent; "raise" is its fault."""

    version = "1"
    makes = Doubled
    concurrency = 8
    Settings = ServiceSettings
    asked = 0
    under_way = 0

    async def open(self) -> None:
        self._say("open")

    async def close(self) -> None:
        self._say("close")

    async def ask(self, inputs: Inputs) -> Doubled:
        self.asked += 1
        if self.settings.stop_after is not None and self.asked > self.settings.stop_after:
            raise StageStoppedError("the quota is spent: buy more, then give the command again")
        self.under_way += 1
        self._say(f"ask {inputs.dialogue.id} {self.under_way} {time.monotonic()}")
        await asyncio.sleep(self.settings.seconds)
        self.under_way -= 1
        if inputs.dialogue.turns[0].text == "raise":
            raise RuntimeError("status 500")
        return Doubled(2 * float(np.abs(inputs.audio.samples).max()))

    def _say(self, line: str) -> None:
        with Path(self.settings.log).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@registry.extractor("toy_late_service")
class LateServiceExtractor(ServiceExtractor):
    """Wants what a local stage makes."""

    needs = (Peak,)


@registry.metric("toy_loudness")
class Loudness(Metric):
    """Mean of twice the peak. A dialogue that begins with "odd" does not apply."""

    version = "1"
    fields = ("sum", "n")
    unit = "full scale"
    higher_is_better = True
    aggregation = "mean"
    needs = (Doubled,)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        return "odd" if dialogue.turns[0].text == "odd" else None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        if dialogue.turns[0].text == "nothing":
            raise MissingOutputError("nothing to hear")
        return {"sum": artifacts[Doubled].value, "n": 1}

    def worst(self, dialogue: Dialogue) -> Counts:
        return {"sum": 0.0, "n": 1}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["sum"] / total["n"]


def toy_protocol(log: Path, **changes: Mapping[str, Any]) -> Protocol:
    """`changes` replace keys of the roles `peak` and `doubled`."""
    settings = {"log": str(log)}
    extractors: dict[str, dict[str, Any]] = {
        "peak": {"extractor": "toy_peak", "settings": settings},
        "doubled": {"extractor": "toy_doubled", "settings": settings},
    }
    for role, values in changes.items():
        extractors[role] = {**extractors[role], **values}
    return Protocol.model_validate(
        {
            "name": "toy",
            "version": "1",
            "summary": "for tests",
            "comparable": False,
            "tasks": [1],
            "extractors": extractors,
            "metrics": [{"name": "loudness", "metric": "toy_loudness"}],
        }
    )
