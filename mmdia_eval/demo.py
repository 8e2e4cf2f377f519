"""The demo: example systems with known defects, scored, compared and put on a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from mmdia_eval import compare, progress, report
from mmdia_eval.benchmark import resolve_benchmark
from mmdia_eval.example_systems import make_systems
from mmdia_eval.example_video_systems import make_video_systems
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.results import Results
from mmdia_eval.scoring import score
from mmdia_eval.types import Split, Task

TASKS: dict[Task, tuple[Split, Callable[[Path, Path], list[Path]]]] = {
    1: ("test", make_systems),
    3: ("bench", make_video_systems),
}
"""The tasks shown, each with its split and what makes its example systems."""
COMPARED = ("reference", "swapped-turns")


def run_demo(out: Path, jobs: int | None = None) -> list[Results]:
    """Make the systems in `out`, score each, compare two, and build the page; prints as it goes."""
    paths: dict[tuple[Task, str], Path] = {}
    scored: list[Results] = []
    for task, (split, make) in TASKS.items():
        of_task = []
        for folder in make(resolve_benchmark("mini"), out / "outputs" / f"task{task}"):
            path = out / "results" / folder.name / f"task{task}.{split}.json"
            paths[task, folder.name] = path
            typer.echo(f"task {task}: scoring {folder.name}", err=True)
            of_task.append(
                score(
                    folder,
                    task,
                    split=split,
                    benchmark="mini",
                    out=path,
                    cache=out / "cache",
                    jobs=jobs,
                    skip_unavailable=True,
                    sandbox="off",  # these outputs are our own
                    reporter=progress.for_terminal(),
                )
            )
        typer.echo(f"Task {task}")
        report.print_systems(of_task)
        scored += of_task
    compare.print_comparison(compare.compare(*(paths[1, name] for name in COMPARED)))
    page = build_leaderboard(list(paths.values()), out / "leaderboard")
    typer.echo(f"results: {out / 'results'}\nleaderboard: {page}")
    return scored
