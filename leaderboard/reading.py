"""From files to entries: results with people's ratings and the maintainers' word on them."""

from __future__ import annotations

import hashlib
import inspect
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdia_eval.errors import UserError
from mmdia_eval.human_mos import (
    VERSION as HUMAN_MOS,
)
from mmdia_eval.human_mos import (
    HumanRatings,
    human_metrics,
    is_human_ratings,
    read_human_ratings,
)
from mmdia_eval.leaderboard.states import GONE, Change, EntryState
from mmdia_eval.registry import metric as metrics
from mmdia_eval.results import MetricResult, Results, SystemRecord, judge_of
from mmdia_eval.results_files import canonical_json, read_results

NOT_RESULTS = ("submission.json", "report.json")
"""Files of a submission's folder that are no results."""

_SUBMISSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[a-z0-9-]+_[a-z0-9-]+")


@dataclass(frozen=True, eq=False)
class Entry:
    """A results file on the board. `id` is shared by the results of one submission.

    `change` is the maintainers' last word, None where they said nothing.
    """

    id: str
    path: Path
    results: Results
    change: Change | None
    verification: str

    @property
    def name(self) -> str:
        return self.results.system.name

    @property
    def gone(self) -> bool:
        return self.change is not None and self.change.status in GONE

    @property
    def ranked(self) -> bool:
        """Whether it takes part in ranks: a system's, complete, and with rows."""
        results = self.results
        complete = results.status == "complete" and results.rows_file is not None
        return results.system.kind == "system" and complete


def read_entries(
    paths: Sequence[Path], states: Mapping[str, EntryState] | None
) -> tuple[Entry, ...]:
    """The entries of results files, or of folders of them, in an order that no argument changes.

    With `states`, an entry is verified when they say so, whatever its file says.

    Raises:
        UserError: no results, a file that is none, or ratings of a system without results.
    """
    found = _with_ratings(*_read(paths))
    entries = [_entry(path, results, states) for path, results in found.items()]
    return tuple(sorted(entries, key=lambda entry: (entry.id, canonical_json(_facts(entry)))))


def voice_of(results: Results, metric: str) -> tuple[str, str]:
    """Which judge answered which question for a metric; twice "" where there is none."""
    judge = judge_of(results, metric)
    return judge.voice if judge else ("", "")


def is_stale(result: MetricResult) -> bool:
    """Whether this mmdia-eval has another version of the metric: its values are no longer ours."""
    if result.metric == "human_mos":
        return result.version != HUMAN_MOS
    return result.metric in metrics and metrics.get(result.metric).version != result.version


def about(result: MetricResult) -> str:
    """What the metric measures, in a sentence of its own; "" for one that is not known here."""
    if result.metric not in metrics:
        return ""
    return (inspect.getdoc(metrics.get(result.metric)) or "").partition("\n\n")[0]


def _facts(entry: Entry) -> object:
    return entry.results.model_dump(mode="json")


def _entry(path: Path, results: Results, states: Mapping[str, EntryState] | None) -> Entry:
    id_ = entry_id(path, results.system)
    state = (states or {}).get(id_)
    verification: str = results.verification
    if states is not None and verification != "published":
        verification = state.verification if state else "self-reported"
    return Entry(id_, path, results, state.current if state else None, verification)


def entry_id(path: Path, system: SystemRecord) -> str:
    """The submission's folder where it is named as one, else the system's name and a digest.

    >>> entry_id(Path("x/task1.test.json"), SystemRecord(name="Dialo Gen 2"))
    'dialo-gen-2-94b0e9e0'
    """
    folder = path.absolute().parent.name
    if _SUBMISSION.fullmatch(folder):
        return folder
    plain = unicodedata.normalize("NFKD", system.name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40]
    digest = hashlib.sha256("\0".join([system.name, system.organization or ""]).encode())
    return "-".join(filter(None, [slug, digest.hexdigest()[:8]]))


def _read(paths: Sequence[Path]) -> tuple[dict[Path, Results], dict[Path, HumanRatings]]:
    files: list[Path] = []
    for path in paths:
        inside = (f for f in sorted(path.rglob("*.json")) if f.name not in NOT_RESULTS)
        files += inside if path.is_dir() else [path]
    ratings = [file for file in files if is_human_ratings(file)]
    found = {file: read_results(file) for file in files if file not in ratings}
    if not found:
        named = ", ".join(str(path) for path in paths) or "nothing"
        raise UserError(f"no results files in {named}; score a system first")
    return found, {file: read_human_ratings(file) for file in ratings}


def _with_ratings(
    found: dict[Path, Results], ratings: dict[Path, HumanRatings]
) -> dict[Path, Results]:
    """The results, each with the human ratings of its system as further metrics."""
    joined = dict(found)
    for file, human in ratings.items():
        names = set()
        for path, results in found.items():
            of_results = (results.task, results.split, results.style)
            columns = human_metrics(human, results.system.name)
            if columns and of_results == (human.task, human.split, human.style):
                names.add(results.system.name)
                metrics = [*joined[path].metrics, *columns]
                joined[path] = joined[path].model_copy(update={"metrics": metrics})
        rated = {each.system for dimension in human.dimensions for each in dimension.systems}
        if absent := sorted(rated - names):
            style = f", style as {human.style}" if human.style else ""
            raise UserError(
                f"{file}: no results on task {human.task}, {human.split} split{style} of "
                f"{', '.join(absent)}; systems are matched by the name in their submission.toml"
            )
    return joined
