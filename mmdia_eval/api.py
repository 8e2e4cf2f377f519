"""What a plugin author implements: `Extractor` and `Metric`, registered by name."""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from mmdia_eval import models
from mmdia_eval.artifacts import Artifact, Artifacts
from mmdia_eval.errors import MissingOutputError, StageStoppedError
from mmdia_eval.types import Audio, Dialogue, FloatArray, Frames, SandboxMode, Weights

Counts = Mapping[str, float]
"""Sufficient statistics of one dialogue, by field name. The harness only ever adds them."""


class Settings(BaseModel):
    """Settings of a plugin, as a protocol file gives them; unknown keys are refused.

    One that changes no artifact, such as a budget, is a `Field(exclude=True)`: what is dumped is
    part of the cache's key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Requirement:
    """A Python module that must be importable, and the command that brings it."""

    module: str
    install: str


@dataclass(frozen=True)
class Estimate:
    """What asking a service will take, in words; `cost` in US dollars, None where unknown."""

    text: str
    cost: float | None = None


@dataclass(frozen=True)
class Inputs:
    """What an extractor sees of one file: its sound, its dialogue, the artifacts it needs.

    `path` is the file itself, for engines that take more of it than its sound; none opens it but
    through `mmdia_eval.sandbox`. `earlier` is what an `UnfinishedError` of an earlier run left.
    For Task 3 the sound is the benchmark's driving recording where there is one, else the file's
    own; `frames` and `reference_frames` are there for extractors that declare to read them.
    `sandbox` is how the file may be opened: `mmdia_eval.sandbox` takes it with the path.
    """

    audio: Audio
    dialogue: Dialogue
    artifacts: Artifacts
    path: Path = Path()
    frames: Frames | None = None
    reference_frames: Frames | None = None
    earlier: Artifact | None = None
    sandbox: SandboxMode = "off"


A = TypeVar("A", bound=Artifact)
Reads = Literal[
    "id",
    "script",
    "speakers",
    "speaker_count",
    "turn_times",
    "style",
    "keyframes",
    "reference",
    "reference_video",
]


class Extractor(ABC, Generic[A]):
    """Owns one model or engine and makes one kind of artifact.

    `reads` names what of the dialogue changes the artifact, so that the cache knows; the file
    always counts. "script": the turns' texts; "speakers": their speakers' names; "style": the
    description and the labels; "keyframes", "reference",
    "reference_video": the pictures and the recordings.
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
    reads: tuple[Reads, ...] = ()
    device: ClassVar[Literal["cpu", "gpu", "network"]] = "cpu"
    requires: ClassVar[tuple[Requirement, ...]] = ()
    cost: ClassVar[float | None] = None
    batch_seconds: ClassVar[float] = 0.0
    reads_frames: ClassVar[bool] = False
    reads_reference_frames: ClassVar[bool] = False
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

    def problems(self) -> list[str]:
        """Why this cannot run here (a model, a command, a key is missing), each with what to do.

        Asked at planning, so it loads nothing; packages are named by `requires`.
        """
        return [problem for id_ in self.models() for problem in models.problems(id_)]

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
    (retries, rate limits); what it raises fails that file alone. Where `group` is more than 1, one
    question is about so many files: `ask_group` gets them in the split's order.

    Where `Settings` has a field `judge`, it gets what the user chose with `--judge`, and fields
    `base_url` and `max_cost` (a `judges.account.MaxCost`, which all stages of a run share) what
    came with it; without a choice the stage is not run.
    """

    device = "network"
    concurrency: ClassVar[int] = 32
    group: int = 1

    def load(self) -> None:
        """Nothing: `open` connects."""

    def estimate(self, files: Sequence[tuple[Dialogue, float]]) -> Estimate:
        """What asking of these files will take, for `--dry-run`; with each its seconds of sound."""
        return Estimate(f"{math.ceil(len(files) / self.group)} calls")

    def extract(self, batch: Sequence[Inputs]) -> Sequence[A]:
        """For use outside the harness."""
        return asyncio.run(self._ask_all(batch))

    async def _ask_all(self, batch: Sequence[Inputs]) -> list[A]:
        await self.open()
        try:
            groups = (batch[i : i + self.group] for i in range(0, len(batch), self.group))
            asked = await asyncio.gather(*map(self.ask_group, groups))
        finally:
            await self.close()
        found = []
        for answer in (answer for answers in asked for answer in answers):
            if isinstance(answer, Exception):
                raise answer
            found.append(answer)
        return found

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
            UnfinishedError: the file failed, but part of the work is to be kept.
        """

    async def ask_group(self, batch: Sequence[Inputs]) -> Sequence[A | Exception]:
        """For each of up to `group` files its artifact, or what failed it, in order.

        Raises:
            StageStoppedError: as for `ask`.
        """
        return [await self._ask_one(inputs) for inputs in batch]

    async def _ask_one(self, inputs: Inputs) -> A | Exception:
        try:
            return await self.ask(inputs)
        except StageStoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - it fails this file alone
            return error


class Metric(ABC):
    """From a dialogue and its artifacts to counts, and from summed counts to a value. Pure.

    `higher_is_better` is None for a diagnostic that is best near the reference's own value.
    `companion` is the component without which the value misleads: it is shown wherever that is.
    `aggregation` says over what the value is averaged. `reference_fields` are the counts that no
    output changes, above all denominators: `worst` gives them too, and checks of results hold rows
    to them. A setting may change `aggregation`, `reference_fields` and `needs`.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    fields: tuple[str, ...]
    unit: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    aggregation: str
    reference_fields: tuple[str, ...] = ()
    needs: tuple[type[Artifact], ...] = ()
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


class SetMetric(Metric):
    """A metric of all outputs together, such as a distance between two sets of features.

    A dialogue's count is that of its `clips`; it has no value of its own. There is a value only
    when every dialogue that applies was scored: a distance of fewer clips is another quantity.
    """

    fields = ("clips",)

    @abstractmethod
    def features(self, artifacts: Artifacts) -> FloatArray:
        """(clips, d) of one file; no clips when it is too short."""

    @abstractmethod
    def distance(self, outputs: FloatArray, references: FloatArray) -> float:
        """From two sets of features, (n, d) and (m, d)."""

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        clips = len(self.features(artifacts))
        if not clips:
            raise MissingOutputError("the video is shorter than a clip")
        return {"clips": float(clips)}

    def worst(self, dialogue: Dialogue) -> Counts:
        return {"clips": 0.0}

    def reduce(self, total: Mapping[str, Any]) -> Any:
        """Counts of clips have no value."""
        return math.nan
