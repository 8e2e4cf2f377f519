"""The demo: example systems with known defects, scored, compared and put on a page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import typer

from mmdia_eval import compare, progress, report
from mmdia_eval.benchmark import resolve_benchmark
from mmdia_eval.example_systems import make_systems
from mmdia_eval.example_video_systems import make_video_systems
from mmdia_eval.leaderboard import clips, published
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.manifest import OUTPUT_PREFIX
from mmdia_eval.results import Results
from mmdia_eval.scoring import score
from mmdia_eval.types import Split, Task

TASKS: dict[Task, tuple[Split, Callable[[Path, Path], list[Path]]]] = {
    1: ("test", make_systems),
    3: ("bench", make_video_systems),
}
"""The tasks shown, each with its split and what makes its example systems."""
COMPARED = ("reference", "swapped-turns")
AUDIT = 2
"""Recordings of each system that can be heard or seen on its page."""


def run_demo(out: Path, jobs: int | None = None) -> list[Results]:
    """Make the systems in `out`, score each, compare two, and build the page; prints as it goes."""
    paths: dict[tuple[Task, str], Path] = {}
    scored: list[Results] = []
    for task, (split, make) in TASKS.items():
        of_task = []
        for folder in make(resolve_benchmark("mini"), out / "outputs" / f"task{task}"):
            path = out / "results" / folder.name / f"task{task}.{split}.json"
            paths[task, folder.name] = path
            _copy_audit(folder, path.parent / clips.FOLDER)
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
    page = build_leaderboard(list(paths.values()), out / "leaderboard", published=published.FOLDER)
    typer.echo(f"results: {out / 'results'}\nleaderboard: {page}")
    return scored


def _copy_audit(outputs: Path, audit: Path) -> None:
    """Put the first outputs where the page looks for recordings."""
    audit.mkdir(parents=True, exist_ok=True)
    found = (
        path for path in sorted(outputs.glob(f"{OUTPUT_PREFIX}*")) if path.suffix in clips.KINDS
    )
    for path in list(found)[:AUDIT]:
        shutil.copyfile(path, audit / path.name.removeprefix(OUTPUT_PREFIX))
