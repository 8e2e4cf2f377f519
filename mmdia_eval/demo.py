"""The demo: example systems with known defects, scored, compared and put on a page."""

from __future__ import annotations

from pathlib import Path

import typer

from mmdia_eval import compare, progress, report
from mmdia_eval.benchmark import resolve_benchmark
from mmdia_eval.example_systems import make_systems
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.results import Results
from mmdia_eval.scoring import score

SPLIT = "test"
COMPARED = ("reference", "swapped-turns")


def run_demo(out: Path, jobs: int | None = None) -> list[Results]:
    """Make the systems in `out`, score each, compare two, and build the page; prints as it goes."""
    folders = make_systems(resolve_benchmark("mini"), out / "outputs")
    scored, paths = [], {}
    for folder in folders:
        paths[folder.name] = out / "results" / folder.name / f"task1.{SPLIT}.json"
        typer.echo(f"scoring {folder.name}", err=True)
        scored.append(
            score(
                folder,
                split=SPLIT,
                benchmark="mini",
                out=paths[folder.name],
                cache=out / "cache",
                jobs=jobs,
                sandbox="off",  # these outputs are our own
                reporter=progress.for_terminal(),
            )
        )
    report.print_systems(scored)
    compare.print_comparison(compare.compare(*(paths[name] for name in COMPARED)))
    page = build_leaderboard(list(paths.values()), out / "leaderboard")
    typer.echo(f"results: {out / 'results'}\nleaderboard: {page}")
    return scored
