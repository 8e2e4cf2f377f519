"""The recordings of an entry that may be heard on its page: `audit/` beside its results."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmdia_eval import reencode, sandbox
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.leaderboard.svg import waveform
from mmdia_eval.manifest import ID_PATTERN

FOLDER = "audit"
KINDS: Mapping[str, str] = {".flac": "audio", ".mp4": "video"}
MAX_CLIP_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True)
class Clip:
    """A recording on the page: `href` from the entry's page, its waveform, or what is wrong."""

    kind: str
    href: str | None
    wave: str | None
    seconds: float
    problem: str | None


def find_clips(results_path: Path, dialogues: Collection[str]) -> dict[str, Path]:
    """The audit clips of these dialogues: regular .flac and .mp4 files, links left out."""
    folder = results_path.parent / FOLDER
    if not folder.is_dir() or folder.is_symlink():
        return {}
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix in KINDS
        and path.stem in dialogues
        and re.fullmatch(ID_PATTERN, path.stem)
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size <= MAX_CLIP_BYTES
    }


def place_clip(source: Path, folder: Path, base: str) -> Clip:
    """Decode a clip and write it anew into `folder`; `base` is the folder's address from the page.

    Only samples and pictures come with it. A clip that cannot be decoded is not placed.
    """
    mode = sandbox.usual()
    kind = KINDS[source.suffix]
    info, audio = sandbox.decode(source, mode)
    problem = info.problem
    target = folder / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == "audio" and problem is None:
        problem = sandbox.write_listening_copy(source, target, mode)
    elif problem is None:
        try:
            write_atomic(target, sandbox.reencode_video(source, mode, reencode.WATCHED_VIDEO))
        except UserError as error:
            problem = str(error).removeprefix(f"{source}: ")
    if audio is None or problem:
        return Clip(kind, None, None, 0.0, problem)
    return Clip(kind, f"{base}/{source.name}", waveform(audio.samples), audio.duration, None)
