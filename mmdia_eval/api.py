"""What a plugin author implements: `Extractor` and `Metric`, registered by name."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from mmdia_eval import models
from mmdia_eval.types import Artifact, Artifacts, Audio, Dialogue, Weights

Counts = Mapping[str, float]
"""Sufficient statistics of one dialogue, by field name. The harness only ever adds them."""


class Settings(BaseModel):
    """Settings of a plugin, as a protocol file gives them; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Requirement:
    """A Python module that must be importable, and the command that brings it."""

    module: str
    install: str


@dataclass(frozen=True)
class Inputs:
    """What an extractor sees of one file: its sound, its dialogue, the artifacts it needs.

    `frames` are its pictures, (T, height, width, 3) uint8, red-green-blue, 25 a second, for an
    extractor that `reads_frames`. `path` is the file itself, for engines that take more of it than
    its sound; none opens it but through `mmdia_eval.media`.
    """

    audio: Audio
    dialogue: Dialogue
    artifacts: Artifacts
    path: Path = Path()
    frames: Any = None


A = TypeVar("A", bound=Artifact)


class Extractor(ABC, Generic[A]):
    """Owns one model or engine and makes one kind of artifact.

    `reads` names what of the dialogue changes the artifact ("script": the turns' texts,
    "speaker_count", "turn_times"), so that the cache knows; the audio always counts.
    Importing the module and constructing the class must be cheap: engines are imported in `load`.
    `cost` is CPU seconds per second of audio, the estimate until this machine has its own figure.

    One whose `device` is "gpu" runs on an accelerator where there is one, else on the CPU: the
    harness sets `torch_device` before `load`. It gets batches of up to `batch_seconds` of sound,
    padding counted (number of files times the longest); 0 is one file at a time.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    makes: ClassVar[type[Artifact]]
    needs: ClassVar[tuple[type[Artifact], ...]] = ()
    reads: ClassVar[tuple[Literal["script", "speaker_count", "turn_times"], ...]] = ()
    device: ClassVar[Literal["cpu", "gpu", "network"]] = "cpu"
    requires: ClassVar[tuple[Requirement, ...]] = ()
    cost: ClassVar[float | None] = None
    reads_frames: ClassVar[bool] = False
    batch_seconds: ClassVar[float] = 0.0
    torch_device: str = "cpu"
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: Any, scripts: Sequence[str]) -> None:
        """`settings` is an instance of `Settings`; `scripts` all turn texts of the benchmark."""
        self.settings = settings
        self.scripts = tuple(scripts)

    def models(self) -> tuple[str, ...]:
        """Ids of the models used, as `mmdia_eval.models` lists them."""
        return ()

    def weights(self) -> tuple[Weights, ...]:
        """The model files used, with their sha256. Called before `load`."""
        return tuple(weights for id_ in self.models() for weights in models.weights(id_))

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts, beside name, version, settings and weights, that change the artifact."""
        return {}

    @abstractmethod
    def load(self) -> None:
        """Load the model. Called once in each worker, before the first `extract`."""

    @abstractmethod
    def extract(self, batch: Sequence[Inputs]) -> Sequence[A]:
        """One artifact for each input, in order. Results must not depend on the batch's make-up."""


class RemoteExtractor(Extractor[A]):
    """An extractor whose engine is a service: one question a file, many under way at once.

    The harness runs it in the main process beside the local stages: `open` once, then `ask` for
    each file, at most `concurrency` at a time, then `close`. `ask` handles the service's own faults
    (retries, rate limits); what it raises fails that file alone.
    """

    device = "network"
    concurrency: ClassVar[int] = 32

    def load(self) -> None:
        """Nothing: `open` connects."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[A]:
        """For use outside the harness."""
        return asyncio.run(self._ask_all(batch))

    async def _ask_all(self, batch: Sequence[Inputs]) -> list[A]:
        await self.open()
        try:
            return list(await asyncio.gather(*map(self.ask, batch)))
        finally:
            await self.close()

    async def open(self) -> None:
        """Connect, in the event loop that will call `ask`."""

    async def close(self) -> None:
        """Let connections go. Called once, also after an error."""

    @abstractmethod
    async def ask(self, inputs: Inputs) -> A:
        """The artifact of one file.

        Raises:
            StageStoppedError: no further file can succeed (quota spent, key refused): the harness
                asks nothing more, keeps what it has and says how to go on.
        """


class Metric(ABC):
    """From a dialogue and its artifacts to counts, and from summed counts to a value. Pure.

    `higher_is_better` is None for a diagnostic that is best near the reference's own value.
    `companion` is the component without which the value misleads: it is shown wherever that is.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    fields: tuple[str, ...]
    unit: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    aggregation: ClassVar[str]
    needs: ClassVar[tuple[type[Artifact], ...]] = ()
    reference_needs: ClassVar[tuple[type[Artifact], ...]] = ()
    companion: ClassVar[str | None] = None
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        """Why this dialogue gives nothing to score, or None. Sees no output: one rule for all."""
        return None

    @abstractmethod
    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        """Counts with exactly the keys `fields`.

        Raises:
            MissingOutputError: the output lacks what this metric needs; it counts as `worst`.
        """

    @abstractmethod
    def worst(self, dialogue: Dialogue) -> Counts:
        """What a missing or unusable output costs: counts at the metric's worst value."""

    @abstractmethod
    def reduce(self, total: Mapping[str, Any]) -> Any:
        """The value of summed counts, by plain arithmetic on numpy floats.

        Each field comes as a numpy scalar, or as an array of resampled sums; division by zero
        gives nan or inf, which the harness writes as "no value".
        """

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """Further figures beside the value, from every row that counts (scored and missing)."""
        return {}
