"""`mmdia-eval mos`: people's ratings, from the page they rate on to the leaderboard."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from mmdia_eval.ratings import Dimension
    from mmdia_eval.types import Task

app = typer.Typer(help="Human opinion scores.", no_args_is_help=True)

Style = Literal["description", "triplet"]
Split = Literal["hard", "test", "ood", "bench"]
KeyOption = Annotated[
    Path | None, typer.Option(help="The key that `mos sheet` wrote, for ratings from its page.")
]


@app.command("import")
def import_command(
    ratings: Annotated[
        list[Path], typer.Argument(help="CSV files: rater, dialogue, system, dimension, rating.")
    ],
    out: Annotated[Path, typer.Option(help="Where to write the summary.")] = Path("human.json"),
    key: KeyOption = None,
    task: Annotated[int, typer.Option(help="1, 2 or 3.")] = 1,
    split: Annotated[Split, typer.Option(help="Split of the rated dialogues.")] = "test",
    style: Annotated[
        Style | None, typer.Option(help="How the systems were told the style.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave this rater out; may be repeated.")
    ] = None,
) -> None:
    """Mean opinion scores with intervals, agreement between raters, and a report on each rater.

    The file goes to `leaderboard build` beside the results files.
    """
    from mmdia_eval.human_mos import summarize, write_human_ratings
    from mmdia_eval.ratings import read_ratings
    from mmdia_eval.ratings_report import print_human_ratings

    found = read_ratings(ratings, key)
    human = summarize(found, task=_task(task), split=split, style=style, exclude=exclude or ())
    write_human_ratings(out, human)
    print_human_ratings(human)
    typer.echo(f"\nwritten to {out}")


@app.command()
def agreement(
    ratings: Annotated[Path, typer.Argument(help="CSV file of ratings.")],
    results: Annotated[list[Path], typer.Argument(help="Results files with a judge's scores.")],
    key: KeyOption = None,
) -> None:
    """How far a judge agrees with people: rank correlations and pairwise accuracy."""
    from mmdia_eval import agreement as agreeing
    from mmdia_eval.ratings import read_ratings

    agreeing.print_agreement(agreeing.agreement(read_ratings([ratings], key), results))


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    systems: Annotated[list[Path], typer.Argument(help="Folders of outputs, one a system.")],
    task: Annotated[int, typer.Option(help="1, 2 or 3.")] = 1,
    split: Annotated[Split, typer.Option(help="Split of the outputs.")] = "test",
    benchmark: Annotated[
        str | None, typer.Option(help="Benchmark folder. Default: MMDIA_BENCHMARK, else 'mini'.")
    ] = None,
    dimension: Annotated[
        list[str] | None,
        typer.Option(
            help="What to rate; may be repeated. Default: quality, instruction_following."
        ),
    ] = None,
    dialogues: Annotated[
        int | None, typer.Option(min=1, help="Rate only so many dialogues.")
    ] = None,
    seed: Annotated[
        str | None, typer.Option(help="Names and draws the clips; random when not given.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Listening test",
) -> None:
    """Make a page on which people rate the systems' clips, blind, and download a CSV.

    Send the folder, or put it on any static host; it needs no server. The key beside it says which
    clip is whose: keep it, and give it to `mos import`.
    """
    from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
    from mmdia_eval.rating_sheet import make_sheet
    from mmdia_eval.submission import load_submission

    chosen = _dimensions(dimension or ["quality", "instruction_following"])
    loaded = load_benchmark(resolve_benchmark(benchmark)).split(split)
    submissions = [load_submission(folder, loaded, _task(task)) for folder in systems]
    key = make_sheet(
        submissions,
        chosen,
        out,
        seed=seed or secrets.token_hex(16),
        task=_task(task),
        dialogues=dialogues,
        title=title,
    )
    typer.echo(f"page: {out / 'index.html'}\nkey, for `mos import` only: {key}")


def _task(task: int) -> Task:
    from mmdia_eval.errors import UserError
    from mmdia_eval.types import TASKS

    for known in TASKS:
        if task == known:
            return known
    raise UserError(f"there is no task {task}; the tasks are {', '.join(map(str, TASKS))}")


def _dimensions(names: list[str]) -> list[Dimension]:
    from mmdia_eval.errors import UserError
    from mmdia_eval.ratings import DIMENSIONS

    if unknown := [name for name in names if name not in DIMENSIONS]:
        raise UserError(f"unknown dimension {', '.join(unknown)}; known: {', '.join(DIMENSIONS)}")
    return [name for name in DIMENSIONS if name in names]
