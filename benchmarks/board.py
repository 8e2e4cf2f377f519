"""Time to build a board of 100 systems on three tasks, and to sort it in a browser.

python -m benchmarks board
"""

from __future__ import annotations

import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mmdia_eval.api import Metric
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.registry import metric as metrics
from mmdia_eval.results import (
    BenchmarkRecord,
    Coverage,
    Interval,
    MetricResult,
    ProtocolRecord,
    Provenance,
    Results,
    Row,
    SystemRecord,
)
from mmdia_eval.results_files import write_results
from mmdia_eval.statistics import bootstrap_interval, corpus_value

SYSTEMS, DIALOGUES = 100, 200
METRICS = ("wer", "cpwer", "sasim", "sim_ref", "turn_order_accuracy", "speaker_count_error")
SHA = "a" * 64


def rows_of(metric: Metric, name: str, quality: float, rng: np.random.Generator) -> list[Row]:
    """Rows of one system: counts about `quality` of what is counted last."""
    rows = []
    for number in range(DIALOGUES):
        counts = {field: float(rng.binomial(100, quality)) for field in metric.fields}
        counts[metric.fields[-1]] = 100.0
        counts |= {field: 100.0 for field in ("words", "rate", "dialogues") if field in counts}
        value = corpus_value([counts], metric.reduce)
        rows.append(
            Row(dialogue=f"d{number}", metric=name, status="scored", counts=counts, value=value)
        )
    return rows


def result_of(metric: Metric, name: str, rows: list[Row]) -> MetricResult:
    """The result over the rows, with its interval."""
    counts = [row.counts for row in rows]
    drawn = bootstrap_interval(counts, metric.reduce)
    return MetricResult(
        name=name,
        metric=metric.name,
        version=metric.version,
        signature=f"{name}@{metric.version}|protocol:made-up",
        value=corpus_value(counts, metric.reduce),
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        interval=Interval(**vars(drawn)) if drawn else None,
        coverage=Coverage(
            expected=len(rows), scored=len(rows), missing=0, not_applicable=0, failed=0
        ),
    )


def write_system(folder: Path, number: int, task: int) -> None:
    """One made-up results file with its rows."""
    rng = np.random.default_rng([number, task])
    all_rows: list[Row] = []
    found = []
    for name in METRICS:
        cls = metrics.get(name)
        metric = cls(cls.Settings())
        rows = rows_of(metric, name, 0.1 + 0.004 * number, rng)
        found.append(result_of(metric, name, rows))
        all_rows += rows
    results = Results.model_validate(
        {
            "status": "complete",
            "verification": "self-reported",
            "task": task,
            "split": "test",
            "style": "description" if task == 1 else None,
            "protocol": ProtocolRecord(name="made-up", version="1", sha256=SHA, comparable=True),
            "benchmark": BenchmarkRecord(
                name="made-up", version="1", sha256=SHA, split_sha256=SHA, dialogues=DIALOGUES
            ),
            "system": SystemRecord(name=f"system {number}"),
            "metrics": found,
            "provenance": Provenance(
                mmdia_eval_version="0",
                git_commit=None,
                git_dirty=None,
                python="3",
                packages={},
                hardware={},
                command=[],
                created=datetime(2026, 1, 1, tzinfo=UTC),
                submission_sha256=None,
                extractors=[],
            ),
        }
    )
    write_results(folder / f"{number}.{task}.json", results, all_rows)


def sort_time(page: Path) -> str:
    """Milliseconds of one sort of the first table, from the click to the next frame."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return "no Chromium here"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        tab.goto(page.as_uri())
        times = tab.evaluate(
            """async () => {
              const times = [];
              for (let turn = 0; turn < 9; turn++) {
                const start = performance.now();
                document.querySelectorAll("thead .sort")[1 + turn % 5].click();
                document.body.offsetHeight;
                times.push(performance.now() - start);
                await new Promise((done) => requestAnimationFrame(done));
              }
              return times.sort((a, b) => a - b);
            }"""
        )
        browser.close()
    return f"median {times[4]:.0f} ms, slowest {times[-1]:.0f} ms, with layout"


def main() -> None:
    """Print the build's time and the sort's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for task in (1, 2, 3):
            for number in range(SYSTEMS):
                write_system(folder / "results", number, task)
        start = time.perf_counter()
        page = build_leaderboard([folder / "results"], folder / "site")
        print(
            f"board: {SYSTEMS} systems, 3 tasks, {len(METRICS)} metrics, {DIALOGUES} dialogues: "
            f"built in {time.perf_counter() - start:.1f} s, "
            f"index {page.stat().st_size / 1e6:.1f} MB"
        )
        print(f"sorting {SYSTEMS} rows: {sort_time(page)}")


if __name__ == "__main__":
    main()
