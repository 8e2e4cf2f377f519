"""Findings as a table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt
from rich.console import Console
from rich.text import Text

from mmdia_eval import __version__
from mmdia_eval.files import write_atomic
from mmdia_eval.report import plain_console, print_lines
from mmdia_eval.results import Record
from mmdia_eval.results_files import canonical_json
from mmdia_eval.submission import printable
from mmdia_eval.validation.findings import Finding, counts
from mmdia_eval.validation.validate import Checked


class FindingRecord(Record):
    """A finding; `file` is relative to what was checked, `line` counts from 1."""

    code: str
    severity: Literal["error", "warning"]
    file: str | None
    line: PositiveInt | None
    message: str
    fix: str


class CheckedRecord(Record):
    """One submission, or one pull request; valid when no finding is an error."""

    name: str
    valid: bool
    errors: NonNegativeInt
    warnings: NonNegativeInt
    findings: list[FindingRecord]


class ValidationReport(Record):
    """What `mmdia-eval validate --json` and `mmdia-eval tree check --json` write."""

    schema_version: Literal["1.0"] = "1.0"
    mmdia_eval_version: str
    valid: bool
    checked: list[CheckedRecord]


def make_report(checked: Sequence[Checked]) -> ValidationReport:
    """The report on what was checked."""
    return ValidationReport(
        mmdia_eval_version=__version__,
        valid=all(one.valid for one in checked),
        checked=[_checked(one) for one in checked],
    )


def _checked(one: Checked) -> CheckedRecord:
    errors, warnings = counts(one.findings)
    return CheckedRecord(
        name=printable(one.name),
        valid=one.valid,
        errors=errors,
        warnings=warnings,
        findings=[_record(finding) for finding in one.findings],
    )


def _record(finding: Finding) -> FindingRecord:
    """Texts may hold names from the folder: whatever is not printable is escaped."""
    return FindingRecord(
        code=finding.code,
        severity=finding.severity,
        file=None if finding.file is None else printable(finding.file),
        line=finding.line,
        message=printable(finding.message),
        fix=finding.fix,
    )


def report_schema() -> dict[str, Any]:
    """The JSON Schema of a report; a copy of it is docs/validation.schema.json."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **ValidationReport.model_json_schema()}


def write_report(path: Path, report: ValidationReport) -> None:
    """Write the report as canonical JSON."""
    write_atomic(path, canonical_json(report.model_dump(mode="json")))


def print_report(report: ValidationReport, console: Console | None = None) -> None:
    """Each finding in two lines, what to do below what is wrong; last how many there are."""
    console = console or plain_console()
    for one in report.checked:
        console.print(Text(one.name), style="bold", soft_wrap=True)
        for finding in one.findings:
            place = ":".join(str(x) for x in (finding.file, finding.line) if x is not None)
            style = "red" if finding.severity == "error" else "yellow"
            where = f"{place}: " if place else ""
            line = f"  {finding.severity} {finding.code}: {where}{finding.message}"
            print_lines(console, [line], style)
            print_lines(console, [f"    {finding.fix}"], "dim")
        print_lines(console, [_last_line(one)], "" if one.valid else "red")


def _last_line(one: CheckedRecord) -> str:
    verdict = "valid" if one.valid else "not valid"
    said = [f"{one.errors} errors"] if one.errors else []
    said += [f"{one.warnings} warnings"] if one.warnings else []
    return f"  {verdict}" + (f": {', '.join(said)}" if said else "")
