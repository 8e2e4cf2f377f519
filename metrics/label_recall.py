"""Whether a judge hears in an output what the speakers are to each other, and what they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from mmdia_eval import api
from mmdia_eval.api import Counts, Metric
from mmdia_eval.artifacts import Artifacts, Verdict
from mmdia_eval.categories import (
    INTERACTION_TYPES,
    RELATIONSHIPS,
    interaction_type_name,
    relationship_name,
)
from mmdia_eval.counts import ratios
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue

Label = Literal["relationship", "interaction_type"]
NAMES: Mapping[Label, Sequence[str]] = {
    "relationship": RELATIONSHIPS,
    "interaction_type": INTERACTION_TYPES,
}
CHANCE = fmean(1 / len(names) for names in NAMES.values())
"""What guessing gets: (1/8 + 1/15) / 2 = 9.6 %."""

NOTHING = 0
"""The code of no label: not asked for, or not said. Labels are counted from 1 in their tables."""


class LabelRecallSettings(api.Settings):
    """`label`: which accuracy is the value; "both" is the mean of the two."""

    label: Literal["both", "relationship", "interaction_type"] = "both"


@metric("label_recall")
class LabelRecall(Metric):
    """Share of dialogues whose label the judge names, as the mean over the two labels.

    What a verdict says is what most of its draws say, the earlier one where they tie. The fields
    `*_true` and `*_said` are codes of labels for the confusion matrix: never sums.
    """

    version = "1"
    fields = (
        "relationship_correct",
        "relationship_asked",
        "interaction_type_correct",
        "interaction_type_asked",
        "both_correct",
        "both_asked",
        "relationship_true",
        "relationship_said",
        "interaction_type_true",
        "interaction_type_said",
    )
    reference_fields = ("relationship_true", "interaction_type_true", "both_asked")
    unit = "accuracy"
    higher_is_better = True
    aggregation = "dialogues"
    needs = (Verdict,)
    companion = "majority"
    Settings = LabelRecallSettings

    def not_applicable(self, dialogue: Dialogue) -> str | None:
        codes = _true_codes(dialogue)
        wanted = self._labels()
        if any(codes[label] for label in wanted):
            return None
        return f"the dialogue has no {' and no '.join(wanted).replace('_', ' ')} label"

    def measure(self, dialogue: Dialogue, artifacts: Artifacts) -> Counts:
        readable = artifacts[Verdict].readable
        if not readable:
            raise ValueError("the verdict has no draw that could be read")
        said = {label: [draw.answers.get(label) for draw in readable] for label in NAMES}
        if None in {answer for answers in said.values() for answer in answers}:
            raise ValueError("the verdict is that of a judge which was not asked for labels")
        return _counts(
            _true_codes(dialogue), {label: _code(label, _most(said[label])) for label in NAMES}
        )

    def worst(self, dialogue: Dialogue) -> Counts:
        """Nothing said."""
        return _counts(_true_codes(dialogue), dict.fromkeys(NAMES, NOTHING))

    def reduce(self, total: Mapping[str, Any]) -> Any:
        wanted = self._labels()
        parts = [total[f"{label}_correct"] / total[f"{label}_asked"] for label in wanted]
        return sum(parts) / len(parts)

    def components(self, rows: Sequence[Counts]) -> Mapping[str, float]:
        """Accuracy and recall of each label, baselines, and the cells of the confusion matrices.

        `confusion.<label>.<true>.<said>` counts dialogues, cells of none are left out, "-" is no
        answer. `chance` is what guessing gets, `majority` what saying the benchmark's commonest
        label always would.
        """
        pairs = {label: _pairs(rows, label) for label in NAMES}
        wanted = [label for label in self._labels() if pairs[label]]
        figures = ratios(
            rows,
            relationship_accuracy=("relationship_correct", "relationship_asked"),
            interaction_type_accuracy=("interaction_type_correct", "interaction_type_asked"),
            both_correct=("both_correct", "both_asked"),
        )
        if wanted:
            figures["macro_recall"] = fmean(_macro_recall(pairs[label]) for label in wanted)
            figures["chance"] = fmean(1 / len(NAMES[label]) for label in wanted)
            figures["majority"] = fmean(_majority(pairs[label]) for label in wanted)
        return figures | {
            f"confusion.{label}.{_name(label, true)}.{_name(label, said)}": float(count)
            for label in NAMES
            for (true, said), count in sorted(Counter(pairs[label]).items())
        }

    def _labels(self) -> tuple[Label, ...]:
        label = self.settings.label
        return tuple(NAMES) if label == "both" else (label,)


def _true_codes(dialogue: Dialogue) -> dict[Label, int]:
    return {
        "relationship": _code("relationship", dialogue.style.relationship),
        "interaction_type": _code("interaction_type", dialogue.style.interaction_type),
    }


def _code(label: Label, name: int | str | None) -> int:
    """The label's place in its table, from 1; aliases are read, what is no label is NOTHING."""
    find = relationship_name if label == "relationship" else interaction_type_name
    found = find(name) if isinstance(name, str) else None
    return NOTHING if found is None else NAMES[label].index(found) + 1


def _name(label: Label, code: int) -> str:
    return "-" if code == NOTHING else NAMES[label][code - 1]


def _most(said: Sequence[int | str | None]) -> int | str | None:
    return Counter(said).most_common(1)[0][0]


def _counts(true: Mapping[Label, int], said: Mapping[Label, int]) -> Counts:
    asked = {label: float(true[label] != NOTHING) for label in NAMES}
    correct = {label: float(asked[label] and true[label] == said[label]) for label in NAMES}
    return {
        **{f"{label}_correct": correct[label] for label in NAMES},
        **{f"{label}_asked": asked[label] for label in NAMES},
        "both_correct": min(correct.values()),
        "both_asked": min(asked.values()),
        **{f"{label}_true": float(true[label]) for label in NAMES},
        **{f"{label}_said": float(said[label]) for label in NAMES},
    }


def _pairs(rows: Sequence[Counts], label: Label) -> list[tuple[int, int]]:
    """True and said code of each row that has the label."""
    codes = ((int(row[f"{label}_true"]), int(row[f"{label}_said"])) for row in rows)
    return [(true, said) for true, said in codes if true != NOTHING]


def _macro_recall(pairs: Sequence[tuple[int, int]]) -> float:
    """Mean over the labels that occur of the share of their dialogues that are named right."""
    occurring = Counter(true for true, _ in pairs)
    right = Counter(true for true, said in pairs if true == said)
    return fmean(right[label] / count for label, count in occurring.items())


def _majority(pairs: Sequence[tuple[int, int]]) -> float:
    return Counter(true for true, _ in pairs).most_common(1)[0][1] / len(pairs)
