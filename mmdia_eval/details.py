"""What the engines said of each output, kept beside the rows so that a page can show it.

No score is read from it. A benchmark's scripts are in it, so it is as public as they may be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import NonNegativeFloat, ValidationError

from mmdia_eval.artifacts import Artifact, Diarization, Transcript, Verdict
from mmdia_eval.errors import UserError
from mmdia_eval.manifest import problems_of
from mmdia_eval.plan import Plan
from mmdia_eval.results import Record, Results
from mmdia_eval.run import RunResult
from mmdia_eval.store import Store
from mmdia_eval.strict_json import json_lines, parse_json, read_bytes
from mmdia_eval.types import Sample

MAX_DETAILS_BYTES = 64 * 1024 * 1024
DIGITS = 3
"""Of times in seconds."""


class ScriptTurn(Record):
    """A turn of the script."""

    speaker: str
    text: str


class HeardWord(Record):
    """A word that the recogniser heard; seconds."""

    text: str
    start: NonNegativeFloat
    end: NonNegativeFloat


class Voice(Record):
    """A stretch of speech and the diarizer's label of its voice; seconds."""

    start: NonNegativeFloat
    end: NonNegativeFloat
    speaker: str


class Judged(Record):
    """A judge's first readable reply: the role it was asked for, its answers, and why."""

    role: str
    answers: dict[str, int | str]
    rationale: str | None


class Details(Record):
    """One dialogue of an output that could be decoded; `seconds` long.

    `words` are of the first recogniser of the protocol, `voices` of its first diarizer.
    """

    dialogue: str
    seconds: NonNegativeFloat
    script: list[ScriptTurn]
    words: list[HeardWord]
    voices: list[Voice]
    judged: list[Judged]


def details_of(plan: Plan, found: RunResult, store: Store) -> list[Details]:
    """The details of every output that could be decoded, by dialogue id."""
    return [
        _details(plan, sample, found, store)
        for sample in sorted(plan.samples, key=lambda sample: sample.dialogue.id)
        if (info := found.media.get(sample.dialogue.id)) is not None and info.problem is None
    ]


def _details(plan: Plan, sample: Sample, found: RunResult, store: Store) -> Details:
    dialogue = sample.dialogue
    of_it = (dialogue.id, plan, found, store)
    transcripts, diarizations = _made(Transcript, *of_it), _made(Diarization, *of_it)
    return Details(
        dialogue=dialogue.id,
        seconds=round(found.media[dialogue.id].duration, DIGITS),
        script=[ScriptTurn(speaker=turn.speaker, text=turn.text) for turn in dialogue.turns],
        words=[
            HeardWord(text=word.text, start=round(word.start, DIGITS), end=round(word.end, DIGITS))
            for word in (transcripts[0][1].words if transcripts else ())
        ],
        voices=[
            Voice(start=round(s.start, DIGITS), end=round(s.end, DIGITS), speaker=s.speaker)
            for s in (diarizations[0][1].segments if diarizations else ())
        ],
        judged=[
            Judged(role=role, answers=dict(draw.answers), rationale=draw.rationale)
            for role, verdict in _made(Verdict, *of_it)
            for draw in verdict.readable[:1]
        ],
    )


A = TypeVar("A", bound=Artifact)


def _made(
    kind: type[A], dialogue: str, plan: Plan, found: RunResult, store: Store
) -> list[tuple[str, A]]:
    """A dialogue's artifacts of a kind with their roles, in the order of the plan's stages."""
    roles = (stage.role for stage in plan.stages if stage.extractor.makes is kind)
    keys = ((role, found.artifacts.get((dialogue, role))) for role in roles)
    read = ((role, store.read(kind, key)) for role, key in keys if key)
    return [(role, artifact) for role, artifact in read if artifact is not None]


def details_jsonl(details: Iterable[Details]) -> bytes:
    """The lines of `<stem>.details.jsonl`."""
    return "".join(f"{one.model_dump_json()}\n" for one in details).encode()


def read_details(results_path: Path, results: Results) -> Sequence[Details]:
    """The details that belong to a results file; none where it names none, or they are not there.

    Raises:
        UserError: the file is another than the results name.
    """
    if results.details_file is None:
        return []
    path = results_path.with_name(results.details_file)
    if not path.is_file():
        return []
    data = read_bytes(path, MAX_DETAILS_BYTES)
    if hashlib.sha256(data).hexdigest() != results.details_sha256:
        raise UserError(
            f"{path}: not the details that {results_path.name} names (sha256 differs); restore the "
            "file or score again"
        )
    return [_line(f"{path}:{number}", line) for number, line in json_lines(data)]


def _line(where: str, line: bytes) -> Details:
    try:
        return Details.model_validate(parse_json(line, where))
    except ValidationError as error:
        raise UserError(f"{where}: not details: {problems_of(error)[0]}") from None
