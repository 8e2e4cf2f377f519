"""The command line as a user meets it: exit codes, and messages that say what to do."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import toy_plugins  # noqa: F401 - registers the toy extractors

import mmdia_eval
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark, write_benchmark
from mmdia_eval.cli import main
from mmdia_eval.protocol import load_protocol
from mmdia_eval.types import Dialogue, Turn

MINI = resolve_benchmark("mini")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Invoke = Callable[..., Ended]


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Invoke:
    """Run `mmdia-eval` with the arguments, in an empty folder with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMDIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MMDIA_BENCHMARK", raising=False)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["mmdia-eval", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ended(code, out, err)

    return run


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The reference recordings of the test split, as a system's outputs."""
    folder = tmp_path / "system"
    folder.mkdir()
    for dialogue in load_benchmark(MINI).split("test"):
        assert dialogue.audio is not None
        shutil.copy(dialogue.audio, folder / f"output_{dialogue.id}.opus")
    return folder


def score(invoke: Invoke, outputs: Path, *more: str | Path) -> Ended:
    return invoke("score", "--task", "1", outputs, "--metric", "duration_ratio", *more)


def rows(path: Path) -> dict[str, dict[str, object]]:
    text = path.with_name(f"{path.stem}.rows.jsonl").read_text(encoding="utf-8")
    return {row["dialogue"]: row for row in map(json.loads, text.splitlines())}


RESULTS = Path("results", "system", "task1.test.json")


def test_a_folder_is_scored_and_written_where_it_says(
    invoke: Invoke, outputs: Path, tmp_path: Path
) -> None:
    ended = score(invoke, outputs)
    assert ended.code == 0
    results = json.loads((tmp_path / RESULTS).read_text(encoding="utf-8"))
    (metric,) = results["metrics"]
    assert metric["value"] == pytest.approx(1, abs=1e-3)
    assert metric["coverage"]["scored"] == 8
    assert str(RESULTS) in ended.out


def test_both_forms_of_output_name_are_taken(invoke: Invoke, outputs: Path) -> None:
    for path in sorted(outputs.iterdir())[:4]:
        path.rename(path.with_name(path.name.removeprefix("output_")))
    assert score(invoke, outputs).code == 0
    assert {row["status"] for row in rows(RESULTS).values()} == {"scored"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "3"], "task 3 takes .mp4"),
        (["--task", "7"], "there is no task 7; the tasks are 1, 2, 3"),
        (["--metric", "werr"], "unknown metric 'werr'; protocol 'embedded' has: av_binding,"),
        (["--split", "dev"], "has no split 'dev'; it has"),
        (["--protocol", "fancy"], "unknown protocol 'fancy'; known: embedded"),
        (["--benchmark", "nowhere"], "nowhere"),
        (["--split", "ood"], "--split"),
    ],
    ids=["task-3", "task-7", "metric", "split", "protocol", "benchmark", "other-split"],
)
def test_bad_usage_says_what_is_known(
    invoke: Invoke, outputs: Path, arguments: list[str], message: str
) -> None:
    ended = invoke("score", outputs, *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert not Path("results").exists()


def test_all_problems_are_told_together(invoke: Invoke, outputs: Path) -> None:
    release = ("--protocol", "release", "--task", "3")
    ended = invoke("score", outputs, *release, "--metric", "a", "--metric", "b")
    assert ended.code == 2
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4
    for told in ("task 3", "metric 'a'", "metric 'b'", ".mp4"):
        assert any(told in error for error in errors)


@pytest.mark.parametrize("kind", ["empty", "file", "absent", "strangers"])
def test_a_folder_without_outputs_is_refused(invoke: Invoke, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "given"
    if kind == "file":
        folder.write_text("x", encoding="utf-8")
    elif kind != "absent":
        folder.mkdir()
    if kind == "strangers":
        (folder / "output_nobody.wav").touch()
    ended = score(invoke, folder)
    assert ended.code == 2
    assert "given" in ended.err


def test_two_files_for_one_dialogue_are_refused(invoke: Invoke, outputs: Path) -> None:
    (outputs / "mini_test_01.wav").touch()
    ended = score(invoke, outputs)
    assert ended.code == 2
    assert "output_mini_test_01.opus" in ended.err
    assert "mini_test_01.wav" in ended.err


def test_files_outside_the_split_are_reported_and_ignored(invoke: Invoke, outputs: Path) -> None:
    shutil.copy(outputs / "output_mini_test_01.opus", outputs / "output_other.opus")
    ended = score(invoke, outputs)
    assert ended.code == 0
    assert "output_other.opus" in ended.out + ended.err


def test_bad_media_cost_their_dialogue_alone(invoke: Invoke, outputs: Path) -> None:
    def replace(number: int, samples: np.ndarray | None, rate: int = 16_000) -> Path:
        (outputs / f"output_mini_test_0{number}.opus").unlink()
        path = outputs / f"output_mini_test_0{number}.wav"
        if samples is not None:
            soundfile.write(path, samples, rate)
        return path

    rng = np.random.default_rng(0)
    replace(1, None).touch()
    replace(2, None).write_text("not a recording", encoding="utf-8")
    flac = replace(3, None).with_suffix(".flac")
    soundfile.write(flac, rng.standard_normal(80_000) * 0.1, 16_000)
    flac.write_bytes(flac.read_bytes()[:50_000])
    replace(4, rng.standard_normal((9600, 8)) * 0.1, 96_000)
    replace(5, np.zeros(2400 * 16_000, np.int16))
    replace(6, np.zeros(16_000, np.int16))
    ended = score(invoke, outputs)
    assert ended.code == 0
    found = rows(RESULTS)
    codes = {id_: str(row["reason"]).split(":")[0] for id_, row in found.items() if row["reason"]}
    assert codes.pop("mini_test_03") in ("truncated", "unreadable")
    assert codes == {
        "mini_test_01": "empty",
        "mini_test_02": "unreadable",
        "mini_test_04": "channels",
        "mini_test_05": "too_long",
        "mini_test_06": "silent",
    }
    assert {row["status"] for id_, row in found.items() if id_ > "mini_test_06"} == {"scored"}
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    coverage = results["metrics"][0]["coverage"]
    assert (coverage["scored"], coverage["missing"]) == (2, 6)


def test_a_system_that_says_nothing_gets_the_worst_score_not_an_error(
    invoke: Invoke, tmp_path: Path
) -> None:
    folder = tmp_path / "mute"
    folder.mkdir()
    for dialogue in load_benchmark(MINI).split("test"):
        soundfile.write(folder / f"{dialogue.id}.wav", np.zeros(16_000, np.int16), 16_000)
    ended = invoke("score", folder, "--out", "mute.json")
    assert ended.code == 0
    metrics = {m["name"]: m for m in json.loads(Path("mute.json").read_text())["metrics"]}
    assert metrics["wer"]["value"] == metrics["cpwer"]["value"] == 1.0
    assert metrics["sasim"]["value"] == -1.0
    assert metrics["turn_order_accuracy"]["value"] == 0.0
    assert all(m["coverage"]["scored"] == 0 for m in metrics.values())


def test_films_that_the_benchmark_names_are_resampled_whole(
    invoke: Invoke, outputs: Path, tmp_path: Path
) -> None:
    bench = tmp_path / "bench"
    shutil.copytree(MINI, bench)
    lines = [json.loads(line) for line in (bench / "test.jsonl").read_text("utf-8").splitlines()]
    films = {line["id"]: f"film {number % 3}" for number, line in enumerate(lines)}
    text = "".join(json.dumps({**line, "group": films[line["id"]]}) + "\n" for line in lines)
    (bench / "test.jsonl").write_text(text, encoding="utf-8")
    assert invoke("benchmark", "seal", bench).code == 0
    assert score(invoke, outputs, "--benchmark", bench).code == 0
    (metric,) = json.loads(RESULTS.read_text(encoding="utf-8"))["metrics"]
    assert metric["interval"]["unit"] == "group"
    assert {id_: row["group"] for id_, row in rows(RESULTS).items()} == films


def test_a_reference_without_words_keeps_its_row(invoke: Invoke, tmp_path: Path) -> None:
    bench, folder = tmp_path / "bench", tmp_path / "system"
    shutil.copytree(MINI, bench)
    lines = (bench / "test.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    first["turns"] = [{"speaker": "A", "text": "<sigh> (laughs)"}]
    (bench / "test.jsonl").write_text(
        "\n".join([json.dumps(first), *lines[1:]]) + "\n", encoding="utf-8"
    )
    assert invoke("benchmark", "seal", bench).code == 0
    folder.mkdir()
    (folder / "mini_test_01.wav").touch()
    ended = invoke("score", folder, "--benchmark", bench, "--metric", "wer")
    assert ended.code == 0
    row = rows(RESULTS)["mini_test_01"]
    assert row["counts"]["words"] == 0  # type: ignore[index]
    assert row["value"] is None


def test_bad_manifest_lines_are_named_by_file_and_line(invoke: Invoke, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    shutil.copytree(MINI, bench)
    path = bench / "test.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[0] = lines[0][:-5]
    lines[1] = lines[1].replace('"duration":', '"duration":NaN,"duration":')
    lines[2] = lines[2].replace('"speaker"', '"talker"', 1)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ended = invoke("score", tmp_path, "--benchmark", bench)
    assert ended.code == 2
    for number in (1, 2, 3):
        assert f"test.jsonl:{number}" in ended.err


def test_a_reference_recording_that_is_not_there_is_our_failure(
    invoke: Invoke, outputs: Path, tmp_path: Path
) -> None:
    bench = tmp_path / "bench"
    shutil.copytree(MINI, bench)
    (bench / "media" / "mini_test_01.opus").unlink()
    ended = invoke("score", outputs, "--benchmark", bench, "--metric", "sim_ref")
    assert ended.code == 1
    row = rows(RESULTS)["mini_test_01"]
    assert row["status"] == "failed"
    assert "mini_test_01.opus: unreadable: No such file" in str(row["reason"])


def test_the_version_is_printed(invoke: Invoke) -> None:
    ended = invoke("--version")
    assert (ended.code, ended.out.strip()) == (0, mmdia_eval.__version__)


def test_the_metrics_of_a_protocol_are_listed_and_explained(invoke: Invoke) -> None:
    listed = invoke("metrics", "list").out
    for entry in load_protocol("embedded").metrics:
        assert entry.name in listed
        assert entry.metric in invoke("metrics", "explain", entry.metric).out
    assert invoke("metrics", "explain", "werr").code == 2


def test_dry_run_shows_the_stages_and_runs_nothing(invoke: Invoke, outputs: Path) -> None:
    ended = invoke("score", outputs, "--dry-run")
    assert ended.code == 0
    for role in ("media", "transcript", "diarization", "alignment", "speaker_embeddings", "mos"):
        assert role in ended.out
    assert not Path("results").exists()
    assert not Path("cache", "artifacts").exists()


def test_a_metric_asked_for_later_joins_the_results(invoke: Invoke, outputs: Path) -> None:
    def names() -> set[str]:
        return {m["name"] for m in json.loads(RESULTS.read_text(encoding="utf-8"))["metrics"]}

    score(invoke, outputs)
    invoke("score", outputs, "--metric", "speaker_count_error")
    assert names() == {"duration_ratio", "speaker_count_error"}


def test_the_same_run_writes_the_same_bytes(invoke: Invoke, outputs: Path) -> None:
    def content() -> tuple[bytes, dict[str, object]]:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
        del results["provenance"]["created"]
        return RESULTS.with_name("task1.test.rows.jsonl").read_bytes(), results

    score(invoke, outputs)
    first = content()
    shutil.rmtree("cache")
    score(invoke, outputs)
    assert content() == first


def test_a_broken_instrument_makes_the_result_provisional(invoke: Invoke, tmp_path: Path) -> None:
    """One dialogue's engine raises, another's worker dies: both fail, the third is scored."""
    texts = ("ok", "raise", "die")
    dialogues = [Dialogue(f"d{i}", (Turn("A", text),)) for i, text in enumerate(texts)]
    write_benchmark(
        tmp_path / "bench", name="toy", version="1", license="", splits={"test": dialogues}
    )
    folder = tmp_path / "system"
    folder.mkdir()
    for i, dialogue in enumerate(dialogues):
        wave = np.sin(np.arange(8000 + i) / 9) / 2
        soundfile.write(folder / f"{dialogue.id}.wav", wave, 16_000)
    (tmp_path / "toy.toml").write_text(
        f"""name = "toy"
version = "1"
summary = "for tests"
comparable = false
tasks = [1]
[extractors]
peak = {{ extractor = "toy_peak", settings = {{ log = "{tmp_path / "log"}" }} }}
doubled = {{ extractor = "toy_doubled", settings = {{ log = "{tmp_path / "log"}" }} }}
[[metrics]]
name = "loudness"
metric = "toy_loudness"
""",
        encoding="utf-8",
    )
    ended = invoke("score", folder, "--benchmark", "bench", "--protocol", "toy.toml")
    assert ended.code == 1
    assert "PROVISIONAL" in ended.out
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    coverage = results["metrics"][0]["coverage"]
    assert (results["status"], coverage["scored"], coverage["failed"]) == ("provisional", 1, 2)
    assert results["metrics"][0]["value"] == pytest.approx(1.0, abs=0.01)
