"""Text files from strangers through the real command line: refused by name, without a traceback."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import pytest
import soundfile
from test_cli import Ended, Invoke

from hostile import texts
from hostile.recordings import RATE, speech
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark

FORMULAS = ('=HYPERLINK("http://a", "b")', "+1+1", "-1", "@SUM(A1)")


def told(ended: Ended) -> str:
    """What was said, which a terminal may show."""
    said = ended.out + ended.err
    bad = [c for c in said if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"]
    assert bad == []
    return said


def one_output(folder: Path) -> Path:
    """A folder with one good recording for the mini benchmark."""
    folder.mkdir(exist_ok=True)
    id_ = load_benchmark(resolve_benchmark("mini")).split("test")[0].id
    soundfile.write(folder / f"{id_}.wav", speech(), RATE)
    return folder


@pytest.mark.hostile_case("json")
@pytest.mark.parametrize("content", texts.JSON.values(), ids=texts.JSON)
def test_results_that_are_no_strict_json(invoke: Invoke, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(content)
    for command in (["report", path], ["compare", path, path], ["leaderboard", "build", path]):
        ended = invoke(*command)
        assert ended.code == 2
        assert "results.json" in told(ended)


@pytest.mark.hostile_case("csv")
@pytest.mark.parametrize("content", texts.RATINGS.values(), ids=texts.RATINGS)
def test_ratings_that_are_no_plain_table(invoke: Invoke, tmp_path: Path, content: str) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("rater,dialogue,system,dimension,rating\n" + content, encoding="utf-8")
    ended = invoke("mos", "import", path)
    assert ended.code == 2
    assert "ratings.csv:2" in told(ended)
    assert len(told(ended)) < 1000


@pytest.mark.hostile_case("submission.toml")
@pytest.mark.parametrize("content", texts.TOML.values(), ids=texts.TOML)
def test_a_submission_that_says_odd_things(invoke: Invoke, tmp_path: Path, content: bytes) -> None:
    folder = one_output(tmp_path / "system")
    (folder / "submission.toml").write_bytes(content)
    ended = invoke("score", folder, "--metric", "duration_ratio")
    assert ended.code == 2
    assert "submission.toml" in told(ended)
    assert len(told(ended)) < 1000
    assert not (tmp_path / "results").exists()


@pytest.mark.hostile_case("csv")
@pytest.mark.parametrize("name", FORMULAS)
def test_a_spreadsheet_computes_no_systems_name(invoke: Invoke, tmp_path: Path, name: str) -> None:
    """The key of a rating page holds names that systems gave themselves; it is read back alike."""
    folder = one_output(tmp_path / "s")
    (folder / "submission.toml").write_text(f"name = '{name}'")
    assert invoke("mos", "sheet", "page", folder).code == 0
    key = tmp_path / "page.key.csv"
    with key.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["system"] for line in lines} == {f"'{name}"}
    answers = "".join(f"ann,{line['clip']},quality,4\n" for line in lines)
    (tmp_path / "r.csv").write_text(f"rater,clip,dimension,rating\n{answers}")
    ended = invoke("mos", "import", "r.csv", "--key", key)
    assert ended.code == 0
    human = json.loads((tmp_path / "human.json").read_text(encoding="utf-8"))
    assert [one["system"] for one in human["dimensions"][0]["systems"]] == [name]


@pytest.mark.hostile_case("playlists")
def test_a_rating_page_is_made_of_no_playlist(invoke: Invoke, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, speech(), RATE)
    folder = one_output(tmp_path / "system")
    (path,) = folder.iterdir()
    path.write_text(f"ffconcat version 1.0\nfile {secret}\n")
    ended = invoke("mos", "sheet", "page", folder)
    assert ended.code == 2
    assert "unreadable: " in ended.err


@pytest.mark.hostile_case("protocol names")
@pytest.mark.parametrize("name", ["concat:a|b", "subfile,,start,0,end,0,,:x", "-v", "a\x1b[2Jb"])
def test_the_folder_has_the_name_of_a_protocol(invoke: Invoke, tmp_path: Path, name: str) -> None:
    one_output(tmp_path / name)
    arguments = ("--metric", "duration_ratio", "--out", "r.json", "--", Path(name))
    ended = invoke("score", *arguments)
    assert ended.code == 0
    told(ended)
    assert '"scored"' in (tmp_path / "r.rows.jsonl").read_text(encoding="utf-8")
