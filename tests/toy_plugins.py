"""Plugins for tests of the harness itself: an extractor that measures a peak, or misbehaves.

What it does is told by the first turn's text: "die" kills the worker, "raise" raises, "slow"
takes a fifth of a second. It writes a line to the file in `log` for every load and extraction.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmdia_eval import api, registry
from mmdia_eval.api import Counts, Extractor, Inputs, Metric
from mmdia_eval.errors import MissingOutputError
from mmdia_eval.protocol import Protocol
from mmdia_eval.types import Artifact, Artifacts, Dialogue


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


def toy_protocol(log: Path) -> Protocol:
    settings = {"log": str(log)}
    return Protocol.model_validate(
        {
            "name": "toy",
            "version": "1",
            "summary": "for tests",
            "comparable": False,
            "tasks": [1],
            "extractors": {
                "peak": {"extractor": "toy_peak", "settings": settings},
                "doubled": {"extractor": "toy_doubled", "settings": settings},
            },
            "metrics": [{"name": "loudness", "metric": "toy_loudness"}],
        }
    )
