"""What the site keeps and says: states, published tables, data files, releases, details."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from example_results import make_results, metric_result, word_rows, write_system
from example_submission import make_submission

from mmdia_eval.details import (
    Details,
    HeardWord,
    Judged,
    ScriptTurn,
    Voice,
    details_jsonl,
    read_details,
)
from mmdia_eval.errors import UserError
from mmdia_eval.leaderboard import svg
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.leaderboard.published import FOLDER, read_published
from mmdia_eval.leaderboard.reading import entry_id
from mmdia_eval.leaderboard.words import align_words
from mmdia_eval.results import JudgeRecord, ProtocolRecord, SystemRecord
from mmdia_eval.results_files import read_results, read_rows, write_results

STRICT = ProtocolRecord(name="strict", version="1", sha256="b" * 64, comparable=True)
CHANGE = {"status": "active", "reason": "checked", "who": "M", "when": "2026-11-21"}


def system(folder: Path, name: str, errors: int = 4, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = word_rows({f"d{n}": errors + n % 3 for n in range(12)})
    record = changes.pop("system", SystemRecord(name=name))
    path = folder / f"{name}.json"
    return write_system(path, rows, **{"protocol": STRICT, "system": record, **changes})


def state(folder: Path, id_: str, *changes: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    value = {"schema_version": "1.0", "changes": [{**CHANGE, **change} for change in changes]}
    (folder / f"{id_}.json").write_text(json.dumps(value))


def id_of(name: str) -> str:
    return entry_id(Path("x.json"), SystemRecord(name=name))


def data(site: Path) -> Any:
    return json.loads((site / "leaderboard.json").read_text("utf-8"))


def test_a_withdrawn_entry_leaves_the_tables_and_keeps_its_page(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        system(tmp_path / "in", name)
    states = tmp_path / "entries"
    state(states, id_of("a"), {}, {"status": "withdrawn", "reason": "leaked data"})
    state(states, id_of("b"), {"status": "superseded", "superseded_by": id_of("c")})
    page = build_leaderboard([tmp_path / "in"], tmp_path / "site", entries=states)
    found = data(tmp_path / "site")
    assert [r["id"] for table in found["tables"] for r in table["results"]] == [id_of("c")]
    assert [r["state"]["status"] for r in found["gone"]] == ["withdrawn", "superseded"]
    html = page.read_text("utf-8")
    assert "leaked data" in html
    entry = (tmp_path / "site" / "e" / f"{id_of('a')}.html").read_text("utf-8")
    assert "leaked data" in entry
    assert "10." in entry
    log = (tmp_path / "site" / "changelog.html").read_text("utf-8")
    assert log.count("<tr>") == 1 + 3, "every decision, not only the last"


def test_only_maintainers_verify(tmp_path: Path) -> None:
    system(tmp_path / "in", "boastful", verification="re-scored")
    system(tmp_path / "in", "checked", 9)
    states = tmp_path / "entries"
    state(states, id_of("checked"), {"verification": "re-scored"}, {"status": "disputed"})
    page = build_leaderboard([tmp_path / "in"], tmp_path / "site", entries=states)
    (table,) = data(tmp_path / "site")["tables"]
    assert {r["id"]: r["verification"] for r in table["results"]} == {
        id_of("boastful"): "self-reported",
        id_of("checked"): "re-scored",
    }
    assert "disputed: checked" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("a", [{"status": "gone"}], "status"),
        ("a", [{"status": "superseded"}], "superseded_by goes with the status superseded"),
        ("a", [{"when": "2026-12-01"}, {"when": "2026-11-01"}], "in the order of their days"),
        ("a", [{"when": "yesterday"}], "when"),
        ("a", [], "changes"),
        ("A b", [{}], "not named after an entry's id"),
    ],
)
def test_a_bad_state_is_told(
    tmp_path: Path, name: str, changes: list[dict[str, Any]], message: str
) -> None:
    system(tmp_path / "in", "a")
    state(tmp_path / "entries", name, *changes)
    with pytest.raises(UserError, match=message) as caught:
        build_leaderboard([tmp_path / "in"], tmp_path / "site", entries=tmp_path / "entries")
    assert f"{name}.json" in str(caught.value)


def test_ground_truth_and_baselines_stand_first_and_are_not_ranked(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    system(folder, "good", 2)
    system(folder, "bad", 15)
    system(folder, "trivial", 1, system=SystemRecord(name="trivial", kind="baseline"))
    system(folder, "truth", 0, system=SystemRecord(name="truth", kind="ground_truth"))
    build_leaderboard([folder], tmp_path / "site")
    (table,) = data(tmp_path / "site")["tables"]
    ranks = [(r["system"]["name"], r["ranks"]) for r in table["results"]]
    assert ranks == [
        ("truth", {}),
        ("trivial", {}),
        ("good", {"wer": [1, 1]}),
        ("bad", {"wer": [2, 2]}),
    ]
    html = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert html.count("<b>") - html.count("<b>Bold</b>") >= 1
    entry = (tmp_path / "site" / "e" / f"{id_of('bad')}.html").read_text("utf-8")
    assert "against the ground truth, <a" in entry


@pytest.mark.parametrize(("films", "ranks"), [(None, [[1, 1], [2, 2]]), (2, [[1, 2], [1, 2]])])
def test_two_films_tell_nobody_apart(tmp_path: Path, films: int | None, ranks: Any) -> None:
    for name, errors in (("a", 2), ("b", 15)):
        rows = [
            row.model_copy(update={"group": films and f"film {number % films}"})
            for number, row in enumerate(word_rows({f"d{n:02}": errors + n % 3 for n in range(12)}))
        ]
        path = tmp_path / "in" / f"{name}.json"
        write_system(path, rows, protocol=STRICT, system=SystemRecord(name=name))
    build_leaderboard([tmp_path / "in"], tmp_path / "site")
    (table,) = data(tmp_path / "site")["tables"]
    assert [result["ranks"]["wer"] for result in table["results"]] == ranks


def test_development_results_are_never_ranked(tmp_path: Path) -> None:
    embedded = ProtocolRecord(name="embedded", version="1", sha256="a" * 64, comparable=False)
    for name, errors in (("a", 1), ("b", 15)):
        system(tmp_path / "in", name, errors, protocol=embedded)
    build_leaderboard([tmp_path / "in"], tmp_path / "site")
    (table,) = data(tmp_path / "site")["tables"]
    assert table["section"] == "development"
    assert [r["ranks"] for r in table["results"]] == [{}, {}]


def test_an_unreliable_judge_is_flagged_where_it_was_asked(tmp_path: Path) -> None:
    rows = word_rows({"d0": 4, "d1": 3})
    judge = JudgeRecord(
        role="verdict",
        metrics=["wer"],
        judge="toy:m",
        returned_models=["m-1"],
        prompt_sha256="c" * 64,
        calls=1,
        input_tokens=1,
        audio_tokens=0,
        output_tokens=1,
        cost=None,
        retries=0,
        draws=1,
        draws_unread=0,
        reliable=False,
        reason="took a swap for fine",
        controls=None,
    )
    results = make_results(
        metrics=[
            metric_result("wer", rows, signature="wer@1|verdict=m@1#ab|x:y"),
            metric_result("cpwer", word_rows({"d0": 4}, "cpwer"), signature="cpwer@1|other=m@1"),
        ]
    )
    made = results.provenance.model_copy(update={"judges": [judge]})
    path = tmp_path / "in" / "a.json"
    write_results(path, results.model_copy(update={"provenance": made}), rows)
    html = build_leaderboard([path.parent], tmp_path / "site").read_text("utf-8")
    assert html.count('title="took a swap for fine">unreliable judge') == 1
    assert html.count("<bdi>m-1</bdi>") == 1


def test_the_csv_runs_no_formula(tmp_path: Path) -> None:
    for number, name in enumerate(("=1+1", "+a", "-b", "@c", "＝d", "plain")):
        record = SystemRecord(name=name, organization=name)
        system(tmp_path / "in", f"s{number}", system=record)
    build_leaderboard([tmp_path / "in"], tmp_path / "site", published=FOLDER)
    text = (tmp_path / "site" / "results.csv").read_text("utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    names = {line["system"] for line in lines if line["section"] == "ranked"}
    assert names == {"'=1+1", "'+a", "'-b", "'@c", "'＝d", "plain"}
    one = next(line for line in lines if line["system"] == "plain")
    metric = read_results(tmp_path / "in" / "s5.json").metrics[0]
    assert float(one["value"]) == metric.value
    assert one["scored"] == "12"
    printed = [line for line in lines if line["section"] == "published"]
    assert {line["verification"] for line in printed} == {"published"}


def test_the_published_tables_are_those_of_the_papers() -> None:
    tables = read_published(FOLDER)
    assert [t.source.table for t in tables[:4]] == ["Table 4", "Table 9", "Table 5", "Table 10"]
    by_name = {row.system: row for row in tables[0].rows}
    assert by_name["Higgs-Audio-V2-SFT"].values["wer"] == "4.450", "with the paper's digits"
    assert by_name["Dia-Base"].plus_minus["human_quality"] == "0.940"
    wer = next(column for column in tables[0].columns if column.name == "wer")
    assert tables[0].best(wer) == "4.450"
    assert sum(len(table.rows) for table in tables) == 35
    video = tables[3]
    assert [row.system for row in video.rows if row.kind == "ground_truth"] == ["Ground Truth"]
    assert any("103 (MultiTalk)" in note for note in video.notes)


@pytest.mark.parametrize(
    ("table", "typed"),
    [
        ("mm-dia-table-04", "task1-description"),
        ("mm-dia-table-09", "task1-triplet"),
        ("mm-dia-table-05", "task2"),
        ("mm-dia-table-10", "task3"),
        ("mit-table-02", "multi-human-video"),
        ("mit-table-04", "multi-human-vbench"),
        ("mm-moviedubber-table-01", "dubbing-v2c"),
        ("mm-moviedubber-table-02", "dubbing-grid"),
    ],
)
def test_every_published_figure_is_as_typed_from_the_paper(
    real_speech: Path, tmp_path: Path, table: str, typed: str
) -> None:
    source = real_speech.parents[1] / "published" / f"{typed}.csv"
    if not source.is_file():
        pytest.skip("the papers' tables do not lie beside the real recordings")
    shutil.copy(FOLDER / f"{table}.toml", tmp_path)
    (found,) = read_published(tmp_path)
    with source.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [row.system for row in found.rows] == [line.pop("system") for line in lines]
    for row, line in zip(found.rows, lines, strict=True):
        figures = {**row.values, **{f"{n}_ci": value for n, value in row.plus_minus.items()}}
        words = {"family", "visual"}
        assert figures == {n: text for n, text in line.items() if text and n not in words}


def test_a_bad_published_table_is_told(tmp_path: Path) -> None:
    good = (FOLDER / "mit-table-04.toml").read_text("utf-8")
    (tmp_path / "t.toml").write_text(good.replace("imaging_quality = ", "speed = "))
    with pytest.raises(UserError, match=r"t\.toml: AnimateAnyone has a value for no column: speed"):
        read_published(tmp_path)
    (tmp_path / "t.toml").write_text(good.replace('"published"', '"re-scored"'))
    with pytest.raises(UserError, match=r"t\.toml: not a published table: verification"):
        read_published(tmp_path)


def test_a_release_stays_as_it_was(tmp_path: Path) -> None:
    system(tmp_path / "in", "a")
    out = tmp_path / "site"
    build_leaderboard([tmp_path / "in"], out, release="2026-11")
    before = {p: p.read_bytes() for p in (out / "releases").rglob("*") if p.is_file()}
    build_leaderboard([tmp_path / "in"], out, release="2026-11")
    system(tmp_path / "in", "b")
    with pytest.raises(UserError, match="other content; a release stays"):
        build_leaderboard([tmp_path / "in"], out, release="2026-11")
    build_leaderboard([tmp_path / "in"], out, release="2026-12")
    assert all(p.read_bytes() == content for p, content in before.items())
    html = (out / "index.html").read_text("utf-8")
    assert html.index("releases/2026-12/index.html") < html.index("releases/2026-11/index.html")
    with pytest.raises(UserError, match=r"release '\.\./x'"):
        build_leaderboard([tmp_path / "in"], out, release="../x")


def test_ids_are_the_submissions_folder_or_the_systems(tmp_path: Path) -> None:
    named = tmp_path / "2026-11-21_acme_dialogen-2" / "results.json"
    assert entry_id(named, SystemRecord(name="x")) == "2026-11-21_acme_dialogen-2"
    ids = {entry_id(Path("x.json"), SystemRecord(name=n)) for n in ("A b", "a-b", "نظام", "../b")}
    assert len(ids) == 4
    assert all(set(id_) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for id_ in ids)


def test_rows_in_another_spelling_are_still_read_strictly(tmp_path: Path) -> None:
    path = system(tmp_path, "a")
    lines = path.with_name("a.rows.jsonl").read_text().splitlines()
    assert len(read_rows(path)) == 12
    import hashlib

    for twisted, problem in (
        (lines[0].replace('"status"', '"dialogue":"z","status"'), "given twice"),
        (lines[0].replace('"status":"scored"', '"status":"good"'), "not a row"),
        (f"{lines[0]},{lines[0]}", "not valid JSON"),
        (lines[0].replace(',"metric"', '\n"metric"'), "not valid JSON"),
    ):
        text = "\n".join([twisted, *lines[1:]]).encode()
        path.with_name("a.rows.jsonl").write_bytes(text)
        content = json.loads(path.read_text())
        content["rows_sha256"] = hashlib.sha256(text).hexdigest()
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=problem):
            read_rows(path)


def test_details_come_back_and_are_those_of_the_results(tmp_path: Path) -> None:
    one = Details(
        dialogue="d0",
        seconds=1.5,
        script=[ScriptTurn(speaker="A", text="Hi.")],
        words=[HeardWord(text="hi", start=0.1, end=0.4)],
        voices=[Voice(start=0, end=1, speaker="S0")],
        judged=[Judged(role="judge", answers={"quality": 4}, rationale=None)],
    )
    rows = word_rows({"d0": 1})
    path = tmp_path / "a.json"
    results = make_results(metrics=[metric_result("wer", rows)])
    written = write_results(path, results, rows, details=details_jsonl([one]))
    assert read_results(path) == written
    assert list(read_details(path, written)) == [one]
    (tmp_path / "a.details.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="sha256 differs"):
        read_details(path, written)
    assert read_details(path, results) == []


def test_words_are_laid_beside_the_script() -> None:
    script = [
        ScriptTurn(speaker="A", text="Well, (sighs) the cat sat."),
        ScriptTurn(speaker="B", text="<laugh>"),
        ScriptTurn(speaker="A", text="On a mat!"),
    ]
    said = ["the", "cap", "sat", "down", "on", "mat"]
    heard = [HeardWord(text=word, start=n, end=n + 1) for n, word in enumerate(said)]
    lines = align_words(script, heard)
    shown = [[(t.kind, t.script, t.heard) for t in line.tokens] for line in lines]
    assert shown == [
        [
            ("missed", "Well,", ""),
            ("same", "the", "the"),
            ("wrong", "cat", "cap"),
            ("same", "sat.", "sat"),
            ("added", "", "down"),
        ],
        [],
        [("same", "On", "on"), ("missed", "a", ""), ("same", "mat!", "mat")],
    ]
    assert align_words([], heard) == []
    assert lines[0].tokens[2].start == 1.0


def test_plots_stay_inside_their_frame() -> None:
    plot = svg.histogram([0.1] * 90 + [0.5], 0.2, (0.1, 0.7))
    assert plot is not None
    assert (plot.low, plot.high, plot.count) == (0.1, 0.7, 91)
    floor = svg.HEIGHT - svg.AXIS
    assert plot.bars == f"M0 {floor}v-{floor - 1}h7v{floor - 1}zM208 {floor}v-1h7v1z"
    assert plot.mark == pytest.approx(svg.WIDTH / 6, abs=0.1)
    assert plot.band == pytest.approx((0, svg.WIDTH))
    assert svg.histogram([], None, None) is None
    same = svg.histogram([2.0, 2.0], 2.0, None)
    assert same is not None
    assert same.bars.startswith("M0 ")
    rounded = svg.histogram([2.0, 2.0 + 4e-16], 2.0, (2.0, 2.0))
    assert rounded is not None
    assert rounded.bars.count("z") == 1
    voices = [Voice(start=0, end=1, speaker="b"), Voice(start=1, end=4, speaker="a")]
    lanes = svg.lanes([*voices, Voice(start=5, end=6, speaker="b")], 4.0)
    assert [lane.speaker for lane in lanes] == ["b", "a"]
    assert max(x + width for lane in lanes for x, width in lane.bars) <= 2 * svg.WIDTH + 0.2


def test_a_submissions_folder_goes_on_the_board_as_it_is(tmp_path: Path) -> None:
    folder, _ = make_submission(tmp_path)
    build_leaderboard([folder.parent], tmp_path / "site")
    (table, *_) = data(tmp_path / "site")["tables"]
    assert [result["id"] for result in table["results"]] == [folder.name]
    assert (tmp_path / "site" / "e" / f"{folder.name}.html").is_file()


@pytest.fixture
def with_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results with a clip, and the user's cache in `tmp_path`."""
    monkeypatch.setenv("MMDIA_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "in"
    system(folder, "a")
    (folder / "audit").mkdir()
    tone = 0.3 * np.sin(np.arange(32000) / 9)
    soundfile.write(folder / "audit" / "d0.flac", tone, 16000)
    return folder


def test_a_clip_is_made_once_and_copied_from_then_on(
    with_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_leaderboard([with_clip], tmp_path / "site", release="first")
    (clip,) = (tmp_path / "site" / "e").rglob("d0.flac")
    (released,) = (tmp_path / "site" / "releases").rglob("d0.flac")
    assert clip.read_bytes() == released.read_bytes()
    (kept,) = (tmp_path / "cache" / "clips").rglob("*.flac")
    page = next((tmp_path / "site" / "e").glob("a-*.html")).read_text()
    with monkeypatch.context() as patch:
        patch.setattr("mmdia_eval.sandbox.decode", lambda *_: pytest.fail("decoded again"))
        build_leaderboard([with_clip], tmp_path / "again")
    (again,) = (tmp_path / "again" / "e").rglob("d0.flac")
    assert again.read_bytes() == clip.read_bytes()
    assert next((tmp_path / "again" / "e").glob("a-*.html")).read_text() == page
    kept.write_bytes(b"<script>")
    build_leaderboard([with_clip], tmp_path / "mended")
    (mended,) = (tmp_path / "mended" / "e").rglob("d0.flac")
    assert mended.read_bytes() == clip.read_bytes()


def test_a_withdrawn_entry_is_heard_no_more(with_clip: Path, tmp_path: Path) -> None:
    pages = tmp_path / "site" / "e"
    build_leaderboard([with_clip], tmp_path / "site")
    assert list(pages.rglob("d0.flac"))
    state(tmp_path / "entries", id_of("a"), {"status": "withdrawn"})
    system(tmp_path / "other", "b", 9)
    both = [with_clip, tmp_path / "other"]
    build_leaderboard(both, tmp_path / "site", entries=tmp_path / "entries")
    assert not list(pages.rglob("d0.flac"))
    assert (pages / f"{id_of('a')}.html").is_file()
