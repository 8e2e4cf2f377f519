"""`mmdia-eval validate`, `submission pack` and `tree check`: submissions, before anyone looks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmdia_eval.validation.validate import Checked

submission_app = typer.Typer(help="Folders to submit.", no_args_is_help=True)
tree_app = typer.Typer(help="What a pull request does to the repository.", no_args_is_help=True)
NOT_VALID = 1

JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the report here.")]


def validate_command(
    folders: Annotated[
        list[Path], typer.Argument(help="Submissions, or a folder of them with --base.")
    ],
    benchmark: Annotated[
        str | None,
        typer.Option(help="Benchmark folder, or 'mini'. Default: MMDIA_BENCHMARK, else 'mini'."),
    ] = None,
    without_benchmark: Annotated[
        bool, typer.Option("--without-benchmark", help="Leave out what needs the benchmark.")
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(help="The board as it is: a folder of entries, or a revision of git."),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Results file of the ground truth; may be repeated."),
    ] = None,
    json_out: JsonOption = None,
) -> None:
    """Check submissions, as is done where they are handed in.

    Exit codes: 0 valid, 1 something was found that has to be mended, 2 bad usage.
    """
    from mmdia_eval.validation.validate import validate

    checked = validate(
        folders,
        benchmark=benchmark,
        without_benchmark=without_benchmark,
        base=base,
        references=reference or (),
    )
    _report(checked, json_out)


@submission_app.callback()
def _submission() -> None:
    """Keeps `pack` a command of its own while it is the only one."""


@submission_app.command("pack")
def pack_command(
    results: Annotated[list[Path], typer.Argument(help="Results files of one system and task.")],
    outputs: Annotated[Path, typer.Option(help="Folder of the outputs that were scored.")],
    out: Annotated[
        Path, typer.Option(help="Folder to make: <yyyy-mm-dd>_<organization>_<system>.")
    ],
    benchmark: Annotated[
        str | None,
        typer.Option(help="Benchmark folder, or 'mini'. Default: MMDIA_BENCHMARK, else 'mini'."),
    ] = None,
) -> None:
    """Make a folder to submit: results, rows, a list of the outputs, the clips to be shown."""
    from mmdia_eval.validation.pack import pack

    blanks = pack(results, outputs, out, benchmark=benchmark)
    typer.echo(f"made {out}\nfill in, in submission.json: {', '.join(blanks)}")
    typer.echo(f"then: mmdia-eval validate {out}")


@tree_app.callback()
def _tree() -> None:
    """Keeps `check` a command of its own while it is the only one."""


@tree_app.command("check")
def tree_command(
    revisions: Annotated[list[str], typer.Argument(help="BASE HEAD, or BASE..HEAD.")],
    repository: Annotated[Path, typer.Option(help="A clone that has both.")] = Path(),
    json_out: JsonOption = None,
) -> None:
    """Check that a pull request adds one submission and nothing else.

    Exit codes: 0 it does, 1 it does not, 2 bad usage.
    """
    from mmdia_eval.errors import UserError
    from mmdia_eval.validation.tree import check_tree

    names = revisions[0].split("..") if len(revisions) == 1 else revisions
    if len(names) != 2 or not all(names):
        raise UserError("give two revisions: BASE HEAD, or BASE..HEAD")
    base, head = names
    _report([check_tree(base, head, repository)], json_out)


def _report(checked: list[Checked], json_out: Path | None) -> None:
    from mmdia_eval.validation.report import make_report, print_report, write_report

    report = make_report(checked)
    print_report(report)
    if json_out is not None:
        write_report(json_out, report)
    if not report.valid:
        raise typer.Exit(NOT_VALID)
