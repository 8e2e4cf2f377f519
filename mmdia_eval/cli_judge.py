"""`mmdia-eval judge …`: whether a judge can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mmdia_eval.judges.controls import Audit, Control

judge_app = typer.Typer(help="Remote models that judge.", no_args_is_help=True)
NOT_RELIABLE = 1
VERDICTS = {True: "reliable", False: "unreliable", None: "not known: controls are missing"}
PASSED = {True: "passed", False: "failed", None: "not run"}


@judge_app.callback()
def _judge() -> None:
    """Keeps `audit` a command of its own while it is the only one."""


@judge_app.command("audit")
def audit_command(
    judge: Annotated[str, typer.Option(help="gemini, gemini:MODEL or openai:MODEL.")],
    mode: Annotated[str, typer.Option(help="strict, paper or release.")] = "strict",
    condition: Annotated[
        str, typer.Option(help="description or triplet (task 1), keyframes (2), reference (3).")
    ] = "description",
    base_url: Annotated[
        str | None, typer.Option("--judge-url", help="Address of the service, if not the usual.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option("--max-judge-cost", help="Stop before this many US dollars.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of artifacts. Default: MMDIA_CACHE or ~/.cache.")
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write the audit here.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print calls, tokens and cost; ask nothing.")
    ] = False,
) -> None:
    """Ask a judge what has a known answer: silence, what does not fit, instructions to cheat.

    What it has answered is kept: the same command again asks only what lacks. Exit codes:
    0 reliable, 1 not, 2 bad usage or input.
    """
    from mmdia_eval.files import write_atomic
    from mmdia_eval.judges import controls
    from mmdia_eval.judges.client import full_name
    from mmdia_eval.judges.rubric_judge import RubricJudge
    from mmdia_eval.results_files import canonical_json
    from mmdia_eval.store import Store, default_root

    settings = _settings(
        judge=full_name(judge), mode=mode, condition=condition, base_url=base_url, max_cost=max_cost
    )
    store = Store(cache or default_root())
    if dry_run:
        typer.echo(controls.left(RubricJudge(settings, ()), store).estimate.text)
        return
    audit = controls.audit(settings, store)
    if json_out is not None:
        write_atomic(json_out, canonical_json(audit.record()))
    _print(audit)
    if not audit.reliable:
        raise typer.Exit(NOT_RELIABLE)


def _settings(**given: Any) -> Any:
    from pydantic import ValidationError

    from mmdia_eval.errors import UserError
    from mmdia_eval.judges.rubric_judge import RubricSettings

    try:
        return RubricSettings.model_validate(given)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UserError("; ".join(problems)) from None


def _print(audit: Audit) -> None:
    from mmdia_eval.report import plain_console, plain_table

    table = plain_table()
    for title in ("control", "figure", "limit", ""):
        table.add_column(title, justify="left" if title in ("control", "") else "right")
    for control in audit.controls:
        table.add_row(control.name, *_figures(control))
    console = plain_console()
    console.print(f"{audit.judge}, mode {audit.mode}, against {audit.condition}")
    console.print(table)
    for control in audit.controls:
        if control.problem:
            console.print(f"{control.name}: {control.problem}", soft_wrap=True)
    console.print(f"{audit.calls} calls, {audit.input_tokens} tokens in, {audit.output_tokens} out")
    console.print(VERDICTS[audit.reliable])


def _figures(control: Control) -> tuple[str, str, str]:
    figure = "-" if control.figure is None else f"{control.figure:.2f}"
    bound = "at least" if control.least else "at most"
    result = PASSED[control.passed] + ("" if control.decides else ", for the record")
    return figure, f"{bound} {control.limit:.2f}", result
