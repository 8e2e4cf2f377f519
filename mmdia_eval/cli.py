"""The command line: thin commands over the library. Heavy imports wait until a command runs."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmdia_eval import cli_mos
from mmdia_eval.cli_judge import judge_app
from mmdia_eval.cli_models import doctor_command, models_app
from mmdia_eval.cli_validate import submission_app, tree_app, validate_command
from mmdia_eval.errors import UserError

if TYPE_CHECKING:
    from mmdia_eval.scoring import Request

app = typer.Typer(
    help="Score multimodal dialogue generation systems, the same way twice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
metrics_app = typer.Typer(help="What can be measured.", no_args_is_help=True)
benchmark_app = typer.Typer(help="Make and check benchmark folders.", no_args_is_help=True)
leaderboard_app = typer.Typer(help="The static leaderboard page.", no_args_is_help=True)
app.add_typer(metrics_app, name="metrics")
app.add_typer(benchmark_app, name="benchmark")
app.add_typer(leaderboard_app, name="leaderboard")
app.add_typer(judge_app, name="judge")
app.add_typer(models_app, name="models")
app.command("doctor")(doctor_command)
app.add_typer(cli_mos.app, name="mos")
app.command("validate")(validate_command)
app.add_typer(submission_app, name="submission")
app.add_typer(tree_app, name="tree")

Style = Literal["description", "triplet"]
Unavailable = Literal["refused", "skipped", "listed"]
Sandbox = Literal["auto", "required", "off"]
PROVISIONAL, BAD_INPUT, STOPPED = 1, 2, 130


BenchmarkOption = Annotated[
    str | None,
    typer.Option(help="Benchmark folder, or 'mini'. Default: MMDIA_BENCHMARK, else 'mini'."),
]


def _print_version(asked: bool) -> None:
    if asked:
        from mmdia_eval import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log details, with tracebacks, to stderr.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        logging.getLogger("mmdia_eval").setLevel(logging.DEBUG)


@app.command()
def score(
    outputs: Annotated[
        Path | None,
        typer.Argument(help="Folder of the system's outputs. May lack with --dry-run."),
    ] = None,
    task: Annotated[int, typer.Option(help="1: script and style to speech; 2: and keyframes.")] = 1,
    split: Annotated[str, typer.Option(help="hard, test, ood or bench.")] = "test",
    protocol: Annotated[str, typer.Option(help="Name, or path of a .toml file.")] = "embedded",
    benchmark: BenchmarkOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Only this metric; may be repeated. Joins an existing results file."),
    ] = None,
    style: Annotated[Style | None, typer.Option(help="How the system was told the style.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Results file. Default: results/<system>/task<T>.<split>.json."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of artifacts. Default: MMDIA_CACHE or ~/.cache.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. Default: one a processor.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto (every GPU, else the CPU), cpu, cuda, or one, as cuda:0.")
    ] = "auto",
    judge: Annotated[
        str | None,
        typer.Option(help="Who judges: gemini, gemini:MODEL, openai:MODEL or replay:FILE."),
    ] = None,
    judge_url: Annotated[
        str | None, typer.Option(help="Address of the judge's service, if not the usual one.")
    ] = None,
    max_judge_cost: Annotated[
        float | None, typer.Option(min=0, help="Stop asking the judge at this many US dollars.")
    ] = None,
    skip_unavailable: Annotated[
        bool,
        typer.Option(
            "--skip-unavailable",
            help="Leave out metrics whose model, package or command is missing.",
        ),
    ] = False,
    sandbox: Annotated[
        Sandbox,
        typer.Option(
            envvar="MMDIA_SANDBOX",
            help="Open each output in a process that sees nothing else: where that works, or else "
            "refuse to score, or never.",
        ),
    ] = "auto",
    models: Annotated[
        Path | None, typer.Option(help="Folder of model files. Default: MMDIA_MODELS.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never look for models outside this machine.")
    ] = False,
    allow_unverified_models: Annotated[
        bool,
        typer.Option(
            "--allow-unverified-models",
            help="Take model files with another sha256 than the listed; marks the results.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show stages, cache hits, an estimate and what is missing; run nothing.",
        ),
    ] = False,
) -> None:
    """Score a folder of outputs and write a results file.

    Running the same command again goes on where it was stopped. Exit codes: 0 complete,
    1 provisional (some dialogues, or controls of a judge, failed on our side), 2 bad usage or
    input.
    """
    from mmdia_eval import listing, progress, report, scoring
    from mmdia_eval.choices import Choices
    from mmdia_eval.run import survey
    from mmdia_eval.store import Store, default_root
    from mmdia_eval.workers import default_jobs

    _set_switches(models, offline, allow_unverified_models)
    unavailable: Unavailable = "skipped" if skip_unavailable else "refused"
    choices = Choices(
        device, judge, judge_url, max_judge_cost, "listed" if dry_run else unavailable, sandbox
    )
    if outputs is None and not dry_run:
        raise UserError("name the folder of the system's outputs; only --dry-run does without")
    path = out or (_results_path(outputs, task, split, style) if outputs else None)
    request = scoring.prepare(
        outputs, task, split, protocol, benchmark, metric or (), style, path, choices
    )
    store, workers = Store(cache or default_root()), jobs or default_jobs()
    if dry_run:
        _announce(request)
        works = survey(request.plan, store, workers)
        listing.print_survey(works, workers, request.plan.not_run)
        return
    _announce(request)
    try:
        results, rows = scoring.execute(request, store, workers, progress.for_terminal(), path)
    except KeyboardInterrupt:
        typer.echo("stopped; what was done is kept: give the same command to go on", err=True)
        raise typer.Exit(STOPPED) from None
    typer.echo(f"written to {path}\n")
    report.print_results(results, rows)
    if results.status == "provisional" or any(
        judge.controls_lack for judge in results.provenance.judges
    ):
        again = shlex.join(["mmdia-eval", *sys.argv[1:]])
        typer.echo(f"\nto go on with what failed: {again}")
        raise typer.Exit(PROVISIONAL)


def _set_switches(models: Path | None, offline: bool, allow_unverified_models: bool) -> None:
    """Options about models, for this process and for the workers that inherit its environment."""
    if models is not None:
        os.environ["MMDIA_MODELS"] = str(models.absolute())
    if offline:
        os.environ["MMDIA_OFFLINE"] = "1"
    if allow_unverified_models:
        os.environ["MMDIA_ALLOW_UNVERIFIED_MODELS"] = "1"


def _results_path(outputs: Path, task: int, split: str, style: Style | None) -> Path:
    from mmdia_eval.submission import read_system

    system = re.sub(r"[^A-Za-z0-9._-]+", "-", read_system(outputs).name).strip("-.")
    condition = f".{style}" if style else ""
    return Path("results", system or "system", f"task{task}.{split}{condition}.json")


def _announce(request: Request) -> None:
    given = sum(1 for sample in request.plan.samples if sample.output)
    typer.echo(
        f"{request.submission.system.name}: {given} of {len(request.plan.samples)} outputs, "
        f"split {request.split} of benchmark {request.benchmark.name}, "
        f"protocol {request.protocol.name}",
        err=True,
    )


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A results file.")],
    b: Annotated[Path, typer.Argument(help="Another, on the same split and protocol.")],
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Also write the comparison here.")
    ] = None,
) -> None:
    """Compare two systems, paired by dialogue: differences, intervals and p-values."""
    from mmdia_eval import compare as comparing

    comparison = comparing.compare(a, b)
    comparing.print_comparison(comparison)
    if json_out:
        comparing.write_comparison(json_out, comparison)


@app.command()
def report(result: Annotated[Path, typer.Argument(help="A results file.")]) -> None:
    """Print a results file as a table."""
    from mmdia_eval import report as reporting
    from mmdia_eval.results_files import read_results, read_rows

    reporting.print_results(read_results(result), read_rows(result))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for outputs, results and the page.")] = Path(
        "demo"
    ),
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
) -> None:
    """Score the example systems on the mini benchmark and build the leaderboard page."""
    from mmdia_eval.demo import run_demo

    try:
        run_demo(out, jobs)
    except KeyboardInterrupt:
        typer.echo("stopped; what was done is kept: give the same command to go on", err=True)
        raise typer.Exit(STOPPED) from None


@metrics_app.command("list")
def list_metrics(
    protocol: Annotated[str, typer.Option(help="Name, or path of a .toml file.")] = "embedded",
) -> None:
    """The metrics of a protocol."""
    from mmdia_eval.listing import print_metrics
    from mmdia_eval.protocol import load_protocol

    print_metrics(load_protocol(protocol))


@metrics_app.command("explain")
def explain_metric(
    name: Annotated[
        str, typer.Argument(help="A registered metric, or with --protocol one of its columns.")
    ],
    protocol: Annotated[
        str | None, typer.Option(help="Name, or path of a .toml file: its column of that name.")
    ] = None,
) -> None:
    """What a metric measures, its unit, direction and inputs."""
    from mmdia_eval.explain import print_column
    from mmdia_eval.listing import print_metric
    from mmdia_eval.protocol import load_protocol

    if protocol is None:
        print_metric(name)
    else:
        print_column(name, load_protocol(protocol))


@benchmark_app.command("import")
def import_command(
    source: Annotated[Path, typer.Argument(help="The authors' file or folder.")],
    out: Annotated[Path, typer.Option(help="Benchmark folder to make.")],
    ids: Annotated[
        Path | None, typer.Option(help="train_eval_test_hard_ids.json: which dialogue is where.")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(help="Folder below which the recordings lie. Optional.")
    ] = None,
    tasks: Annotated[
        Path | None,
        typer.Option(help='JSON of the ids that Tasks 2 and 3 take: {"2": [...], "3": [...]}.'),
    ] = None,
    keyframes: Annotated[
        Path | None,
        typer.Option(help="JSONL of stills: dialog_id, path, time, speaker. For Task 2."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of all dialogues when no --ids is given.")] = (
        "test"
    ),
    name: Annotated[str, typer.Option(help="The benchmark's name.")] = "mm-dia",
) -> None:
    """Make a benchmark folder from the authors' release."""
    from mmdia_eval.importers import import_benchmark

    found = import_benchmark(
        source,
        out,
        ids=ids,
        audio_root=audio,
        tasks=tasks,
        keyframes=keyframes,
        split=split,
        name=name,
    )
    typer.echo("\n".join(found.lines()))


@benchmark_app.command("check")
def check_command(
    directory: Annotated[Path, typer.Argument(help="A benchmark folder.")],
) -> None:
    """Report ids listed, found and duplicated, and media missing or unreadable, per split."""
    from mmdia_eval.benchmark_check import check_benchmark

    found = check_benchmark(directory)
    typer.echo("\n".join(found.lines()))
    if not found.sound:
        raise typer.Exit(PROVISIONAL)


@benchmark_app.command("seal")
def seal_command(
    directory: Annotated[Path, typer.Argument(help="A benchmark folder.")],
) -> None:
    """Accept the split files as they are: write their sha256 into benchmark.json."""
    from mmdia_eval.benchmark import seal_benchmark

    seal_benchmark(directory)
    typer.echo(f"sealed {directory}")


@leaderboard_app.command("build")
def build_command(
    results: Annotated[list[Path], typer.Argument(help="Results files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("site"),
    published: Annotated[
        Path | None, typer.Option(help="Folder of published tables, shown apart.")
    ] = None,
    entries: Annotated[
        Path | None,
        typer.Option(help="Maintainers' folder of <id>.json: verified, disputed, withdrawn."),
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="Also keep this build, for good, under releases/NAME.")
    ] = None,
) -> None:
    """Build the static pages from results files."""
    from mmdia_eval.leaderboard.build import build_leaderboard

    typer.echo(
        build_leaderboard(results, out, published=published, entries=entries, release=release)
    )


def main() -> None:
    """Entry point: errors meant for the user are printed without a traceback."""
    try:
        app()
    except UserError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        sys.exit(BAD_INPUT)
