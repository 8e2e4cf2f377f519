"""Submissions are checked: a good one has no finding, each planted fault its own code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import planted_figures  # noqa: F401 (its faults join FAULTS)
import pytest
from example_submission import NAME, RESULTS, edit, edit_rows, make_submission, metric, rescore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_faults import FAULTS, Planted
from typer.testing import CliRunner

from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.cli import app
from mmdia_eval.errors import UserError
from mmdia_eval.results_files import canonical_json
from mmdia_eval.scoring import Request
from mmdia_eval.validation.aggregation import check_rows, check_values
from mmdia_eval.validation.context import Context
from mmdia_eval.validation.entry import read_entry
from mmdia_eval.validation.findings import CODES, MOST_ALIKE, few_alike, found, is_valid
from mmdia_eval.validation.format import submission_schema
from mmdia_eval.validation.plausibility import check_word_counts
from mmdia_eval.validation.report import make_report, report_schema
from mmdia_eval.validation.validate import CHECKS, validate

DOCS = Path(__file__).parents[1] / "docs"
Good = tuple[Path, Request]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return make_submission(tmp_path_factory.mktemp("good"))


@pytest.fixture
def copy(good: Good, tmp_path: Path) -> Path:
    """A submission to spoil."""
    return Path(shutil.copytree(good[0], tmp_path / "submissions" / NAME))


@pytest.fixture
def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CHECKS, "copies")


def codes(folder: Path, **options: Any) -> set[str]:
    (checked,) = validate([folder], **{"benchmark": "mini", **options})
    return {finding.code for finding in checked.findings}


def test_the_example_submission_has_nothing_to_be_found(good: Good) -> None:
    (checked,) = validate([good[0]], benchmark="mini")
    assert checked.findings == []
    assert checked.valid
    record = json.loads((good[0] / "submission.json").read_text())
    jsonschema.validate(record, submission_schema())


def test_the_films_of_rows_are_the_benchmarks(copy: Path, no_copies: None) -> None:
    """With other groups, or none, intervals could be made as narrow as one likes."""
    edit_rows(copy, lambda rows: rows[0].update(group="a film"))
    (checked,) = validate([copy], benchmark="mini")
    assert "the group is a film, not None" in [
        finding.message.rpartition(": ")[2]
        for finding in checked.findings
        if finding.code == "row-reference"
    ]


@pytest.mark.parametrize("code", FAULTS)
def test_each_planted_fault_has_its_own_code(
    code: str, good: Good, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not code.startswith(("copied", "copies")):  # it takes longest; no other needs it
        monkeypatch.delitem(CHECKS, "copies")
    planted = Planted(copy, good[1], monkeypatch)
    FAULTS[code].plant(planted)
    (folder,) = [one for one in copy.parent.iterdir() if "copycat" not in one.name]
    (checked,) = validate([folder], **{"benchmark": "mini", **planted.options})
    assert {finding.code for finding in checked.findings} == {code} | FAULTS[code].also
    mine = next(finding for finding in checked.findings if finding.code == code)
    assert mine.severity == CODES[code].severity
    assert mine.message
    assert mine.fix
    assert checked.valid == all(one.severity == "warning" for one in checked.findings)


def test_every_code_has_a_planted_fault() -> None:
    of_trees = {code for code in CODES if code.startswith("tree-")}
    assert set(FAULTS) == set(CODES) - of_trees


@pytest.mark.usefixtures("no_copies")
def test_findings_name_file_and_line(copy: Path) -> None:
    edit(copy / RESULTS, lambda record: metric(record).update(value=0.25))
    text = (copy / RESULTS).read_text().splitlines()
    (checked,) = validate([copy], benchmark="mini")
    (finding,) = checked.findings
    assert (finding.code, finding.file) == ("value-differs", RESULTS)
    assert finding.line is not None
    assert text[finding.line - 1].strip() == '"value": 0.25,'


def test_validity_follows_from_the_findings_alone() -> None:
    assert is_valid([])
    assert is_valid([found("value-perfect", "x")])
    assert not is_valid([found("value-perfect", "x"), found("rows-hash", "y")])


def test_many_findings_alike_are_counted() -> None:
    many = [found("row-worst", f"row {n}", "rows", n + 1) for n in range(30)]
    shown = list(few_alike(many))
    assert len(shown) == MOST_ALIKE + 1
    assert shown[-1].message == f"and {30 - MOST_ALIKE} more like these"


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_scoring_makes_of_any_counts_is_found_again(data: Any, good: Good) -> None:
    """Whatever the counts, results that the harness made of them pass the re-aggregation."""
    folder = good[0].parents[1] / "changed" / NAME
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good[0], folder)
    scores = data.draw(st.lists(st.floats(1, 5), min_size=7, max_size=7))
    wrong = data.draw(st.lists(st.integers(0, 40), min_size=7, max_size=7))

    def change(rows: list[Any]) -> None:
        mos = [r for r in rows if r["metric"] == "dnsmos" and r["status"] == "scored"]
        wer = [r for r in rows if r["metric"] == "wer" and r["status"] == "scored"]
        for row, score, count in zip(mos, scores, wrong, strict=True):
            row["counts"].update(ovrl=score, turns_scored=float(count % 3))
        for row, count in zip(wer, wrong, strict=True):
            row["counts"].update(
                substitutions=0.0, insertions=float(count), rate=count / row["counts"]["words"]
            )

    rescore(folder, good[1], change)
    entry, findings = read_entry(folder)
    context = Context(benchmark=load_benchmark(resolve_benchmark("mini")))
    for check in (check_rows, check_values, check_word_counts):
        findings += check(entry, context)
    assert findings == []


@pytest.mark.usefixtures("no_copies")
def test_a_folder_of_entries_means_those_that_the_base_lacks(good: Good, copy: Path) -> None:
    old = copy.parent / "2026-01-01_acme_dialogen-1"
    shutil.copytree(copy, old)
    base = copy.parents[1] / "base" / "submissions"
    shutil.copytree(old, base / old.name)
    checked = validate([copy.parent], benchmark="mini", base=str(base.parent))
    assert [one.name for one in checked] == [NAME]
    assert {f.code for f in checked[0].findings} == {"copied-entry"}


@pytest.mark.usefixtures("no_copies")
def test_the_base_may_be_a_revision(copy: Path) -> None:
    repository = copy.parents[1]

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(
            ["git", "-C", repository, *identity, *arguments], check=True, capture_output=True
        )

    git("init", "--initial-branch=main")
    git("add", ".")
    git("commit", "-m", "one")
    assert codes(copy, base="main") == set()
    edit(copy / "submission.json", lambda record: record.update(hardware="two H100"))
    assert codes(copy, base="main") == set(), "words may be corrected"
    other = copy.with_name("2026-11-22_acme_dialogen-3")
    shutil.copytree(copy, other)
    found_now = codes(other, base="main")
    assert found_now == {"base-other-entry", "copied-entry"}


@pytest.mark.usefixtures("no_copies")
def test_the_command_prints_findings_and_their_report(copy: Path, tmp_path: Path) -> None:
    edit(copy / "submission.json", lambda record: record.update(contact=None))
    report = tmp_path / "report.json"
    arguments = ["validate", str(copy), "--benchmark", "mini", "--json", str(report)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "error submission-blank: submission.json:" in done.output
    assert "fill it in" in done.output
    value = json.loads(report.read_text())
    jsonschema.validate(value, report_schema())
    assert value["valid"] is False
    ((checked,),) = [value["checked"]]
    assert (checked["name"], checked["errors"], checked["warnings"]) == (NAME, 1, 0)
    edit(copy / "submission.json", lambda record: record.update(contact="@acme-speech"))
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.output) == (0, f"{NAME}\n  valid\n")


def test_bad_usage_is_told_apart_from_findings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        validate([tmp_path / "nothing"])


@pytest.mark.usefixtures("no_copies")
def test_the_report_keeps_its_shape(copy: Path) -> None:
    edit(copy / RESULTS, lambda record: record.update(verification="re-scored"))
    report = make_report(validate([copy], benchmark="mini")).model_dump(mode="json")
    assert report == {
        "schema_version": "1.0",
        "mmdia_eval_version": report["mmdia_eval_version"],
        "valid": False,
        "checked": [
            {
                "name": NAME,
                "valid": False,
                "errors": 1,
                "warnings": 0,
                "findings": [
                    {
                        "code": "results-verification",
                        "severity": "error",
                        "file": RESULTS,
                        "line": None,
                        "message": "verification is 're-scored'",
                        "fix": "only maintainers raise the state",
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("submission.schema.json", submission_schema()),
        ("validation.schema.json", report_schema()),
    ],
)
def test_the_schemas_are_those_in_the_docs(file: str, schema: Any) -> None:
    assert (DOCS / file).read_bytes() == canonical_json(schema)


def test_the_table_of_codes_is_that_in_the_docs() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (\w+) \| (.+) \| (.+) \|$", (DOCS / "validation.md").read_text(), re.M
    )
    assert rows == [(c, k.severity, k.meaning, k.fix) for c, k in CODES.items()]
