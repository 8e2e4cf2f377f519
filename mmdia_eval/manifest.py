"""The files of a benchmark folder as bytes: one dialogue a line, and `benchmark.json` beside them.

Every reader goes through these models, so a bad line is found once, with file and line.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from mmdia_eval.categories import (
    INTERACTION_TYPES,
    RELATIONSHIPS,
    interaction_type_name,
    relationship_name,
)
from mmdia_eval.errors import UserError
from mmdia_eval.types import TASKS, Dialogue, Keyframe, Segment, Style, Task, Turn

SCHEMA_VERSION: Literal["1.0"] = "1.0"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
OUTPUT_PREFIX = "output_"
PICTURE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("should not be empty")
    return text


def _dialogue_id(value: str) -> str:
    # `output_x.wav` names the dialogue x; with a dialogue `output_x` it would name two.
    if value.casefold().startswith(OUTPUT_PREFIX):
        raise ValueError(f"a dialogue id does not begin with {OUTPUT_PREFIX!r}")
    return value


def _inner_path(value: str) -> str:
    path = PurePosixPath(value)
    if (
        not value
        or path.is_absolute()
        or ".." in path.parts
        or any(character in value for character in '\\:*?"<>|')
        or any(ord(character) < 32 for character in value)
        or str(path) != value
    ):
        raise ValueError("should be a relative path inside the benchmark folder, as 'media/x.opus'")
    return value


def _picture(value: str) -> str:
    if PurePosixPath(value).suffix.lower() not in PICTURE_EXTENSIONS:
        raise ValueError(f"should be a picture ({' '.join(PICTURE_EXTENSIONS)})")
    return value


def _each_once(tasks: list[Task]) -> list[Task]:
    if tasks != sorted(set(tasks)):
        raise ValueError("should name each task once, in order")
    return tasks


def _relationship(value: str) -> str:
    name = relationship_name(value)
    if name is None:
        raise ValueError(f"should be one of {', '.join(RELATIONSHIPS)}")
    return name


def _interaction_type(value: str) -> str:
    name = interaction_type_name(value)
    if name is None:
        raise ValueError(f"should be one of {', '.join(INTERACTION_TYPES)}")
    return name


NotBlank = Annotated[str, AfterValidator(_not_blank)]
InnerPath = Annotated[str, AfterValidator(_inner_path)]
DialogueId = Annotated[str, StringConstraints(pattern=ID_PATTERN), AfterValidator(_dialogue_id)]
Seconds = Annotated[float, Field(ge=0)]


class TurnLine(_Strict):
    """One turn; `start` and `end` in seconds, both or neither."""

    speaker: NotBlank
    text: NotBlank
    start: Seconds | None = None
    end: Seconds | None = None

    @model_validator(mode="after")
    def _times(self) -> TurnLine:
        if (self.start is None) != (self.end is None):
            raise ValueError("should have both start and end, or neither")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError(f"should end after it starts, not start={self.start} end={self.end}")
        return self


class StyleLine(_Strict):
    """Free description and affective triplet; aliases of categories become the paper's names."""

    description: str | None = None
    relationship: Annotated[str, AfterValidator(_relationship)] | None = None
    interaction_type: Annotated[str, AfterValidator(_interaction_type)] | None = None
    emotional_tone: str | None = None
    relationship_tag: str | None = None
    interaction_type_tag: str | None = None


class KeyframeLine(_Strict):
    """A still: its file, its time in seconds, and the one of the turns' speakers who is seen."""

    path: Annotated[InnerPath, AfterValidator(_picture)]
    time: Seconds
    speaker: NotBlank | None = None


class DialogueLine(_Strict):
    """One line of a split file. `group` is the film or series that the dialogue is from."""

    id: DialogueId
    turns: Annotated[list[TurnLine], Field(min_length=1)]
    style: StyleLine | None = None
    audio: InnerPath | None = None
    video: InnerPath | None = None
    duration: Annotated[float, Field(gt=0)] | None = None
    keyframes: Annotated[list[KeyframeLine], Field(min_length=1)] | None = None
    tasks: Annotated[list[Task], Field(min_length=1), AfterValidator(_each_once)] | None = None
    group: NotBlank | None = None

    @model_validator(mode="after")
    def _keyframes_fit(self) -> DialogueLine:
        speakers = {turn.speaker for turn in self.turns}
        for frame in self.keyframes or ():
            if frame.speaker is not None and frame.speaker not in speakers:
                raise ValueError(
                    f"the keyframe {frame.path} shows {frame.speaker!r}, who has no turn"
                )
            if self.duration is not None and frame.time > self.duration:
                raise ValueError(
                    f"the keyframe {frame.path} is at {frame.time:g} s of {self.duration:g} s"
                )
        return self


class SplitEntry(_Strict):
    """A split's file, its sha256 and how many dialogues it has; empty until sealed."""

    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.jsonl$")]
    sha256: str = ""
    dialogues: Annotated[int, Field(ge=0)] = 0


class BenchmarkFile(_Strict):
    """`benchmark.json`."""

    schema_version: Literal["1.0"]
    name: Annotated[str, StringConstraints(pattern=ID_PATTERN)]
    version: NotBlank
    license: str
    splits: Annotated[
        dict[Literal["hard", "test", "ood", "bench"], SplitEntry], Field(min_length=1)
    ]


def problems_of(error: ValidationError) -> list[str]:
    """What pydantic found, each as `field: what was expected, not what was found`."""
    problems = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"] if part != "[key]")
        if item["type"] == "extra_forbidden":
            problems.append(f"{field}: unknown key")
        elif item["type"] == "missing":
            problems.append(f"{field}: missing")
        else:
            message = item["msg"].removeprefix("Value error, ")
            found = "" if item["loc"] and isinstance(item["input"], dict) else _short(item["input"])
            problems.append(f"{field}: {message}{found}" if field else f"{message}{found}")
    return problems


def _short(value: Any) -> str:
    text = repr(value)
    return f", not {text if len(text) <= 60 else text[:57] + '…'}"


def to_dialogue(line: DialogueLine, root: Path) -> Dialogue:
    """The dialogue of a sound line, its media paths under `root`."""
    style = line.style or StyleLine()
    return Dialogue(
        id=line.id,
        turns=tuple(
            Turn(
                turn.speaker,
                turn.text,
                None if turn.start is None or turn.end is None else Segment(turn.start, turn.end),
            )
            for turn in line.turns
        ),
        style=Style(**style.model_dump()),
        audio=None if line.audio is None else root / line.audio,
        video=None if line.video is None else root / line.video,
        duration=line.duration,
        keyframes=tuple(
            Keyframe(root / frame.path, frame.time, frame.speaker) for frame in line.keyframes or ()
        ),
        tasks=TASKS if line.tasks is None else tuple(line.tasks),
        group=line.group,
    )


def from_dialogue(dialogue: Dialogue, root: Path) -> DialogueLine:
    """The line of a dialogue whose media lie under `root` (an absolute path).

    Raises:
        UserError: the dialogue would not be read back; the message says why, not which it is.
    """
    turns = []
    for turn in dialogue.turns:
        line: dict[str, Any] = {"speaker": turn.speaker, "text": turn.text}
        if turn.segment is not None:
            line |= {"start": turn.segment.start, "end": turn.segment.end}
        turns.append(line)
    fields: dict[str, Any] = {
        "id": dialogue.id,
        "turns": turns,
        "style": None if dialogue.style == Style() else vars(dialogue.style),
        "audio": _relative(dialogue.audio, root),
        "video": _relative(dialogue.video, root),
        "duration": dialogue.duration,
        "keyframes": [
            {"path": _relative(one.path, root), "time": one.time, "speaker": one.speaker}
            for one in dialogue.keyframes
        ]
        or None,
        "tasks": None if dialogue.tasks == TASKS else list(dialogue.tasks),
        "group": dialogue.group,
    }
    try:
        return DialogueLine.model_validate(fields)
    except ValidationError as error:
        raise UserError("; ".join(problems_of(error))) from None


def _relative(path: Path | None, root: Path) -> str | None:
    if path is None:
        return None
    try:
        return path.absolute().relative_to(root).as_posix()
    except ValueError:
        raise UserError(
            f"{path} lies outside the benchmark folder {root}: copy it there first"
        ) from None


def line_bytes(line: DialogueLine) -> bytes:
    """Canonical bytes of a line: fixed key order, no blanks, absent fields left out, UTF-8."""
    text = json.dumps(
        line.model_dump(exclude_none=True),
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )
    return text.encode("utf-8") + b"\n"
