"""What is here: accelerators, packages, models, keys, tools, disk; and what each protocol lacks."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mmdia_eval import model_listing, models
from mmdia_eval.choices import Choices
from mmdia_eval.errors import ProblemsError
from mmdia_eval.models import State
from mmdia_eval.plan import make_plan
from mmdia_eval.protocol import Protocol, load_protocol, protocol_names
from mmdia_eval.report import plain_console, plain_table
from mmdia_eval.store import default_root
from mmdia_eval.types import Task

KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", models.TOKEN_VARIABLE)
TORCH_LIMIT, TOOL_LIMIT = 60.0, 20.0
"""Seconds for importing torch, and for a tool's answer; `conda run` takes several."""

# torch is asked in a process of its own: a build that cannot be loaded must not end the report.
_ASK_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
print(json.dumps({
    "version": torch.__version__,
    "cuda": torch.version.cuda,
    "gpus": [
        {
            "name": torch.cuda.get_device_properties(i).name,
            "memory": torch.cuda.get_device_properties(i).total_memory,
            "free": torch.cuda.mem_get_info(i)[0],
        }
        for i in range(torch.cuda.device_count() if cuda else 0)
    ],
}))
"""


@dataclass(frozen=True)
class Fact:
    """One line of the report. `good` is False for what stands in the way of something."""

    topic: str
    name: str
    good: bool
    finding: str


@dataclass(frozen=True)
class Readiness:
    """What a protocol can do here for a task: metrics that can run, and why the others cannot."""

    protocol: str
    task: Task
    ready: tuple[str, ...]
    lacking: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Report:
    """All findings."""

    facts: tuple[Fact, ...]
    protocols: tuple[Readiness, ...]


def examine() -> Report:
    """Look at everything; slow questions are asked at once."""
    asked: Sequence[Callable[[], list[Fact]]] = (_torch, _extras, _models, _keys, _tools, _disk)
    with ThreadPoolExecutor(len(asked)) as threads:
        answers = [threads.submit(question) for question in asked]
        protocols = tuple(
            readiness(name, task) for name in protocol_names() for task in load_protocol(name).tasks
        )
        facts = tuple(fact for answer in answers for fact in answer.result())
    return Report(facts, protocols)


def readiness(name: str, task: Task) -> Readiness:
    """Which of a protocol's metrics a plan can be made for, and the problems of the others."""
    protocol = load_protocol(name)
    ready: list[str] = []
    lacking: dict[str, list[str]] = {}
    for entry in protocol.metrics:
        if task not in (entry.tasks or protocol.tasks):
            continue
        lacks = _lacks(protocol, task, entry.name)
        for why in lacks:
            lacking.setdefault(why, []).append(entry.name)
        if not lacks:
            ready.append(entry.name)
    return Readiness(name, task, tuple(ready), {why: tuple(m) for why, m in lacking.items()})


def _lacks(protocol: Protocol, task: Task, metric: str) -> Sequence[str]:
    """What a metric lacks here, or what is wrong with its entry."""
    try:
        plan = make_plan(protocol, task, (), (), [metric], Choices(unavailable="listed"))
    except ProblemsError as error:
        return error.problems
    return [why for left in plan.not_run for why in left.lacks]


def as_json(report: Report) -> str:
    """The report as JSON."""
    return json.dumps(asdict(report), indent=2)


def print_report(report: Report) -> None:
    """What is here, what each protocol can run, and what the other metrics lack, once each."""
    console = plain_console()
    table = plain_table()
    for title in ("", "what", "found"):
        table.add_column(title, overflow="fold")
    topic = ""
    for fact in report.facts:
        shown = "" if fact.topic == topic else fact.topic
        table.add_row(shown, fact.name, Text(fact.finding, "" if fact.good else "yellow"))
        topic = fact.topic
    console.print(table)
    console.print()
    console.print(_can_run(report.protocols))
    console.print()
    for why, wanting in _wanting(report.protocols).items():
        console.print(Text(why, "yellow"), soft_wrap=True)
        for protocol, metrics in wanting.items():
            console.print(Padding(Text(f"{protocol}: {', '.join(metrics)}"), (0, 0, 0, 4)))


def _can_run(protocols: Sequence[Readiness]) -> Table:
    table = plain_table()
    for title in ("protocol", "task", "metrics that can run"):
        table.add_column(title)
    for found in protocols:
        count = len(found.ready) + len({m for names in found.lacking.values() for m in names})
        table.add_row(found.protocol, str(found.task), f"{len(found.ready)} of {count}")
    return table


def _wanting(protocols: Sequence[Readiness]) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """What is lacking, each with the protocols and their metrics that lack it."""
    wanting: dict[str, dict[str, list[str]]] = {}
    for found in protocols:
        for why, names in found.lacking.items():
            of_protocol = wanting.setdefault(why, {}).setdefault(found.protocol, [])
            of_protocol += [name for name in names if name not in of_protocol]
    return wanting


def _torch() -> list[Fact]:
    if find_spec("torch") is None:
        return [Fact("compute", "torch", False, "not installed: pip install 'mmdia-eval[speech]'")]
    code, answer = _run([sys.executable, "-c", _ASK_TORCH], TORCH_LIMIT)
    if code != 0:
        return [Fact("compute", "torch", False, f"cannot be loaded: {_last_line(answer)}")]
    found: dict[str, Any] = json.loads(_last_line(answer))
    build = f"CUDA {found['cuda']}" if found["cuda"] else "CPU build"
    facts = [Fact("compute", "torch", True, f"{found['version']}, {build}")]
    for gpu in found["gpus"]:
        memory = f"{gpu['memory'] / 2**30:.0f} GiB, {gpu['free'] / 2**30:.0f} GiB free"
        facts.append(Fact("compute", "GPU", True, f"{gpu['name']}, {memory}"))
    if not found["gpus"]:
        unseen = shutil.which("nvidia-smi") is not None
        said = "nvidia-smi is here, but torch sees none" if unseen else "none"
        facts.append(Fact("compute", "GPU", not unseen, f"{said}: everything runs on the CPU"))
    return facts


def _tools() -> list[Fact]:
    ffmpeg = shutil.which("ffmpeg")
    return [_mfa(), Fact("tools", "ffmpeg", ffmpeg is not None, ffmpeg or "not found")]


def _mfa() -> Fact:
    named = os.environ.get("MMDIA_MFA")
    command = shlex.split(named) if named else ["mfa"]
    if shutil.which(command[0]) is None:
        why = f"MMDIA_MFA names {command[0]!r}, which is not there" if named else "none"
        hint = "conda create -n mfa -c conda-forge montreal-forced-aligner, then MMDIA_MFA"
        return Fact("tools", "MFA", False, f"{why}: {hint}='conda run -n mfa mfa'")
    code, answer = _run([*command, "version"], TOOL_LIMIT)
    if code != 0:
        return Fact("tools", "MFA", False, f"{shlex.join(command)} fails: {_last_line(answer)}")
    return Fact("tools", "MFA", True, f"{_last_line(answer)} ({shlex.join(command)})")


def _extras() -> list[Fact]:
    needs: dict[str, list[str]] = {}
    for line in _requirements():
        marker = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        package = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        if marker and package != "mmdia-eval":
            needs.setdefault(marker[1], []).append(package)
    facts = []
    for extra, packages in needs.items():
        missing = [package for package in packages if not _installed(package)]
        how = f"missing: {', '.join(missing)}: pip install 'mmdia-eval[{extra}]'"
        said = how if missing else f"all {len(packages)} packages"
        facts.append(Fact("extras", extra, not missing, said))
    return facts or [Fact("extras", "all", False, "mmdia-eval itself is not installed: use pip")]


def _requirements() -> list[str]:
    try:
        return importlib.metadata.requires("mmdia-eval") or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _models() -> list[Fact]:
    facts = []
    for id_ in models.manifest():
        found = models.check(id_)
        good = found.state in (State.VERIFIED, State.PINNED)
        facts.append(Fact("models", id_, good, model_listing.state(found)))
    return facts


def _keys() -> list[Fact]:
    """Whether each is set; never what it is."""
    there = {name: bool(os.environ.get(name)) for name in KEYS}
    return [Fact("keys", name, is_, "set" if is_ else "not set") for name, is_ in there.items()]


def _disk() -> list[Fact]:
    folders = {"cache": default_root(), "models": models.root()}
    return [
        Fact("disk", name, True, f"{folder}: {_free(folder)} free")
        for name, folder in folders.items()
    ]


def _free(folder: Path) -> str:
    """Free space where the folder lies, or would be made."""
    here = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    return model_listing.size(shutil.disk_usage(here).free)


def _run(command: Sequence[str], limit: float) -> tuple[int, str]:
    """Exit code and output; a program that cannot start or takes too long is a failure."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {limit:.0f} s"
    except OSError as error:
        return 1, str(error)
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr or done.stdout


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no output"
