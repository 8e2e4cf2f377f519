"""A static page on which people rate clips: random order, blind, no server, answers as a CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from mmdia_eval import reencode, sandbox
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.leaderboard.pages import render_page
from mmdia_eval.ratings import Dimension
from mmdia_eval.spreadsheet import to_cell
from mmdia_eval.submission import Submission
from mmdia_eval.text import strip_marks
from mmdia_eval.types import Dialogue, Keyframe, SandboxMode, Task

CODE_LENGTH = 12

SCALE = ("Bad", "Poor", "Fair", "Good", "Excellent")
"""Labels of the absolute category rating scale, from 1 to 5 (ITU-T P.800, annex B)."""

OF_TASK: dict[Task, dict[Dimension, str]] = {
    1: {},
    2: {
        "similarity": "Does each speaker keep one voice, and do the voices fit the people shown?",
        "instruction_following": "How well does the dialogue fit the pictures?",
    },
    3: {
        "naturalness": "How natural do the people look, as if they were talking?",
        "spontaneity": "Do the people move as people do who are talking?",
        "coherence": "Is it one scene, in step with the conversation?",
        "intelligibility": "Can one see who says what?",
        "similarity": "Does each person stay one person, who suits the voice?",
        "quality": "How good is the picture?",
        "instruction_following": "How well does the video fit what is said and how?",
    },
}
"""Questions that are put otherwise for a task."""

QUESTIONS: dict[Dimension, str] = {
    "naturalness": "How natural does the speech sound, as if people had said it?",
    "spontaneity": "Does it sound spoken in the moment, rather than read out?",
    "coherence": "Does each turn follow from the one before, in timing and in manner?",
    "intelligibility": "How well can the words be understood?",
    "similarity": "Does each speaker keep one voice, and do the voices fit the description?",
    "quality": "How is the sound quality?",
    "instruction_following": "How well does the dialogue follow the description?",
}


@dataclass(frozen=True)
class Clip:
    """One output to be rated, under a name that tells nothing."""

    code: str
    system: str
    dialogue: Dialogue
    source: Path
    task: Task

    @property
    def file(self) -> str:
        return f"{self.code}.{'mp4' if self.task == 3 else 'flac'}"

    @property
    def pictures(self) -> dict[str, Keyframe]:
        """The keyframes that Task 2 gives the system, by the names of their files."""
        frames = self.dialogue.keyframes if self.task == 2 else ()
        return {f"{self.code}-{number}.jpg": frame for number, frame in enumerate(frames, start=1)}


def make_sheet(
    submissions: Sequence[Submission],
    dimensions: Sequence[Dimension],
    out: Path,
    *,
    seed: str,
    task: Task = 1,
    dialogues: int | None = None,
    title: str = "Listening test",
) -> Path:
    """Write `out/index.html` with its clips, and `<out>.key.csv` beside it; returns the key's path.

    Every dialogue that all systems answered is in, or the first `dialogues` of them in an order
    drawn by `seed`. Clips are mixed to one channel and written anew as FLAC at their own rate,
    without the files' names and metadata; those of Task 3 as MP4, with the recording that they were
    made for. For Task 2 the keyframes stand in the place of the description. The key says which
    clip is whose: keep it from raters.

    Raises:
        UserError: no dialogue in common, two systems of one name, an unreadable clip, `out` is
            there already, or no Jinja2.
    """
    if find_spec("jinja2") is None:
        raise UserError("the page needs Jinja2: pip install 'mmdia-eval[board]'")
    from markupsafe import Markup  # noqa: PLC0415

    if out.exists():
        raise UserError(f"{out} is there already; name a new folder, so that no key is lost")
    clips = _clips(submissions, seed, task, dialogues)
    page = render_page(
        "rating_sheet.html.j2",
        style="rating_sheet.css",
        scripts=["rating_sheet.js"],
        title=title,
        task=task,
        # `_data` leaves no character in it that could end its element.
        data=Markup(_data(clips, dimensions, task, title)),  # noqa: S704
    )
    key = out.with_name(f"{out.name}.key.csv")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        made = Path(temporary, "sheet")
        (made / "clips").mkdir(parents=True)
        _write_clips(clips, made / "clips")
        write_atomic(made / "index.html", page.encode())
        write_atomic(key, _key(clips))
        made.rename(out)
    return key


def _clips(
    submissions: Sequence[Submission], seed: str, task: Task, most: int | None
) -> list[Clip]:
    names = [submission.system.name for submission in submissions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two folders are of the system {', '.join(twice)}: see submission.toml")
    answered = [
        {sample.dialogue.id: sample for sample in submission.samples if sample.output}
        for submission in submissions
    ]
    common = set.intersection(*map(set, answered))
    if not common:
        raise UserError("there is no dialogue that every system answered")
    chosen = sorted(common, key=lambda id_: _code(seed, id_))[:most]
    clips = [
        Clip(_code(seed, name, id_), name, samples[id_].dialogue, source, task)
        for name, samples in zip(names, answered, strict=True)
        for id_ in chosen
        if (source := samples[id_].output) is not None
    ]
    return sorted(clips, key=lambda clip: clip.code)


def _code(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:CODE_LENGTH]


def _write_clips(clips: Sequence[Clip], folder: Path) -> None:
    problems, mode = [], sandbox.usual()
    for clip in clips:
        try:
            _write_clip(clip, folder, mode)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise ProblemsError([*problems, "leave these out, or give files that can be played"])


def _write_clip(clip: Clip, folder: Path, mode: SandboxMode) -> None:
    if clip.task == 3:
        video = sandbox.reencode_video(
            clip.source, mode, reencode.WATCHED_VIDEO, sound=clip.dialogue.audio
        )
        write_atomic(folder / clip.file, video)
    elif problem := sandbox.write_listening_copy(clip.source, folder / clip.file, mode):
        raise UserError(f"{clip.source}: {problem}")
    for name, keyframe in clip.pictures.items():
        write_atomic(folder / name, reencode.picture(keyframe.path))


def _data(clips: Sequence[Clip], dimensions: Sequence[Dimension], task: Task, title: str) -> str:
    """What the page's script reads. `<` is escaped, so that no text ends the element it is in."""
    data = {
        "study": hashlib.sha256("".join(c.code for c in clips).encode()).hexdigest()[:CODE_LENGTH],
        "title": title,
        "scale": SCALE,
        "dimensions": [
            {"name": name, "question": OF_TASK[task].get(name, QUESTIONS[name])}
            for name in dimensions
        ],
        "clips": [
            {
                "code": clip.code,
                "file": clip.file,
                "pictures": [[name, _caption(frame)] for name, frame in clip.pictures.items()],
                "description": (task == 1 and clip.dialogue.style.description) or "",
                "turns": [[t.speaker, strip_marks(t.text)] for t in clip.dialogue.turns],
            }
            for clip in clips
        ],
    }
    return json.dumps(data, ensure_ascii=False, sort_keys=True).replace("<", "\\u003c")


def _caption(keyframe: Keyframe) -> str:
    return f"{keyframe.speaker or 'Scene'}, {keyframe.time:.1f} s"


def _key(clips: Sequence[Clip]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "dialogue", "system"])
    writer.writerows([clip.code, clip.dialogue.id, to_cell(clip.system)] for clip in clips)
    return text.getvalue().encode()
