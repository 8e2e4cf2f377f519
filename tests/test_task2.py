"""Task 2 from the import to the results file: its own dialogues, and their keyframes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mmdia_eval.benchmark import load_benchmark, write_benchmark
from mmdia_eval.benchmark_check import check_benchmark
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.importers import import_benchmark
from mmdia_eval.manifest import DialogueLine, to_dialogue
from mmdia_eval.scoring import score
from mmdia_eval.types import TASKS, Dialogue, Keyframe, Turn

TURNS = (Turn("Ann", "Hi."), Turn("Bob", "Ho."))
PNG = b"\x89PNG\r\n\x1a\n"


def source(folder: Path, count: int) -> Path:
    """An evaluation list of that many dialogues."""
    folder.mkdir()
    lines = [f"clip_{n}\t[SPEAKER0]HELLO.[SPEAKER1]YES.\n" for n in range(count)]
    (folder / "_gt_trans.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def task_lists(folder: Path, content: Any) -> Path:
    path = folder / "tasks.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def keyframes(folder: Path, *lines: Any) -> Path:
    (folder / "still.png").write_bytes(PNG)
    path = folder / "keyframes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_each_task_takes_its_own_dialogues_of_the_bench_split(tmp_path: Path) -> None:
    """The paper's counts: 309 dialogues, of which Task 2 takes 132 and Task 3 133."""
    ids = [f"clip_{n}" for n in range(309)]
    lists = {"2": [*ids[:132], "elsewhere"], "3": ids[100:233]}
    found = import_benchmark(
        source(tmp_path / "release", 309),
        tmp_path / "bench",
        split="bench",
        tasks=task_lists(tmp_path, lists),
    )
    benchmark = load_benchmark(tmp_path / "bench")
    sizes = [len(benchmark.split("bench", task)) for task in TASKS]
    assert sizes == [309, 132, 133]
    assert [one.id for one in benchmark.split("bench", 2)] == ids[:132]
    assert len(benchmark.split("bench")) == 309
    lines = "\n".join(found.lines())
    assert "task 2: 133 ids listed, 132 found" in lines
    assert "1 not found: elsewhere" in lines
    report = "\n".join(check_benchmark(tmp_path / "bench").lines())
    assert "task 1 has 309, task 2 has 132, task 3 has 133" in report


@pytest.mark.parametrize("content", [[], {}, {"1": []}, {"2": "clip_1"}, {"2": [1]}])
def test_a_tasks_file_of_another_form(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match=r"tasks\.json: .*should be"):
        import_benchmark(
            source(tmp_path / "release", 1),
            tmp_path / "bench",
            tasks=task_lists(tmp_path, content),
        )


def test_keyframes_are_carried_from_the_list_to_the_dialogue(tmp_path: Path) -> None:
    stills = keyframes(
        tmp_path,
        {"dialog_id": "clip_0", "path": "still.png", "time": 2.5},
        {"dialog_id": "clip_0", "path": "still.png", "time": 0.5, "speaker": "SPEAKER1"},
        {"dialog_id": "nobody", "path": "still.png", "time": 0.0},
    )
    out = tmp_path / "bench"
    found = import_benchmark(source(tmp_path / "release", 2), out, split="bench", keyframes=stills)
    first, second = load_benchmark(out).split("bench")
    assert [(frame.time, frame.speaker) for frame in first.keyframes] == [
        (0.5, "SPEAKER1"),
        (2.5, None),
    ]
    assert all(frame.path.read_bytes() == PNG for frame in first.keyframes)
    assert second.keyframes == ()
    assert first.tasks == second.tasks == TASKS
    assert found.with_keyframes == 1
    assert found.noted == {"keyframes of a dialogue that is not here": ["nobody"]}
    report = check_benchmark(out)
    assert report.sound
    assert report.splits[0].with_keyframes == 1
    first.keyframes[0].path.unlink()
    assert check_benchmark(out).splits[0].missing == ("clip_0",)


def test_bad_keyframe_lines_come_together(tmp_path: Path) -> None:
    stills = keyframes(
        tmp_path,
        {"dialog_id": "clip_0", "path": "gone.png", "time": 1.0},
        {"dialog_id": "clip_0", "path": "still.png", "time": "1"},
        {"dialog_id": "clip_0", "path": "keyframes.jsonl", "time": 1.0},
    )
    with pytest.raises(ProblemsError) as raised:
        import_benchmark(source(tmp_path / "r", 1), tmp_path / "bench", keyframes=stills)
    text = str(raised.value)
    for line, words in ((1, "no such picture"), (2, "valid number"), (3, "no such picture")):
        assert f"keyframes.jsonl:{line}: " in text
        assert words in text


def frame(**changes: Any) -> dict[str, Any]:
    return {"path": "media/a.png", "time": 1.0, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keyframes": []}, "at least 1"),
        ({"keyframes": [frame(path="/etc/a.png")]}, "relative path"),
        ({"keyframes": [frame(path="../a.png")]}, "relative path"),
        ({"keyframes": [frame(path="media/a.svg")]}, "should be a picture"),
        ({"keyframes": [frame(time=-1.0)]}, "greater than or equal to 0"),
        ({"keyframes": [frame(speaker="Cy")]}, "shows 'Cy', who has no turn"),
        ({"keyframes": [frame(time=9.0)], "duration": 8.0}, "is at 9 s of 8 s"),
        ({"tasks": []}, "at least 1"),
        ({"tasks": [2, 1]}, "each task once"),
        ({"tasks": [4]}, "Input should be 1, 2 or 3"),
    ],
)
def test_a_bad_line(changes: dict[str, Any], message: str) -> None:
    turns = [{"speaker": turn.speaker, "text": turn.text} for turn in TURNS]
    with pytest.raises(ValueError, match=message):
        DialogueLine.model_validate({"id": "a", "turns": turns, **changes})
    sound = DialogueLine.model_validate(
        {"id": "a", "turns": turns, "keyframes": [frame(speaker="Bob")], "tasks": [1, 2]}
    )
    assert to_dialogue(sound, Path("/b")).keyframes == (
        Keyframe(Path("/b/media/a.png"), 1.0, "Bob"),
    )


def test_task_2_is_scored_on_its_dialogues_alone(tmp_path: Path) -> None:
    bench, outputs = tmp_path / "bench", tmp_path / "outputs"
    dialogues = [
        Dialogue(f"d{n}", TURNS, duration=1.0, tasks=(1, 2) if n < 2 else (1,)) for n in range(3)
    ]
    write_benchmark(
        bench,
        name="toy",
        version="1",
        license="",
        splits={"bench": dialogues, "ood": dialogues[2:]},
    )
    outputs.mkdir()
    for dialogue in dialogues:
        wave = np.sin(np.arange(16_000, dtype=np.float32) / 9) / 2
        soundfile.write(outputs / f"output_{dialogue.id}.wav", wave, 16_000)

    def scored(task: int, split: str = "bench") -> Any:
        return score(
            outputs,
            task,
            split=split,
            benchmark=bench,
            metrics=["duration_ratio"],
            cache=tmp_path / "cache",
            jobs=1,
        )

    second = scored(2)
    assert (second.task, second.benchmark.dialogues) == (2, 2)
    assert second.metrics[0].coverage.scored == 2
    assert any("1 files match no dialogue" in warning for warning in second.warnings)
    assert scored(1).benchmark.dialogues == 3
    with pytest.raises(UserError, match=r"'ood' .* no dialogues of task 2; .*: bench \(2\)"):
        scored(2, "ood")
