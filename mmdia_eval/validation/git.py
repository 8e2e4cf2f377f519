"""Questions to git about a repository whose content is a stranger's: nothing in it is run."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from mmdia_eval.errors import UserError

_CONFIG = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.allow=never",
)
SECONDS = 120


def git(repository: Path, arguments: Sequence[str], given: bytes = b"") -> bytes:
    """What a git command prints.

    Raises:
        UserError: git is not there, or says that something is wrong.
    """
    command = ["git", *_CONFIG, "--no-optional-locks", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=SECONDS, check=True
        )
    except FileNotFoundError:
        raise UserError("git is not installed: apt-get install git") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{repository}: git {arguments[0]} took more than {SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="backslashreplace").strip().splitlines()
        raise UserError(
            f"{repository}: git {arguments[0]}: {said[-1] if said else 'failed'}"
        ) from None
    return done.stdout


def commit(repository: Path, revision: str) -> str:
    """The full id of a revision's commit. Raises UserError where there is none."""
    asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        return git(repository, asked).decode().strip()
    except UserError:
        raise UserError(f"{repository}: {revision!r} is no revision of this repository") from None
