"""`benchmark import`: one of the release's three forms in, a benchmark folder out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mmdia_eval.benchmark import MANIFEST, write_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.importers.bench import (
    place_keyframes,
    read_keyframes,
    read_tasks,
    report_tasks,
    with_tasks,
)
from mmdia_eval.importers.common import Draft, group_of
from mmdia_eval.importers.flat import read_flat
from mmdia_eval.importers.media import MediaFolders, place_media
from mmdia_eval.importers.movies import read_movies
from mmdia_eval.importers.report import ImportReport, SplitReport, Tally
from mmdia_eval.importers.splits import assign, read_ids
from mmdia_eval.importers.transcripts import read_transcripts
from mmdia_eval.manifest import from_dialogue
from mmdia_eval.media import read_duration
from mmdia_eval.submission import AUDIO_EXTENSIONS, VIDEO_EXTENSIONS
from mmdia_eval.types import SPLITS, Dialogue

FLAT_NAME = "mm-dia.jsonl"
TRANSCRIPTS_NAME = "_gt_trans.tsv"
IDS_NAME = "train_eval_test_hard_ids.json"
FORMS = (
    f"{FLAT_NAME}, the folder json/ of the release (or one <movie>.json of it), or "
    f"{TRANSCRIPTS_NAME}"
)
LICENSE = "as the source: MM-DIA is under its authors' EULA"

Form = Literal["mm-dia.jsonl", "per-movie JSON", "_gt_trans.tsv"]


@dataclass(frozen=True)
class Source:
    """What an import reads. `base` is the folder that the sources' relative paths start from."""

    form: Form
    files: tuple[Path, ...]
    base: Path


def import_benchmark(
    source: Path,
    out: Path,
    *,
    ids: Path | None = None,
    split: str = "test",
    audio_root: Path | None = None,
    video_root: Path | None = None,
    tasks: Path | None = None,
    keyframes: Path | None = None,
    name: str = "mm-dia",
    version: str = "1",
) -> ImportReport:
    """Make a benchmark folder `out` of the authors' files at `source`, a file or a folder.

    `ids` is the release's file of splits; of its lists those named hard, test, ood and bench are
    taken. Without it every dialogue goes to `split`. Media are optional: those found are
    hard-linked (or copied) into `out/media`, those named but not found are reported. They are
    looked for below `audio_root` and `video_root`: the folders that hold the batches, or files
    named after the ids; else where the source itself says. `tasks` and `keyframes` are files as
    `importers.bench` reads them: which dialogues Tasks 2 and 3 take, and stills for Task 2.

    Raises:
        UserError: no known form at `source`, nothing usable in it, a bad ids, tasks or keyframes
            file, or `out` already holds a benchmark.
    """
    out = Path(out).absolute()
    if (out / MANIFEST).exists():
        raise UserError(f"{out} already holds a benchmark; choose another folder, or remove it")
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    found = detect(Path(source))
    audio = _folders(AUDIO_EXTENSIONS, audio_root, found.base, "audio")
    video = _folders(VIDEO_EXTENSIONS, video_root, found.base, "video")
    lists = None if ids is None else read_ids(ids)
    task_lists = {} if tasks is None else read_tasks(tasks)
    stills = {} if keyframes is None else read_keyframes(keyframes)
    tally = Tally()
    drafts = _usable(_read(found, tally), out, tally)
    if not drafts:
        raise UserError(_nothing(found, tally))
    reports: tuple[SplitReport, ...] = ()
    assigned: dict[str, list[str]] = {split: list(drafts)}
    if lists is not None:
        assigned, reports = assign(lists, drafts, tally.dropped_ids)
        if not assigned:
            raise UserError(
                f"{ids}: none of its ids is among the {len(drafts)} dialogues of {source}; "
                f"the first are {_first(lists[r.name] for r in reports if r.kept)} there, "
                f"{_first([drafts])} here"
            )
    kept = {dialogue_id for members in assigned.values() for dialogue_id in members}
    dialogues = {
        dialogue_id: place_keyframes(
            with_tasks(_with_media(draft, audio, video, out, tally), task_lists),
            stills.get(dialogue_id, ()),
            out,
        )
        for dialogue_id, draft in drafts.items()
        if dialogue_id in kept
    }
    for dialogue_id in stills.keys() - dialogues.keys():
        tally.note("keyframes of a dialogue that is not here", dialogue_id)
    write_benchmark(
        out,
        name=name,
        version=version,
        license=LICENSE,
        splits={key: [dialogues[one] for one in members] for key, members in assigned.items()},
    )
    return ImportReport(
        form=found.form,
        read=tally.read,
        kept=len(dialogues),
        unlisted=len(drafts) - len(dialogues),
        with_audio=sum(dialogue.audio is not None for dialogue in dialogues.values()),
        with_video=sum(dialogue.video is not None for dialogue in dialogues.values()),
        with_keyframes=sum(bool(dialogue.keyframes) for dialogue in dialogues.values()),
        splits=reports,
        tasks=report_tasks(task_lists, dialogues),
        dropped=tally.dropped,
        skipped=tally.skipped,
        noted=tally.noted,
    )


def detect(source: Path) -> Source:
    """Which of the three forms lies at `source`.

    Of a folder that holds several, `mm-dia.jsonl` is taken before `json/`, that before the TSV.

    Raises:
        UserError: none of them; the message says what was found and what is expected.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; expected {FORMS}")
    source = source.resolve()
    if source.is_file():
        forms: dict[str, Form] = {
            ".jsonl": "mm-dia.jsonl",
            ".json": "per-movie JSON",
            ".tsv": "_gt_trans.tsv",
        }
        form = forms.get(source.suffix.lower())
        if form is None or source.name == IDS_NAME:
            hint = "; this file goes with --ids" if source.name == IDS_NAME else ""
            raise UserError(f"{source}: not a form of the release; expected {FORMS}{hint}")
        return Source(form, (source,), _base(source.parent, form))
    if (source / FLAT_NAME).is_file():
        return Source("mm-dia.jsonl", (source / FLAT_NAME,), source)
    folder = source / "json" if (source / "json").is_dir() else source
    movies = sorted(
        path
        for pattern in ("*.json", "*/*.json")
        for path in folder.glob(pattern)
        if path.name not in (IDS_NAME, "gt_trans_spk_split.json", MANIFEST)
    )
    if (source / TRANSCRIPTS_NAME).is_file() and folder == source:
        return Source("_gt_trans.tsv", (source / TRANSCRIPTS_NAME,), source)
    if movies:
        return Source("per-movie JSON", tuple(movies), _base(folder, "per-movie JSON"))
    shown = ", ".join(sorted(path.name for path in source.iterdir())[:5]) or "nothing"
    raise UserError(f"{source}: no form of the release; found {shown}; expected {FORMS}")


def _base(folder: Path, form: Form) -> Path:
    """The release's root: the folder that holds `json/`, where there is one."""
    if form == "per-movie JSON":
        for parent in (folder, *folder.parents[:2]):
            if parent.name == "json":
                return parent.parent
    return folder


def _read(source: Source, tally: Tally) -> Iterable[Draft]:
    if source.form == "per-movie JSON":
        return read_movies(source.files, tally)
    if source.form == "mm-dia.jsonl":
        return read_flat(source.files[0], tally)
    return read_transcripts(source.files[0], tally)


def _usable(drafts: Iterable[Draft], out: Path, tally: Tally) -> dict[str, Draft]:
    usable: dict[str, Draft] = {}
    folded: set[str] = set()
    for draft in drafts:
        dialogue = draft.dialogue
        if not dialogue.turns:
            tally.drop("no line left", dialogue.id)
            continue
        if dialogue.id.casefold() in folded:
            tally.drop("the id came before (upper and lower case aside)", dialogue.id)
            continue
        try:
            from_dialogue(dialogue, out)
        except UserError as error:
            tally.drop("does not fit our format", dialogue.id, str(error))
            continue
        folded.add(dialogue.id.casefold())
        usable[dialogue.id] = replace(
            draft, dialogue=replace(dialogue, group=group_of(dialogue.id))
        )
        if len(dialogue.speakers) > 2:
            tally.note("dialogues of more than two speakers, kept", dialogue.id)
    return usable


def _folders(
    extensions: tuple[str, ...], given: Path | None, base: Path, kind: str
) -> MediaFolders:
    if given is not None and not given.is_dir():
        raise UserError(f"{given}: no such folder of {kind}")
    return MediaFolders(extensions, given and given.resolve(), (base / kind, base))


def _with_media(
    draft: Draft, audio_folders: MediaFolders, video_folders: MediaFolders, out: Path, tally: Tally
) -> Dialogue:
    dialogue = draft.dialogue
    audio = audio_folders.find(draft.audio, dialogue.id)
    video = video_folders.find(draft.video, dialogue.id)
    duration = None if audio is None else read_duration(audio)
    if audio is None and (draft.audio or audio_folders.given):
        tally.note("audio not found", dialogue.id)
    if video is None and video_folders.given:
        tally.note("video not found", dialogue.id)
    if audio is not None and duration is None:
        tally.note("audio whose length cannot be read", dialogue.id)
    return replace(
        dialogue,
        audio=None if audio is None else place_media(audio, out, dialogue.id),
        video=None if video is None else place_media(video, out, dialogue.id),
        duration=duration,
    )


def _first(lists: Iterable[Iterable[str]]) -> str:
    return next((item for items in lists for item in items), "none")


def _nothing(source: Source, tally: Tally) -> str:
    reasons = "; ".join(
        f"{len(places)} {reason}: {places[0]}" for reason, places in tally.dropped.items()
    )
    return (
        f"{source.files[0]}: no usable dialogue ({source.form}, {tally.read} read). "
        f"{reasons or 'It is empty'}"
    )
