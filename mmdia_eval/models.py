"""Model files: where each comes from, where it lies here, and whether it is the right one."""

from __future__ import annotations

from pathlib import Path

from mmdia_eval.errors import UserError
from mmdia_eval.types import Weights


def problems(id_: str) -> list[str]:
    """Why the model cannot be used here, each with what to do; empty when it can."""
    return [f"model {id_!r} is not here"]


def folder(id_: str) -> Path:
    """The folder of the model's files, each checked.

    Raises:
        UserError: a file is missing, incomplete or not the listed one.
    """
    raise UserError("\n".join(problems(id_)))


def weights(id_: str) -> tuple[Weights, ...]:
    """The model's files with their sha256.

    Raises:
        UserError: as `folder`.
    """
    raise UserError("\n".join(problems(id_)))
