"""The names of artifacts: everything that determines one, in a digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmdia_eval.api import Reads
from mmdia_eval.artifacts import Artifact, MediaInfo, VideoInfo
from mmdia_eval.plan import Stage
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.types import Dialogue


def artifact_key(
    stage: Stage, sha256: str, dialogue: Dialogue, inputs: Mapping[type[Artifact], str]
) -> str:
    """The name of what `stage` makes of the file with that sha256; `inputs` are keys by kind."""
    reads = {name: _READERS[name](dialogue) for name in stage.extractor.reads}
    needs = {kind.kind: key for kind, key in inputs.items() if kind not in (MediaInfo, VideoInfo)}
    return digest([stage.identity, sha256, reads, needs])


def _turn_times(dialogue: Dialogue) -> list[Any]:
    segments = [turn.segment for turn in dialogue.turns]
    return [segment and [segment.start, segment.end] for segment in segments]


def _keyframes(dialogue: Dialogue) -> list[Any]:
    return [[_content(k.path), k.time, k.speaker] for k in dialogue.keyframes]


def _content(path: Path) -> str:
    """The file's sha256; one that cannot be opened is left for the extractor to name."""
    try:
        return file_sha256(path)
    except OSError:
        return digest(["cannot be opened", str(path)])


_READERS: Mapping[Reads, Callable[[Dialogue], Any]] = {
    "id": lambda dialogue: dialogue.id,
    "script": lambda dialogue: [turn.text for turn in dialogue.turns],
    "speakers": lambda dialogue: [turn.speaker for turn in dialogue.turns],
    "speaker_count": lambda dialogue: len(dialogue.speakers),
    "turn_times": _turn_times,
    "style": lambda dialogue: asdict(dialogue.style),
    "keyframes": _keyframes,
    "reference": lambda dialogue: dialogue.audio and _content(dialogue.audio),
    "reference_video": lambda dialogue: dialogue.video and _content(dialogue.video),
}
