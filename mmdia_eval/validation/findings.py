"""What a check can find: stable codes, each with what it means and what to do about it.

Standard library only: what shows a report to people reads it without the package's dependencies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
MOST_ALIKE = 10
"""Findings of one code in one file that are listed; the others are counted."""


@dataclass(frozen=True)
class Code:
    """A kind of finding: its severity, what it means and what mends it. Codes never change."""

    severity: Severity
    meaning: str
    fix: str


@dataclass(frozen=True)
class Finding:
    """One thing found. `file` is relative to what was checked, `line` counts from 1."""

    code: str
    severity: Severity
    message: str
    fix: str
    file: str | None = None
    line: int | None = None


def found(
    code: str, message: str, file: str | None = None, line: int | None = None, fix: str = ""
) -> Finding:
    """A finding of a registered code, with the code's own fix unless there is a closer one."""
    registered = CODES[code]
    return Finding(code, registered.severity, message, fix or registered.fix, file, line)


def is_valid(findings: Iterable[Finding]) -> bool:
    """Whether no finding is an error. Nothing else decides."""
    return not any(finding.severity == "error" for finding in findings)


def counts(findings: Iterable[Finding]) -> tuple[int, int]:
    """How many errors and how many warnings."""
    severities = Counter(finding.severity for finding in findings)
    return severities["error"], severities["warning"]


def few_alike(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, at most `MOST_ALIKE` of one code in one file; a last one counts the others."""
    alike: dict[tuple[str, str | None], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.code, finding.file), []).append(finding)
    for (code, file), same in alike.items():
        yield from same[:MOST_ALIKE]
        if len(same) > MOST_ALIKE:
            yield found(code, f"and {len(same) - MOST_ALIKE} more like these", file)


def in_order(findings: Iterable[Finding]) -> Sequence[Finding]:
    """Errors first, then by file and line."""
    return sorted(findings, key=lambda f: (f.severity, f.file or "", f.line or 0, f.code))


_AGAIN = "score the outputs again with this mmdia-eval, and pack the folder again"
_PACK = "make the folder with: mmdia-eval submission pack"
_UNCHANGED = "leave the file as `mmdia-eval score` wrote it, or score again"
_ADD = "add files in one new folder below submissions/, and change nothing else"
_ASK = "say in the pull request how it comes about; a maintainer will ask"


def _e(meaning: str, fix: str) -> Code:
    return Code("error", meaning, fix)


def _w(meaning: str, fix: str) -> Code:
    return Code("warning", meaning, fix)


CODES: dict[str, Code] = {
    # What lies in the folder
    "name-folder": _e(
        "the folder is not named <yyyy-mm-dd>_<organization>_<system>",
        "rename it, as 2026-11-21_acme_dialogen-2: lower-case letters, digits and hyphens",
    ),
    "name-file": _e("a file that a submission does not have", "remove it"),
    "file-kind": _e(
        "a link, a special file or a folder where a regular file belongs",
        "put the file itself there",
    ),
    "file-missing": _e("a file that every submission has is not there", _PACK),
    "file-too-large": _e(
        "a file is larger than its kind may be", "leave media at the URL; shorten free text"
    ),
    "total-too-large": _e(
        "the folder is larger than a submission may be", "leave media at the URL"
    ),
    "readme-text": _e(
        "README.md is not plain UTF-8 text, or has control or formatting characters",
        "save it as UTF-8 and remove them",
    ),
    "secret": _e(
        "a text that looks like the key of a service",
        "remove it, and revoke the key: what was pushed is public",
    ),
    # Each file by itself
    "json-invalid": _e(
        "not JSON, or JSON that two readers could understand differently",
        "write strict JSON: no key twice, no NaN, no number that does not fit",
    ),
    "submission-schema": _e(
        "a field of submission.json is missing, unknown or not what it should be",
        "see docs/submission.schema.json",
    ),
    "submission-blank": _e("a field of submission.json is still to be filled in", "fill it in"),
    "results-schema": _e("not a results file", _UNCHANGED),
    "rows-schema": _e("a line that is not a row of results", _UNCHANGED),
    "manifest-schema": _e("a line that is not one of a manifest", _PACK),
    "replies-schema": _e("a line that is not a reply of a judge", _UNCHANGED),
    "details-schema": _e("a line that is not what the engines said of an output", _UNCHANGED),
    # The files against each other
    "results-name": _e(
        "a results file's name does not say its task, split and style",
        "name it task<T>.<split>.json, or task<T>.<split>.<style>.json",
    ),
    "results-differ": _e(
        "submission.json and a results file do not say the same",
        "correct submission.json; the results file is as it was scored",
    ),
    "results-provisional": _e(
        "dialogues failed on the scoring side, so the results are provisional",
        "give the same score command again: it tries just those",
    ),
    "results-verification": _e(
        "results that claim more than self-reported", "only maintainers raise the state"
    ),
    "weights-unverified": _w(
        "a model file of another sha256 than the listed was used", "score with the listed files"
    ),
    "rows-hash": _e("the rows are not those that the results were made from", _UNCHANGED),
    "replies-hash": _e("the judge's replies are not those that the results name", _UNCHANGED),
    "details-hash": _e("the engines' findings are not those that the results name", _UNCHANGED),
    # Results against the protocol and the benchmark
    "protocol-unknown": _e("no such protocol, or another version of it", _AGAIN),
    "metric-unknown": _e("a metric that the protocol does not have", _AGAIN),
    "metric-version": _e("a metric of another version than the present one", _AGAIN),
    "metric-definition": _e(
        "a metric's settings, unit, direction or signature are not the protocol's", _AGAIN
    ),
    "metric-not-run": _w(
        "a metric of the protocol has no value", "score with what it lacks, or leave it out"
    ),
    "benchmark-missing": _e(
        "the benchmark that was scored is not here, so nothing can be checked against it",
        "give its folder: --benchmark DIR",
    ),
    "benchmark-left-out": _w(
        "checks against the benchmark were left out", "run again with --benchmark DIR"
    ),
    "benchmark-differs": _e("the split that was scored is not the benchmark's", _AGAIN),
    # The manifest and the audit clips
    "manifest-unknown": _e("a dialogue that is not of the splits", _PACK),
    "manifest-twice": _e("a dialogue or a file is listed twice", _PACK),
    "manifest-path": _e("a file whose name is not that of its dialogue", _PACK),
    "manifest-results": _e("the files listed are not those that were scored", _PACK),
    "manifest-rows": _e("manifest and rows differ on whether there is an output", _PACK),
    "media-hash": _e(
        "media.sha256 is not the sha256 of manifest.jsonl", "write the manifest's sha256 there"
    ),
    "audit-missing": _e("a clip that the protocol asks for is not in audit/", _PACK),
    "audit-extra": _e("a clip in audit/ that the protocol does not ask for", "remove it"),
    "audit-hash": _e("an audit clip is not the one that the manifest lists", _PACK),
    "audit-unreadable": _e("an audit clip cannot be decoded", _PACK),
    "clip-duplicate": _e(
        "two dialogues have the same sound", "give each dialogue its own output, and score again"
    ),
    # Rows against the benchmark
    "rows-incomplete": _e("a dialogue has no row under a metric", _UNCHANGED),
    "rows-twice": _e("a dialogue has two rows under a metric", _UNCHANGED),
    "rows-unknown": _e("a row of a dialogue or metric that is not of the results", _UNCHANGED),
    "row-fields": _e("a row does not count what its metric counts", _UNCHANGED),
    "row-value": _e("a row's value is not that of its counts", _UNCHANGED),
    "row-worst": _e("a missing output does not count as the metric's worst", _UNCHANGED),
    "row-applicable": _e("a row applies, or does not, against the metric's rule", _UNCHANGED),
    "row-reference": _e(
        "a row's count of the reference, or its film, is not the benchmark's", _UNCHANGED
    ),
    # Results against the rows
    "value-differs": _e("a value is not that of its rows", _UNCHANGED),
    "interval-differs": _e("an interval is not that of its rows", _UNCHANGED),
    "component-differs": _e("a component is not that of its rows", _UNCHANGED),
    "coverage-differs": _e("a coverage is not that of its rows", _UNCHANGED),
    "value-of-set": _w(
        "a value over all outputs together cannot be computed from rows",
        "nothing to do: maintainers compute it again from the media",
    ),
    # Plausibility
    "value-range": _e("a value outside the metric's range", _UNCHANGED),
    "word-counts": _e("counts of words that no alignment gives", _UNCHANGED),
    "grim": _e("a mean that no scores of whole points give", _UNCHANGED),
    "lse-sum": _e("LSE-C and LSE-D add up to what SyncNet never gives", _AGAIN),
    "value-perfect": _w("a value that is exactly the best there is", _ASK),
    "better-than-reference": _w("a value beyond what the ground truth reaches", _ASK),
    "rows-constant": _w("every dialogue has the same value", _ASK),
    "rows-repeated": _w("many dialogues have values equal to the last digit", _ASK),
    "digits-rounded": _w("values of few decimals, where a measurement has many", _ASK),
    "digits-uneven": _w("last digits that are not spread as a measurement's are", _ASK),
    # Copies
    "copied-file": _e("outputs that are the benchmark's own recordings", _ASK),
    "copied-clip": _w("an audit clip that sounds like the reference recording itself", _ASK),
    "copied-reference": _e("too many audit clips sound like the references themselves", _ASK),
    "copies-unchecked": _w(
        "audit clips that nothing was compared with", "nothing to do: maintainers listen to them"
    ),
    "copied-entry": _w("outputs that are also in another submission", _ASK),
    # Against the base branch
    "base-value-moved": _e(
        "a value on the board would change although its metric did not",
        "submit a new folder that supersedes the old one",
    ),
    "base-removed": _e(
        "a split or a metric on the board would disappear", "restore it, or supersede the entry"
    ),
    "base-other-entry": _e("a file of another entry would change", _ADD),
    "supersedes-unknown": _e(
        "`supersedes` names no entry of the base", "name the folder of the entry it replaces"
    ),
    "check-crashed": _e("a check broke, so what it checks is not known", "report it as a bug"),
    # What a pull request does to the tree
    "tree-symlink": _e("a symbolic link", "add the file itself"),
    "tree-submodule": _e("a submodule", "add files"),
    "tree-executable": _e("an executable file", "git update-index --chmod=-x FILE"),
    "tree-control": _e("a name with control characters", "rename the file"),
    "tree-name": _e(
        "a name with characters other than letters, digits, dots, hyphens and underscores",
        "rename the file",
    ),
    "tree-case": _e("two names that differ by case or Unicode form alone", "rename the file"),
    "tree-changed": _e("a file that is there already is changed or removed", _ADD),
    "tree-outside": _e("a path outside a folder of a submission", _ADD),
    "tree-two-entries": _e("more than one submission", "one pull request for each"),
    "tree-empty": _e("no submission is added", _ADD),
    "tree-attributes": _e("a file that tells git what to do", "remove it"),
    "tree-github": _e("a file that tells GitHub what to do", "remove it"),
    "tree-file-size": _e("a file that is too large for the repository", "leave media at the URL"),
    "tree-size": _e("more than a pull request may add", "leave media at the URL"),
}
