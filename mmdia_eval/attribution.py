"""Which speaker said which word: a recogniser's words laid over a diarizer's segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmdia_eval.artifacts import Diarization, Transcript
from mmdia_eval.types import Segment

ONLY_SPEAKER = "speaker"
"""The label of every word when the diarizer found no segment."""


class Run(NamedTuple):
    """Neighbouring words of one utterance in one diarized segment, as one normalised text.

    `segment` reaches from the first word's start to the last word's end, where times are known.
    """

    speaker: str
    text: str
    segment: Segment | None = None


def speaker_runs(
    transcript: Transcript, diarization: Diarization, normalize: Callable[[str], str]
) -> list[Run]:
    """The transcript in its order, cut wherever the utterance or the diarized segment changes.

    A word belongs to the speaker whose segments share most time with it; equal shares go to the
    speaker first heard in the file. A word outside all segments belongs to the nearest one.
    Each run is normalised by itself, so that no rule reaches across a pause or a change of speaker.
    """
    places = iter(_segment_of_each_word(transcript, diarization))
    runs = []
    for utterance in transcript.utterances:
        placed = [(next(places), word) for word in utterance.words]
        for place, pairs in groupby(placed, key=lambda pair: pair[0]):
            words = [word for _, word in pairs]
            speaker = ONLY_SPEAKER if place is None else diarization.segments[place].speaker
            text = normalize(" ".join(word.text for word in words))
            runs.append(Run(speaker, text, Segment(words[0].start, words[-1].end)))
    return runs


def texts_by_speaker(runs: Iterable[Run]) -> dict[str, str]:
    """Each speaker's runs joined in their order; speakers in the order of their first run.

    >>> from mmdia_eval.artifacts import SpeakerSegment, Utterance, Word
    >>> heard = Transcript((Utterance((Word("Hi,", 0.0, 0.4), Word("hello", 0.5, 0.9))),))
    >>> who = Diarization((SpeakerSegment(0.0, 0.45, "A"), SpeakerSegment(0.45, 1.0, "B")))
    >>> texts_by_speaker(speaker_runs(heard, who, str.lower))
    {'A': 'hi,', 'B': 'hello'}
    """
    texts: dict[str, list[str]] = {}
    for run in runs:
        texts.setdefault(run.speaker, []).append(run.text)
    return {speaker: " ".join(parts) for speaker, parts in texts.items()}


def _segment_of_each_word(transcript: Transcript, diarization: Diarization) -> Sequence[int | None]:
    """Index of the segment that each word is said in; None throughout without segments."""
    words = _times([(word.start, word.end) for word in transcript.words])
    if not diarization.segments:
        return [None] * len(words)
    segments = _times([(segment.start, segment.end) for segment in diarization.segments])
    speakers = diarization.speakers
    owner = np.array([speakers.index(segment.speaker) for segment in diarization.segments])

    # (words, segments): seconds shared where positive, minus the seconds between where negative.
    shared = np.minimum(words[:, 1:], segments[:, 1]) - np.maximum(words[:, :1], segments[:, 0])
    totals = np.maximum(shared, 0.0) @ (owner[:, None] == np.arange(len(speakers)))
    nearest = owner[shared.argmax(axis=1)]
    chosen = np.where(totals.max(axis=1) > 0.0, totals.argmax(axis=1), nearest)
    of_speaker = np.where(owner == chosen[:, None], shared, -np.inf)
    places: list[int] = of_speaker.argmax(axis=1).tolist()
    return places


def _times(pairs: list[tuple[float, float]]) -> NDArray[np.float64]:
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)
