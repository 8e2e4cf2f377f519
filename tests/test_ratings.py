from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_results import make_results, metric_result, word_rows, write_system
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.errors import UserError
from mmdia_eval.human_mos import (
    krippendorff_alpha,
    mean_opinion,
    read_human_ratings,
    screen,
    summarize,
    write_human_ratings,
)
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.ratings import Rating, read_ratings

HEADER = "rater,dialogue,system,dimension,rating\n"


def write_csv(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    return path


def ratings(table: dict[str, list[float | None]], system: str = "a") -> list[Rating]:
    """One rater a key, one dialogue a place in the list; None was not rated."""
    return [
        Rating(rater, f"d{number}", system, "quality", value)
        for rater, values in table.items()
        for number, value in enumerate(values)
        if value is not None
    ]


def test_reads_columns_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        '\ufeffsystem,rating,"dimension",dialogue,rater,note\nx,4.5,quality,d1,ann,ok\n'
    )
    assert read_ratings([path]) == [Rating("ann", "d1", "x", "quality", 4.5)]


def test_a_key_turns_clips_into_dialogues_and_systems(tmp_path: Path) -> None:
    key = write_csv(tmp_path / "k.csv", "c1,d1,x", header="clip,dialogue,system\n")
    path = write_csv(tmp_path / "r.csv", "ann,c1,quality,4", header="rater,clip,dimension,rating\n")
    assert read_ratings([path], key) == [Rating("ann", "d1", "x", "quality", 4.0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ann,d,x,quality,6", "rating '6' is not a number from 1 to 5"),
        ("ann,d,x,quality,", "rating '' is not a number from 1 to 5"),
        ("ann,d,x,quality,nan", "rating 'nan' is not"),
        ("ann,d,x,beauty,3", "unknown dimension 'beauty'; known: naturalness"),
        (",d,x,quality,3", "rater, dialogue and system should not be empty"),
        ('ann,d,x,quality,"3', "not valid CSV"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write_csv(tmp_path / "r.csv", "ann,d0,x,quality,3", line)
    with pytest.raises(UserError, match=r"r\.csv:3") as caught:
        read_ratings([path])
    assert message in str(caught.value)


def test_an_item_rated_twice_is_refused_across_files(tmp_path: Path) -> None:
    first = write_csv(tmp_path / "1.csv", "ann,d,x,quality,3")
    second = write_csv(tmp_path / "2.csv", "ann,d,x,quality,4")
    with pytest.raises(UserError, match=r"2\.csv:2: ann rates quality of d by x again, after .*1"):
        read_ratings([first, second])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rater,dialogue\nann,d\n", "no column system, dimension, rating"),
        (HEADER.encode(), "no ratings in"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"", "no column rater"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_ratings([path])


def test_alpha_of_the_textbook_example() -> None:
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", example C: 0.815."""
    table: dict[str, list[float | None]] = {
        "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    }
    assert krippendorff_alpha(ratings(table)) == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize("table", [{"A": [1.0, 2.0]}, {"A": [3.0, 3.0], "B": [3.0, 3.0]}])
def test_alpha_that_is_not_defined_is_none(table: dict[str, list[float | None]]) -> None:
    assert krippendorff_alpha(ratings(table)) is None


@given(st.lists(st.lists(st.integers(1, 5), min_size=3, max_size=3), min_size=2, max_size=6))
def test_the_mean_lies_in_its_interval_and_on_the_scale(table: list[list[int]]) -> None:
    found = mean_opinion(ratings({f"r{i}": [*map(float, row)] for i, row in enumerate(table)}))
    assert found.interval is not None
    assert 1 <= found.interval.lower <= found.mean <= found.interval.upper <= 5
    assert found.mean == pytest.approx(np.mean(table))


def test_the_interval_is_wider_than_one_over_ratings_alone() -> None:
    """Raters who each have a level of their own are the cause of most of the spread."""
    table: dict[str, list[float | None]] = {f"r{i}": [1.0 + i] * 40 for i in range(5)}
    found = mean_opinion(ratings(table))
    naive = 1.96 * np.std([1, 2, 3, 4, 5]) / np.sqrt(5 * 40)
    assert found.interval is not None
    assert found.interval.upper - found.mean > 3 * naive


def test_one_rater_gives_no_interval() -> None:
    assert mean_opinion(ratings({"r": [1.0, 5.0]})).interval is None


def test_screening_flags_a_constant_rater_and_a_contrary_one() -> None:
    good = [1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0]
    reports = screen(
        ratings(
            {
                "ann": [*good],
                "bob": [*good],
                "con": [6 - value for value in good],
                "dull": [3.0] * 8,
            }
        )
    )
    assert {report.rater: report.flags for report in reports} == {
        "ann": [],
        "bob": [],
        "con": ["disagrees"],
        "dull": ["constant"],
    }


def test_an_excluded_rater_is_recorded() -> None:
    human = summarize(ratings({"ann": [1.0], "bob": [5.0]}), exclude=["bob"])
    assert human.dimensions[0].systems[0].mean == 1.0
    assert human.excluded_raters == ["bob"]
    with pytest.raises(UserError, match="no ratings by eve"):
        summarize(ratings({"ann": [1.0]}), exclude=["eve"])
    with pytest.raises(UserError, match="every rater is excluded"):
        summarize(ratings({"ann": [1.0]}), exclude=["ann"])


def test_the_summary_is_read_as_written_and_its_bytes_depend_on_no_order(tmp_path: Path) -> None:
    given = ratings({"ann": [1.0, 2.0], "bob": [2.0, 5.0]})
    write_human_ratings(tmp_path / "a.json", summarize(given))
    write_human_ratings(tmp_path / "b.json", summarize(given[::-1]))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_human_ratings(tmp_path / "a.json") == summarize(given)


def test_the_board_shows_ratings_beside_the_scores(tmp_path: Path) -> None:
    write_system(tmp_path / "in" / "a.json", word_rows({"d0": 1, "d1": 2}), name="a")
    human = summarize(ratings({"ann": [1.0, 2.0], "bob": [2.0, 5.0]}))
    write_human_ratings(tmp_path / "in" / "human.json", human)
    html = build_leaderboard([tmp_path / "in"], tmp_path / "site").read_text()
    assert "human_<wbr>quality" in html
    assert "2.500" in html


def test_ratings_of_an_unknown_system_are_refused(tmp_path: Path) -> None:
    rows = word_rows({"d0": 1})
    write_system(tmp_path / "in" / "a.json", rows, name="a")
    write_human_ratings(
        tmp_path / "in" / "human.json", summarize(ratings({"ann": [1.0]}, system="ghost"))
    )
    with pytest.raises(UserError, match=r"human\.json: no results on task 1, test split of ghost"):
        build_leaderboard([tmp_path / "in"], tmp_path / "site")
    assert make_results(metrics=[metric_result("wer", rows)]).metrics
