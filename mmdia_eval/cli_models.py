"""`mmdia-eval models …` and `mmdia-eval doctor`, and the options that set the models' switches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(
    help="Model files: what is here, and how to get the rest.", no_args_is_help=True
)
NOT_GOOD = 1


def _models_folder(folder: Path | None) -> None:
    if folder is not None:
        os.environ["MMDIA_MODELS"] = str(folder.resolve())


def _offline(asked: bool) -> None:
    if asked:
        os.environ["MMDIA_OFFLINE"] = "1"


def _allow_unverified(asked: bool) -> None:
    if asked:
        os.environ["MMDIA_ALLOW_UNVERIFIED_MODELS"] = "1"


ModelsOption = Annotated[
    Path | None,
    typer.Option(
        callback=_models_folder,
        help="Folder of model files. Default: MMDIA_MODELS, else the user's data folder.",
    ),
]
OfflineOption = Annotated[
    bool,
    typer.Option("--offline", callback=_offline, help="Never use the network. Or: MMDIA_OFFLINE."),
]
AllowUnverifiedOption = Annotated[
    bool,
    typer.Option(
        "--allow-unverified-models",
        callback=_allow_unverified,
        help="Use model files that are not the listed ones; results say so.",
    ),
]
ProtocolOption = Annotated[
    str | None, typer.Option(help="The models of a protocol: its name, or path of a .toml file.")
]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of models.", show_default=False)]


@models_app.command("list")
def list_command(
    ids: Ids = None, protocol: ProtocolOption = None, models: ModelsOption = None
) -> None:
    """The listed models and what is here of them; with ids, every file of those."""
    from mmdia_eval import model_listing

    found = model_listing.checked(_chosen(ids, protocol))
    if not ids:
        model_listing.print_models(found)
        return
    for check in found:
        model_listing.print_files(check)


@models_app.command("fetch")
def fetch_command(
    ids: Ids = None,
    protocol: ProtocolOption = None,
    models: ModelsOption = None,
    offline: OfflineOption = False,
) -> None:
    """Download models and check them. A download that was stopped goes on."""
    from mmdia_eval.errors import ProblemsError, UserError
    from mmdia_eval.model_fetch import fetch

    if not ids and protocol is None:
        raise UserError("name the models to fetch, or --protocol NAME; see mmdia-eval models list")
    problems = []
    for id_ in _chosen(ids, protocol):
        try:
            with _Bars() as bars:
                folder = fetch(id_, bars.show)
            typer.echo(f"{id_}: {folder}")
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise ProblemsError(problems)


@models_app.command("verify")
def verify_command(
    ids: Ids = None,
    protocol: ProtocolOption = None,
    models: ModelsOption = None,
    pin: Annotated[
        bool,
        typer.Option("--pin", help="Accept, as they are, files for which no sha256 is listed."),
    ] = False,
) -> None:
    """Read every model file anew and compare its sha256. Exit code 1 when one is not good.

    Without ids: every model that is here.
    """
    from mmdia_eval import model_listing
    from mmdia_eval import models as listed
    from mmdia_eval.report import plain_console, print_lines

    chosen = _chosen(ids, protocol)
    if not ids and protocol is None:
        chosen = [id_ for id_ in chosen if listed.folder_of(listed.get(id_))]
    if not chosen:
        typer.echo(f"no listed model is in {listed.root()} or in the hub's cache")
    for id_ in chosen:
        listed.forget(id_)
    found = model_listing.checked(chosen)
    if pin:
        for check in found:
            listed.accept(check)
        found = model_listing.checked(chosen)
    if found:
        model_listing.print_models(found)
    bad = [c for c in found if c.state not in (listed.State.VERIFIED, listed.State.PINNED)]
    print_lines(plain_console(), [line for c in bad for line in listed.refusals(c)], "yellow")
    if bad:
        raise typer.Exit(NOT_GOOD)


@models_app.command("path")
def path_command(
    id_: Annotated[str | None, typer.Argument(metavar="[ID]", show_default=False)] = None,
    models: ModelsOption = None,
    allow_unverified: AllowUnverifiedOption = False,
) -> None:
    """The models folder, or that of a model whose files are good."""
    from mmdia_eval import models as listed

    typer.echo(listed.root() if id_ is None else listed.folder(id_))


def doctor_command(
    models: ModelsOption = None,
    json_out: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What is here: GPU, packages, models, keys, tools, disk; and what each protocol lacks."""
    from mmdia_eval import doctor, model_listing

    with model_listing.busy("looking around"):
        found = doctor.examine()
    if json_out:
        typer.echo(doctor.as_json(found))
    else:
        doctor.print_report(found)


def _chosen(ids: list[str] | None, protocol: str | None) -> list[str]:
    """The ids given, those of a protocol, or all."""
    from mmdia_eval import model_listing, models
    from mmdia_eval.protocol import load_protocol

    chosen = list(ids or ())
    if protocol is not None:
        chosen += model_listing.wanted(load_protocol(protocol))
    if not chosen and protocol is None:
        chosen = list(models.manifest())
    return [models.get(id_).id for id_ in dict.fromkeys(chosen)]


class _Bars:
    """Progress of downloads on stderr: a bar a file on a terminal, nothing elsewhere."""

    def __enter__(self) -> _Bars:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(bar_width=24), DownloadColumn()
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._progress.start()
        self._tasks: dict[str, int] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, name: str, done: int, total: int | None) -> None:
        """Draw how far the file has come."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done)  # type: ignore[arg-type]
