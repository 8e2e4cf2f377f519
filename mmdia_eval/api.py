"""What a plugin author implements: `Extractor` and `Metric`, registered by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from mmdia_eval.types import Artifact, Artifacts, Audio, Dialogue

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
class Weights:
    """A model file that determines an extractor's output."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Inputs:
    """What an extractor sees of one file: its sound, its dialogue, the artifacts it needs."""

    audio: Audio
    dialogue: Dialogue
    artifacts: Artifacts


A = TypeVar("A", bound=Artifact)


class Extractor(ABC, Generic[A]):
    """Owns one model or engine and makes one kind of artifact.

    `reads` names what of the dialogue changes the artifact ("script": the turns' texts,
    "speaker_count", "turn_times"), so that the cache knows; the audio always counts.
    Importing the module and constructing the class must be cheap: engines are imported in `load`.
    `cost` is CPU seconds per second of audio, the estimate until this machine has its own figure.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    makes: ClassVar[type[Artifact]]
    needs: ClassVar[tuple[type[Artifact], ...]] = ()
    reads: ClassVar[tuple[Literal["script", "speaker_count", "turn_times"], ...]] = ()
    device: ClassVar[Literal["cpu", "gpu", "network"]] = "cpu"
    requires: ClassVar[tuple[Requirement, ...]] = ()
    cost: ClassVar[float | None] = None
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, settings: Any, scripts: Sequence[str]) -> None:
        """`settings` is an instance of `Settings`; `scripts` all turn texts of the benchmark."""
        self.settings = settings
        self.scripts = tuple(scripts)

    def weights(self) -> tuple[Weights, ...]:
        """The model files used, with their sha256. Called before `load`."""
        return ()

    def identity(self) -> Mapping[str, Any]:
        """JSON-able facts, beside name, version, settings and weights, that change the artifact."""
        return {}

    @abstractmethod
    def load(self) -> None:
        """Load the model. Called once in each worker, before the first `extract`."""

    @abstractmethod
    def extract(self, batch: Sequence[Inputs]) -> Sequence[A]:
        """One artifact for each input, in order. Results must not depend on the batch's make-up."""


class Metric(ABC):
    """From a dialogue and its artifacts to counts, and from summed counts to a value. Pure.

    `higher_is_better` is None for a diagnostic that is best near the reference's own value.
    `companion` is the component without which the value misleads: it is shown wherever that is.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
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
