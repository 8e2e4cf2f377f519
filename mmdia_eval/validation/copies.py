"""Is an output the reference recording itself, in disguise?

Log-mel bands without their local mean, correlated over lag and speed. In trials on 40 LibriSpeech
utterances no pair of other utterances, of the same speaker or another, came above 0.274, and no
copy below 0.698 of those made by gain, noise, codecs at low rates, filters, reverberation, changes
of speed up to 10 % and resynthesis from mel bands with Griffin-Lim's phases. Outputs that say the
same words in a cloned voice were not among them, so one clip is a reason to ask, no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import uniform_filter1d

from mmdia_eval import sandbox
from mmdia_eval.extractors.mel import mel_spectrogram
from mmdia_eval.store import file_sha256
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, SandboxMode
from mmdia_eval.validation.context import Context
from mmdia_eval.validation.entry import Entry
from mmdia_eval.validation.findings import Finding, found
from mmdia_eval.validation.format import MANIFEST
from mmdia_eval.validation.listed import asked_for, is_flac

WINDOW, HOP, BANDS = 512, 320, 40
"""32 ms each 20 ms; other recognisers of copies use about as fine a grid."""
LOCAL = 25
"""Frames, 0.5 s, whose mean is removed: what filters, rooms and gain add is constant for longer."""
SPEEDS = np.arange(84, 117) / 100
"""Speeds of the output over the reference that are tried."""
FLOOR = 1e-8
"""Of the loudest band, below which a band is silent: 80 dB."""
SIMILAR = 0.5
"""Between 0.274 and 0.698, the bounds of the trials."""
MOST_COPIED = 0.2
"""Share of audit clips above `SIMILAR` at which the submission is stopped for a question."""
FEWEST_COPIED = 2
"""Clips above `SIMILAR` that stop it: one may be a coincidence."""

Matrix = NDArray[np.float32]


def check_copies(entry: Entry, context: Context) -> Iterator[Finding]:
    """Audit clips against the benchmark's own recordings; of what has none there, so much is said.

    Clips that are not there, or are no FLAC, are what `check_audit` finds.
    """
    dialogues = context.all_dialogues(entry)
    if dialogues is None:
        return  # `check_benchmark` has said so
    copied, compared, alone = [], 0, []
    for name, id_ in (asked_for(entry, context) or {}).items():
        clip = entry.folder / name
        if name not in entry.files:
            continue
        video = clip.suffix == ".mp4"
        reference = None if video else _decoded(dialogues[id_].audio, "off")
        if reference is None:
            alone.append(id_)
            continue
        output = _decoded(clip, sandbox.usual()) if is_flac(clip) else None
        if output is None:
            continue
        compared += 1
        likeness, speed = similarity(output, reference)
        if likeness > SIMILAR:
            copied.append(id_)
            yield found("copied-clip", f"{likeness:.2f} like it, at speed {speed:g}", name)
    if alone:
        why = "videos" if any(run.results.task == 3 for run in entry.runs) else "no recording here"
        yield found("copies-unchecked", f"{len(alone)} clips: {why}")
    if len(copied) >= FEWEST_COPIED and len(copied) > MOST_COPIED * compared:
        yield found(
            "copied-reference",
            f"{len(copied)} of {compared} clips: {', '.join(copied)}",
            fix="ask the maintainers to look at it if the outputs are the system's own",
        )


def check_copied_files(entry: Entry, context: Context) -> Iterator[Finding]:
    """Files of the manifest that are byte for byte the benchmark's."""
    dialogues = context.all_dialogues(entry)
    if dialogues is None or entry.manifest is None:
        return
    recordings = {sha256: one.id for one in dialogues.values() for sha256 in _hashes(one)}
    for number, line in entry.manifest:
        if line.sha256 in recordings:
            what = f"{line.path} is the recording of {recordings[line.sha256]}"
            yield found("copied-file", what, MANIFEST, number)


def _hashes(dialogue: Dialogue) -> Iterator[str]:
    for path in (dialogue.audio, dialogue.video):
        if path is not None and path.is_file():
            yield file_sha256(path)


def _decoded(path: Path | None, mode: SandboxMode) -> Audio | None:
    return None if path is None or not path.is_file() else sandbox.decode(path, mode)[1]


def similarity(output: Audio, reference: Audio) -> tuple[float, float]:
    """How like a reference an output sounds, at most 1, and the speed at which it does.

    Both mono at 16 kHz. The correlation is that of the whole recordings, so that a part of the
    output taken from elsewhere counts against it.
    """
    mine, theirs = bands(output), bands(reference)
    longest = round(len(mine) * SPEEDS.max()) + len(theirs)
    length = next_fast_len(longest, real=True)
    spectrum = np.conj(rfft(theirs, length, axis=0))
    best, at = -1.0, 1.0
    for speed in SPEEDS:
        moved = _stretched(mine, speed)
        norm = float(np.linalg.norm(moved) * np.linalg.norm(theirs))
        if norm:
            summed = np.sum(rfft(moved, length, axis=0) * spectrum, axis=1)
            peak = float(irfft(summed, length).max()) / norm
            if peak > best:
                best, at = peak, float(speed)
    return best, at


def bands(audio: Audio) -> Matrix:
    """Log-mel bands (frames, `BANDS`) float32, each less its mean over half a second."""
    if audio.sample_rate != SAMPLE_RATE:
        raise ValueError(f"{audio.sample_rate} Hz, not {SAMPLE_RATE}")
    power = mel_spectrogram(audio.samples, WINDOW, HOP, BANDS)
    loud = np.log(np.maximum(power, FLOOR * max(float(power.max()), 1e-20)))
    left: Matrix = loud - uniform_filter1d(loud, LOCAL, axis=0, mode="nearest")
    return left


def _stretched(frames: Matrix, speed: float) -> Matrix:
    """The frames of sound that is played `speed` times as slowly, between two frames linearly."""
    places = np.linspace(0, len(frames) - 1, max(1, round(len(frames) * speed)))
    low = places.astype(int)
    high = np.minimum(low + 1, len(frames) - 1)
    share = (places - low).astype(np.float32)[:, None]
    stretched: Matrix = frames[low] * (1 - share) + frames[high] * share
    return stretched
