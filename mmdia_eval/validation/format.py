"""The files of a submission: their names, their sizes, and what stands in those of its own.

submissions/SUBMITTING.md says the same to people, docs/submission.schema.json to programs.
"""

from __future__ import annotations

import re
from datetime import date as Date  # noqa: N812 (a field is called date)
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from mmdia_eval.manifest import DialogueId
from mmdia_eval.results import Record, Sha256
from mmdia_eval.submission import DisplayName
from mmdia_eval.types import Split, Task

SUBMISSION, MANIFEST, README, AUDIT = "submission.json", "manifest.jsonl", "README.md", "audit"
AUDIT_EXTENSIONS: dict[Task, str] = {1: ".flac", 2: ".flac", 3: ".mp4"}
MiB = 2**20
MAX_BYTES = {
    SUBMISSION: 64 * 1024,
    MANIFEST: 8 * MiB,
    README: 64 * 1024,
    "results": 16 * MiB,
    "rows": 32 * MiB,
    "replies": 32 * MiB,
    "details": 32 * MiB,
    AUDIT: 10 * MiB,
}
"""What a file of each kind may have."""
MAX_TOTAL = 100 * MiB
"""Bytes of a whole folder."""

FOLDER_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})_[a-z0-9-]{1,40}_[a-z0-9-]{1,60}")
ENDINGS = {
    ".json": "results",
    ".rows.jsonl": "rows",
    ".judge.jsonl": "replies",
    ".details.jsonl": "details",
}
"""What `mmdia-eval score` writes of a split, by how the name ends."""
RESULTS_NAME = re.compile(
    r"(task[123]\.(?:hard|test|ood|bench)(?:\.(?:description|triplet))?)"
    rf"({'|'.join(map(re.escape, ENDINGS))})"
)
AUDIT_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,127})(\.flac|\.mp4)", re.ASCII)


def _iso_date(value: str) -> str:
    Date.fromisoformat(value)
    return value


def _folder_name(value: str) -> str:
    if not is_folder_name(value):
        raise ValueError("should be the name of a submission's folder")
    return value


def is_folder_name(name: str) -> bool:
    """Whether a name is `<yyyy-mm-dd>_<organization>_<system>` with a day that exists.

    >>> is_folder_name("2026-11-21_acme_dialogen-2"), is_folder_name("2026-02-30_acme_x")
    (True, False)
    """
    match = FOLDER_NAME.fullmatch(name)
    if match is None:
        return False
    try:
        Date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


Https = Annotated[
    str,
    Field(
        pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~:/?#@!$&()*+,;=%-]*)?$",
        max_length=500,
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
FolderName = Annotated[str, AfterValidator(_folder_name)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]


class SystemPart(Record):
    """What made the outputs. `parameters` is their number, null where it is not known."""

    name: DisplayName
    version: DisplayName
    organization: DisplayName
    license: DisplayName
    parameters: PositiveInt | None
    open_weights: bool
    url: Https | None


class BenchmarkPart(Record):
    """The benchmark that the results are of."""

    name: str
    version: str


class SplitPart(Record):
    """A split that was scored, by the sha256 of its file."""

    split: Split
    sha256: Sha256


class ProtocolPart(Record):
    """The protocol that scored; it names the audit clips."""

    name: str
    version: str
    sha256: Sha256


class MediaPart(Record):
    """Where all outputs lie, unchanging. `sha256` is that of manifest.jsonl, which lists theirs."""

    url: Https
    revision: Annotated[str, Field(pattern=r"^[!-~]{1,100}$")]
    sha256: Sha256


class SubmissionRecord(Record):
    """submission.json: one system on one task, told the style in one way.

    `reference_audio`: whether the system heard recordings of the benchmark, such as a speaker's
    prompt. `supersedes`: the folder of an earlier entry that this one replaces. `original_work`
    states that the outputs are the system's own and none was chosen by its score.
    """

    schema_version: Literal["1.0"]
    system: SystemPart
    contact: Annotated[str, Field(pattern=r"^@[A-Za-z0-9](-?[A-Za-z0-9]){0,38}$")]
    paper: Https | None
    code: Https | None
    date: Annotated[str, AfterValidator(_iso_date)]
    task: Task
    style: Literal["description", "triplet"] | None
    benchmark: BenchmarkPart
    splits: Annotated[list[SplitPart], Field(min_length=1)]
    protocol: ProtocolPart
    samples_per_prompt: PositiveInt
    training_data: Text
    reference_audio: bool
    hardware: Text
    supersedes: FolderName | None
    media: MediaPart
    original_work: Literal[True]


class ManifestLine(Record):
    """One output. `pcm_sha256` is `media.pcm_sha256`, `audit_sha256` that of the clip in audit/.

    `problem` says what is wrong with the file; the dialogue then counts as missing.
    """

    dialogue: DialogueId
    path: FileName
    bytes: NonNegativeInt
    sha256: Sha256
    pcm_sha256: Sha256 | None = None
    seconds: PositiveFloat | None = None
    sample_rate: PositiveInt | None = None
    channels: PositiveInt | None = None
    width: PositiveInt | None = None
    height: PositiveInt | None = None
    fps: PositiveFloat | None = None
    audit_sha256: Sha256 | None = None
    problem: str | None = None


def submission_schema() -> dict[str, Any]:
    """The JSON Schema of submission.json; a copy of it is docs/submission.schema.json."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **SubmissionRecord.model_json_schema()}


def audit_file(dialogue: str, task: Task) -> str:
    """The audit clip's place in the folder."""
    return f"{AUDIT}/{dialogue}{AUDIT_EXTENSIONS[task]}"
