"""Lips and sound with known sync, as embeddings: what a flawless network would make of a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.artifacts import LipSyncEmbeddings
from mmdia_eval.lip_sync import LipTrack
from mmdia_eval.speaker_lip_sync import Speech
from mmdia_eval.types import FRAME_RATE, Dialogue, Segment

Array = NDArray[np.float64]
DIMENSIONS = 32


def sound_of(frames: int, seed: int = 0) -> Array:
    """Embeddings that change smoothly, as overlapping windows' do, far from the origin."""
    walk = np.random.default_rng(seed).normal(size=(frames + 4, DIMENSIONS))
    smooth = sum(walk[i : i + frames] for i in range(5)) / np.sqrt(5)
    return np.asarray(smooth) + 3


def lips_of(
    sound: Array, turns: Sequence[Segment | Speech], lag: int = 0, noise: float = 0.3, seed: int = 1
) -> Array:
    """A face that moves with the sound, `lag` frames late, in `turns`, and is nearly still else."""
    draw = np.random.default_rng(seed)
    shape = (len(sound), DIMENSIONS)
    lips = 3 + draw.normal(size=DIMENSIONS) + 0.02 * draw.normal(size=shape)
    for turn in turns:
        first = int(turn.start * FRAME_RATE)
        frames = np.arange(first, min(len(sound), int(turn.end * FRAME_RATE)))
        heard = np.clip(frames - lag, 0, len(sound) - 1)
        lips[frames] = sound[heard] + noise * draw.normal(size=(len(frames), DIMENSIONS))
    return lips


def packed(tracks: Sequence[LipTrack], sound: Array) -> LipSyncEmbeddings:
    """The artifact of tracks and sound."""
    counts = [len(track.lips) for track in tracks]
    windows = [np.arange(t.first, t.first + n) for t, n in zip(tracks, counts, strict=True)]
    lips = [np.empty((0, sound.shape[1])), *(track.lips for track in tracks)]
    return LipSyncEmbeddings(
        lips=np.concatenate(lips).astype(np.float32),
        tracks=np.repeat(np.arange(len(tracks)), counts).astype(np.float32),
        windows=np.concatenate([np.empty(0), *windows]).astype(np.float32),
        sound=sound.astype(np.float32),
        identities=tuple(track.identity for track in tracks),
    )


def in_sync(
    dialogue: Dialogue, faces: Mapping[str, str] | None = None, lag: int = 0
) -> LipSyncEmbeddings:
    """A video in which each speaker's face moves in the speaker's turns; `faces` are their names,
    the speakers' own where not given.
    """
    spoken = [turn for turn in dialogue.turns if turn.segment]
    end = max((turn.segment.end for turn in spoken if turn.segment), default=0.0)
    sound = sound_of(int((end + 1) * FRAME_RATE))
    tracks = [
        LipTrack(
            speaker if faces is None else faces[speaker],
            0,
            lips_of(
                sound,
                [turn.segment for turn in spoken if turn.speaker == speaker and turn.segment],
                lag,
                seed=seed,
            ),
        )
        for seed, speaker in enumerate(dialogue.speakers, start=1)
    ]
    return packed(tracks, sound)
