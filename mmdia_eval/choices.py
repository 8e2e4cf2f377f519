"""What the user chooses for a run, beside its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mmdia_eval import sandbox
from mmdia_eval.api import Extractor, RemoteExtractor
from mmdia_eval.judges.account import Budget
from mmdia_eval.judges.client import full_name

NO_JUDGE = "no judge was chosen: --judge gemini, gemini:MODEL, openai:MODEL or replay:FILE"


@dataclass(frozen=True)
class Choices:
    """How to run: on what, with which judge, and what if something is missing here.

    `device` is "auto" (every GPU, else the CPU), "cpu", "cuda" (every GPU) or "cuda:N". `judge` is
    a backend with its model, such as "gemini:gemini-2.5-pro", or alone for its default model;
    `judge_url` is its service's address where it is not the usual one, `max_judge_cost` a bound in
    US dollars on what all stages of the run spend together. Metrics for which something is missing
    are "refused", so that nothing is scored, or "skipped"; "listed" also accepts that none is left,
    for a dry run. The outputs are opened in a `sandbox`: the strongest that works here, which may
    be none ("auto"), one that sees no other file and no network ("required"), or none ("off").
    """

    device: str = "auto"
    judge: str | None = None
    judge_url: str | None = None
    max_judge_cost: float | None = None
    unavailable: Literal["refused", "skipped", "listed"] = "refused"
    sandbox: sandbox.Choice = "auto"

    def __post_init__(self) -> None:
        if self.judge is not None:
            object.__setattr__(self, "judge", full_name(self.judge))

    @cached_property
    def budget(self) -> Budget | None:
        """The one that all stages spend from."""
        return None if self.max_judge_cost is None else Budget(self.max_judge_cost)

    def settings_of(
        self, extractor: type[Extractor[Any]], settings: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """The protocol's settings with the judge that was chosen, where the extractor asks one.

        None where it asks one and none was chosen.
        """
        fields = extractor.Settings.model_fields
        if not issubclass(extractor, RemoteExtractor) or "judge" not in fields:
            return settings
        if self.judge is None:
            return None
        chosen = {
            "judge": self.judge,
            "base_url": self.judge_url,
            "max_cost": self.budget,
        }
        given = {k: v for k, v in chosen.items() if k in fields and v is not None}
        return {**settings, **given}
