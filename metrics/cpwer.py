"""cpWER: the word error rate when each word must also be given to the right speaker.

Concatenated minimum-permutation WER, Watanabe et al. 2020 (CHiME-6), computed as MeetEval does
(von Neumann et al. 2023): speakers are matched one to one so that errors are fewest.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle, permutations, starmap
from statistics import fmean
from typing import Literal, TypeVar

import numpy as np
from rapidfuzz.distance import Indel, Levenshtein

from mmdia_eval.api import Counts
from mmdia_eval.artifacts import Artifacts, Diarization, Transcript
from mmdia_eval.attribution import Run, speaker_runs, texts_by_speaker
from mmdia_eval.errors import UserError
from mmdia_eval.metrics.wer import (
    ERROR_FIELDS,
    ErrorCounts,
    WordErrorMetric,
    WordErrorSettings,
    error_counts,
    heard_text,
    id_errors,
    rate_components,
    word_errors,
    word_ids,
)
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue

MAX_JOINED_SPEAKERS = 8
"""`joined_cpwer` tries every order of the hypothesis's speakers: 40,320 orders of eight."""

RANDOM_LABEL_SEED = 20260101
RANDOM_LABEL_DRAWS = 10
"""Draws of labels behind the floor `floor_random_labels`, averaged for each dialogue."""

NOWHERE = -1
"""Index of a run that is assigned to no stream."""

Words = Sequence[int]
T = TypeVar("T")


def cpwer(reference: Mapping[str, str], hypothesis: Mapping[str, str]) -> ErrorCounts:
    """Errors of the best one-to-one matching of speakers, each side a normalised text by speaker.

    Any number of speakers: the side with fewer is filled up with silent ones, so that a speaker
    without partner counts as deletions (reference) or insertions (hypothesis). The matching is the
    optimal one (Hungarian algorithm); `errors` equals MeetEval's, labels and their order play no
    part. Splitting errors into kinds follows `word_errors`.

    >>> cpwer({"Ann": "the cat", "Bob": "sat on"}, {"0": "the cat sat", "1": "on"}).rate
    0.5
    """
    words = word_ids([*sorted(reference.values()), *sorted(hypothesis.values())])
    return _cpwer(words[: len(reference)], words[len(reference) :])


def joined_cpwer(reference: Mapping[str, str], hypothesis: Mapping[str, str]) -> ErrorCounts:
    """Fewest errors of one text against one text, over the orders of the hypothesis's speakers.

    The definition of MM-DIA's release (`evaluate_cpwer.py`) and of ZipVoice-Dialog: the reference's
    texts are joined in the mapping's order, the hypothesis's texts in each possible order, and the
    smallest plain word error counts. Edits cross from one speaker to the next, so it never exceeds
    `cpwer` and forgives a word given to the neighbour; the value depends on the reference's order.

    Both scripts know two speakers only. Here every speaker with words takes part, on either side;
    a missing one leaves its words as deletions. (The release drops hypothesis speakers after the
    second.)

    Raises:
        UserError: more than `MAX_JOINED_SPEAKERS` speakers in the hypothesis.

    >>> joined_cpwer({"Ann": "the cat", "Bob": "sat on"}, {"0": "the cat sat", "1": "on"}).rate
    0.0
    """
    words = word_ids([*reference.values(), *hypothesis.values()])
    joined = _join(words[: len(reference)])
    parts = sorted(part for part in words[len(reference) :] if part)
    if len(parts) > MAX_JOINED_SPEAKERS:
        raise UserError(
            f"the joined cpWER cannot try every order of {len(parts)} speakers "
            f"(at most {MAX_JOINED_SPEAKERS}); use the definition 'meeteval'"
        )
    orders = (_join(order) for order in permutations(parts))
    return id_errors(joined, min(orders, key=lambda order: Levenshtein.distance(joined, order)))


def greedy_di_cpwer(reference: Mapping[str, str], runs: Sequence[Run]) -> ErrorCounts:
    """Errors of cpWER once runs of the hypothesis may move to the reference speaker they fit.

    What is left is the errors in the words themselves: diarization-invariant cpWER. The search is
    greedy, as in MeetEval's `greedy_di_cp_word_error_rate`, so the value may lie above the optimum;
    it never exceeds `cpwer` of the same runs. It starts from the cpWER matching and moves one run
    at a time while that lowers the cost, first with substitutions costing 2 (which keeps a wrong
    run from passing for substitutions), then with all edits costing 1. Runs stay in order.
    """
    words = word_ids([*reference.values(), *(run.text for run in runs)])
    streams, parts = words[: len(reference)], words[len(reference) :]
    if not streams:
        return id_errors([], _join(parts))
    start = _matched_streams([run.speaker for run in runs], streams, parts)
    moved = _descend(Indel.distance, streams, parts, start)
    moved = _descend(Levenshtein.distance, streams, parts, moved)
    found = (_assigned_errors(streams, parts, assignment) for assignment in (start, moved))
    return min(found, key=lambda counts: counts.errors)


def _join(parts: Iterable[Words]) -> list[int]:
    return [word for part in parts for word in part]


def _padded(speakers: Sequence[Sequence[T]], size: int) -> list[Sequence[T]]:
    return [*speakers, *[()] * (size - len(speakers))]


def _matching(
    reference: Sequence[Sequence[T]],
    hypothesis: Sequence[Sequence[T]],
    distance: Callable[[Sequence[T], Sequence[T]], int],
) -> list[int]:
    """The hypothesis index for each reference index, both counted on over the silent speakers."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    size = max(len(reference), len(hypothesis))
    heard = _padded(hypothesis, size)
    costs = [[distance(spoken, words) for words in heard] for spoken in _padded(reference, size)]
    partners: list[int] = linear_sum_assignment(np.reshape(costs, (size, size)))[1].tolist()
    return partners


def matched(
    reference: Sequence[Sequence[T]],
    hypothesis: Sequence[Sequence[T]],
    distance: Callable[[Sequence[T], Sequence[T]], int],
) -> list[tuple[Sequence[T], Sequence[T]]]:
    """The one-to-one pairs of speakers of least total distance; () for the partner of nobody."""
    partners = _matching(reference, hypothesis, distance)
    heard = _padded(hypothesis, len(partners))
    spoken = _padded(reference, len(partners))
    return list(zip(spoken, (heard[partner] for partner in partners), strict=True))


def _cpwer(reference: Sequence[Words], hypothesis: Sequence[Words]) -> ErrorCounts:
    pairs = matched(reference, hypothesis, Levenshtein.distance)
    return sum(starmap(id_errors, pairs), ErrorCounts())


def _matched_streams(
    labels: Sequence[str], streams: Sequence[Words], parts: Sequence[Words]
) -> list[int]:
    """For each part the reference stream that cpWER gives its label, or the least unlike one."""
    names = list(dict.fromkeys(labels))
    heard = [
        _join(part for part, label in zip(parts, labels, strict=True) if label == name)
        for name in names
    ]
    stream_of = {
        names[partner]: stream
        for stream, partner in enumerate(_matching(streams, heard, Levenshtein.distance))
        if stream < len(streams) and partner < len(names)
    }
    for name, words in zip(names, heard, strict=True):
        if name not in stream_of:
            distances = [Levenshtein.distance(stream, words) for stream in streams]
            stream_of[name] = distances.index(min(distances))
    return [stream_of[label] for label in labels]


def _assigned(parts: Sequence[Words], assignment: Sequence[int], stream: int) -> list[int]:
    return _join(part for part, own in zip(parts, assignment, strict=True) if own == stream)


def _assigned_errors(
    streams: Sequence[Words], parts: Sequence[Words], assignment: Sequence[int]
) -> ErrorCounts:
    return sum(
        (id_errors(words, _assigned(parts, assignment, i)) for i, words in enumerate(streams)),
        ErrorCounts(),
    )


def _descend(
    distance: Callable[[Words, Words], int],
    streams: Sequence[Words],
    parts: Sequence[Words],
    assignment: Sequence[int],
) -> list[int]:
    """Move one part at a time to the stream where it costs least, until no move lowers the sum."""
    current = list(assignment)

    def cost(stream: int) -> int:
        return distance(streams[stream], _assigned(parts, current, stream))

    costs = [cost(stream) for stream in range(len(streams))]
    settled = 0
    for part in cycle(range(len(parts))):
        if settled == len(parts):
            break
        home = current[part]
        current[part] = NOWHERE
        without = cost(home)
        added = []
        for stream in range(len(streams)):
            current[part] = stream
            old = without if stream == home else costs[stream]
            added.append(cost(stream) - old)
        best = home if added[home] == min(added) else added.index(min(added))
        current[part] = best
        settled += 1
        if best != home:
            settled, costs[home] = 0, without
            costs[best] += added[best]
    return current


class CpWerSettings(WordErrorSettings):
    """`definition`: "meeteval" matches speakers one to one and adds their errors (`cpwer`);
    "joined" makes one text of all speakers and forgives a word given to the neighbour
    (`joined_cpwer`).
    """

    definition: Literal["meeteval", "joined"] = "meeteval"


class SpeakerErrorMetric(WordErrorMetric):
    """What the cpWER metrics share, wherever the speakers' labels come from.

    A dialogue whose script has no words keeps its insertions in the corpus sum. A missing output
    costs every word of the script.
    """

    fields = (
        *ERROR_FIELDS,
        "wer_errors",
        "greedy_di_cpwer_errors",
        "single_label_errors",
        "random_label_errors",
        "detected_speakers",
        "reference_speakers",
    )
    reference_fields = ("words", "dialogues", "single_label_errors", "reference_speakers")
    Settings = CpWerSettings

    def __init__(self, settings: CpWerSettings) -> None:
        super().__init__(settings)
        self._define = cpwer if settings.definition == "meeteval" else joined_cpwer

    def script(self, dialogue: Dialogue) -> list[Run]:
        """The turns to be found, each normalised by itself."""
        return [Run(turn.speaker, self.normalizer(turn.text)) for turn in dialogue.turns]

    def worst(self, dialogue: Dialogue) -> Counts:
        return self.counts(dialogue, [], "", 0)

    def counts(self, dialogue: Dialogue, runs: Sequence[Run], heard: str, detected: int) -> Counts:
        """`fields` for the words of `runs`; `heard` is all of them without speakers."""
        script = self.script(dialogue)
        reference = texts_by_speaker(script)
        one_label = {"": " ".join(run.text for run in script)}
        return {
            **error_counts(self._define(reference, texts_by_speaker(runs))),
            "wer_errors": word_errors(one_label[""], heard).errors,
            "greedy_di_cpwer_errors": greedy_di_cpwer(reference, runs).errors,
            "single_label_errors": self._define(reference, one_label).errors,
            "random_label_errors": fmean(
                self._define(reference, texts_by_speaker(draw)).errors
                for draw in _random_labels(dialogue.id, script)
            ),
            "detected_speakers": detected,
            "reference_speakers": len(reference),
        }

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """Those of `wer`, and what the errors consist of; rates are corpus rates.

        `wer` and `greedy_di_cpwer` are what the same words cost without speakers, and
        `attribution_gap` is `corpus` less `greedy_di_cpwer`: the price of wrong speakers alone.
        `floor_single_label` and `floor_random_labels` are what a perfect transcript would get with
        one speaker's label on everything, or a random speaker's on each turn; they depend on the
        benchmark only. `detected_speakers` and `reference_speakers` are means over dialogues;
        `too_few_speakers` and `too_many_speakers` are shares of them.
        """
        figures = rate_components(rows)
        words = sum(row["words"] for row in rows)
        if not words:
            return figures
        totals = {field: sum(row[field] for row in rows) for field in self.fields}
        found = [row["detected_speakers"] - row["reference_speakers"] for row in rows]
        di_cpwer = totals["greedy_di_cpwer_errors"] / words
        return figures | {
            "wer": totals["wer_errors"] / words,
            "greedy_di_cpwer": di_cpwer,
            "attribution_gap": figures["corpus"] - di_cpwer,
            "floor_single_label": totals["single_label_errors"] / words,
            "floor_random_labels": totals["random_label_errors"] / words,
            "detected_speakers": totals["detected_speakers"] / len(rows),
            "reference_speakers": totals["reference_speakers"] / len(rows),
            "too_few_speakers": fmean(extra < 0 for extra in found),
            "too_many_speakers": fmean(extra > 0 for extra in found),
        }


@metric("cpwer")
class CpWer(SpeakerErrorMetric):
    """Errors between each speaker's script and the words attributed to the voice matched with it.

    Words are attributed as in `mmdia_eval.attribution`.
    """

    version = "1"
    needs = (Transcript, Diarization)

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        transcript, diarization = artifacts[Transcript], artifacts[Diarization]
        return self.counts(
            dialogue,
            speaker_runs(transcript, diarization, self.normalizer),
            heard_text(transcript, self.normalizer),
            len(diarization.speakers),
        )


def _random_labels(dialogue_id: str, script: Sequence[Run]) -> Iterator[list[Run]]:
    """The script with a speaker drawn evenly for each turn: `RANDOM_LABEL_DRAWS` times.

    Seeded by the dialogue's id, so that a figure depends on no other dialogue.
    """
    draw = random.Random(f"{RANDOM_LABEL_SEED} {dialogue_id}")  # noqa: S311
    speakers = list(dict.fromkeys(run.speaker for run in script))
    for _ in range(RANDOM_LABEL_DRAWS):
        yield [Run(draw.choice(speakers), run.text) for run in script]
