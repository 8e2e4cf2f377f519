"""tcpWER: cpWER whose words may match only where they lie near each other in time.

Time-constrained minimum-permutation WER, von Neumann et al. 2023 (MeetEval, arXiv:2307.11394).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts, Diarization, Transcript
from mmdia_eval.attribution import Run, speaker_runs
from mmdia_eval.metrics.cpwer import matched
from mmdia_eval.metrics.wer import (
    ErrorCounts,
    WordErrorMetric,
    WordErrorSettings,
    error_counts,
    rate_components,
)
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue, Segment

COLLAR = 5.0
"""Seconds, as MeetEval recommends for times of turns rather than of words."""


class TimedWord(NamedTuple):
    """A word and where it may be."""

    text: str
    start: float
    end: float


def tcpwer(reference: Sequence[Run], hypothesis: Sequence[Run], collar: float) -> ErrorCounts:
    """Errors of the best one-to-one matching of speakers, with words bound to their times.

    A word takes the share of its run's time that its characters have of the run's text; of the
    hypothesis only the middle of that counts, widened by `collar` seconds on either side. Two words
    may be the same or stand for each other only where these intervals share time. Runs go by their
    start. `errors` equals MeetEval's `tcp_word_error_rate` with its default settings; it is never
    below cpWER's.

    Raises:
        ValueError: a run without a segment.

    >>> late = [Run("x", "the cat", Segment(60.0, 61.0))]
    >>> said = [Run("Ann", "the cat", Segment(0.0, 1.0))]
    >>> tcpwer(said, late, collar=5.0).rate, tcpwer(said, late, collar=60.0).rate
    (2.0, 0.0)
    """
    spoken = _by_speaker(reference, None)
    heard = _by_speaker(hypothesis, collar)
    pairs = matched(spoken, heard, lambda one, other: timed_errors(one, other).errors)
    return sum((timed_errors(one, other) for one, other in pairs), ErrorCounts())


def timed_errors(reference: Sequence[TimedWord], hypothesis: Sequence[TimedWord]) -> ErrorCounts:
    """Fewest edits between two sequences of words that match only where they share time.

    Of alignments with equally many edits the one with the most substitutions is counted.
    """
    # One number holds both aims: edits first, then insertions and deletions.
    edit, gap = 1 << 20, (1 << 20) + 1
    columns = np.arange(len(hypothesis) + 1, dtype=np.int64) * gap
    words = np.array([word.text for word in hypothesis], dtype=object)
    starts = np.array([word.start for word in hypothesis])
    ends = np.array([word.end for word in hypothesis])
    row = columns.copy()
    for word in reference:
        near = (word.start < ends) & (word.end > starts)
        step = np.where(near, np.where(words == word.text, 0, edit), 2 * gap)
        best = row + gap
        best[1:] = np.minimum(best[1:], row[:-1] + step)
        row = np.minimum.accumulate(best - columns) + columns
    edits, gaps = divmod(int(row[-1]), edit)
    surplus = len(hypothesis) - len(reference)
    return ErrorCounts(edits - gaps, (gaps - surplus) // 2, (gaps + surplus) // 2, len(reference))


def _by_speaker(runs: Iterable[Run], collar: float | None) -> list[list[TimedWord]]:
    speakers: dict[str, list[tuple[Segment, str]]] = {}
    for run in runs:
        if run.segment is None:
            raise ValueError(f"a run of {run.speaker!r} has no time")
        speakers.setdefault(run.speaker, []).append((run.segment, run.text))
    return [
        [
            word
            for segment, text in sorted(parts, key=lambda part: part[0].start)
            for word in _timed(segment, text.split(), collar)
        ]
        for parts in speakers.values()
    ]


def _timed(segment: Segment, words: Sequence[str], collar: float | None) -> Iterable[TimedWord]:
    """The words' shares of the segment; with a collar, their middles widened by it."""
    total = sum(map(len, words))
    done = 0
    for text in words:
        start, end = (
            segment.start + segment.duration * place / total for place in (done, done + len(text))
        )
        done += len(text)
        if collar is None:
            yield TimedWord(text, start, end)
        else:
            middle = (start + end) / 2
            yield TimedWord(text, middle - collar, middle + collar)


class TcpWerSettings(WordErrorSettings):
    """`collar`: how many seconds a word may be away from its place in the reference."""

    collar: Annotated[float, Field(ge=0)] = COLLAR


@metric("tcpwer")
class TcpWer(WordErrorMetric):
    """As `cpwer`, where a word counts as said only near its time in the reference recording.

    For outputs that were told when to speak: a system that was not, and speaks faster or slower
    than the reference, loses words that it said well.
    """

    version = "1"
    needs = (Transcript, Diarization)
    Settings = TcpWerSettings

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if any(turn.segment is None for turn in dialogue.turns):
            return "the reference has turns without times"
        return super().not_applicable(dialogue)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        runs = speaker_runs(artifacts[Transcript], artifacts[Diarization], self.normalizer)
        return self._counts(dialogue, runs)

    def worst(self, dialogue: Dialogue) -> Counts:
        return self._counts(dialogue, [])

    def _counts(self, dialogue: Dialogue, runs: Sequence[Run]) -> Counts:
        script = [
            Run(turn.speaker, self.normalizer(turn.text), turn.segment) for turn in dialogue.turns
        ]
        return error_counts(tcpwer(script, runs, self.settings.collar))

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return rate_components(rows)
