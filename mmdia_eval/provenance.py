"""Where a result came from: versions, machine, command, engines."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from mmdia_eval import __version__
from mmdia_eval.plan import Stage
from mmdia_eval.results import ExtractorRecord, JudgeRecord, Provenance, WeightsRecord
from mmdia_eval.types import SandboxMode


def provenance(
    *,
    command: list[str],
    submission_sha256: str,
    extractors: list[ExtractorRecord],
    judges: list[JudgeRecord],
    accelerators: Sequence[Mapping[str, Any]],
    sandbox: SandboxMode,
) -> Provenance:
    """Everything about this run but its outcome. Nothing of the environment is recorded.

    `accelerators` describe the devices that stages for accelerators ran on in this very run, and
    `sandbox` is how it opened what was not cached.
    """
    commit, dirty = _git_state(Path(__file__).resolve().parent)
    return Provenance(
        mmdia_eval_version=__version__,
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        packages=_packages(),
        hardware={
            "machine": platform.machine(),
            "system": platform.system(),
            "cpus": os.cpu_count(),
            **({"accelerators": [dict(one) for one in accelerators]} if accelerators else {}),
        },
        command=command,
        created=datetime.now(UTC).replace(microsecond=0),
        submission_sha256=submission_sha256,
        extractors=extractors,
        judges=judges,
        sandbox=sandbox,
    )


def extractor_records(stages: Sequence[Stage]) -> list[ExtractorRecord]:
    """The engines of a plan, with all that determines their artifacts."""
    return [
        ExtractorRecord(
            role=stage.role,
            name=stage.extractor.name,
            version=stage.extractor.version,
            settings=stage.extractor.settings.model_dump(mode="json"),
            weights=[
                WeightsRecord(name=weights.name, sha256=weights.sha256, verified=weights.verified)
                for weights in stage.extractor.weights()
            ],
            identity={
                name: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
                for name, value in stage.extractor.identity().items()
            },
        )
        for stage in stages
    ]


def _packages() -> dict[str, str]:
    """Installed versions of the packages that mmdia-eval names as its needs."""
    try:
        lines = requires("mmdia-eval") or []
    except PackageNotFoundError:
        return {}
    found = {}
    for line in lines:
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Commit and whether there are changes, when the package runs from its own checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != folder.parent:
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        return None, None
