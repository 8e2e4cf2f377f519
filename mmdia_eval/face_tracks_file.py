"""`<dialogue>.tracks.json`: face tracks as people hand them in. See docs/face-tracks.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmdia_eval.artifacts import FaceTracks
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.faces import Track, filled, pack_tracks, unpack_tracks
from mmdia_eval.strict_json import parse_json, read_bytes
from mmdia_eval.types import FRAME_RATE

SUFFIX = ".tracks.json"
MAX_BYTES = 64 * 1024 * 1024
MAX_GAP = 25
"""Frames without a box inside one track; a longer absence ends it."""
SHOWN = 5

Box = tuple[float, float, float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Detector(_Strict):
    """What found the faces: its name, and the sha256 of its weights, None for none or by hand."""

    id: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class FileTrack(_Strict):
    """One face: boxes (x1, y1, x2, y2 in pixels) by frame, the first being 0.

    `person` is whose face it is; with a speaker's name of the benchmark it says who speaks.
    """

    person: Annotated[str, Field(min_length=1)]
    frames: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    boxes: list[Annotated[list[float], Field(min_length=4, max_length=4)]]
    scores: list[Annotated[float, Field(ge=0, le=1)]] | None = None

    @model_validator(mode="after")
    def _fits(self) -> FileTrack:
        for name, values in (("boxes", self.boxes), ("scores", self.scores)):
            if values is not None and len(values) != len(self.frames):
                raise ValueError(f"{len(self.frames)} frames, but {len(values)} {name}")
        for before, after in zip(self.frames, self.frames[1:], strict=False):
            if after <= before:
                raise ValueError(f"frame {after} comes after frame {before}: frames must rise")
            if after - before > MAX_GAP:
                raise ValueError(
                    f"no box from frame {before} to {after}: make two tracks of what is more than "
                    f"{MAX_GAP} frames apart"
                )
        for frame, (x1, y1, x2, y2) in zip(self.frames, self.boxes, strict=True):
            if x1 >= x2 or y1 >= y2:
                raise ValueError(f"frame {frame}: the box must have x1 < x2 and y1 < y2")
        return self


class TracksFile(_Strict):
    """The whole file. `shots` are first frame and first after of each; one shot where absent."""

    dialogue: str
    frame_rate: Literal[25]
    detector: Detector
    tracks: list[FileTrack]
    shots: list[Annotated[list[int], Field(min_length=2, max_length=2)]] | None = None


def read_face_tracks(path: Path, dialogue: str, size: tuple[int, int, int]) -> FaceTracks:
    """The tracks of a file for the video of that dialogue; `size` is its frames, height, width.

    Frames of a track without a box get one by a straight line, with score 0.

    Raises:
        UserError: no such file, or one that is not as docs/face-tracks.md says; the message names
            file, line and track.
    """
    data = read_bytes(path, MAX_BYTES)
    try:
        found = TracksFile.model_validate(parse_json(data, str(path)))
    except ValidationError as error:
        lines = _track_lines(data.decode())
        problems = [_problem(path, lines, each) for each in error.errors()]
        more = [f"{path}: and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise ProblemsError([*problems[:SHOWN], *more]) from None
    _check_video(found, path, dialogue, size, _track_lines(data.decode()))
    tracks = [_track(each) for each in found.tracks]
    people = [each.person for each in found.tracks]
    shots = [(a, b) for a, b in found.shots] if found.shots else [(0, size[0])]
    return pack_tracks(tracks, people, shots)


def face_tracks_text(found: FaceTracks, dialogue: str, detector: Detector) -> str:
    """The file's text for tracks that were found here, each track on a line of its own."""
    tracks = [
        FileTrack(
            person=person,
            frames=list(range(track.first, track.last + 1)),
            boxes=[[round(float(x), 2) for x in box] for box in track.boxes],
            scores=[round(float(score), 4) for score in track.scores],
        ).model_dump()
        for person, track in zip(found.identities, unpack_tracks(found), strict=True)
    ]
    head = {"dialogue": dialogue, "frame_rate": FRAME_RATE, "detector": detector.model_dump()}
    shots = [list(shot) for shot in found.shots]
    inner = ",\n".join(json.dumps(track) for track in tracks)
    return f'{json.dumps(head)[:-1]}, "shots": {json.dumps(shots)}, "tracks": [\n{inner}\n]}}\n'


def _track(found: FileTrack) -> Track:
    boxes = np.array(found.boxes, dtype=np.float32)
    scores = np.ones(len(boxes)) if found.scores is None else np.array(found.scores)
    return filled(found.frames, np.column_stack([boxes, scores]).astype(np.float32))


def _check_video(
    found: TracksFile,
    path: Path,
    dialogue: str,
    size: tuple[int, int, int],
    lines: Sequence[int],
) -> None:
    if found.dialogue != dialogue:
        raise UserError(f"{path}: is of dialogue {found.dialogue!r}, expected {dialogue!r}")
    frames, height, width = size
    for number, (track, line) in enumerate(zip(found.tracks, lines, strict=True), start=1):
        where = f"{path}:{line}: track {number} ({track.person!r})"
        if track.frames[-1] >= frames:
            raise UserError(
                f"{where}: frame {track.frames[-1]}, but the video has {frames} at "
                f"{FRAME_RATE} a second, the first being 0"
            )
        for frame, (x1, y1, x2, y2) in zip(track.frames, track.boxes, strict=True):
            outside = x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height
            if outside or x2 - x1 > 2 * width or y2 - y1 > 2 * height:
                raise UserError(
                    f"{where}: the box of frame {frame} does not fit the picture of "
                    f"{width}x{height} pixels"
                )


def _problem(path: Path, lines: Sequence[int], error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    message = error["msg"].removeprefix("Value error, ")
    if len(place) > 1 and place[0] == "tracks":
        number = int(place[1])
        inside = "".join(f", {p}" if not p.isdigit() else f" {int(p) + 1}" for p in place[2:])
        line = f":{lines[number]}" if number < len(lines) else ""
        return f"{path}{line}: track {number + 1}{inside}: {message}"
    return f"{path}: {'.'.join(place) or 'file'}: {message}"


def _track_lines(text: str) -> list[int]:
    """The line on which each item of the list `tracks` begins; the text is valid JSON."""
    decoder = json.JSONDecoder()
    lines: list[int] = []
    at = text.find("[", text.find('"tracks"')) + 1
    while at > 0:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text) or text[at] == "]":
            break
        lines.append(text.count("\n", 0, at) + 1)
        at = decoder.raw_decode(text, at)[1]
    return lines
