"""Finding the media that the release names, and laying them beside the manifest."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from mmdia_eval.manifest import OUTPUT_PREFIX

MEDIA = "media"
_CLIP = re.compile(r"clip_\d+")


@dataclass(frozen=True)
class MediaFolders:
    """Where media of one kind are looked for.

    `given` is the folder that the user named: the one that holds the batches, or files named after
    the ids. Without it `beside`, the folders at the source; there a file named after an id does
    not count, it may be some system's output.
    """

    extensions: tuple[str, ...]
    given: Path | None
    beside: tuple[Path, ...]

    def find(self, hint: str | None, dialogue_id: str) -> Path | None:
        """The file of a dialogue, at the path that the source gives for it or below a folder.

        The release holds paths of its authors' disks. Their ends are tried below each folder, but
        only while they name the film: `clip_000/clip_000.wav` alone is in every film's folder.
        """
        roots = self.beside if self.given is None else (self.given,)
        candidates = _named(hint, dialogue_id, roots) if hint else iter(())
        if self.given is not None:
            candidates = chain(candidates, self._by_id(dialogue_id, self.given))
        for path in candidates:
            if path.suffix.lower() in self.extensions and path.is_file():
                return path
        return None

    def _by_id(self, dialogue_id: str, root: Path) -> Iterator[Path]:
        for prefix in ("", OUTPUT_PREFIX):
            for extension in self.extensions:
                yield root / f"{prefix}{dialogue_id}{extension}"


def _named(hint: str, dialogue_id: str, roots: Sequence[Path]) -> Iterator[Path]:
    path = PurePosixPath(hint.replace("\\", "/"))
    if path.is_absolute():
        yield Path(path)
    parts = [part for part in path.parts if part != "/"]
    if not parts or ".." in parts:
        return
    for root in roots:
        if not path.is_absolute():
            yield root / path
        for start in range(len(parts)):
            if _names(parts[start:], dialogue_id):
                yield root.joinpath(*parts[start:])


def _names(tail: Sequence[str], dialogue_id: str) -> bool:
    names = [*tail[:-1], PurePosixPath(tail[-1]).stem]
    return any(name.replace(" ", "_") in dialogue_id for name in names if not _CLIP.fullmatch(name))


def place_media(source: Path, root: Path, dialogue_id: str) -> Path:
    """The file under `root/media`, hard-linked where the disk allows it, else copied.

    A link costs no space (the release has 360 hours); both are regular files to every reader.
    """
    target = root / MEDIA / f"{dialogue_id}{source.suffix.lower()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
    return target
