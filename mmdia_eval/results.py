"""The results file: the one contract between scoring, comparing and the leaderboard.

`task1.test.json` holds one system on one split, `task1.test.rows.jsonl` beside it one row for
each dialogue and metric. Ratios are 0 to 1, never percent; NaN and unknown keys are refused.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    field_validator,
    model_validator,
)

from mmdia_eval.submission import DisplayName, Kind
from mmdia_eval.types import SandboxMode, Split, Task

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RowStatus = Literal["scored", "missing", "not_applicable", "failed"]


class Record(BaseModel):
    """Base of everything on disk: no unknown key, no guessed type, no NaN or infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(Record):
    """A two-sided interval around a value, in the value's own unit.

    `unit` is what was resampled.
    """

    lower: float
    upper: float
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    method: str
    unit: str = "dialogue"
    resamples: NonNegativeInt
    seed: int

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"lower {self.lower} is above upper {self.upper}")
        return self


class Coverage(Record):
    """Where every expected dialogue went. The four outcomes add up to `expected`.

    missing: the system gave nothing usable, and the dialogue counts at the metric's worst value.
    not_applicable: left out by a rule that sees no output, so alike for every system.
    failed: our instrument broke, and the result is provisional.
    """

    expected: NonNegativeInt
    scored: NonNegativeInt
    missing: NonNegativeInt
    not_applicable: NonNegativeInt
    failed: NonNegativeInt

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.scored + self.missing + self.not_applicable + self.failed
        if total != self.expected:
            raise ValueError(f"the outcomes add up to {total}, {self.expected} are expected")
        return self


class MetricResult(Record):
    """One metric over the split.

    `name` is the metric's label in the protocol, `metric` the registered metric it runs with
    `settings`. `higher_is_better` is None for a diagnostic. `value` is None where the counts
    define none, for instance a rate over no words. `companion` names the component that must be
    shown with the value.
    """

    name: str
    metric: str
    version: str
    settings: dict[str, JsonValue] = {}
    signature: str
    value: float | None
    unit: str
    higher_is_better: bool | None
    interval: Interval | None
    coverage: Coverage
    components: dict[str, float] = {}
    companion: str | None = None

    @model_validator(mode="after")
    def _interval_has_a_value(self) -> Self:
        if self.value is None and self.interval is not None:
            raise ValueError("an interval without a value")
        return self


class NotRunRecord(Record):
    """A metric of the protocol that was not measured, since something was missing on the machine.

    It has no value, and counts neither for nor against the system. `name` and `metric` are as in
    `MetricResult`.
    """

    name: str
    metric: str
    reason: str


class WeightsRecord(Record):
    """A model file. `verified` is False when its sha256 is not one that the project lists."""

    name: str
    sha256: Sha256
    verified: bool = True


class ExtractorRecord(Record):
    """An engine that made artifacts for the metrics. `role` is its name in the protocol."""

    role: str
    name: str
    version: str
    settings: dict[str, JsonValue]
    weights: list[WeightsRecord]
    identity: dict[str, str]


class ControlRecord(Record):
    """A question whose answer is known: `figure` must be at least, or at most, `limit`.

    `figure` and `passed` are None where it could not be asked, and `problem` says why. One that
    does not decide is there for the record.
    """

    name: str
    figure: float | None
    least: bool
    limit: float
    passed: bool | None
    decides: bool
    problem: str | None


class ControlsRecord(Record):
    """How a judge did where the answer is known, and what asking took, now or earlier.

    `mode` and `condition` are those of its questions; `cost` is in US dollars, None if unknown.
    """

    mode: str
    condition: str
    version: str
    controls: list[ControlRecord]
    calls: NonNegativeInt
    input_tokens: NonNegativeInt
    output_tokens: NonNegativeInt
    cost: float | None


class JudgeRecord(Record):
    """A remote model behind some metrics, and what its replies took, whenever they were paid for.

    `role` is its stage's name in the protocol, `judge` what was asked for; `returned_models` are
    the versions that the service says answered. Of `draws` replies so many could not be read.
    Of `input_tokens` so many are sound, where the service tells. `cost` is in US dollars by the
    price table, None where a price is unknown. `reliable` says whether it passed its controls, None
    if that is not known; unless it is True, `reason` says why.
    """

    role: str
    metrics: list[str]
    judge: str
    returned_models: list[str]
    prompt_sha256: Sha256 | None
    calls: NonNegativeInt
    input_tokens: NonNegativeInt
    audio_tokens: NonNegativeInt
    output_tokens: NonNegativeInt
    cost: float | None
    retries: NonNegativeInt
    draws: NonNegativeInt
    draws_unread: NonNegativeInt
    reliable: bool | None
    reason: str | None
    controls: ControlsRecord | None

    @model_validator(mode="after")
    def _says_why_it_is_doubted(self) -> Self:
        if (self.reliable is True) != (self.reason is None):
            raise ValueError("a reason is given unless the judge is reliable")
        return self

    @property
    def answered(self) -> str:
        """The models that answered; what was asked for if none did."""
        return ", ".join(self.returned_models) or self.judge

    @property
    def controls_lack(self) -> bool:
        """Whether some of its controls were not answered; a further run asks for just those."""
        return self.controls is not None and self.reliable is None

    @property
    def voice(self) -> tuple[str, str]:
        """Who answered which question: values that differ in it are different measurements."""
        return self.answered, self.prompt_sha256 or ""


class SystemRecord(Record):
    """Who is scored, as the submission says; None is what it does not say."""

    name: DisplayName
    kind: Kind = "system"
    organization: DisplayName | None = None
    date: str | None = None
    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None = None
    open_weights: bool | None = None
    training_data_overlap: Literal["none", "declared", "unknown"] | None = None


class ProtocolRecord(Record):
    """How it was scored. `comparable` is False where scores must not stand beside a paper's."""

    name: str
    version: str
    sha256: Sha256
    comparable: bool


class BenchmarkRecord(Record):
    """What it was scored on. `sha256` is the whole benchmark's, `split_sha256` the split file's."""

    name: str
    version: str
    sha256: Sha256
    split_sha256: Sha256
    dialogues: NonNegativeInt


class Provenance(Record):
    """Enough to run it again. `created` is in UTC and all that differs between equal runs.

    `sandbox` is how the system's media were opened: in a process that saw one file alone
    ("bubblewrap", "namespaces"), in one that only had limits ("process"), or in the harness
    ("off"). None: not known.
    """

    mmdia_eval_version: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str]
    hardware: dict[str, JsonValue]
    command: list[str]
    created: AwareDatetime
    submission_sha256: Sha256 | None
    extractors: list[ExtractorRecord]
    judges: list[JudgeRecord] = []
    sandbox: SandboxMode | None = None

    @field_validator("created")
    @classmethod
    def _is_utc(cls, created: datetime) -> datetime:
        if created.utcoffset() != timedelta(0):
            raise ValueError("not in UTC")
        return created


class Results(Record):
    """One system on one task and split.

    `rows_file` and its hash are None until `write_results` fills them in, and for results that
    have no rows at all. `replies_file` holds the judges' raw replies, where judges had a part;
    `details_file` what the engines said of each output, for display.
    """

    schema_version: Literal["1.0"] = "1.0"
    status: Literal["complete", "provisional"]
    verification: Literal["self-reported", "re-scored", "published"]
    task: Task
    split: Split
    style: Literal["description", "triplet"] | None
    protocol: ProtocolRecord
    benchmark: BenchmarkRecord
    system: SystemRecord
    metrics: list[MetricResult]
    not_run: list[NotRunRecord] = []
    rows_file: Annotated[str, Field(pattern=r"^[^/\\:]+\.jsonl$")] | None = None
    rows_sha256: Sha256 | None = None
    replies_file: Annotated[str, Field(pattern=r"^[^/\\:]+\.jsonl$")] | None = None
    replies_sha256: Sha256 | None = None
    details_file: Annotated[str, Field(pattern=r"^[^/\\:]+\.jsonl$")] | None = None
    details_sha256: Sha256 | None = None
    warnings: list[str] = []
    provenance: Provenance

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [metric.name for metric in self.metrics] + [left.name for left in self.not_run]
        if len(set(names)) < len(names):
            raise ValueError(f"a metric is named twice: {', '.join(names)}")
        if self.status == "complete" and any(metric.coverage.failed for metric in self.metrics):
            raise ValueError("status is complete although a metric has failed dialogues")
        if (self.rows_file is None) != (self.rows_sha256 is None):
            raise ValueError("rows_file and rows_sha256 go together")
        if (self.replies_file is None) != (self.replies_sha256 is None):
            raise ValueError("replies_file and replies_sha256 go together")
        if (self.details_file is None) != (self.details_sha256 is None):
            raise ValueError("details_file and details_sha256 go together")
        return self


class Row(Record):
    """The outcome of one dialogue under one metric; `metric` is the label in the protocol.

    `counts` are what was added up: those of a missing output are the metric's worst, those of a
    dialogue that is not applicable or failed are empty. `reason` says why it was not scored.
    `group` is the film or series of the dialogue, where the benchmark names it.
    """

    dialogue: str
    metric: str
    status: RowStatus
    counts: dict[str, float]
    value: float | None
    reason: str | None = None
    group: str | None = None

    @property
    def counts_in(self) -> bool:
        """Whether the row's counts are part of the metric's value."""
        return self.status in ("scored", "missing")

    @model_validator(mode="after")
    def _fits_its_status(self) -> Self:
        if not self.counts_in and (self.counts or self.value is not None):
            raise ValueError(f"a {self.status} row has neither counts nor a value")
        if (self.status == "scored") != (self.reason is None):
            raise ValueError("a reason is given unless the row is scored")
        return self


def judge_of(results: Results, metric: str) -> JudgeRecord | None:
    """The judge behind a metric, by its name in the protocol; None where there is none."""
    return next((one for one in results.provenance.judges if metric in one.metrics), None)


def unreliable_judges(results: Results) -> dict[str, str]:
    """The metrics whose judge failed its controls, each with what it failed."""
    return {
        metric: judge.reason or ""
        for judge in results.provenance.judges
        if judge.reliable is False
        for metric in judge.metrics
    }
