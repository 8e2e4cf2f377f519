"""The manifest against splits, results and rows, and the audit clips against the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath

from mmdia_eval import sandbox
from mmdia_eval.manifest import OUTPUT_PREFIX
from mmdia_eval.protocol import load_protocol, protocol_names
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.submission import EXTENSIONS
from mmdia_eval.validation.context import Context
from mmdia_eval.validation.entry import Entry, Run
from mmdia_eval.validation.findings import Finding, found
from mmdia_eval.validation.format import AUDIT, MANIFEST, SUBMISSION, ManifestLine, audit_file


def check_manifest(entry: Entry, context: Context) -> Iterator[Finding]:
    """Each dialogue once, of the splits, in a file of its own name and with a sound of its own."""
    if entry.manifest is None:
        return
    submission = entry.submission
    if submission is not None:
        sha256 = file_sha256(entry.folder / MANIFEST)
        if submission.media.sha256 != sha256:
            yield found(
                "media-hash",
                f"media.sha256 is {submission.media.sha256[:12]}…, of the file {sha256[:12]}…",
                SUBMISSION,
                entry.line("media", "sha256"),
            )
    known = context.all_dialogues(entry)
    seen: dict[str, str] = {}
    sounds: dict[str, str] = {}
    for number, line in entry.manifest:
        if known is not None and line.dialogue not in known:
            yield found("manifest-unknown", line.dialogue, MANIFEST, number)
        for what in (f"dialogue {line.dialogue}", f"file {line.path}"):
            if (key := what.casefold()) in seen:
                yield found("manifest-twice", what, MANIFEST, number)
            seen[key] = line.dialogue
        if not _named_after(line, entry):
            yield found("manifest-path", f"{line.path} of {line.dialogue}", MANIFEST, number)
        sound = line.pcm_sha256 or line.sha256
        if sound in sounds and sounds[sound] != line.dialogue:
            yield found("clip-duplicate", f"{line.dialogue} and {sounds[sound]}", MANIFEST, number)
        sounds[sound] = line.dialogue


def _named_after(line: ManifestLine, entry: Entry) -> bool:
    path = PurePath(line.path)
    extensions = EXTENSIONS[entry.runs[0].results.task] if entry.runs else (path.suffix,)
    named = path.stem in (line.dialogue, OUTPUT_PREFIX + line.dialogue)
    return named and path.suffix.lower() in extensions


def check_scored_files(entry: Entry, context: Context) -> Iterator[Finding]:
    """The manifest's files are those that the results are of, and the rows agree."""
    if entry.manifest is None:
        return
    lines = {line.dialogue: line for _, line in entry.manifest}
    for run in entry.runs:
        of_run = _dialogues_of(run)
        scored = run.results.provenance.submission_sha256
        # Task 3 also hashes the benchmark's driving recordings, which need not be here.
        if run.results.task != 3 and of_run:
            listed = {id_: lines[id_].sha256 for id_ in of_run if id_ in lines}
            if digest(listed) != scored:
                yield found(
                    "manifest-results", f"{run.file} is of other files than these", MANIFEST
                )
        for one in run.rows or ():
            line = lines.get(one.row.dialogue)
            usable = line is not None and line.problem is None
            absent = one.row.status == "missing" and one.row.reason == "no output file"
            if (one.row.status == "scored" and not usable) or (absent and line is not None):
                what = "is scored without a usable file" if not usable else "has a file"
                yield found(
                    "manifest-rows",
                    f"{one.row.dialogue} {what}, under {one.row.metric}",
                    run.rows_file,
                    one.line,
                )


def _dialogues_of(run: Run) -> set[str]:
    return {one.row.dialogue for one in run.rows or ()}


def check_audit(entry: Entry, context: Context) -> Iterator[Finding]:
    """audit/ has the clips that the protocol asks for, and they are the manifest's."""
    if entry.manifest is None or not entry.runs:
        return
    lines = {line.dialogue: (number, line) for number, line in entry.manifest}
    wanted = asked_for(entry, context)
    here = {name for name in entry.files if name.startswith(f"{AUDIT}/")}
    if wanted is not None:
        for name in sorted(here - set(wanted)):
            yield found("audit-extra", PurePath(name).name, name)
    for name, id_ in (wanted or {}).items():
        if id_ in lines and lines[id_][1].problem is None and name not in here:
            yield found("audit-missing", f"{name} is not there", None)
    for name in sorted(here):
        id_ = PurePath(name).stem
        if id_ in lines:
            yield from _clip(entry, name, *lines[id_])
        else:
            yield found("audit-hash", f"{MANIFEST} has no dialogue {id_}", name)


def asked_for(entry: Entry, context: Context) -> Mapping[str, str] | None:
    """The audit clips that the protocol asks for, by their place; None where it is not known."""
    names: dict[str, str] = {}
    for run in entry.runs:
        dialogues = context.dialogues(run)
        if dialogues is None or run.results.protocol.name not in protocol_names():
            return None
        for id_ in load_protocol(run.results.protocol.name).audit_ids(dialogues):
            names[audit_file(id_, run.results.task)] = id_
    return names


def is_flac(path: Path) -> bool:
    """Whether a clip begins as FLAC does: what does not must meet no other decoder."""
    with path.open("rb") as file:
        return file.read(4) == b"fLaC"


def _clip(entry: Entry, name: str, number: int, line: ManifestLine) -> Iterator[Finding]:
    path = entry.folder / name
    sha256 = file_sha256(path)
    if line.audit_sha256 != sha256:
        yield found(
            "audit-hash",
            f"its sha256 is {sha256[:12]}…, {MANIFEST}:{number} says "
            f"{line.audit_sha256[:12] if line.audit_sha256 else 'none'}…",
            name,
        )
    if path.suffix != ".flac":
        return
    if not is_flac(path):
        yield found("audit-unreadable", "not a FLAC file", name)
        return
    info, pcm_sha256 = sandbox.read_details(path, sandbox.usual())
    if info.problem is not None:
        yield found("audit-unreadable", info.problem, name)
    elif pcm_sha256 != line.pcm_sha256:
        yield found("audit-hash", f"its sound is not that of {MANIFEST}:{number}", name)
