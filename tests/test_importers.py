"""Imports of the flat form and of transcripts; media, splits, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.benchmark_check import check_benchmark
from mmdia_eval.errors import UserError
from mmdia_eval.importers import ImportReport, import_benchmark
from mmdia_eval.types import Dialogue, Segment, Turn

# The public example dialogues of evaluation/examples in jessyjinzy/MM-Dia (MIT): the second whole,
# of the first its odd first line, which the script leaves unfinished.
TSV = (
    "mc_eiu_en_216\t[SPEAKER0]SOMEBODY'S BEEN DOING[SPEAKER1]SAY, YOU WANT ME TO CLENCH ANYTHING, "
    "OR..?[SPEAKER0]THIS... IS FOR THE FOURTH GRADE.\n"
    "mc_eiu_en_420\t[SPEAKER0]HOLD ON. I'LL GET THE PLUNGER.[SPEAKER0]AND TELL HIM WHAT?"
    '[SPEAKER0]CALLED "THE RENT STABILIZATION ACT OF 1968."'
    "[SPEAKER1]I HAVE ACTUALLY NOT HEARD OF THAT."
    "[SPEAKER0]YEAH? WELL, YOUR FRIENDS ARE IN VIOLATION OF IT."
    "[SPEAKER1]WHY DON'T YOU TELL ME SOMETHING I DON'T KNOW?\n"
)


def record(dialogue_id: str, *segments: tuple[str, float, float], **more: Any) -> dict[str, Any]:
    return {
        "dialog_id": dialogue_id,
        "path": f"/data/audio/movie/{dialogue_id.partition('_clip_')[0]}/clip_000/clip_000.wav",
        "video_path": "",
        "speakers": ["Ross:", "Rachel:"],
        "annotation_tag": ["old friends", "teasing", "warm and dry"],
        "annotation_text": "Two friends tease each other.",
        "segments": [
            {"segment_id": i, "text": text, "start": start, "end": end, "index": i, "speaker": [0]}
            for i, (text, start, end) in enumerate(segments)
        ],
        "relationship": "Friends",
        "interaction_type": "Social Banter",
        **more,
    }


def flat(folder: Path, *records: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
    (folder / "mm-dia.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def wav(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(seconds * 16_000, dtype=np.float32)), 16_000)


def imported(
    source: Path, out: Path, split: str = "test", **options: Any
) -> tuple[ImportReport, dict[str, Dialogue]]:
    report = import_benchmark(source, out, **options)
    assert list(report.lines())
    assert report.kept == len({d.id for part in load_benchmark(out).splits.values() for d in part})
    return report, {dialogue.id: dialogue for dialogue in load_benchmark(out).split(split)}


def test_transcripts(tmp_path: Path) -> None:
    path = tmp_path / "_gt_trans.tsv"
    path.write_text(TSV + "no tab\nx\tNO TAGS AT ALL\ny\tWORDS [SPEAKER1]THEN A TAG\n")
    for source in (path, tmp_path):
        out = tmp_path / source.name / "out" if source != path else tmp_path / "out"
        report, dialogues = imported(source, out)
        assert (report.form, report.read, report.kept) == ("_gt_trans.tsv", 5, 3)
        assert list(report.dropped) == ["lines without a tab", "no [SPEAKER0] tag"]
        assert report.skipped == {"words before the first speaker tag": ["y"]}
        turns = dialogues["mc_eiu_en_420"].turns
        assert [turn.speaker for turn in turns] == [f"SPEAKER{k}" for k in (0, 0, 0, 1, 0, 1)]
        assert turns[2].text == 'CALLED "THE RENT STABILIZATION ACT OF 1968."'
        assert all(turn.segment is None for turn in turns)
        assert dialogues["y"].turns == (Turn("SPEAKER1", "THEN A TAG"),)


def test_flat(tmp_path: Path) -> None:
    source = flat(
        tmp_path / "data",
        record(
            "tt1_clip_0",
            ("[0]Wait <sigh>[1]What is\nit?", 1.0, 5.0),
            ("[1]Too short.", 0.0, 0.2),
            ("[1](laughs)", 6.0, 7.5),
            ("[0]", 8.0, 9.0),
        ),
        record("tt1_clip_1", ("[2]Me?", 0, 1), speakers=["A:", "B:", "C:"]),
        record("tt1_clip_2", ("[2]Who?", 0, 1)),
        record("tt1_clip_3", ("Before. [1]After.", 0, 1), ("No tag.", 1, 2)),
        record("tt1_clip_4", ("[0]Hm.", 0, 0.1)),
        record(
            "tt1_clip_5",
            ("[0]La la.", 0, 2),
            ("[1]Hi.", 2, 3),
            speakers=["Background music:", "B:"],
        ),
        record("TT1_clip_0", ("[0]Again.", 0, 2)),
        record("tt 1", ("[0]Hi.", 0, 2)),
        record(
            "tt1_clip_6",
            ("[0]Hi.", 0, 2),
            relationship="Enemies",
            annotation_tag=[],
            annotation_text="",
        ),
        {"dialog_id": "tt1_clip_7"},
        '{"dialog_id": "tt1_clip_8", "dialog_id": "tt1_clip_9"}',
    )
    report, dialogues = imported(source, tmp_path / "out")
    assert list(dialogues) == [f"tt1_clip_{number}" for number in (0, 1, 3, 5, 6)]
    assert dialogues["tt1_clip_0"].turns == (
        Turn("Ross", "Wait <sigh>", Segment(1.0, 3.0)),
        Turn("Rachel", "What is it?", Segment(3.0, 5.0)),
        Turn("Rachel", "(laughs)", Segment(6.0, 7.5)),
    )
    assert dialogues["tt1_clip_1"].turns[0].speaker == "C"
    assert [turn.text for turn in dialogues["tt1_clip_3"].turns] == ["After.", "No tag."]
    assert [turn.text for turn in dialogues["tt1_clip_5"].turns] == ["Hi."]
    style = dialogues["tt1_clip_0"].style
    assert style.description == "Two friends tease each other."
    assert (style.relationship, style.interaction_type) == ("Friends", "Banter")
    assert style.emotional_tone == "warm and dry"
    assert (style.relationship_tag, style.interaction_type_tag) == ("old friends", "teasing")
    other = dialogues["tt1_clip_6"].style
    assert (other.relationship, other.emotional_tone, other.description) == (None, None, None)
    assert {reason: len(places) for reason, places in report.dropped.items()} == {
        "a speaker index in the text is past the list of speakers": 1,
        "no line left": 1,
        "the id came before (upper and lower case aside)": 1,
        "does not fit our format": 1,
        "not of the expected form: speakers: Field required": 1,
        "lines that cannot be read": 1,
    }
    assert {reason: len(places) for reason, places in report.skipped.items()} == {
        "lines of 0.2 s or less": 2,
        "lines without text": 1,
        "words before the first speaker tag": 1,
        "background music": 1,
    }
    assert report.noted["unknown relationship 'Enemies', left empty"] == ["tt1_clip_6"]
    assert report.read == 11 == report.kept + sum(map(len, report.dropped.values()))


def test_paths_of_the_authors_disks_are_found_below_the_audio_root(tmp_path: Path) -> None:
    source = flat(
        tmp_path / "data",
        record("tt1_clip_0", ("[0]Hi.", 0, 1)),
        record("tt2_clip_0", ("[0]Ho.", 0, 1)),
        record("x", ("[0]Hm.", 0, 1), path="x.wav"),
        record("up", ("[0]Hm.", 0, 1), path="../up.wav"),
    )
    wav(tmp_path / "up.wav")
    wav(tmp_path / "mine/tt1/clip_000/clip_000.wav")
    wav(tmp_path / "mine/clip_000/clip_000.wav")
    wav(tmp_path / "mine/clip_000.wav")
    wav(tmp_path / "mine/output_x.wav")
    report, dialogues = imported(source, tmp_path / "out", audio_root=tmp_path / "mine")
    assert [one for one in dialogues if dialogues[one].audio] == ["tt1_clip_0", "x"]
    assert report.noted["audio not found"] == ["tt2_clip_0", "up"]


def test_outputs_beside_the_source_are_not_taken_for_references(tmp_path: Path) -> None:
    source = flat(tmp_path / "data", record("x", ("[0]Hm.", 0, 1)))
    wav(source / "output_x.wav")
    assert imported(source, tmp_path / "out")[0].with_audio == 0
    with pytest.raises(UserError, match="no such folder of audio"):
        import_benchmark(source, tmp_path / "b", audio_root=tmp_path / "none")


def test_media_are_linked_where_possible_else_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = flat(tmp_path / "data", record("x", ("[0]Hm.", 0, 1), path="real.wav"))
    wav(source / "kept.wav")
    (source / "real.wav").symlink_to("kept.wav")
    import_benchmark(source, tmp_path / "a")
    placed = tmp_path / "a/media/x.wav"
    assert placed.samefile(source / "kept.wav")
    assert not placed.is_symlink()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refuse)
    import_benchmark(source, tmp_path / "b")
    assert (tmp_path / "b/media/x.wav").read_bytes() == (source / "kept.wav").read_bytes()
    assert (source / "kept.wav").stat().st_nlink == 2


def test_splits_by_the_ids_file(tmp_path: Path) -> None:
    ids = [
        "tv_01_mad_men_S02E11_clip_14",
        "tv_07_house_of_cards_S02E11_clip_14",
        "tv_07_house_of_cards_S02E11_clip_15",
        "tt1_clip_0",
        "tt1_clip_1",
        "tt1_clip_2",
    ]
    source = flat(
        tmp_path / "data",
        *(record(one, ("[0]Hi.", 0, 1)) for one in ids),
        record("tt1_clip_9", ("[5]Hi.", 0, 1)),
    )
    path = tmp_path / "train_eval_test_hard_ids.json"
    lists = {
        "train": ["tt1_clip_0", "tt1_clip_2"],
        "eval": [],
        "test": ["tt1_clip_1", "tt1_clip_0", "tt1_clip_1", "tt9_clip_0", "tt1_clip_9"],
        "hard": ["S02E11_clip_14", "S02E11_clip_15", "tt1_clip_1", ids[0]],
        "bench": ["nowhere"],
    }
    path.write_text(json.dumps(lists))
    report, hard = imported(source, tmp_path / "out", split="hard", ids=path)
    assert list(hard) == [ids[2], "tt1_clip_1", ids[0]]
    benchmark = load_benchmark(tmp_path / "out")
    assert [one.id for one in benchmark.split("test")] == ["tt1_clip_1", "tt1_clip_0"]
    assert list(benchmark.splits) == ["hard", "test"]
    by_name = {split.name: split for split in report.splits}
    assert list(by_name) == list(lists)
    assert not by_name["train"].kept
    assert by_name["train"].shared == {"test": 1}
    test = by_name["test"]
    assert (test.listed, test.repeated, test.found) == (4, 1, 2)
    assert (test.missing, test.dropped) == (("tt9_clip_0",), ("tt1_clip_9",))
    assert test.shared == {"train": 1, "hard": 1}
    assert by_name["hard"].ambiguous == ("S02E11_clip_14",)
    assert by_name["bench"].missing == ("nowhere",)
    assert (report.kept, report.unlisted) == (4, 2)
    assert check_benchmark(tmp_path / "out").splits[0].duplicated == ("tt1_clip_1",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"test": ["zz"]}', "none of its ids is among the 1 dialogues.*zz there, x here"),
        ('{"train": ["x"]}', "has the lists train; needs one of hard, test"),
        ('{"test": [1]}', "'test' should be a list of ids"),
        ("[]", "should be an object of lists"),
        ('{"test": ["x"], "test": []}', "the key 'test' is given twice"),
    ],
)
def test_a_bad_ids_file(tmp_path: Path, content: str, message: str) -> None:
    source = flat(tmp_path / "data", record("x", ("[0]Hm.", 0, 1)))
    path = tmp_path / "ids.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        import_benchmark(source, tmp_path / "out", ids=path)
    assert not (tmp_path / "out").exists()


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file or folder; expected mm-dia\.jsonl, "):
        import_benchmark(tmp_path / "none", tmp_path / "out")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"found notes\.txt; expected mm-dia\.jsonl"):
        import_benchmark(folder, tmp_path / "out")
    with pytest.raises(UserError, match="not a form of the release"):
        import_benchmark(folder / "notes.txt", tmp_path / "out")
    ids = folder / "train_eval_test_hard_ids.json"
    ids.write_text("{}")
    with pytest.raises(UserError, match="goes with --ids"):
        import_benchmark(ids, tmp_path / "out")
    bad = flat(tmp_path / "bad", {"dialog_id": 3}, "{")
    with pytest.raises(UserError, match=r"no usable dialogue .*, 2 read.*mm-dia\.jsonl:1; 1 lines"):
        import_benchmark(bad, tmp_path / "out")
    with pytest.raises(UserError, match="It is empty"):
        import_benchmark(flat(tmp_path / "empty"), tmp_path / "out")
    with pytest.raises(UserError, match="unknown split 'train'"):
        import_benchmark(bad, tmp_path / "out", split="train")


def test_a_benchmark_is_never_written_over(tmp_path: Path) -> None:
    source = flat(tmp_path / "data", record("x", ("[0]Hm.", 0, 1)))
    import_benchmark(source, tmp_path / "out")
    with pytest.raises(UserError, match="already holds a benchmark"):
        import_benchmark(source, tmp_path / "out")


def test_real_dialogues(tmp_path: Path, real_speech: Path) -> None:
    report, dialogues = imported(real_speech, tmp_path / "out", name="real")
    assert (report.read, report.kept, report.with_audio) == (4, 4, 4)
    assert dict(report.dropped) == {}
    assert [len(dialogue.speakers) for dialogue in dialogues.values()] == [2, 2, 2, 3]
    assert dialogues["real_003"].turns[0].speaker == "Michael"
    for dialogue in dialogues.values():
        last = dialogue.turns[-1].segment
        assert last is not None
        assert dialogue.duration is not None
        assert last.end <= dialogue.duration
    assert check_benchmark(tmp_path / "out").sound
