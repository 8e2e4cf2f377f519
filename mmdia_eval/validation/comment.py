"""Reports as a comment on a pull request: `python -m mmdia_eval.validation.comment REPORTS.zip`.

Reads reports that a job with strangers' data wrote, so takes them for data: bounded, checked, and
shown in a block of code, where nothing is a link, a mention or markup. Standard library only.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdia_eval.errors import UserError
from mmdia_eval.strict_json import parse_json
from mmdia_eval.validation.findings import CODES

REPORTS = ("tree.json", "submission.json")
MAX_REPORT = 2**20
"""Bytes of a report, once it is unpacked."""
MOST_LINES = 60
MOST_CHARACTERS = 200
MARK = "<!-- mmdia-eval validate -->"
"""By which the workflow finds its own comment again."""


def comment(archive: Path) -> str:
    """Markdown of the reports in a ZIP archive, at most some 12 kB.

    Raises:
        UserError: no archive, none of `REPORTS` in it, or one that is no report.
    """
    reports = [_report(name, data) for name, data in _unpacked(archive)]
    if not reports:
        raise UserError(f"{archive}: holds neither {' nor '.join(REPORTS)}")
    lines = [line for report in reports for line in _lines(report)]
    valid = all(report["valid"] for report in reports)
    verdict = "The submission is valid." if valid else "The submission is not valid yet."
    more = [f"… and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    block = "\n".join([*lines[:MOST_LINES], *more]) or "nothing was found"
    return f"{MARK}\n{verdict}\n\n````text\n{block}\n````\n"


def _unpacked(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The reports that are there; nothing is written to the disk, no other member is opened."""
    try:
        with zipfile.ZipFile(archive) as members:
            for name in (name for name in REPORTS if name in members.namelist()):
                with members.open(name) as member:
                    data = member.read(MAX_REPORT + 1)
                if len(data) > MAX_REPORT:
                    raise UserError(f"{name}: more than {MAX_REPORT:,} bytes")
                yield name, data
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{archive}: {error}") from None


def _report(name: str, data: bytes) -> Any:
    report = parse_json(data, name)
    try:
        sound = type(report["valid"]) is bool and all(
            finding["code"] in CODES and _texts(finding)
            for one in report["checked"]
            for finding in one["findings"]
        )
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise UserError(f"{name}: not a report")
    return report


def _texts(finding: Any) -> bool:
    line = finding["line"]
    numbered = line is None or type(line) is int
    return numbered and all(isinstance(finding[key] or "", str) for key in ("file", "message"))


def _lines(report: Any) -> Iterator[str]:
    for one in report["checked"]:
        for finding in one["findings"]:
            place = [str(part) for part in (finding["file"], finding["line"]) if part is not None]
            code = finding["code"]
            text = f"{CODES[code].severity} {code}: {':'.join(place)} {finding['message']}"
            yield _plain(text)
            yield f"    {CODES[code].fix}"


def _plain(text: str) -> str:
    """One line of printable characters that cannot end a block of code."""
    shown = "".join(c if c.isprintable() else "?" for c in text).replace("`", "'")
    return shown if len(shown) <= MOST_CHARACTERS else f"{shown[: MOST_CHARACTERS - 1]}…"


if __name__ == "__main__":
    try:
        sys.stdout.write(comment(Path(sys.argv[1])))
    except UserError as error:
        sys.exit(f"error: {error}")
