"""The demo: example systems with known defects, scored, compared and put on a page."""

from __future__ import annotations

import shutil
from pathlib import Path

import typer

from mmdia_eval import compare, progress, report
from mmdia_eval.benchmark import resolve_benchmark
from mmdia_eval.example_systems import make_systems
from mmdia_eval.leaderboard import clips, published
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.manifest import OUTPUT_PREFIX
from mmdia_eval.results import Results
from mmdia_eval.scoring import score

SPLIT = "test"
COMPARED = ("reference", "swapped-turns")
AUDIT = 2
"""Recordings of each system that can be heard on its page."""


def run_demo(out: Path, jobs: int | None = None) -> list[Results]:
    """Make the systems in `out`, score each, compare two, and build the page; prints as it goes."""
    folders = make_systems(resolve_benchmark("mini"), out / "outputs")
    scored, paths = [], {}
    for folder in folders:
        paths[folder.name] = out / "results" / folder.name / f"task1.{SPLIT}.json"
        typer.echo(f"scoring {folder.name}", err=True)
        _copy_audit(folder, paths[folder.name].parent / clips.FOLDER)
        scored.append(
            score(
                folder,
                split=SPLIT,
                benchmark="mini",
                out=paths[folder.name],
                cache=out / "cache",
                jobs=jobs,
                reporter=progress.for_terminal(),
            )
        )
    report.print_systems(scored)
    compare.print_comparison(compare.compare(*(paths[name] for name in COMPARED)))
    page = build_leaderboard(list(paths.values()), out / "leaderboard", published=published.FOLDER)
    typer.echo(f"results: {out / 'results'}\nleaderboard: {page}")
    return scored


def _copy_audit(outputs: Path, audit: Path) -> None:
    """Put the first outputs where the page looks for recordings."""
    audit.mkdir(parents=True, exist_ok=True)
    for path in sorted(outputs.glob(f"{OUTPUT_PREFIX}*.flac"))[:AUDIT]:
        shutil.copyfile(path, audit / path.name.removeprefix(OUTPUT_PREFIX))
