"""What a submission would change on the board: it may add, never silently move or remove."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from mmdia_eval.results import Results
from mmdia_eval.strict_json import json_lines
from mmdia_eval.validation.base import Base
from mmdia_eval.validation.context import Context, close
from mmdia_eval.validation.entry import Entry
from mmdia_eval.validation.findings import Finding, found
from mmdia_eval.validation.format import MANIFEST, RESULTS_NAME, SUBMISSION


def check_other_entries(entry: Entry, context: Context) -> Iterator[Finding]:
    """No file of an entry that is not being checked differs from the base."""
    base = context.base
    if base is None:
        return
    for other in sorted(base.entries - context.checked):
        for name in base.changed(other, entry.folder.parent):
            yield found(
                "base-other-entry", f"{other}/{name} is changed or gone", f"../{other}/{name}"
            )


def check_old_values(entry: Entry, context: Context) -> Iterator[Finding]:
    """An entry that is there already keeps its splits, its metrics and their values."""
    base = context.base
    if base is None:
        return
    old = entry.submission.supersedes if entry.submission else None
    if old is not None and old not in base.entries - {entry.id}:
        what = f"{base.name} has no entry {old}"
        yield found("supersedes-unknown", what, SUBMISSION, entry.line("supersedes"))
    for name in base.of(entry.id):
        match = RESULTS_NAME.fullmatch(name)
        if match and match[2] == ".json":
            yield from _against(entry, name, base.read(f"{entry.id}/{name}"))


def _against(entry: Entry, name: str, data: bytes) -> Iterator[Finding]:
    try:
        old = Results.model_validate_json(data)
    except ValidationError:
        return  # of another schema: the base's own checks have to say so
    run = next((run for run in entry.runs if run.file == name), None)
    if run is None:
        yield found("base-removed", f"{name} of the base is gone or unreadable", name)
        return
    new = {metric.name: metric for metric in run.results.metrics}
    for metric in old.metrics:
        now = new.get(metric.name)
        if now is None:
            yield found("base-removed", f"{metric.name} of the base is gone", name)
        elif now.version == metric.version and not close(now.value, metric.value):
            yield found(
                "base-value-moved",
                f"{metric.name} was {metric.value}, and is {now.value}, both by version "
                f"{metric.version}",
                name,
                run.line(metric.name, "value"),
            )


def check_copied_entries(entry: Entry, context: Context) -> Iterator[Finding]:
    """Outputs that another entry has too, unless this one supersedes it."""
    base = context.base
    if base is None or not entry.manifest:
        return
    superseded = entry.submission.supersedes if entry.submission else None
    mine = {line.pcm_sha256 or line.sha256 for _, line in entry.manifest}
    for other in sorted(base.entries - {entry.id, superseded}):
        shared = len(mine & _sounds(base, other))
        if shared:
            yield found("copied-entry", f"{shared} of {len(mine)} outputs are in {other}", MANIFEST)


def _sounds(base: Base, entry: str) -> set[str]:
    """What identifies each output of an entry of the base."""
    name = f"{entry}/{MANIFEST}"
    if name not in base.files:
        return set()
    lines = [json.loads(line) for _, line in json_lines(base.read(name))]
    return {line.get("pcm_sha256") or line["sha256"] for line in lines}
