"""Are the turns there, one after the other, and does the voice change where the speaker does?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from rapidfuzz.distance import Levenshtein

from mmdia_eval.api import Counts, Metric, Settings
from mmdia_eval.artifacts import Artifacts, Diarization, Transcript
from mmdia_eval.attribution import Run, speaker_runs
from mmdia_eval.counts import ratios
from mmdia_eval.metrics.wer import word_ids
from mmdia_eval.registry import metric
from mmdia_eval.text import normalizer
from mmdia_eval.types import Dialogue

PRESENT = 0.5
"""Share of a turn's words that must come back for the turn to count as there."""


def turn_voices(turns: Sequence[str], runs: Sequence[Run]) -> list[str | None]:
    """The voice that says each turn, or None for a turn that is not there.

    `turns` are normalised texts, `runs` the words heard with the voices that said them. The words
    of all turns are aligned to all words heard with the fewest edits (the alignment that WER and
    jiwer count by); a turn is there when at least `PRESENT` of its words match. Its voice is the
    one that says most of them, the first to do so on a tie.

    >>> turn_voices(["how are you", "fine"], [Run("A", "how are"), Run("B", "you see")])
    ['A', None]
    """
    ids = word_ids([*turns, *(run.text for run in runs)])
    said, heard = ids[: len(turns)], ids[len(turns) :]
    turn_of = [number for number, words in enumerate(said) for _ in words]
    voice_of = [run.speaker for run, words in zip(runs, heard, strict=True) for _ in words]
    edits = Levenshtein.editops(list(chain(*said)), list(chain(*heard)))
    voices: list[Counter[str]] = [Counter() for _ in turns]
    for block in edits.as_matching_blocks():
        for offset in range(block.size):
            voices[turn_of[block.a + offset]][voice_of[block.b + offset]] += 1
    return [
        found.most_common(1)[0][0] if words and found.total() >= PRESENT * len(words) else None
        for words, found in zip(said, voices, strict=True)
    ]


class TurnOrderSettings(Settings):
    """`normalizer`: a name from `mmdia_eval.text.NORMALIZERS`, applied to both sides."""

    normalizer: str = "whisper-en"


@metric("turn_order_accuracy")
class TurnOrderAccuracy(Metric):
    """Share of neighbouring reference turns that come back with the right change of voice.

    A pair is right when both turns are there, in order, and the voice changes between them exactly
    when the reference's speaker does. Pairs with a turn without words do not count.
    """

    version = "1"
    fields = ("correct", "pairs", "pairs_present", "turns_present", "turns")
    reference_fields = ("pairs", "turns")
    unit = "ratio"
    higher_is_better = True
    aggregation = "corpus"
    needs = (Transcript, Diarization)
    Settings = TurnOrderSettings

    def __init__(self, settings: TurnOrderSettings) -> None:
        super().__init__(settings)
        self.normalizer = normalizer(settings.normalizer)

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        if not _pairs(self._texts(dialogue)):
            return "no two neighbouring turns have words"
        return None

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        runs = speaker_runs(artifacts[Transcript], artifacts[Diarization], self.normalizer)
        return self._counts(dialogue, turn_voices(self._texts(dialogue), runs))

    def worst(self, dialogue: Dialogue) -> Counts:
        """No turn is there."""
        return self._counts(dialogue, [None] * len(dialogue.turns))

    def reduce(self, total: Mapping[str, Any]) -> Any:
        return total["correct"] / total["pairs"]

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        return ratios(
            rows,
            pairs_present=("pairs_present", "pairs"),
            turns_present=("turns_present", "turns"),
        )

    def _texts(self, dialogue: Dialogue) -> list[str]:
        return [self.normalizer(turn.text) for turn in dialogue.turns]

    def _counts(self, dialogue: Dialogue, voices: Sequence[str | None]) -> Counts:
        texts = self._texts(dialogue)
        speakers = [turn.speaker for turn in dialogue.turns]
        pairs = _pairs(texts)
        present = [(a, b) for a, b in pairs if voices[a] is not None and voices[b] is not None]
        correct = [
            (a, b) for a, b in present if (voices[a] != voices[b]) == (speakers[a] != speakers[b])
        ]
        return {
            "correct": float(len(correct)),
            "pairs": float(len(pairs)),
            "pairs_present": float(len(present)),
            "turns_present": float(sum(voice is not None for voice in voices)),
            "turns": float(sum(map(bool, texts))),
        }


def _pairs(texts: Sequence[str]) -> list[tuple[int, int]]:
    """The numbers of neighbouring turns that both have words."""
    return [(a, b) for a, b in pairwise(range(len(texts))) if texts[a] and texts[b]]
