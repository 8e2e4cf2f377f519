"""Every file that a run reads, with the sha256 of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mmdia_eval import media, sandbox
from mmdia_eval.measure import Target
from mmdia_eval.plan import Plan
from mmdia_eval.store import digest
from mmdia_eval.types import Dialogue, SandboxMode
from mmdia_eval.workers import Source


def find_sources(plan: Plan) -> dict[Target, Source]:
    """The systems' outputs, then the references that some metric or extractor wants."""
    sources = {(source.side, source.dialogue.id): source for source in _wanted(plan)}
    with ThreadPoolExecutor(4) as threads:
        hashes = threads.map(_content, sources.values())
    found = {
        target: replace(source, sha256=sha256)
        for (target, source), sha256 in zip(sources.items(), hashes, strict=True)
    }
    if _beside_references(plan):
        for (side, id_), source in found.items():
            reference = found.get(("reference", id_))
            if side == "output" and reference is not None:
                found[side, id_] = replace(source, reference=reference.sha256)
    return found


def in_parts(
    sources: Mapping[Target, Source], sizes: Mapping[Target, int], room: int
) -> list[Sequence[Target]]:
    """The files in parts, each of no more than `room` bytes; a dialogue's stay together."""
    of_dialogue: dict[str, list[Target]] = {}
    for target in sources:
        of_dialogue.setdefault(target[1], []).append(target)
    parts: list[list[Target]] = [[]]
    taken = 0
    for targets in of_dialogue.values():
        size = sum(sizes.get(target, 0) for target in targets)
        if parts[-1] and taken + size > room:
            parts.append([])
            taken = 0
        parts[-1] += targets
        taken += size
    return list(parts)


def read_headers(
    files: Mapping[Target, tuple[Path, SandboxMode]], workers: int
) -> dict[Target, sandbox.Header]:
    """What each file claims, each opened as it says beside it, so many at once."""
    with ThreadPoolExecutor(workers) as threads:
        headers = threads.map(lambda file: sandbox.read_header(*file), files.values())
        return dict(zip(files, headers, strict=True))


def _wanted(plan: Plan) -> Iterator[Source]:
    pictures = plan.task == 3
    for sample in plan.samples:
        if sample.output:
            driving = sample.dialogue.audio if pictures else None
            yield Source(
                "output",
                sample.dialogue,
                sample.output,
                "",
                driving,
                pictures,
                sandbox=plan.sandbox,
            )
    for dialogue in _referenced(plan):
        if pictures and dialogue.video:
            yield Source("reference", dialogue, dialogue.video, "", dialogue.audio, pictures)
        elif not pictures and dialogue.audio:
            yield Source("reference", dialogue, dialogue.audio, "")


def _referenced(plan: Plan) -> Iterator[Dialogue]:
    for job in plan.metrics:
        for role in job.reference_inputs.values():
            yield from plan.dialogues_with_reference(role)
    if _beside_references(plan):
        yield from (sample.dialogue for sample in plan.samples if sample.output)


def _beside_references(plan: Plan) -> bool:
    """Whether some extractor looks at the reference's frames beside the output's."""
    return any(stage.extractor.reads_reference_frames for stage in plan.stages)


def _content(source: Source) -> str:
    own = _sha256(source.path)
    return digest([own, _sha256(source.driving)]) if source.driving else own


def _sha256(path: Path) -> str:
    """One that cannot be opened, or is too large to read, is left for the media door to name."""
    try:
        with media.opened(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (media.UnusableError, OSError) as error:
        return digest(["cannot be opened", str(path), str(error)])
