"""Errors meant for the person at the shell: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class UserError(Exception):
    """Bad usage or bad input. The command line prints the message alone and exits with 2."""


class ProblemsError(UserError):
    """Several problems found before any work began, printed together."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class MissingOutputError(Exception):
    """The system's output lacks what the metric needs; the dialogue counts at the worst value.

    Raised by `Metric.measure`; the message becomes the row's reason.
    """


class StageStoppedError(Exception):
    """No further file of a stage can succeed, for instance because a service's quota is spent.

    Raised by `RemoteExtractor.ask`; what is done is kept. The message says what to do. `earlier` is
    what was already made of the file at hand, as in `UnfinishedError`.
    """

    def __init__(self, message: str, earlier: Any = None) -> None:
        super().__init__(message)
        self.earlier = earlier


class UnfinishedError(Exception):
    """A file failed, but part of its artifact was made and paid for.

    Raised by `RemoteExtractor.ask`. The file counts as failed; `earlier`, an artifact of the kind
    that the extractor makes, is kept and comes back as `Inputs.earlier` when the file is tried
    again.
    """

    def __init__(self, message: str, earlier: Any) -> None:
        super().__init__(message)
        self.earlier = earlier
