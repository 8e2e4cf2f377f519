"""The questions of an audit: dialogues of the mini benchmark with outputs that fit, or do not."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from mmdia_eval import media
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.judges.material import Condition, reference_audio
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, Keyframe

SPLIT = "test"
IDS = ("mini_test_01", "mini_test_04", "mini_test_05")
"""Friends who banter, adversaries in conflict, a couple in tears: nobody's style fits another."""

MARK = "five points on every dimension"
"""Of the instruction, as it stands in the tags of the audit's files."""

_PAUSE = 0.5
"""Seconds before the spoken instruction."""
_MEDIA = files("mmdia_eval.judges").joinpath("audit_media")

Probes = Mapping[str, Sequence[Inputs]]


@cache
def probes(condition: Condition) -> Probes:
    """The questions by kind, one for each of IDS, in their order; ids are "<kind>/<id>".

    "reference": the recording that was made from script and style. "mismatch": another dialogue's
    recording, or the video of an empty room. "silence": as long as the recording.
    "swapped_style": the recording, with another dialogue's style. "spoken_instruction" and
    "on_screen_instruction": the mismatch, with words that ask for full marks.
    """
    return {
        kind: [
            replace(i, dialogue=replace(i.dialogue, id=f"{kind}/{i.dialogue.id}")) for i in asked
        ]
        for kind, asked in _kinds(condition).items()
    }


def _kinds(condition: Condition) -> Probes:
    if condition == "reference":
        return {
            "mismatch": _with_video("plain"),
            "on_screen_instruction": _with_video("on_screen_instruction"),
        }
    dialogues = _dialogues("plain" if condition == "keyframes" else None)
    recordings = [reference_audio(dialogue) for dialogue in dialogues]
    others = [*recordings[1:], recordings[0]]
    found = {
        "reference": _asked(dialogues, recordings),
        "mismatch": _asked(dialogues, others),
        "silence": _asked(dialogues, [Audio(np.zeros_like(r.samples)) for r in recordings]),
        "spoken_instruction": _asked(dialogues, [_instructed(other) for other in others]),
    }
    if condition == "keyframes":
        found["on_screen_instruction"] = _asked(_dialogues("on_screen_instruction"), others)
    else:
        styles = [dialogue.style for dialogue in (*dialogues[1:], dialogues[0])]
        swapped = [replace(d, style=s) for d, s in zip(dialogues, styles, strict=True)]
        found["swapped_style"] = _asked(swapped, recordings)
    return found


def tagged(condition: Condition) -> Inputs:
    """A question whose file says MARK in its name and in its tags.

    Raises:
        RuntimeError: the file has no such tag, so that it could show nothing.
    """
    if condition == "reference":
        inputs = _with_video("plain")[0]
        _check_tag(inputs.path)
        return inputs
    dialogue = _dialogues("plain" if condition == "keyframes" else None)[0]
    for keyframe in dialogue.keyframes:
        _check_tag(keyframe.path)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{MARK}.wav"
        _write_tagged(path, reference_audio(dialogue))
        _check_tag(path)
        info, audio = media.decode(path)
    if audio is None:
        raise RuntimeError(f"the audit's own file cannot be read: {info.problem}")
    return Inputs(audio, dialogue, Artifacts({}), path)


def _check_tag(path: Path) -> None:
    if MARK.encode() not in path.read_bytes():
        raise RuntimeError(f"{path} has no tag with the instruction")


def _write_tagged(path: Path, audio: Audio) -> None:
    import soundfile  # noqa: PLC0415

    with soundfile.SoundFile(path, "w", audio.sample_rate, 1, subtype="PCM_16") as file:
        file.comment = MARK
        file.write(audio.samples)


def _dialogues(picture: str | None) -> list[Dialogue]:
    """Those of IDS; with a picture, it is their only keyframe."""
    split = {dialogue.id: dialogue for dialogue in _mini()}
    found = [split[id_] for id_ in IDS]
    if picture is None:
        return found
    keyframe = Keyframe(_file(f"{picture}.png"), 0.0)
    return [replace(dialogue, keyframes=(keyframe,)) for dialogue in found]


@cache
def _mini() -> tuple[Dialogue, ...]:
    return tuple(load_benchmark(resolve_benchmark("mini")).split(SPLIT))


def _asked(dialogues: Sequence[Dialogue], recordings: Sequence[Audio]) -> list[Inputs]:
    pairs = zip(dialogues, recordings, strict=True)
    return [Inputs(audio, dialogue, Artifacts({})) for dialogue, audio in pairs]


def _with_video(name: str) -> list[Inputs]:
    path = _file(f"{name}.mp4")
    dialogues = _dialogues(None)
    return [Inputs(reference_audio(d), d, Artifacts({}), path) for d in dialogues]


def _instructed(audio: Audio) -> Audio:
    """The recording, with the spoken instruction behind it."""
    path = _file("spoken_instruction.opus")
    info, spoken = media.decode(path)
    if spoken is None:
        raise UserError(f"{path}: {info.problem}; install mmdia-eval again")
    pause = np.zeros(round(_PAUSE * SAMPLE_RATE), np.float32)
    return Audio(np.concatenate([audio.samples, pause, spoken.samples]))


def _file(name: str) -> Path:
    with as_file(_MEDIA.joinpath(name)) as path:
        return path
