from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from praatio import textgrid

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts, Word
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.extractors.script_words import script_words, spoken
from mmdia_eval.extractors.textgrid_alignment import TextGridAlignment, TextGridSettings
from mmdia_eval.extractors.textgrid_words import place_words, read_words
from mmdia_eval.plan import make_plan
from mmdia_eval.protocol import Protocol
from mmdia_eval.registry import extractor
from mmdia_eval.run import run
from mmdia_eval.store import Store
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, Sample, Turn

Tiers = dict[str, Sequence[tuple[float, float, str]]]


def write_grid(path: Path, tiers: Tiers, duration: float = 10.0, form: str = "long") -> Path:
    grid = textgrid.Textgrid()
    for name, entries in tiers.items():
        grid.addTier(textgrid.IntervalTier(name, list(entries), 0, duration))
    grid.save(str(path), f"{form}_textgrid", includeBlankSpaces=True)
    return path


def evenly(*labels: str, first: float = 0.0) -> list[Word]:
    """Labels of one second, one after the other."""
    return [Word(label, first + n, first + n + 1) for n, label in enumerate(labels)]


def place(texts: Sequence[str], labels: Sequence[Word], duration: float = 100.0) -> Alignment:
    return place_words([spoken(text) for text in texts], labels, duration)


def times(turn: AlignedTurn) -> list[tuple[str, float, float]]:
    return [(word.text, round(word.start, 3), round(word.end, 3)) for word in turn.words]


def test_is_registered() -> None:
    assert extractor.get("textgrid_alignment") is TextGridAlignment


@pytest.mark.parametrize("form", ["long", "short"])
def test_reads_the_words_of_all_speakers_in_time_order(tmp_path: Path, form: str) -> None:
    path = write_grid(
        tmp_path / "a.TextGrid",
        {
            "A - words": [(0.5, 1.0, "Hello"), (1.0, 1.2, "sil"), (3.0, 4.0, "bye")],
            "A - phones": [(0.5, 1.0, "HH")],
            "B - words": [(1.5, 2.0, "naïve"), (2.0, 2.5, "<unk>")],
        },
        form=form,
    )
    assert read_words(path) == [
        Word("Hello", 0.5, 1.0),
        Word("naïve", 1.5, 2.0),
        Word("<unk>", 2.0, 2.5),
        Word("bye", 3.0, 4.0),
    ]


@pytest.mark.parametrize("content", [b"", b"no TextGrid", b"\xff\xfe\x00", b"{}", b"\x00" * 99])
def test_what_is_no_textgrid_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.TextGrid").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.TextGrid (cannot be read|has no tier)"):
        read_words(tmp_path / "a.TextGrid")


def test_a_textgrid_without_words_names_its_tiers(tmp_path: Path) -> None:
    path = write_grid(tmp_path / "a.TextGrid", {"phones": [(0.0, 1.0, "AH")]})
    with pytest.raises(ValueError, match="has no tier of words; its tiers: phones"):
        read_words(path)


def test_words_go_to_their_turns_whatever_the_aligner_made_of_them() -> None:
    texts = ["(laughs) Well, that's twenty-one o'clock in 1968!", "<sigh>", "Give 'em 'Zyxxy's' X."]
    labels = evenly("WELL", "that", "'s", "twenty-one", "o'clock", "in", "1968", "give", "'em")
    labels += evenly("<unk>", "'s", "spn", first=9.0)
    found = place(texts, labels)
    assert found.problem is None
    assert times(found.turns[0]) == [
        ("well", 0, 1),
        ("that's", 1, 3),
        ("twenty", 3, 3.5),
        ("one", 3.5, 4),
        ("o'clock", 4, 5),
        ("in", 5, 6),
        ("nineteen", 6, 6.333),
        ("sixty", 6.333, 6.667),
        ("eight", 6.667, 7),
    ]
    assert found.turns[1] == AlignedTurn(1, (), 0)
    assert times(found.turns[2]) == [
        ("give", 7, 8),
        ("em", 8, 9),
        ("zyxxy's", 9, 11),
        ("x", 11, 12),
    ]


def test_a_clitic_with_a_place_in_the_script_is_no_part_of_an_unknown_word() -> None:
    (turn,) = place(["Smeagol 'cause"], evenly("<unk>", "'cause")).turns
    assert times(turn) == [("smeagol", 0, 1), ("cause", 1, 2)]


def test_clitics_apart_in_time_are_not_joined() -> None:
    labels = [Word("that", 0, 1), Word("'s", 2, 3)]
    found = place(["that's that"], [*labels, Word("that", 4, 5)])
    assert found.problem == "1 of 2 words of the script are in the TextGrid"


def test_words_that_say_something_else_have_no_place() -> None:
    texts = ["good morning to you", "is it still raining", "yes"]
    found = place(texts, evenly("good", "night", "is", "it", "still", "snowing", "yes"))
    assert found.problem == "5 of 9 words of the script are in the TextGrid"
    assert [times(turn) for turn in found.turns] == [
        [],
        [("is", 2, 3), ("it", 3, 4), ("still", 4, 5)],
        [("yes", 6, 7)],
    ]
    assert [turn.expected for turn in found.turns] == [4, 4, 1]


def test_equal_words_of_neighbouring_turns_stay_apart() -> None:
    found = place(["no", "no no", "yes no"], evenly("no", "no", "no", "yes", "no"))
    assert [[start for _, start, _ in times(turn)] for turn in found.turns] == [
        [0],
        [1, 2],
        [3, 4],
    ]


def test_times_lie_inside_the_file() -> None:
    (turn,) = place(["one two"], [Word("one", -0.1, 1.0), Word("two", 1.0, 2.3)], 2.0).turns
    assert times(turn) == [("one", 0, 1), ("two", 1, 2)]


def test_a_script_without_words_has_no_alignment() -> None:
    assert place(["(laughs)"], evenly("a")) == Alignment(
        (AlignedTurn(0, (), 0),), "the script has no words"
    )


WORDS = st.sampled_from(["I", "don't", "know", "twenty-two", "1984", "O'Neill's", "(um)", "ok"])


@given(st.lists(st.lists(WORDS, max_size=5).map(" ".join), min_size=1, max_size=5))
def test_an_aligner_that_keeps_each_word_gives_all_back(texts: list[str]) -> None:
    labels = evenly(*(word for text in texts for word in text.split()))
    found = place(texts, labels)
    assert [[word.text for word in turn.words] for turn in found.turns] == [
        spoken(text) for text in texts
    ]
    assert (found.problem is None) == any(map(spoken, texts))


def inputs(id_: str, *texts: str) -> Inputs:
    dialogue = Dialogue(id_, tuple(Turn("A", text) for text in texts))
    return Inputs(Audio(np.zeros(10 * SAMPLE_RATE, np.float32)), dialogue, Artifacts({}))


def test_each_file_has_its_own_textgrid(tmp_path: Path) -> None:
    write_grid(tmp_path / "d1.TextGrid", {"words": [(0.5, 1.0, "yes")]})
    write_grid(tmp_path / "output_d2.TextGrid", {"words": [(2.5, 3.0, "yes")]})
    made = TextGridAlignment(TextGridSettings(folder=str(tmp_path)), ())
    assert made.problems() == []
    made.load()
    first, second, third = made.extract([inputs(id_, "Yes!") for id_ in ("d1", "d2", "d3")])
    assert times(first.turns[0]) == [("yes", 0.5, 1.0)]
    assert times(second.turns[0]) == [("yes", 2.5, 3.0)]
    assert third.turns == (AlignedTurn(0, (), 1),)
    assert third.problem == f"no d3.TextGrid or output_d3.TextGrid in {tmp_path}"


def test_a_folder_without_textgrids_is_a_problem_before_any_work(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        made = TextGridAlignment(TextGridSettings(folder=str(folder)), ())
        (problem,) = made.problems()
        assert f"no .TextGrid file in {folder}" in problem
        assert made.identity() == made.identity()


def test_a_changed_textgrid_is_another_identity(tmp_path: Path) -> None:
    made = TextGridAlignment(TextGridSettings(folder=str(tmp_path)), ())
    seen = [made.identity()]
    for name, label in [("a", "yes"), ("a", "no"), ("b", "no")]:
        write_grid(tmp_path / f"{name}.TextGrid", {"words": [(0.5, 1.0, label)]})
        seen.append(made.identity())
    assert all(seen.count(identity) == 1 for identity in seen)


def test_the_script_is_counted_as_spoken() -> None:
    dialogue = Dialogue("d", (Turn("A", "<sigh> 'Tis 'fine'."), Turn("B", "21 (um)")))
    assert script_words(dialogue) == [["tis", "fine"], ["twenty", "one"]]


def test_the_cache_knows_a_textgrid_that_changed(tmp_path: Path) -> None:
    (dialogue,) = load_benchmark(resolve_benchmark("mini")).split("test")[:1]
    sample = Sample(dialogue, dialogue.audio)
    protocol = Protocol.model_validate(
        {
            "name": "grids",
            "version": "1",
            "summary": "for tests",
            "comparable": False,
            "tasks": [1],
            "extractors": {
                "alignment": {
                    "extractor": "textgrid_alignment",
                    "settings": {"folder": str(tmp_path)},
                },
                "mos": {"extractor": "dnsmos"},
            },
            "metrics": [{"name": "dnsmos", "metric": "mos"}],
        }
    )
    store = Store(tmp_path / "cache")
    counts = []
    for shift in (0.0, 0.0, 0.1):
        words = []
        for turn in dialogue.turns:
            said = spoken(turn.text)
            assert turn.segment is not None
            step = turn.segment.duration / len(said)
            starts = [turn.segment.start + shift + step * n for n in range(len(said))]
            words += [
                (start, start + 0.9 * step, word) for start, word in zip(starts, said, strict=True)
            ]
        write_grid(tmp_path / f"{dialogue.id}.TextGrid", {"words": words}, duration=60.0)
        result = run(make_plan(protocol, 1, [sample], ()), store, jobs=1)
        assert [outcome.status for outcome in result.outcomes] == ["scored"]
        assert result.outcomes[0].counts["turns_scored"] == len(dialogue.turns)
        counts.append(len(list((store.root / "artifacts" / "alignment").rglob("*.jsonl"))))
    assert counts == [1, 1, 2]
