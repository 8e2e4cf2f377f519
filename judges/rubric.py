"""The texts that judges are given, and the forms in which they answer.

The texts are files in rubrics/. A prompt's version is the sha256 of the files it is made of, with
their placeholders: what differs from call to call (nonces, the order of options) plays no part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from mmdia_eval.categories import INTERACTION_TYPES, RELATIONSHIPS

DIMENSIONS = (
    "spontaneity",
    "coherence",
    "intelligibility",
    "similarity",
    "quality",
    "instruction_following",
)
"""What the paper has judged (Jing et al., MM-DIA, ICLR 2026, sec. 5.1 and Tables 4, 5, 9, 10)."""

LOWEST, HIGHEST = 1, 5
"""Ends of every scale. The paper states none; all its means lie between 1 and 5."""


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_RATIONALE = {"type": "string"}
_SCORE = {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST}

SCORES_SCHEMA = _object(rationale=_RATIONALE, **dict.fromkeys(DIMENSIONS, _SCORE))
LABELS_SCHEMA = _object(
    rationale=_RATIONALE,
    relationship={"type": "string", "enum": list(RELATIONSHIPS)},
    interaction_type={"type": "string", "enum": list(INTERACTION_TYPES)},
)
BETTER_SCHEMA = _object(
    rationale=_RATIONALE, better={"type": "string", "enum": ["first", "second"]}
)


@cache
def text(name: str) -> str:
    """The file rubrics/`name`.md, without the line break at its end."""
    path = files("mmdia_eval.judges").joinpath("rubrics", f"{name}.md")
    return path.read_text(encoding="utf-8").strip()


def filled(name: str, **values: str) -> str:
    """The text with its placeholders replaced."""
    return Template(text(name)).substitute(values)


def prompt_sha256(*names: str) -> str:
    """The version of a prompt made of these texts."""
    return hashlib.sha256("\n\n".join(text(name) for name in names).encode()).hexdigest()


def options(name: str) -> list[str]:
    """The lines of "relationships" or "interaction_types": "- Name: what it means"."""
    return text(name).splitlines()
