"""A hostile file: how it is made, and what must become of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from mmdia_eval.submission import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS

TAKEN = (*AUDIO_EXTENSIONS, *VIDEO_EXTENSIONS)


@dataclass(frozen=True)
class Site:
    """Where a case is made.

    `path` is the output's place, with the case's extension. `secret` is a recording that no
    system has a right to, `address` that of a server which must never be asked, `marker` a file
    that exists once something was executed.
    """

    path: Path
    secret: Path
    address: str
    marker: Path

    @property
    def beside(self) -> Path:
        """A further file, which belongs to no dialogue."""
        return self.path.with_name(f"{self.path.stem}.part.ts")


@dataclass(frozen=True)
class Case:
    """One hostile thing. `group` is its class in SECURITY.md.

    `expected` are the codes of which its dialogue's row must have one; "scored" for a file that is
    only odd, "no output" for one that is not opened at all.
    """

    group: str
    name: str
    make: Callable[[Site], None]
    expected: tuple[str, ...]
    extension: str = ".wav"

    @property
    def id(self) -> str:
        return f"{self.group}/{self.name}"


def marked(found: Sequence[Case]) -> list[ParameterSet]:
    """The cases as parameters of a test, counted under their class."""
    return [
        pytest.param(case, id=case.id, marks=pytest.mark.hostile_case(case.group)) for case in found
    ]


def cases(
    group: str,
    expected: str | tuple[str, ...],
    makers: dict[str, Callable[[Site], None]],
    extension: str = ".wav",
) -> list[Case]:
    """Cases of one class that end alike; a name may end in the extension that it has."""
    codes = (expected,) if isinstance(expected, str) else expected
    return [
        Case(group, name, make, codes, suffix if suffix in TAKEN else extension)
        for name, make in makers.items()
        for suffix in [Path(name).suffix]
    ]
