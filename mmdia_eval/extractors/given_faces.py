"""Face tracks that the user hands in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import FaceTracks
from mmdia_eval.extractors.pictures import seen_frames
from mmdia_eval.face_tracks_file import SUFFIX, read_face_tracks
from mmdia_eval.registry import extractor
from mmdia_eval.store import file_sha256


class GivenFacesSettings(api.Settings):
    """`folder` holds `<dialogue id>.tracks.json`; it may be the folder of the outputs themselves.

    A relative folder is looked for in the working directory. The files belong to one system's
    outputs, so each system needs its own.
    """

    folder: str


@extractor("given_faces")
class GivenFaces(Extractor[FaceTracks]):
    """Tracks from the user's files, with persons' names, in the format of docs/face-tracks.md.

    A dialogue without a file is an error, not a video without faces: that is a file without tracks.
    """

    version = "1"
    makes = FaceTracks
    reads = ("id",)
    reads_frames = True
    cost = 0.001
    Settings: ClassVar[type[api.Settings]] = GivenFacesSettings

    @property
    def folder(self) -> Path:
        return Path(self.settings.folder).expanduser()

    def problems(self) -> list[str]:
        if any(self.folder.glob(f"*{SUFFIX}")):
            return []
        return [
            f"extractor {self.name!r}: no {SUFFIX} file in {self.folder.absolute()}: "
            "set `folder` in the protocol to where they are"
        ]

    def identity(self) -> Mapping[str, Any]:
        """The files' names and contents: changed tracks are read again."""
        files = sorted(self.folder.glob(f"*{SUFFIX}"))
        lines = [f"{file.name} {file_sha256(file)}\n" for file in files]
        return {"tracks": hashlib.sha256("".join(lines).encode()).hexdigest()}

    def load(self) -> None:
        """Nothing: there is no model."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[FaceTracks]:
        return [self._read(item) for item in batch]

    def _read(self, item: Inputs) -> FaceTracks:
        frames = seen_frames(item)
        path = self.folder / f"{item.dialogue.id}{SUFFIX}"
        size = (frames.shape[0], frames.shape[1], frames.shape[2])
        return read_face_tracks(path, item.dialogue.id, size)
