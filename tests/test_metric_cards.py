from __future__ import annotations

import re
from pathlib import Path

import pytest
from built_in import METRICS

from mmdia_eval.metrics.mos import Mos
from mmdia_eval.registry import metric

CARDS = Path(__file__).parent.parent / "docs" / "metrics"
ROW = re.compile(r"^\| (\w+) \| (.+) \|$", re.MULTILINE)
NAMES = METRICS
PARAGRAPHS = (
    "Measures",
    "Definition.",
    "Settings.",
    "Components.",
    "Missing:",
    "Not applicable:",
    "Sees",
    "Blind to",
    "Traps.",
    "Sources.",
    "History.",
)


def card(name: str) -> str:
    return (CARDS / f"{name}.md").read_text(encoding="utf-8")


def test_every_metric_has_a_card_and_every_card_a_metric() -> None:
    papers = {"sa-lse"}
    assert {path.stem for path in CARDS.glob("*.md")} - {"README"} - papers == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_names_the_metric_and_which_way_is_better(name: str) -> None:
    lines = (CARDS.parents[1] / "README.md").read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in lines if line.startswith("| [") and f"/{name}.md)" in line)
    named, _, better = (cell.strip() for cell in row.strip("|").split("|"))
    names, ways = re.findall(r"metrics/(\w+)\.md", named), better.split(", ")
    way = {None: "near", True: "higher", False: "lower"}[metric.get(name).higher_is_better]
    assert ways[names.index(name) if len(ways) > 1 else 0].split()[0] == way


@pytest.mark.parametrize("name", NAMES)
def test_table_at_the_top_agrees_with_the_class(name: str) -> None:
    cls = metric.get(name)
    title, _, rest = card(name).partition("\n\n")
    table = dict(ROW.findall(rest.partition("\n\n")[0]))
    assert title == f"# {name}"
    assert list(table) == ["version", "unit", "range", "direction", "aggregation", "needs"]
    assert table["version"] == cls.version
    assert table["unit"] == cls.unit
    assert table["aggregation"] == cls.aggregation
    assert table["needs"] == ", ".join(kind.__name__ for kind in cls.needs)
    if cls.higher_is_better is None:
        assert re.fullmatch(r"best near \S+", table["direction"])
    else:
        word = "higher" if cls.higher_is_better else "lower"
        assert table["direction"] == f"{word} is better"


@pytest.mark.parametrize("name", NAMES)
def test_paragraphs_stand_in_the_same_order(name: str) -> None:
    places = [card(name).find(f"**{paragraph}") for paragraph in PARAGRAPHS]
    assert dict(zip(PARAGRAPHS, places, strict=True)) == dict(
        zip(PARAGRAPHS, sorted(places), strict=True)
    )
    assert places[0] > 0


@pytest.mark.parametrize("name", NAMES)
def test_history_ends_with_the_version_of_the_class(name: str) -> None:
    history = card(name).partition("**History.**")[2]
    assert re.findall(r"(\S+):", history)[-1] == metric.get(name).version


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_explained(name: str) -> None:
    settings = card(name).partition("**Settings.**")[2].partition("**Components.**")[0]
    for field in metric.get(name).Settings.model_fields:
        assert f"`{field}`" in settings


@pytest.mark.parametrize("name", NAMES)
def test_every_link_to_a_card_leads_to_one(name: str) -> None:
    for target in re.findall(r"\]\((\w+)\.md\)", card(name)):
        assert target in metric


def test_no_predictor_carries_the_name_of_another() -> None:
    assert "utmos" not in (Mos.name + Mos.unit).lower()
    assert "no value of this metric is UTMOS" in card("mos")
