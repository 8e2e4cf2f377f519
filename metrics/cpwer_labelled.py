"""cpWER of words that come with their speakers: a recogniser's tags, a language model's labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts, Transcript
from mmdia_eval.attribution import ONLY_SPEAKER, Run
from mmdia_eval.metrics.cpwer import CpWerSettings, SpeakerErrorMetric
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue

Speakers = Literal["all", "first_two", "by_parity"]
FIRST_TWO = ("0", "1")
"""The labels that MM-DIA's release reads (`evaluate_cpwer.py`); words under another are lost."""


class CpWerLabelledSettings(CpWerSettings):
    """`speakers`: "all" of both sides; "first_two", the script's first two and the labels 0 and 1
    alone; "by_parity", the script's turns dealt to two speakers by turns.
    """

    speakers: Speakers = "all"


def parity_runs(runs: Sequence[Run]) -> list[Run]:
    """Two speakers by turns, whoever speaks: the runs with odd index first, as they are joined.

    ZipVoice-Dialog (`wer/dialog.py`) splits a text at its speaker tags and deals the pieces by
    their number, beginning with what stands before the first tag; so the second turn's speaker
    comes first, and two turns of one speaker in a row are two speakers.

    >>> [(run.speaker, run.text) for run in parity_runs([Run("S1", "a"), Run("S1", "b")])]
    [('0', ''), ('1', 'a'), ('0', 'b')]
    """
    return [Run("0", ""), *(Run("10"[number % 2], run.text) for number, run in enumerate(runs))]


@metric("cpwer_labelled")
class CpWerLabelled(SpeakerErrorMetric):
    """Errors between each speaker's script and the words that a recogniser gave to one speaker.

    As `cpwer`, without a diarizer. Words under no label have a speaker of their own.
    """

    version = "1"
    needs = (Transcript,)
    Settings = CpWerLabelledSettings

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        runs = self._heard(artifacts[Transcript])
        heard = " ".join(run.text for run in runs)
        return self.counts(dialogue, runs, heard, len({run.speaker for run in runs if run.text}))

    def script(self, dialogue: Dialogue) -> list[Run]:
        runs = super().script(dialogue)
        if self.settings.speakers == "first_two":
            return _of(runs, dialogue.speakers[:2])
        return parity_runs(runs) if self.settings.speakers == "by_parity" else runs

    def _heard(self, transcript: Transcript) -> list[Run]:
        runs = [
            Run(
                ONLY_SPEAKER if utterance.speaker is None else utterance.speaker,
                self.normalizer(" ".join(word.text for word in utterance.words)),
            )
            for utterance in transcript.utterances
        ]
        return _of(runs, FIRST_TWO) if self.settings.speakers == "first_two" else runs


def _of(runs: Iterable[Run], speakers: Sequence[str]) -> list[Run]:
    return [run for run in runs if run.speaker in speakers]
