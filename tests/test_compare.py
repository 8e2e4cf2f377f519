from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mmdia_eval.compare import Comparison, compare, print_comparison, write_comparison
from mmdia_eval.errors import UserError
from mmdia_eval.results import ProtocolRecord, Row
from mmdia_eval.results_files import read_rows, write_results

IDS = [f"d{number:02}" for number in range(30)]


def errors(most: int, seed: int) -> dict[str, int]:
    draw = random.Random(seed)
    return {id_: draw.randint(0, most) for id_ in IDS}


def pair(folder: Path, rows_a: list[Row], rows_b: list[Row], **of_b: Any) -> tuple[Path, Path]:
    return (
        write_system(folder / "a.json", rows_a, name="good"),
        write_system(folder / "b.json", rows_b, **{"name": "bad", **of_b}),
    )


def printed(comparison: Comparison) -> str:
    file = io.StringIO()
    print_comparison(comparison, Console(file=file, width=80, markup=False, highlight=False))
    return file.getvalue()


def test_difference_is_b_less_a_over_the_pairs(tmp_path: Path) -> None:
    few, many = errors(4, 1), errors(20, 2)
    found = compare(*pair(tmp_path, word_rows(few), word_rows(many)))
    (metric,) = found.metrics
    assert metric.a == pytest.approx(sum(few.values()) / 1200)
    assert metric.b == pytest.approx(sum(many.values()) / 1200)
    difference = (sum(many.values()) - sum(few.values())) / 1200
    assert metric.difference == pytest.approx(difference)
    assert metric.interval is not None
    assert 0 < metric.interval.lower < difference < metric.interval.upper
    assert (metric.better, metric.significant, metric.pairs) == ("a", True, 30)
    assert found.status == "complete"


def test_the_p_value_is_that_of_a_sign_flip_test(tmp_path: Path) -> None:
    one, other = errors(10, 3), errors(12, 4)
    (metric,) = compare(*pair(tmp_path, word_rows(one), word_rows(other))).metrics
    # All dialogues have 40 words, so that the corpus rate is a mean and scipy's test applies.
    expected = stats.permutation_test(
        (np.array([*one.values()]), np.array([*other.values()])),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).pvalue
    assert metric.p_value == pytest.approx(expected, abs=0.03)


def test_the_other_way_round_only_signs_change(tmp_path: Path) -> None:
    a, b = pair(tmp_path, word_rows(errors(8, 1)), word_rows(errors(10, 2)))
    (there,), (back,) = compare(a, b).metrics, compare(b, a).metrics
    assert (there.a, there.b) == (back.b, back.a)
    assert there.difference is not None
    assert back.difference == pytest.approx(-there.difference)
    assert back.p_value == there.p_value
    assert {there.better, back.better} == {"a", "b"}


def test_a_system_does_not_differ_from_itself(tmp_path: Path) -> None:
    rows = word_rows(errors(8, 1))
    found = compare(*pair(tmp_path, rows, rows))
    (metric,) = found.metrics
    assert (metric.difference, metric.p_value, metric.p_holm) == (0.0, None, None)
    assert (metric.better, metric.significant) == (None, False)


def test_a_metric_under_which_nothing_differs_costs_the_others_nothing(tmp_path: Path) -> None:
    one, other = word_rows(errors(10, 1)), word_rows(errors(13, 3))
    equal = word_rows(errors(9, 5), "cpwer")
    alone = compare(*pair(tmp_path, one, other)).metrics[0]
    found = {m.name: m for m in compare(*pair(tmp_path, one + equal, other + equal)).metrics}
    assert found["wer"].p_holm == alone.p_holm == alone.p_value
    assert found["cpwer"].p_holm is None


def test_holm_runs_over_all_metrics(tmp_path: Path) -> None:
    found = compare(
        *pair(
            tmp_path,
            word_rows(errors(10, 1)) + word_rows(errors(10, 2), "cpwer"),
            word_rows(errors(13, 3)) + word_rows(errors(16, 4), "cpwer"),
        )
    )
    raw = [metric.p_value for metric in found.metrics]
    assert [m.p_holm for m in found.metrics] == pytest.approx(multipletests(raw, method="holm")[1])
    assert raw != [m.p_holm for m in found.metrics]


def test_missing_outputs_count_and_failed_ones_are_left_out_and_told(tmp_path: Path) -> None:
    rows_a = word_rows(errors(4, 1))
    rows_b = [empty_row("d00", "failed"), missing_row("d01"), *word_rows(errors(4, 1))[2:]]
    found = compare(*pair(tmp_path, rows_a, rows_b))
    (metric,) = found.metrics
    assert found.status == "provisional"
    assert (metric.pairs, metric.excluded) == (29, 1)
    expected = (40 - rows_a[1].counts["substitutions"] - rows_a[1].counts["deletions"]) / (29 * 40)
    assert metric.difference == pytest.approx(expected)
    assert "PROVISIONAL: pairs left out as failed: 1 of wer" in printed(found)


def test_what_applies_to_neither_is_no_pair(tmp_path: Path) -> None:
    rows = [empty_row("d00", "not_applicable"), *word_rows(errors(4, 1))[1:]]
    (metric,) = compare(*pair(tmp_path, rows, rows)).metrics
    assert (metric.pairs, metric.excluded) == (29, 0)


def test_one_rule_says_what_applies(tmp_path: Path) -> None:
    rows = word_rows(errors(4, 1))
    files = pair(tmp_path, rows, [empty_row("d00", "not_applicable"), *rows[1:]])
    with pytest.raises(UserError, match=r"wer is not applicable to other dialogues .* d00"):
        compare(*files)


def test_both_must_have_rows_for_the_same_dialogues(tmp_path: Path) -> None:
    rows = word_rows(errors(4, 1))
    with pytest.raises(UserError, match=r"wer has rows for other dialogues .* d00"):
        compare(*pair(tmp_path, rows, rows[1:]))
    with pytest.raises(UserError, match="wer of dialogue d29 twice"):
        compare(*pair(tmp_path, rows, [*rows, rows[-1]]))


def test_counts_must_be_the_metrics(tmp_path: Path) -> None:
    rows = word_rows(errors(4, 1))
    counts = {**rows[-1].counts, "syllables": 1.0}
    odd = Row(dialogue="d29", metric="wer", status="scored", counts=counts, value=0.0)
    with pytest.raises(UserError, match=r"b\.json: its row of wer for d29 counts .*syllables, wh"):
        compare(*pair(tmp_path, rows, [*rows[:-1], odd]))


def test_every_expected_dialogue_has_a_row(tmp_path: Path) -> None:
    rows = word_rows(errors(4, 1))
    path = tmp_path / "a.json"
    write_results(path, make_results("a", [metric_result("wer", rows)]), rows[:-1])
    with pytest.raises(UserError, match=r"a\.json: wer expects 30 dialogues, its rows are of 29"):
        compare(path, path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": 2}, "the task differs: 1 and 2"),
        ({"split": "hard"}, "the split differs: test and hard"),
        (
            {"benchmark": make_results().benchmark.model_copy(update={"split_sha256": "c" * 64})},
            "content of the split differs",
        ),
        (
            {
                "protocol": ProtocolRecord(
                    name="embedded", version="1", sha256="c" * 64, comparable=False
                )
            },
            r"the protocol differs: embedded 1 \(sha256 aaaaaaaa\) and embedded 1 \(sha256 ccc",
        ),
        (
            {"metrics": [metric_result("wer", word_rows(errors(4, 1)), version="9")]},
            "the version of wer differs: wer 1 and wer 9",
        ),
    ],
)
def test_unlike_results_are_not_compared(tmp_path: Path, change: Any, said: str) -> None:
    rows = word_rows(errors(4, 1))
    with pytest.raises(UserError, match=said) as error:
        compare(*pair(tmp_path, rows, rows, **change))
    assert "score both systems again" in str(error.value)


def test_results_of_another_version_of_the_metric_are_not_compared(tmp_path: Path) -> None:
    rows = word_rows(errors(4, 1))
    path = write_system(
        tmp_path / "old.json", rows, metrics=[metric_result("wer", rows, version="0")]
    )
    with pytest.raises(UserError, match="of version 0 of wer, this mmdia-eval has version 1"):
        compare(path, path)


def test_results_without_a_common_metric_are_not_compared(tmp_path: Path) -> None:
    files = pair(tmp_path, word_rows(errors(4, 1)), word_rows(errors(4, 1), "cpwer"))
    with pytest.raises(UserError, match="no metric in common"):
        compare(*files)


def test_settings_come_back_from_the_file(tmp_path: Path) -> None:
    rows = word_rows(errors(4, 1))
    result = metric_result("wer", rows, settings={"normalizer": "no-such"})
    path = write_system(tmp_path / "a.json", rows, metrics=[result])
    with pytest.raises(UserError, match="no-such"):
        compare(path, path)


def differently(rows: list[Row]) -> dict[str, Any]:
    return {"metrics": [metric_result("wer", rows, signature="wer@1|other engine")]}


@pytest.mark.parametrize(
    ("of_b", "said"),
    [
        (differently, "wer was not computed alike: wer@1|protocol"),
        (lambda _: {"style": "triplet"}, "the style was given as None to A, triplet to B"),
    ],
)
def test_what_a_reader_should_know_is_a_warning(
    tmp_path: Path, of_b: Callable[[list[Row]], dict[str, Any]], said: str
) -> None:
    rows = word_rows(errors(4, 1))
    found = compare(*pair(tmp_path, rows, rows, **of_b(rows)))
    assert found.warnings[0].startswith(said)
    assert f"warning: {said}" in printed(found)


def test_a_metric_of_one_side_alone_is_told(tmp_path: Path) -> None:
    rows = word_rows(errors(4, 1))
    a, b = pair(tmp_path, rows, [*rows, *word_rows(errors(4, 1), "cpwer")])
    found = compare(a, b)
    assert [metric.name for metric in found.metrics] == ["wer"]
    assert found.warnings == [f"cpwer is only in {b}"]


def test_the_table_names_the_better_system(tmp_path: Path) -> None:
    text = printed(compare(*pair(tmp_path, word_rows(errors(2, 1)), word_rows(errors(30, 2)))))
    lines = text.splitlines()
    assert lines[:2] == ["A: good", "B: bad"]
    (row,) = (line for line in lines if line.startswith("wer"))
    assert row.split()[-1] == "A"
    assert "+" in row


def test_written_comparisons_are_alike_and_strict(tmp_path: Path) -> None:
    files = pair(tmp_path, word_rows(errors(4, 1)), word_rows(errors(5, 2)))
    for name in ("one.json", "two.json"):
        write_comparison(tmp_path / name, compare(*files))
    data = (tmp_path / "one.json").read_bytes()
    assert data == (tmp_path / "two.json").read_bytes()
    assert Comparison.model_validate_json(data) == compare(*files)
    assert json.loads(data)["a"]["system"] == "good"


def test_the_rows_of_a_comparison_are_those_of_its_files(tmp_path: Path) -> None:
    a, b = pair(tmp_path, word_rows(errors(4, 1)), word_rows(errors(5, 2)))
    write_results(b, make_results("bad", [metric_result("wer", read_rows(a))]), read_rows(a))
    assert compare(a, b).a.rows_sha256 == compare(a, b).b.rows_sha256
