"""What is missing on a machine: found in planning, told whole, and never a zero."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from example_results import make_results, metric_result, word_rows, write_system
from test_cli import Ended, Invoke, invoke  # noqa: F401 - a fixture
from test_leaderboard import built
from toy_plugins import DoubledExtractor, PeakExtractor, ServiceExtractor, toy_protocol

from mmdia_eval import devices, models
from mmdia_eval.api import Requirement
from mmdia_eval.benchmark import write_benchmark
from mmdia_eval.choices import NO_JUDGE, Choices
from mmdia_eval.compare import compare
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.plan import Plan, make_plan
from mmdia_eval.protocol import Protocol
from mmdia_eval.report import print_results, print_systems
from mmdia_eval.results import NotRunRecord
from mmdia_eval.results_files import read_results
from mmdia_eval.types import Dialogue, Sample, Turn

DIALOGUE = Dialogue("d", (Turn("A", "one"),))
FETCH = "model 'big' is not here: mmdia-eval models fetch big"


def protocol(log: Path) -> Protocol:
    """Three metrics: of a local engine, of the same under another role, and of a judge."""
    content = toy_protocol(log).model_dump()
    settings = {"log": str(log)}
    content["extractors"] |= {
        "summit": {"extractor": "toy_batched", "settings": settings},
        "other": {"extractor": "toy_doubled", "settings": settings, "inputs": {"peak": "summit"}},
        "verdict": {"extractor": "toy_service", "settings": settings},
    }
    content["metrics"] += [
        {"name": "other", "metric": "toy_loudness", "inputs": {"doubled": "other"}},
        {"name": "judged", "metric": "toy_loudness", "inputs": {"doubled": "verdict"}},
    ]
    return Protocol.model_validate(content)


def plan(log: Path, names: Sequence[str] = (), **choices: Any) -> Plan:
    samples = (Sample(DIALOGUE, None),)
    return make_plan(protocol(log), 1, samples, (), names, Choices(**choices))


def problems(log: Path, names: Sequence[str] = (), **choices: Any) -> list[str]:
    with pytest.raises(ProblemsError) as caught:
        plan(log, names, **choices)
    return list(caught.value.problems)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine behind the role `summit` wants a model that is not here."""
    monkeypatch.setattr("toy_plugins.BatchedExtractor.models", lambda self: ("big",))
    monkeypatch.setattr(models, "problems", lambda id_: [FETCH])


def test_without_a_judge_its_metrics_are_not_run_unless_asked_for(tmp_path: Path) -> None:
    found = plan(tmp_path)
    assert [job.name for job in found.metrics] == ["loudness", "other"]
    (left,) = found.not_run
    assert (left.name, left.metric, left.reason) == ("judged", "toy_loudness", NO_JUDGE)
    assert problems(tmp_path, ["judged"]) == [f"metric 'judged': {NO_JUDGE}"]
    assert not plan(tmp_path, ["loudness"]).not_run


def test_the_judge_that_was_chosen_is_a_setting_of_who_asks_it(tmp_path: Path) -> None:
    found = plan(tmp_path, judge="toy:one", judge_url="http://127.0.0.1", max_judge_cost=1.5)
    (stage,) = (stage for stage in found.stages if stage.role == "verdict")
    # The toy's settings have fields for the judge and its cost, and none for an address.
    assert stage.extractor.settings.judge == "toy:one"
    assert stage.extractor.settings.max_cost.limit == 1.5
    assert stage.identity["settings"]["judge"] == "toy:one"
    assert "max_cost" not in stage.identity["settings"], "a budget changes no verdict"
    assert not found.not_run


def test_what_is_missing_is_refused_with_the_whole_list(
    tmp_path: Path, missing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = Requirement("no_such_engine", "pip install no-such-engine")
    monkeypatch.setattr(DoubledExtractor, "requires", (needed,))
    assert problems(tmp_path) == [
        "extractor 'toy_doubled' needs the package 'no_such_engine': pip install no-such-engine",
        FETCH,
    ]


def test_what_is_missing_can_be_skipped(tmp_path: Path, missing: None) -> None:
    found = plan(tmp_path, unavailable="skipped")
    assert [job.name for job in found.metrics] == ["loudness"]
    assert {left.name: left.reason for left in found.not_run} == {
        "other": FETCH,
        "judged": NO_JUDGE,
    }
    assert [stage.role for stage in found.stages] == ["peak", "doubled"]
    assert set(found.lacking) == {"summit", "other", "verdict"}


def test_when_nothing_is_left_there_is_nothing_to_score(tmp_path: Path, missing: None) -> None:
    told = problems(tmp_path, ["other"], unavailable="skipped")
    assert told == ["there is nothing to score:", f"  other: {FETCH}"]
    assert plan(tmp_path, ["other", "judged"], unavailable="listed").metrics == ()


@pytest.mark.parametrize(
    ("asked", "count", "found"),
    [
        ("cpu", 2, ("cpu",)),
        ("auto", 0, ("cpu",)),
        ("auto", 2, ("cuda:0", "cuda:1")),
        ("cuda", 2, ("cuda:0", "cuda:1")),
        ("cuda:1", 2, ("cuda:1",)),
    ],
)
def test_devices_are_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, count: int, found: tuple[str, ...]
) -> None:
    monkeypatch.setattr(devices, "_cuda_devices", lambda: (count, "no driver"))
    assert plan(tmp_path, device=asked).devices == found


@pytest.mark.parametrize(
    ("asked", "count", "told"),
    [
        ("cuda", 0, "--device cuda: no driver; --device cpu runs everything, slower"),
        ("cuda:0", 0, "--device cuda:0: no driver; --device cpu runs everything, slower"),
        ("cuda:2", 2, "--device cuda:2: there is none; this machine has cuda:0, cuda:1"),
        ("tpu", 2, "--device tpu: unknown; it is auto, cpu, cuda, or one GPU such as cuda:0"),
    ],
)
def test_a_device_that_is_not_there_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, count: int, told: str
) -> None:
    monkeypatch.setattr(devices, "_cuda_devices", lambda: (count, "no driver"))
    assert problems(tmp_path, device=asked) == [told]
    assert problems(tmp_path, ["loudness"], device=asked) == [told]


def test_a_cpu_build_of_torch_says_so() -> None:
    torch: Any = pytest.importorskip("torch")
    if torch.version.cuda or torch.version.hip:
        pytest.skip("this build of torch has CUDA")
    with pytest.raises(UserError, match=r"torch .* is built without CUDA"):
        devices.resolve("cuda")


@pytest.fixture
def score(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:  # noqa: F811
    """`mmdia-eval score` of one tone with the three metrics."""
    write_benchmark(
        tmp_path / "bench", name="toy", version="1", license="", splits={"test": [DIALOGUE]}
    )
    (tmp_path / "system").mkdir()
    soundfile.write(tmp_path / "system" / "d.wav", np.sin(np.arange(8000) / 9) / 2, 16_000)
    entries = protocol(tmp_path / "log")
    monkeypatch.setattr("mmdia_eval.scoring.load_protocol", lambda name: entries)

    def run(*arguments: str | Path) -> Ended:
        return invoke("score", "system", "--benchmark", "bench", "--out", "r.json", *arguments)

    return run


def test_a_dry_run_lists_what_is_missing_and_is_no_error(score: Invoke, missing: None) -> None:
    ended = score("--dry-run")
    assert ended.code == 0
    assert "2 metrics cannot run here: other, judged" in ended.out
    lines = ended.out.splitlines()
    assert lines[lines.index(f"- {FETCH}") + 1] == "  for other"
    assert lines[lines.index(f"- {NO_JUDGE}") + 1] == "  for judged"
    assert next(line for line in lines if line.startswith("summit")).split()[1:3] == ["unknown"] * 2
    assert not Path("r.json").exists()


def test_a_dry_run_with_a_judge_says_what_it_takes(score: Invoke) -> None:
    assert "verdict: 1 calls" in score("--dry-run", "--judge", "toy:one").out


def test_without_its_models_a_protocol_is_refused(score: Invoke, missing: None) -> None:
    ended = score()
    assert ended.code == 2
    assert f"error: {FETCH}" in ended.err
    assert not Path("r.json").exists()


def test_cuda_asked_for_and_absent(score: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_cuda_devices", lambda: (0, "no driver"))
    ended = score("--device", "cuda")
    assert (ended.code, "--device cuda: no driver" in ended.err) == (2, True)


def test_what_was_skipped_is_in_the_results_and_stays_until_it_runs(
    score: Invoke, missing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = score("--skip-unavailable")
    assert ended.code == 0
    assert f"not run: other: {FETCH}" in ended.out
    results = read_results(Path("r.json"))
    assert [metric.name for metric in results.metrics] == ["loudness"]
    assert {left.name for left in results.not_run} == {"other", "judged"}
    assert results.status == "complete"
    assert score("--metric", "judged", "--judge", "toy:one").code == 0
    joined = read_results(Path("r.json"))
    assert [metric.name for metric in joined.metrics] == ["loudness", "judged"]
    assert [left.name for left in joined.not_run] == ["other"]


def test_a_judge_that_stops_makes_the_result_provisional_and_says_how_to_go_on(
    score: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def spent(self: ServiceExtractor, inputs: object) -> None:
        from mmdia_eval.errors import StageStoppedError

        raise StageStoppedError("the quota is spent")

    monkeypatch.setattr(ServiceExtractor, "ask", spent)
    ended = score("--judge", "toy:one")
    assert ended.code == 1
    assert "warning: verdict was stopped: the quota is spent" in ended.out
    assert "mmdia-eval score system --benchmark bench --out r.json --judge toy:one" in ended.out
    results = json.loads(Path("r.json").read_text("utf-8"))
    assert results["status"] == "provisional"
    coverage = {m["name"]: m["coverage"]["failed"] for m in results["metrics"]}
    assert coverage == {"loudness": 0, "other": 0, "judged": 1}


LEFT = NotRunRecord(name="judge_score", metric="judge_score", reason='no <judge> "chosen"')
CPWER = NotRunRecord(name="cpwer", metric="cpwer", reason="no model")


def test_two_results_of_which_one_was_not_run_are_compared(tmp_path: Path) -> None:
    rows = word_rows({f"d{i}": i for i in range(4)})
    one = write_system(tmp_path / "a.json", rows, name="a", not_run=[LEFT])
    other = write_system(tmp_path / "b.json", rows, name="b")
    assert [metric.name for metric in compare(one, other).metrics] == ["wer"]


def test_the_page_says_not_run_with_the_reason(tmp_path: Path) -> None:
    rows = word_rows({"d0": 4})
    both = [*rows, *word_rows({"d0": 4}, "cpwer")]
    paths = [
        write_system(tmp_path / "a.json", rows, name="a", not_run=[LEFT, CPWER]),
        write_system(tmp_path / "b.json", rows, name="b"),
        write_system(tmp_path / "c.json", both, name="c"),
    ]
    page = built(tmp_path, *paths)
    ((head, *systems),) = page.tables
    assert [cell.split()[0] for cell in head] == ["System", "wer", "cpwer"], "nobody has the judge"
    assert [row[2].split()[:2] for row in systems] == [["not", "run"], ["-"], ["10.00", "[8.00,"]]
    (cell,) = (tag for tag in page.all("td") if "title" in tag)
    assert cell["title"] == CPWER.reason
    assert "data-value" not in cell
    for site in ("index.html", next((tmp_path / "site" / "e").glob("a-*.html"))):
        text = html.unescape((tmp_path / "site" / site).read_text("utf-8"))
        assert f"Not run: <b>judge_score</b>: {LEFT.reason}" in text


def test_a_column_of_which_one_system_was_not_run_has_its_unit(tmp_path: Path) -> None:
    both = [*word_rows({"d0": 4}), *word_rows({"d0": 4}, "cpwer")]
    paths = [
        write_system(tmp_path / "a.json", word_rows({"d0": 4}), name="a", not_run=[CPWER]),
        write_system(tmp_path / "b.json", both, name="b"),
    ]
    ((head, first, second),) = built(tmp_path, *paths).tables
    assert head[2].split()[:2] == ["cpwer", "%"]
    assert (first[2].split(), second[2].split()[0]) == (["not", "run"], "10.00")


def test_the_terminal_says_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    rows = word_rows({"d0": 4})
    results = make_results("a", [metric_result("wer", rows)], not_run=[LEFT])
    print_results(results, rows)
    assert f"not run: judge_score: {LEFT.reason}" in capsys.readouterr().out
    both = [metric_result("wer", rows), metric_result("cpwer", word_rows({"d0": 4}, "cpwer"))]
    left = NotRunRecord(name="cpwer", metric="cpwer", reason=LEFT.reason)
    results = make_results("a", [metric_result("wer", rows)], not_run=[LEFT, left])
    print_systems([results, make_results("b", both), make_results("c", both[:1])])
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.endswith("judge") for line in lines), "no column for what nobody has"
    assert next(line for line in lines if line.startswith("a ")).split()[2:] == ["not", "run"]
    assert next(line for line in lines if line.startswith("c ")).split()[2:] == ["-"]
    assert lines[-1] == f"not run: judge_score, cpwer: {LEFT.reason}"


def test_a_metric_cannot_be_run_and_not_run() -> None:
    rows = word_rows({"d0": 4})
    left = NotRunRecord(name="wer", metric="wer", reason="x")
    with pytest.raises(ValueError, match="a metric is named twice"):
        make_results("a", [metric_result("wer", rows)], not_run=[left])


def test_an_extractor_lacks_what_its_models_lack(
    monkeypatch: pytest.MonkeyPatch, missing: None
) -> None:
    monkeypatch.setattr(PeakExtractor, "models", lambda self: ("big", "big"))
    assert PeakExtractor(PeakExtractor.Settings(log="x"), ()).problems() == [FETCH, FETCH]
