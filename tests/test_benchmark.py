"""The benchmark folder: round trip, seals, and every kind of bad line with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdia_eval.benchmark import (
    load_benchmark,
    resolve_benchmark,
    seal_benchmark,
    write_benchmark,
)
from mmdia_eval.categories import ALIASES, INTERACTION_TYPES, RELATIONSHIPS
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.types import SPLITS, TASKS, Dialogue, Segment, Style, Turn

text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)
seconds = st.floats(0, 1e6)
segments = st.tuples(seconds, seconds).map(lambda pair: Segment(min(pair), max(pair)))
styles = st.builds(
    Style,
    description=st.none() | text,
    relationship=st.none() | st.sampled_from(RELATIONSHIPS),
    interaction_type=st.none() | st.sampled_from(INTERACTION_TYPES),
    emotional_tone=st.none() | text,
    relationship_tag=st.none() | text,
    interaction_type_tag=st.none() | text,
)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: not name.casefold().startswith("output_")
)
dialogues = st.builds(
    Dialogue,
    id=ids,
    turns=st.lists(st.builds(Turn, text, text, st.none() | segments), min_size=1, max_size=4).map(
        tuple
    ),
    style=styles,
    duration=st.none() | st.floats(0.001, 1e6),
    tasks=st.sets(st.sampled_from(TASKS), min_size=1).map(lambda some: tuple(sorted(some))),
)
splits = st.dictionaries(
    st.sampled_from(SPLITS),
    st.lists(dialogues, min_size=1, max_size=3, unique_by=lambda one: one.id.casefold()),
    min_size=1,
)

LINE = {"id": "a", "turns": [{"speaker": "Ann", "text": "Hello."}]}


def write(folder: Path, lines: str | list[Any], **manifest: Any) -> Path:
    folder.mkdir(exist_ok=True)
    if not isinstance(lines, str):
        lines = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "test.jsonl").write_text(lines)
    values = {
        "schema_version": "1.0",
        "name": "x",
        "version": "1",
        "license": "CC0-1.0",
        "splits": {"test": {"file": "test.jsonl"}},
    }
    (folder / "benchmark.json").write_text(json.dumps(values | manifest))
    return folder


def line(**changes: Any) -> dict[str, Any]:
    return {**LINE, **changes}


def turn(**changes: Any) -> dict[str, Any]:
    return line(turns=[{"speaker": "Ann", "text": "Hello.", **changes}])


@settings(max_examples=30, deadline=None)
@given(splits)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, list[Dialogue]]
) -> None:
    folder = tmp_path_factory.mktemp("benchmark") / "b"
    write_benchmark(folder, name="x", version="2", license="CC0-1.0", splits=contents)
    benchmark = load_benchmark(folder)
    assert benchmark.splits == {name: tuple(items) for name, items in contents.items()}
    assert (benchmark.name, benchmark.version, benchmark.root) == ("x", "2", folder)
    assert list(benchmark.splits) == [split for split in SPLITS if split in contents]
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_benchmark(folder, name="x", version="2", license="CC0-1.0", splits=benchmark.splits)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_media_are_relative_on_disk_and_absolute_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    media = Path("b/media/a.opus")
    item = Dialogue("a", (Turn("Ann", "Hi."),), audio=media)
    write_benchmark(Path("b"), name="x", version="1", license="", splits={"test": [item]})
    assert json.loads(Path("b/test.jsonl").read_text())["audio"] == "media/a.opus"
    assert load_benchmark(Path("b")).split("test")[0].audio == tmp_path / media
    outside = Dialogue("a", (Turn("Ann", "Hi."),), audio=tmp_path / "c.opus")
    with pytest.raises(ProblemsError, match=r"'test': .*c\.opus lies outside"):
        write_benchmark(Path("b"), name="x", version="1", license="", splits={"test": [outside]})


def test_the_digest_tells_benchmarks_apart(tmp_path: Path) -> None:
    item = Dialogue("a", (Turn("Ann", "Hi."),))
    other = Dialogue("a", (Turn("Ann", "Ho."),))
    digests = set()
    for number, (version, content) in enumerate([("1", item), ("2", item), ("1", other)]):
        folder = tmp_path / str(number)
        write_benchmark(folder, name="x", version=version, license="", splits={"test": [content]})
        benchmark = load_benchmark(folder)
        assert len(benchmark.split_sha256("test")) == 64
        digests.add(benchmark.sha256)
    assert len(digests) == 3


def test_scripts_and_unknown_split(tmp_path: Path) -> None:
    contents = {
        "bench": [Dialogue("b", (Turn("Ann", "three"),))],
        "hard": [Dialogue("a", (Turn("Ann", "one"), Turn("Bob", "two")))],
    }
    write_benchmark(tmp_path, name="x", version="1", license="", splits=contents)
    benchmark = load_benchmark(tmp_path)
    assert benchmark.scripts == ("one", "two", "three")
    with pytest.raises(UserError, match=r"no split 'test'; it has hard \(1\), bench \(1\)"):
        benchmark.split("test")
    with pytest.raises(UserError, match="no split 'test'"):
        benchmark.split_sha256("test")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"id": "a"', "not valid JSON"),
        ('{"id": "a", "id": "b"}', "the key 'id' is given twice"),
        (json.dumps(turn(start=0.0)).replace("0.0", "NaN"), "NaN is not a JSON number"),
        ('["a"]', "valid dictionary.*, not \\['a'\\]"),
        ({"id": "a"}, "turns: missing"),
        ({"turns": LINE["turns"]}, "id: missing"),
        (line(turns=[{"speaker": "Ann"}]), r"turns\.0\.text: missing"),
        (line(turns=[]), r"turns: .*at least 1"),
        (turn(text=" "), r"turns\.0\.text: should not be empty, not ' '"),
        (turn(speaker=""), r"turns\.0\.speaker: should not be empty"),
        (turn(text=3), r"turns\.0\.text: .*valid string, not 3"),
        (turn(start="0", end=1), r"turns\.0\.start: .*valid number, not '0'"),
        (turn(start=True, end=1), r"turns\.0\.start: .*valid number, not True"),
        (turn(start=1.0), r"turns\.0: should have both start and end"),
        (turn(start=2, end=1), r"turns\.0: should end after it starts, not start=2.0 end=1.0"),
        (turn(start=-1, end=1), r"turns\.0\.start: .*greater than or equal to 0, not -1"),
        (turn(emotion="sad"), r"turns\.0\.emotion: unknown key"),
        (line(texts=[]), "texts: unknown key"),
        (line(duration=0), "duration: .*greater than 0"),
        (line(style={"relationship": "Enemies"}), "style.relationship: .*Adversarial.*'Enemies'"),
        (line(style={"interaction_type": "Chat"}), "style.interaction_type: .*Banter.*'Chat'"),
        (line(id="a b"), "id: .*'a b'"),
        (line(id="a\n"), "id: "),
        (line(id="é"), "id: "),
        (line(id="-a"), "id: "),
        (line(id="a" * 129), "id: "),
        (line(id="output_a"), "id: a dialogue id does not begin with 'output_'"),
        (line(audio="/etc/passwd"), "audio: should be a relative path.*'/etc/passwd'"),
        (line(audio="media/../../x.wav"), "audio: should be a relative path"),
        (line(audio="C:\\x.wav"), "audio: should be a relative path"),
        (line(video=""), "video: should be a relative path"),
    ],
)
def test_a_bad_line_names_file_and_line(tmp_path: Path, bad: Any, message: str) -> None:
    raw = bad if isinstance(bad, str) else json.dumps(bad)
    good = json.dumps(line(id="good"))
    folder = write(tmp_path / "b", f"{good}\n\n{raw}\n")
    with pytest.raises(ProblemsError, match=message) as caught:
        load_benchmark(folder)
    assert str(caught.value).startswith(f"{folder / 'test.jsonl'}:3: ")
    assert len(caught.value.problems) == 1
    with pytest.raises(ProblemsError, match=message):
        seal_benchmark(folder)


def test_all_bad_lines_come_together_and_before_the_hash(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", [line(id="a"), line(id="A"), {"id": "c"}, line(id="a")])
    with pytest.raises(ProblemsError) as caught:
        load_benchmark(folder)
    places = [problem.removeprefix(str(folder)) for problem in caught.value.problems]
    assert places == [
        "/test.jsonl:2: the id 'A' is already on line 1",
        "/test.jsonl:3: turns: missing",
        "/test.jsonl:4: the id 'a' is already on line 1",
    ]
    write(tmp_path / "b", [{"id": "c"}] * 2000)
    with pytest.raises(ProblemsError, match="and 1950 more problems"):
        load_benchmark(folder)


def test_a_changed_split_is_refused_until_sealed(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", [line(id="a")])
    with pytest.raises(UserError, match="mmdia-eval benchmark seal"):
        load_benchmark(folder)
    seal_benchmark(folder)
    before = load_benchmark(folder)
    path = folder / "test.jsonl"
    path.write_text(path.read_text().replace("Hello", "Goodbye"))
    with pytest.raises(UserError, match=r"test\.jsonl changed since it was sealed.*seal "):
        load_benchmark(folder)
    seal_benchmark(folder)
    after = load_benchmark(folder)
    assert after.scripts == ("Goodbye.",)
    assert after.sha256 != before.sha256


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"schema_version": "2.0"}, "schema_version: .*'1.0', not '2.0'"),
        ({"splits": {}}, "splits: .*at least 1"),
        ({"splits": {"train": {"file": "test.jsonl"}}}, r"splits\.train: .*'hard'"),
        ({"splits": {"test": {"file": "../x.jsonl"}}}, r"splits\.test\.file: "),
        ({"splits": {"test": {"file": "none.jsonl"}}}, r"none\.jsonl: no such file"),
        ({"author": "me"}, "author: unknown key"),
    ],
)
def test_a_bad_manifest(tmp_path: Path, manifest: dict[str, Any], message: str) -> None:
    folder = write(tmp_path / "b", [LINE], **manifest)
    with pytest.raises(UserError, match=message):
        load_benchmark(folder)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"test\.jsonl: has no dialogues"):
        load_benchmark(write(tmp_path / "b", ""))
    with pytest.raises(ProblemsError, match="'test': has no dialogues"):
        write_benchmark(tmp_path / "c", name="x", version="1", license="", splits={"test": []})
    assert not (tmp_path / "c").exists()


def test_writing_refuses_what_it_could_not_read(tmp_path: Path) -> None:
    good = Dialogue("a", (Turn("Ann", "Hi."),))
    bad = [
        Dialogue("A", (Turn("Ann", "Hi."),)),
        Dialogue("b", (Turn("Ann", "Hi.", Segment(2, 1)),)),
        Dialogue("c", ()),
        Dialogue("d", (Turn("Ann", "Hi.", Segment(0, float("nan"))),)),
    ]
    with pytest.raises(ProblemsError) as caught:
        write_benchmark(tmp_path, name="x", version="1", license="", splits={"ood": [good, *bad]})
    assert [problem.split(":")[1] for problem in caught.value.problems] == [
        f" dialogue {name!r}" for name in "Abcd"
    ]
    with pytest.raises(UserError, match="unknown split 'train'; known: hard, test, ood, bench"):
        write_benchmark(tmp_path, name="x", version="1", license="", splits={"train": [good]})


@pytest.mark.parametrize("alias", [*ALIASES, "banter", "dynamic_cross-talk"])
def test_aliases_are_read_and_never_written(tmp_path: Path, alias: str) -> None:
    folder = write(tmp_path / "b", [line(style={"interaction_type": alias})])
    seal_benchmark(folder)
    benchmark = load_benchmark(folder)
    assert benchmark.split("test")[0].style.interaction_type in INTERACTION_TYPES
    write_benchmark(folder, name="x", version="1", license="", splits=benchmark.splits)
    assert alias not in (folder / "test.jsonl").read_text()


def test_resolving_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMDIA_BENCHMARK", raising=False)
    folder = write(tmp_path / "b", [LINE])
    assert resolve_benchmark(folder) == folder
    assert resolve_benchmark(str(folder)) == folder
    monkeypatch.setenv("MMDIA_BENCHMARK", str(folder))
    assert resolve_benchmark(None) == folder
    with pytest.raises(UserError, match="no such folder"):
        resolve_benchmark(tmp_path / "none")
    with pytest.raises(UserError, match=r"mmdia-eval benchmark import .* --out DIR"):
        resolve_benchmark(tmp_path)
