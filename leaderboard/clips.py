"""The recordings of an entry that may be heard on its page: `audit/` beside its results."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import NonNegativeFloat, ValidationError

from mmdia_eval import reencode, sandbox
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.leaderboard.svg import waveform
from mmdia_eval.manifest import ID_PATTERN
from mmdia_eval.results import Record, Sha256
from mmdia_eval.store import default_root, digest, file_sha256

FOLDER = "audit"
KINDS: Mapping[str, str] = {".flac": "audio", ".mp4": "video"}
MAX_CLIP_BYTES = 50 * 1024 * 1024
FORMAT = 1
"""Of what is kept; another one makes every clip anew."""


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

    Only samples and pictures come with it. A clip that cannot be decoded is not placed. What was
    made of a file is kept in the user's cache, so that the next build only copies it.
    """
    encoders = [version("av"), version("soundfile"), asdict(reencode.WATCHED_VIDEO)]
    key = digest([FORMAT, file_sha256(source), source.suffix, encoders])
    kept = default_root() / "clips" / key[:2] / f"{key}{source.suffix}"
    said = kept.with_suffix(".json")
    found = _read(kept, said)
    if found is None:
        made = _remake(source, kept)
        if isinstance(made, str):
            return Clip(KINDS[source.suffix], None, None, 0.0, made)
        found = made
        write_atomic(said, found.model_dump_json().encode())
    write_atomic(folder / source.name, kept.read_bytes())
    return Clip(KINDS[source.suffix], f"{base}/{source.name}", found.wave, found.seconds, None)


class _Kept(Record):
    """What the cache says of a clip."""

    sha256: Sha256
    wave: str
    seconds: NonNegativeFloat


def _read(kept: Path, said: Path) -> _Kept | None:
    """What was kept of a clip; None where there is nothing, or something else than was written."""
    try:
        found = _Kept.model_validate_json(said.read_bytes())
        return found if file_sha256(kept) == found.sha256 else None
    except (OSError, ValidationError):
        return None


def _remake(source: Path, out: Path) -> _Kept | str:
    """Write the clip anew to `out`, or say what is wrong with it."""
    mode = sandbox.usual()
    info, audio = sandbox.decode(source, mode)
    if info.problem is not None or audio is None:
        return info.problem or "no sound"
    out.parent.mkdir(parents=True, exist_ok=True)
    if KINDS[source.suffix] == "audio":
        if problem := sandbox.write_listening_copy(source, out, mode):
            return problem
    else:
        try:
            write_atomic(out, sandbox.reencode_video(source, mode, reencode.WATCHED_VIDEO))
        except UserError as error:
            return str(error).removeprefix(f"{source}: ")
    return _Kept(sha256=file_sha256(out), wave=waveform(audio.samples), seconds=audio.duration)
