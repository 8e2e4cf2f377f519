"""A folder of tones with a plan over them, for tests of the harness itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from toy_plugins import toy_protocol

from mmdia_eval.choices import Choices
from mmdia_eval.plan import Plan, make_plan
from mmdia_eval.protocol import Protocol
from mmdia_eval.run import RunResult, run
from mmdia_eval.store import Store
from mmdia_eval.types import Dialogue, Sample, Turn


class Bench:
    """A folder of tones, one a dialogue, each as loud as its place in the list.

    They last a second and a little, or as long as `seconds` says. `changes` are those of the
    toy protocol's roles.
    """

    def __init__(
        self,
        root: Path,
        texts: Sequence[str],
        seconds: Sequence[float] = (),
        **changes: Mapping[str, Any],
    ) -> None:
        self.root, self.log = root, root / "log"
        self.store = Store(root / "cache")
        self.changes, self.choices = changes, Choices(sandbox="off")
        self.samples = []
        for i, text in enumerate(texts):
            path = root / f"output_d{i}.wav"
            length = round(16_000 * seconds[i]) if seconds else 16_000 + 100 * i
            peak = (i + 1) / 20 if len(texts) < 20 else 0.2 + i / 5000
            samples = np.sin(np.arange(length) / 7) * peak
            soundfile.write(path, samples, 16_000, subtype="FLOAT")
            self.samples.append(Sample(Dialogue(f"d{i}", (Turn("A", text),)), path))

    def plan(self) -> Plan:
        protocol = toy_protocol(self.log, **self.changes)
        return make_plan(protocol, 1, self.samples, (), choices=self.choices)

    def twice_measured(self, entry: Mapping[str, Any]) -> Plan:
        """A plan with a second metric, over a second role for `doubled`."""
        content = self.plan().protocol.model_dump()
        content["extractors"]["other"] = entry
        other = {"name": "other", "metric": "toy_loudness", "inputs": {"doubled": "other"}}
        content["metrics"].append(other)
        protocol = Protocol.model_validate(content)
        return make_plan(protocol, 1, self.samples, (), choices=self.choices)

    def run(self, jobs: int = 1) -> RunResult:
        return run(self.plan(), self.store, jobs)

    def statuses(self, result: RunResult) -> dict[str, str]:
        return {outcome.dialogue: outcome.status for outcome in result.outcomes}

    def calls(self) -> Counter[str]:
        return Counter(line for line in self.lines() if not line.startswith("load"))

    def lines(self, *kinds: str) -> list[str]:
        """The lines of the log, or those that begin with one of the words."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [line for line in lines if not kinds or line.split()[0] in kinds]

    def artifacts(self) -> list[Path]:
        return sorted((self.store.root / "artifacts" / "peak").rglob("*.jsonl"))
