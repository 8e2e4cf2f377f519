"""All checks over submissions. What is valid follows from the findings alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.results_files import read_results
from mmdia_eval.validation.aggregation import check_rows, check_values
from mmdia_eval.validation.base import Base, load_base
from mmdia_eval.validation.changes import (
    check_copied_entries,
    check_old_values,
    check_other_entries,
)
from mmdia_eval.validation.consistency import (
    check_benchmark,
    check_protocol,
    check_results,
    check_submission,
)
from mmdia_eval.validation.context import Context
from mmdia_eval.validation.copies import check_copied_files, check_copies
from mmdia_eval.validation.entry import Entry, read_entry
from mmdia_eval.validation.findings import Finding, few_alike, found, in_order, is_valid
from mmdia_eval.validation.format import SUBMISSION, is_folder_name
from mmdia_eval.validation.listed import check_audit, check_manifest, check_scored_files
from mmdia_eval.validation.plausibility import (
    check_judges,
    check_lip_sync,
    check_ranges,
    check_suspicious,
    check_word_counts,
)

logger = logging.getLogger(__name__)

Check = Callable[[Entry, Context], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "results": check_results,
    "submission": check_submission,
    "protocol": check_protocol,
    "benchmark": check_benchmark,
    "manifest": check_manifest,
    "scored files": check_scored_files,
    "audit clips": check_audit,
    "rows": check_rows,
    "values": check_values,
    "ranges": check_ranges,
    "word counts": check_word_counts,
    "judges": check_judges,
    "lip sync": check_lip_sync,
    "suspicious": check_suspicious,
    "copied files": check_copied_files,
    "copies": check_copies,
    "old values": check_old_values,
    "other entries": check_other_entries,
    "copied entries": check_copied_entries,
}


@dataclass(frozen=True)
class Checked:
    """A folder (or a pull request) and all that was found in it."""

    name: str
    findings: Sequence[Finding]

    @property
    def valid(self) -> bool:
        return is_valid(self.findings)


def validate(
    folders: Sequence[Path | str],
    *,
    benchmark: Path | str | None = None,
    without_benchmark: bool = False,
    base: str | None = None,
    references: Sequence[Path | str] = (),
) -> list[Checked]:
    """Check submissions.

    Args:
        folders: submissions, or folders of them, of which those that the base has not are meant
            (where there are none: those that differ from the base).
        benchmark: the benchmark that was scored; by default `MMDIA_BENCHMARK`, else "mini".
        without_benchmark: leave out what needs the benchmark, and say so in a warning.
        base: the board as it is: a folder of entries, or a revision of git.
        references: results files of the ground truth, scored as any system.

    Raises:
        UserError: bad usage, such as a folder that is not there.
    """
    paths = [Path(folder) for folder in folders]
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path}: no such folder")
    board = load_base(base, _root(paths[0])) if base is not None and paths else None
    entries = [entry for path in paths for entry in _entries(path, board)]
    context = Context(
        benchmark=None if without_benchmark else load_benchmark(resolve_benchmark(benchmark)),
        left_out=without_benchmark,
        base=board,
        references=tuple(read_results(Path(path)) for path in references),
        checked=frozenset(path.absolute().name for path in entries),
    )
    return [check_entry(entry, context) for entry in entries]


def _root(path: Path) -> Path:
    """Where entries lie: a folder of them, or that of the one that is named."""
    return path if _holds_entries(path) else path.absolute().parent


def _holds_entries(path: Path) -> bool:
    inside = any(is_folder_name(one.name) for one in path.iterdir())
    return inside and not (path / SUBMISSION).exists() and not is_folder_name(path.absolute().name)


def _entries(path: Path, base: Base | None) -> list[Path]:
    if not _holds_entries(path):
        return [path]
    inside = [one for one in sorted(path.iterdir()) if is_folder_name(one.name)]
    if base is None:
        return inside
    new = [one for one in inside if one.name not in base.entries]
    return new or [one for one in inside if base.changed(one.name, path)]


def check_entry(folder: Path, context: Context) -> Checked:
    """Everything that is found in one submission, each kind of finding at most a few times."""
    try:
        entry, findings = read_entry(folder)
    except OSError as error:
        crashed = found("check-crashed", f"reading the folder: {error}")
        return Checked(folder.absolute().name, [crashed])
    for name, check in CHECKS.items():
        findings += _run(name, check, entry, context)
    return Checked(entry.id, in_order(list(few_alike(findings))))


def _run(name: str, check: Check, entry: Entry, context: Context) -> list[Finding]:
    """What a check finds; where it breaks, that is a finding too."""
    findings: list[Finding] = []
    try:
        findings.extend(check(entry, context))
    except Exception as error:
        logger.debug("check %s of %s broke", name, entry.id, exc_info=error)
        message = f"the check of {name}: {type(error).__name__}: {error}"
        findings.append(found("check-crashed", message))
    return findings
