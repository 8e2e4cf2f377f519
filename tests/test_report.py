from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from example_results import (
    empty_row,
    make_results,
    metric_result,
    missing_row,
    word_rows,
    write_system,
)
from rich.console import Console

from mmdia_eval import display
from mmdia_eval.report import print_results, print_systems, summary_lines
from mmdia_eval.results import ProtocolRecord, Results, Row

ERRORS = {f"d{i}": i for i in range(1, 8)}
ROWS = [
    *word_rows(ERRORS, "cpwer"),
    missing_row("d8", "cpwer"),
    *word_rows(ERRORS, "wer"),
    missing_row("d8", "wer"),
]


def results(rows: list[Row] = ROWS) -> Results:
    labels = dict.fromkeys(row.metric for row in rows)
    return make_results("my system", [metric_result(label, rows) for label in labels])


def printed(shown: Results, rows: list[Row], width: int = 80) -> list[str]:
    file = io.StringIO()
    print_results(shown, rows, Console(file=file, width=width, markup=False, highlight=False))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_the_last_line_is_kaldis() -> None:
    lines = printed(results(), ROWS)
    # 28 errors of 280 words, of which 2 * n // 3 of n are deletions, and 40 of 40 words missing
    assert lines[-2:] == [
        "%WER 21.25 [ 68 / 320, 0 ins, 56 del, 12 sub ] 7/8 scored, 1 missing",
        "%cpWER 21.25 [ 68 / 320, 0 ins, 56 del, 12 sub ] 7/8 scored, 1 missing",
    ]


def test_the_example_of_the_kaldi_line() -> None:
    counts = {"substitutions": 2.0, "deletions": 15.0, "insertions": 8.0, "words": 92.0}
    row = Row(dialogue="d", metric="cpwer", status="scored", counts=counts, value=25 / 92)
    shown = make_results(metrics=[metric_result("cpwer", [row])])
    assert list(summary_lines(shown, [row])) == [
        "%cpWER 27.17 [ 25 / 92, 8 ins, 15 del, 2 sub ] 1/1 scored"
    ]


def test_a_metric_without_word_errors_has_no_kaldi_line() -> None:
    rows = [empty_row("d1", "failed", "cpwer")]
    assert list(summary_lines(results(rows), rows)) == []


def test_a_row_of_the_table_holds_value_direction_interval_and_coverage() -> None:
    (line,) = (line for line in printed(results(), ROWS) if line.startswith("wer "))
    assert line.split() == ["wer", "21.25", "%", "↓", "[19.25,", "24.25]", "7/8", "1"]


def test_the_tables_fit_a_narrow_terminal() -> None:
    lines = printed(results(), ROWS, width=60)
    table = lines[lines.index("") + 1 : -2]
    assert max(map(len, table)) <= 60
    assert any(line.startswith("cpwer ") and line.endswith("7/8       1") for line in table)


def test_names_of_systems_stay_whole_beside_many_columns() -> None:
    one = metric_result("wer", ROWS)
    metrics = [one.model_copy(update={"name": f"wer_{number}"}) for number in range(12)]
    names = "swapped-mouths", "a name of forty characters, no less, yes"
    file = io.StringIO()
    print_systems([make_results(name, metrics) for name in names], Console(file=file, width=80))
    lines = file.getvalue().splitlines()
    assert any(line.startswith("swapped-mouths ") for line in lines)
    assert "".join(names[1].split()) in "".join("".join(line[:20].split()) for line in lines)


@pytest.mark.parametrize("width", [30, 50, 80, 81, 82, 83, 84, 200])
def test_no_value_is_cut_however_narrow_the_terminal(width: int) -> None:
    one = metric_result("wer", ROWS)
    names = [f"speaker_count_{number}" for number in range(12)]
    metrics = [
        one.model_copy(update={"name": name, "value": number + 0.125, "unit": "s"})
        for number, name in enumerate(names)
    ]
    file = io.StringIO()
    print_systems([make_results("a", metrics)], Console(file=file, width=width))
    lines = file.getvalue().splitlines()
    values = [word for line in lines if line.startswith("a ") for word in line.split()[1:]]
    assert values == [f"{number}.125" for number in range(12)]
    assert all(len(line) <= width for line in lines if not line.startswith("a:"))
    tables = sum(line.startswith("system") for line in lines)
    assert tables == 1 if width == 200 else tables > 1


@pytest.mark.parametrize(("unit", "shown"), [("ms", "200"), ("distance", "200.400")])
def test_milliseconds_are_whole(unit: str, shown: str) -> None:
    metric = metric_result("wer", ROWS).model_copy(update={"unit": unit})
    assert display.number(metric, 200.4) == shown


def test_scores_that_are_not_comparable_say_so() -> None:
    said = "not comparable with a paper's"
    assert any(said in line for line in printed(results(), ROWS))
    strict = ProtocolRecord(name="strict", version="1", sha256="b" * 64, comparable=True)
    shown = results().model_copy(update={"protocol": strict})
    assert not any(said in line for line in printed(shown, ROWS))


def test_failed_dialogues_are_announced() -> None:
    rows = [*word_rows({"d1": 1}), empty_row("d2", "failed")]
    text = "\n".join(printed(results(rows), rows))
    assert "PROVISIONAL" in text
    assert "1/2 scored, 1 failed" in text


def test_names_from_a_file_are_neither_markup_nor_terminal_codes() -> None:
    metric = metric_result("wer", ROWS, components={"[red]\x1b[2J": 1.0})
    shown = make_results("[bold]x[/]", [metric], warnings=["bell \x07 and \x1b[31mred"])
    text = "\n".join(printed(shown, ROWS))
    assert "[bold]x[/]: task 1" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert r"\x1b[31mred" in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_a_pipe_gets_plain_text_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    path = write_system(tmp_path / "r.json", ROWS)
    code = (
        "import sys; from pathlib import Path; from mmdia_eval.report import *;"
        "from mmdia_eval.results_files import *; path = Path(sys.argv[1]);"
        "print_results(read_results(path), read_rows(path))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "80"},
    )
    text = done.stdout.decode(encoding)
    assert "\x1b" not in text
    assert ("%" + (" ↓" if encoding == "utf-8" else " v")) in text


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    shown = results().model_copy(update={"warnings": ["look"]})
    print_results(shown, ROWS, Console(file=file, force_terminal=True, markup=False))
    assert "\x1b[33m" not in file.getvalue()
    monkeypatch.delenv("NO_COLOR")
    file = io.StringIO()
    print_results(shown, ROWS, Console(file=file, force_terminal=True, markup=False))
    assert "\x1b[33m" in file.getvalue()


def test_systems_side_by_side() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, markup=False, highlight=False)
    other = make_results("other", [metric_result("wer", word_rows({"d1": 4}))])
    print_systems([results(), other], console)
    lines = [line.split() for line in file.getvalue().splitlines()]
    assert ["system", "%", "↓", "%", "↓"] in lines
    assert ["my", "system", "21.25", "21.25"] in lines
    assert ["other", "-", "10.00"] in lines
    assert ["my", "system:", "7/8", "scored,", "1", "missing"] in lines
