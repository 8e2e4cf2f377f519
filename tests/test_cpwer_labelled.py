"""cpWER of labelled words: the release's and ZipVoice's ways, on their own cases."""

from __future__ import annotations

import doctest
from pathlib import Path

import jiwer
import pytest

import mmdia_eval.metrics.cpwer_labelled
from mmdia_eval.artifacts import Artifacts, Transcript, Utterance, Word
from mmdia_eval.importers.report import Tally
from mmdia_eval.importers.transcripts import read_transcripts
from mmdia_eval.metrics.cpwer_labelled import CpWerLabelled, CpWerLabelledSettings
from mmdia_eval.registry import metric
from mmdia_eval.types import Dialogue, Turn


def column(**settings: str) -> CpWerLabelled:
    return CpWerLabelled(
        CpWerLabelledSettings.model_validate({"normalizer": "seedtts", **settings})
    )


RELEASE = {"definition": "joined", "aggregation": "dialogues", "speakers": "first_two"}
ZIPVOICE = {"definition": "joined", "normalizer": "zipvoice", "speakers": "by_parity"}


def heard(*parts: tuple[str | None, str]) -> Artifacts:
    utterances = (
        Utterance(tuple(Word(word, 0.0, 0.0) for word in text.split()), speaker=speaker)
        for speaker, text in parts
    )
    return Artifacts({Transcript: Transcript(tuple(utterances), word_times=False)})


def dialogue(*parts: tuple[str, str]) -> Dialogue:
    return Dialogue("d", tuple(Turn(*part) for part in parts))


# The official repository's public example, `evaluation/examples` at cc8a4e0.
PLUNGER = dialogue(
    ("SPEAKER0", "HOLD ON. I'LL GET THE PLUNGER."),
    ("SPEAKER0", "AND TELL HIM WHAT?"),
    ("SPEAKER0", 'CALLED "THE RENT STABILIZATION ACT OF 1968."'),
    ("SPEAKER1", "I HAVE ACTUALLY NOT HEARD OF THAT."),
    ("SPEAKER0", "YEAH? WELL, YOUR FRIENDS ARE IN VIOLATION OF IT."),
    ("SPEAKER1", "WHY DON'T YOU TELL ME SOMETHING I DON'T KNOW?"),
)
SPK0 = (
    "hold on i'll get the plunger and tell him what called the rent stabilization act of 1968 "
    "yeah well your friends are in violation of it"
)
SPK1 = "i have actually not heard of that why don't you tell me something i don't know"


def labels(*numbers: int) -> Artifacts:
    """The script's words, turn by turn, under these labels."""
    pairs = zip(numbers, PLUNGER.turns, strict=True)
    return heard(*((str(number), turn.text) for number, turn in pairs))


def by_formula(first: str, second: str) -> float:
    """`evaluate_cpwer.py`, by jiwer: the smaller of two joined rates."""
    reference = f"{SPK0} {SPK1}"
    return min(jiwer.wer(reference, f"{a} {b}") for a, b in ((first, second), (second, first)))


def test_the_public_example_said_right_costs_nothing() -> None:
    for numbers in ((0, 0, 0, 1, 0, 1), (1, 1, 1, 0, 1, 0)):
        counts = column(**RELEASE).measure(PLUNGER, labels(*numbers))
        assert column(**RELEASE).reduce(counts) == 0
        assert counts["words"] == len(f"{SPK0} {SPK1}".split())


def test_the_public_example_under_one_label_is_the_formulas_value() -> None:
    """Every word right, and the release charges only what is out of its joined order."""
    everything = labels(0, 0, 0, 0, 0, 0)
    text = " ".join(word.text.lower().strip('.?,"') for word in everything[Transcript].words)
    released = column(**RELEASE)
    assert released.reduce(released.measure(PLUNGER, everything)) == pytest.approx(
        by_formula(text, "")
    )
    separate = column()
    assert separate.reduce(separate.measure(PLUNGER, everything)) == pytest.approx(2 * 16 / 42)


def test_a_last_word_under_the_neighbours_label_is_free_in_the_release() -> None:
    parts = [("0", SPK0), ("1", SPK1)]
    moved = [("0", SPK0.removesuffix(" it")), ("1", f"it {SPK1}")]
    joined, separate = column(**RELEASE), column()
    for counted, cost in ((joined, 0), (separate, 2 / 42)):
        assert counted.reduce(counted.measure(PLUNGER, heard(*parts))) == 0
        assert counted.reduce(counted.measure(PLUNGER, heard(*moved))) == pytest.approx(cost)


def test_words_of_a_third_label_are_lost_in_the_release() -> None:
    third = column(**RELEASE).measure(PLUNGER, labels(0, 0, 0, 1, 2, 1))
    kept = SPK0.removesuffix(" yeah well your friends are in violation of it")
    assert column(**RELEASE).reduce(third) == pytest.approx(by_formula(kept, SPK1))
    assert third["detected_speakers"] == 2
    assert column().measure(PLUNGER, labels(0, 0, 0, 1, 2, 1))["detected_speakers"] == 3


def test_nothing_heard_costs_every_word() -> None:
    counts = column(**RELEASE).measure(PLUNGER, heard())
    assert counts == column(**RELEASE).worst(PLUNGER)
    assert column(**RELEASE).reduce(counts) == 1


def test_a_third_speaker_of_the_script_is_left_out_in_the_release() -> None:
    three = Dialogue("t", (*PLUNGER.turns, Turn("SPEAKER2", "ME TOO")))
    assert column(**RELEASE).worst(three)["words"] == 42
    assert column().worst(three)["words"] == 44


def test_the_imported_example_is_the_one_above(tmp_path: Path) -> None:
    file = tmp_path / "_gt_trans.tsv"
    tags = "".join(f"[{turn.speaker}]{turn.text}" for turn in PLUNGER.turns)
    file.write_text(f"mc_eiu_en_420\t{tags}\n", encoding="utf-8")
    (draft,) = read_transcripts(file, Tally())
    assert draft.dialogue.turns == PLUNGER.turns


def test_dialogues_are_averaged_without_weight() -> None:
    short = dialogue(("SPEAKER0", "YES"), ("SPEAKER1", "NO"))
    mean = column(**RELEASE)
    rows = [
        mean.measure(PLUNGER, labels(0, 0, 0, 1, 0, 1)),
        mean.measure(short, heard(("0", "yes"))),
    ]
    total = {name: sum(row[name] for row in rows) for name in mean.fields}
    assert mean.reduce(total) == pytest.approx(0.25)
    assert mean.components(rows)["corpus"] == pytest.approx(1 / 44)


# ZipVoice-Dialog, `wer/dialog.py` at 2f7326f. Its hypotheses come dealt by parity already.
def zipvoice(reference: Dialogue, said: Artifacts) -> float:
    found = column(**ZIPVOICE)
    return float(found.reduce(found.measure(reference, said)))


def test_zipvoice_lets_a_word_cross_the_speakers() -> None:
    script = dialogue(("S1", "a b c"), ("S2", "d e f"))
    said = heard(("S1", "f a b c"), ("S2", "d e"))
    assert zipvoice(script, said) == 0
    separate = column(normalizer="zipvoice")
    assert separate.reduce(separate.measure(script, said)) == pytest.approx(2 / 6)


def test_zipvoice_deals_by_parity_and_not_by_the_tag() -> None:
    """`[S1] a [S1] b [S2] c` becomes {b} and {a c}."""
    script = dialogue(("S1", "a"), ("S1", "b"), ("S2", "c"))
    right, dealt = (
        heard(("S1", "a b"), ("S2", "c")),
        heard(("S1", "a"), ("S2", "b"), ("S1", "c")),
    )
    by_tag = column(normalizer="zipvoice")
    assert zipvoice(script, dealt) == 0
    assert zipvoice(script, right) == pytest.approx(2 / 3)
    assert by_tag.reduce(by_tag.measure(script, right)) == 0
    counts = column(**ZIPVOICE).worst(dialogue(("A", "a"), ("B", "b"), ("C", "c")))
    assert counts["reference_speakers"] == 2


def test_right_words_without_tags() -> None:
    """WER 0; ZipVoice's cpWER is that of one text out of order."""
    script = dialogue(("S1", "a b"), ("S2", "c d"))
    counts = column(**ZIPVOICE).measure(script, heard((None, "a b c d")))
    assert counts["wer_errors"] == 0
    assert column(**ZIPVOICE).reduce(counts) == 1


def test_words_before_the_first_tag_have_a_speaker_of_their_own() -> None:
    script = dialogue(("Ann", "a b"), ("Bob", "c d"))
    assert column().measure(script, heard((None, "a b"), ("S1", "c d")))["rate"] == 0


def test_registered_and_documented() -> None:
    assert metric.get("cpwer_labelled") is CpWerLabelled
    assert doctest.testmod(mmdia_eval.metrics.cpwer_labelled).failed == 0
    assert CpWerLabelled.fields == metric.get("cpwer").fields
