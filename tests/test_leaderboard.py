from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from example_results import (
    empty_row,
    make_results,
    metric_result,
    missing_row,
    word_rows,
    write_system,
)

from mmdia_eval.errors import UserError
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.results import ProtocolRecord, Results, SystemRecord
from mmdia_eval.results_files import write_results

STRICT = ProtocolRecord(name="strict", version="1", sha256="b" * 64, comparable=True)
HOSTILE = (
    "<script>window.xss=1</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "</table></style>&lt;b&gt;",
    "نظام الحوار",
    "javascript:alert(1)",
)


def system(folder: Path, name: str, errors: int, **changes: Any) -> Path:
    """A system with `errors` of 40 words wrong in each of four dialogues."""
    rows = word_rows({f"d{number}": errors for number in range(4)})
    return write_system(folder / f"{len(list(folder.iterdir()))}.json", rows, name=name, **changes)


class Page(HTMLParser):
    """The tags of a page, and its tables as rows of the texts of their cells."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.bold: list[str] = []
        self._open: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][-1] += f" {data.strip()}" if data.strip() else ""
        if "td" in self._open and self._open[-1] == "b":
            self.bold.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def built(folder: Path, *paths: Path) -> Page:
    return Page(build_leaderboard(paths, folder / "site"))


def first_words(table: list[list[str]]) -> list[str]:
    return [row[0].split()[0] for row in table[1:]]


def test_a_table_shows_value_interval_direction_and_gaps(tmp_path: Path) -> None:
    rows = [*word_rows({"d0": 4, "d1": 8}), missing_row("d2"), empty_row("d3", "not_applicable")]
    page = built(tmp_path, write_system(tmp_path / "a.json", rows, name="partial"))
    ((head, row),) = page.tables
    assert head[1].split() == ["wer", "%", "↓", ",", "lower", "is", "better", "how"]
    assert row[1].split() == ["43.33", "[41.33,", "46.33]", "2/3", "scored"]


def test_protocols_never_share_a_table(tmp_path: Path) -> None:
    one = system(tmp_path, "one", 4)
    other = system(tmp_path, "one", 4, protocol=STRICT)
    changed = STRICT.model_copy(update={"sha256": "d" * 64})
    third = system(tmp_path, "one", 4, protocol=changed)
    page = built(tmp_path, one, other, third)
    assert [len(table) for table in page.tables] == [2, 2, 2]
    html = (tmp_path / "site" / "index.html").read_text("utf-8")
    not_ranked = html.index("not ranked, not comparable")
    assert html.index("protocol strict 1<") < not_ranked < html.index("protocol embedded 1<")


@pytest.mark.parametrize("change", [{"split": "hard"}, {"task": 2}, {"style": "triplet"}])
def test_tasks_splits_and_styles_have_their_own_tables(tmp_path: Path, change: Any) -> None:
    page = built(tmp_path, system(tmp_path, "one", 4), system(tmp_path, "one", 4, **change))
    assert len(page.tables) == 2


def test_earlier_versions_of_a_metric_stand_apart(tmp_path: Path) -> None:
    rows = word_rows({"d0": 4})
    old = system(tmp_path, "old", 1, metrics=[metric_result("wer", rows, version="0")])
    page = built(
        tmp_path, old, system(tmp_path, "new", 4, protocol=STRICT), system(tmp_path, "x", 3)
    )
    assert [first_words(table) for table in page.tables] == [["new"], ["old", "x"], ["old"]]
    _, current, stale = page.tables
    assert [row[1].split()[0] for row in current[1:]] == ["stale", "7.50"]
    assert stale[1][1].split()[0] == "10.00"
    html = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert html.index("not ranked, not comparable") < html.index("Stale: of earlier versions")


def test_comparable_systems_start_best_first_others_by_name(tmp_path: Path) -> None:
    errors = {"a": 12, "b": 3, "c": 6}
    ranked = [system(tmp_path, name, count, protocol=STRICT) for name, count in errors.items()]
    failed = [*word_rows({"d0": 0}), empty_row("d1", "failed")]
    ranked.append(write_system(tmp_path / "f.json", failed, name="f", protocol=STRICT))
    by_name = [system(tmp_path, name, count) for name, count in errors.items()]
    page = built(tmp_path, *ranked, *by_name)
    assert [first_words(table) for table in page.tables] == [["b", "c", "a", "f"], ["a", "b", "c"]]


def test_the_best_is_bold_ties_too_and_provisional_values_are_not(tmp_path: Path) -> None:
    paths = [system(tmp_path, name, errors) for name, errors in (("a", 8), ("b", 4), ("c", 4))]
    failed = [*word_rows({"d0": 1}), empty_row("d1", "failed")]
    page = built(tmp_path, *paths, write_system(tmp_path / "f.json", failed, name="f"))
    assert page.bold == ["10.00", "10.00"]
    assert "provisional" in page.tables[0][-1][0]


def test_equal_files_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    paths = [system(tmp_path, name, 4) for name in ("a", "b", "c")]
    for folder, order in (("one", paths), ("two", paths[::-1])):
        build_leaderboard(order, tmp_path / folder)
    for file in ("index.html", "leaderboard.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_folders_are_searched_for_results(tmp_path: Path) -> None:
    (tmp_path / "results" / "a").mkdir(parents=True)
    system(tmp_path / "results" / "a", "one", 4)
    system(tmp_path / "results", "two", 4)
    page = built(tmp_path, tmp_path / "results")
    assert first_words(page.tables[0]) == ["one", "two"]


def test_the_json_holds_the_page_in_ratios(tmp_path: Path) -> None:
    built(tmp_path, system(tmp_path, "one", 4))
    data = json.loads((tmp_path / "site" / "leaderboard.json").read_text("utf-8"))
    (table,) = data["tables"]
    assert table["protocol"]["comparable"] is False
    (one,) = table["results"]
    assert one["metrics"][0]["value"] == 0.1
    assert one["system"]["name"] == "one"


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    paths = []
    for number, name in enumerate(HOSTILE):
        record = SystemRecord(name=name, organization=name, url='https://x.example/"onclick="x')
        metric = metric_result("wer", word_rows({"d0": number}), signature=name)
        results = make_results(metrics=[metric], system=record)
        paths.append(tmp_path / f"{number}.json")
        write_results(paths[-1], results, word_rows({"d0": number}))
    page = built(tmp_path, *paths)
    assert len(page.all("script")) == len(page.all("style")) == len(page.all("table")) == 1
    assert page.all("img") == []
    assert {
        attribute for _, tag in page.tags for attribute in tag if attribute[:2] == "on"
    } == set()
    links = {link["href"] for link in page.all("a")}
    assert {link for link in links if link and not link.startswith(("e/", "#"))} == {
        "leaderboard.json",
        "results.csv",
    }
    shown = " ".join(row[0] for row in page.tables[0])
    for name in HOSTILE:
        assert name in shown
    # Every foreign name is isolated, so that right-to-left text turns nothing around it.
    assert len(page.all("bdi")) == 3 * len(HOSTILE)


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    page = built(tmp_path, system(tmp_path, "one", 4))
    (policy,) = (m["content"] for m in page.all("meta") if m.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not [tag for name, tag in page.tags if "src" in tag or "style" in tag]
    assert [link["href"] for link in page.all("link")] == ["data:,"]


def test_the_script_is_small(tmp_path: Path) -> None:
    built(tmp_path, system(tmp_path, "one", 4))
    html = (tmp_path / "site" / "index.html").read_text("utf-8")
    (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    assert len(script.encode()) < 5000


def test_bad_input_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = system(tmp_path, "one", 4)
    two = system(tmp_path, "one", 5)
    with pytest.raises(UserError, match=r"0\.json and .*\.json both hold one"):
        built(tmp_path, one, two)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no results files in .*empty; score a system first"):
        built(tmp_path, tmp_path / "empty")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UserError, match=r"bad\.json: not a results file"):
        built(tmp_path, tmp_path / "bad.json")
    monkeypatch.setattr("mmdia_eval.leaderboard.pages.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'mmdia-eval\[board\]'"):
        built(tmp_path, one)


def test_the_same_file_twice_is_one_row(tmp_path: Path) -> None:
    one = system(tmp_path, "one", 4)
    assert len(built(tmp_path, one, tmp_path, one).tables[0]) == 2


def test_signatures_are_shown_with_their_systems_where_they_differ(tmp_path: Path) -> None:
    rows = word_rows({"d0": 4})
    other = system(tmp_path, "b", 4, metrics=[metric_result("wer", rows, signature="wer@1|new")])
    built(tmp_path, system(tmp_path, "a", 4), other)
    html = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert "<code>wer@1|new</code> (<bdi>b</bdi>)" in html


def test_published_results_without_rows_have_a_place(tmp_path: Path) -> None:
    results = make_results(
        "paper",
        [metric_result("wer", word_rows({"d0": 4}), interval=None)],
        protocol=STRICT,
        verification="published",
    )
    assert isinstance(results, Results)
    path = tmp_path / "paper.json"
    path.write_text(results.model_dump_json(), "utf-8")
    ((_, row),) = built(tmp_path, path).tables
    assert row[0].split() == ["paper", "published"]
    assert row[1].split() == ["10.00"]
