"""Every file that a run reads, with the sha256 of its content."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mmdia_eval.measure import Target
from mmdia_eval.plan import Plan
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.types import Dialogue
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


def _wanted(plan: Plan) -> Iterator[Source]:
    pictures = plan.task == 3
    for sample in plan.samples:
        if sample.output:
            driving = sample.dialogue.audio if pictures else None
            yield Source("output", sample.dialogue, sample.output, "", driving, pictures)
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
    """One that cannot be opened is left for the media door to name."""
    try:
        return file_sha256(path)
    except OSError:
        return digest(["cannot be opened", str(path)])
