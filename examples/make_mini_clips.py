"""Make the mini benchmark's clips: `python -m mmdia_eval.examples.make_mini_clips`.

Reads mini_clips.toml and the dialogues that make_mini.py made, and adds to the folder mini
beside them: videos and driving recordings in media, scenes in clips.jsonl, dialogues in the split
bench. Run after make_mini.py, which begins with an empty folder.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmdia_eval.benchmark import load_benchmark, write_benchmark
from mmdia_eval.example_clips import (
    CLIPS,
    Clip,
    Shot,
    make_scene,
    segments_of,
    write_mp4,
)
from mmdia_eval.examples.make_mini import HERE, MINI, write_opus
from mmdia_eval.types import FRAME_RATE, Dialogue, Segment

SCRIPTS = HERE / "mini_clips.toml"
MEDIA = MINI / "media"
SPLIT = "bench"
LEAD = 0.2
TAIL = 0.3
"""Seconds of silence before the first turn, and at least after the last."""


def read_scripts(path: Path) -> list[dict[str, Any]]:
    """The clips of a TOML file, in its order."""
    clips: list[dict[str, Any]] = tomllib.loads(path.read_text("utf-8"))["clip"]
    return clips


def to_clip(script: Mapping[str, Any]) -> Clip:
    """The scene of a script: its times in frames."""
    return Clip(
        id=script["id"],
        source=script["source"],
        turns=tuple(script["turns"]),
        cast=script["cast"],
        shots=tuple(
            Shot(round(shot["from"] * FRAME_RATE), shot["framing"], tuple(shot["people"]))
            for shot in script["shots"]
        ),
    )


def excerpt(script: Mapping[str, Any], source: Dialogue) -> Dialogue:
    """The clip's dialogue: the turns of its source, moved to the clip's times."""
    segments = [segments_of(source)[number] for number in script["turns"]]
    origin = segments[0].start - LEAD
    turns = []
    for place, (number, segment) in enumerate(zip(script["turns"], segments, strict=True)):
        begin = segment.start - origin
        if place and "overlap" in script:
            begin = segments[0].end - origin - script["overlap"]
        moved = Segment(round(begin, 2), round(begin + segment.duration, 2))
        turns.append(replace(source.turns[number], segment=moved))
    last = max(turn.segment.end for turn in turns if turn.segment is not None)
    return Dialogue(
        id=script["id"],
        turns=tuple(turns),
        style=source.style,
        audio=MEDIA / f"{script['id']}.opus",
        video=MEDIA / f"{script['id']}.mp4",
        duration=math.ceil(round((last + TAIL) * FRAME_RATE, 6)) / FRAME_RATE,
        tasks=(3,),
    )


def render(clip: Clip, dialogue: Dialogue, source: Dialogue) -> None:
    """Write the video and the driving recording of a clip."""
    scene = make_scene(clip, dialogue, source)
    write_opus(MEDIA / f"{clip.id}.opus", scene.sound)
    write_mp4(MEDIA / f"{clip.id}.mp4", scene.film(scene.openings), scene.sound)


def main() -> None:
    """Make the clips anew."""
    mini = load_benchmark(MINI)
    sources = {one.id: one for split in mini.splits.values() for one in split}
    scripts = read_scripts(SCRIPTS)
    clips = [to_clip(script) for script in scripts]
    dialogues = [excerpt(script, sources[script["source"]]) for script in scripts]
    for clip, dialogue in zip(clips, dialogues, strict=True):
        render(clip, dialogue, sources[clip.source])
    lines = [json.dumps(asdict(clip), ensure_ascii=False) + "\n" for clip in clips]
    (MINI / CLIPS).write_text("".join(lines), "utf-8")
    made = {dialogue.id for dialogue in dialogues}
    splits: dict[str, Sequence[Dialogue]] = dict(mini.splits)
    others = [one for one in mini.splits[SPLIT] if one.id not in made]
    splits[SPLIT] = [replace(one, tasks=(1, 2)) for one in others] + dialogues
    write_benchmark(MINI, name=mini.name, version=mini.version, license=mini.license, splits=splits)


if __name__ == "__main__":
    main()
