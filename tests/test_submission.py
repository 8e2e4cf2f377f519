"""Outputs folders: matching by name, hostile entries, submission.toml."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmdia_eval.errors import UserError
from mmdia_eval.submission import load_submission, read_system
from mmdia_eval.types import Dialogue, Task, Turn

DIALOGUES = [Dialogue(f"d_{i}", (Turn("Ann", "Hello."), Turn("Bob", "Yes?"))) for i in range(3)]


def files(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"sound")
    return folder


def outputs(folder: Path, task: Task = 1) -> list[str | None]:
    samples = load_submission(folder, DIALOGUES, task).samples
    assert [sample.dialogue for sample in samples] == DIALOGUES
    return [None if sample.output is None else sample.output.name for sample in samples]


def test_names_with_and_without_prefix_and_extensions_in_any_case(tmp_path: Path) -> None:
    folder = files(tmp_path / "system", "output_d_0.wav", "d_1.FLAC", "d_2.mp4", "notes.txt")
    assert outputs(folder) == ["output_d_0.wav", "d_1.FLAC", None]
    assert load_submission(folder, DIALOGUES, 1).extra == ("d_2.mp4", "notes.txt")
    assert outputs(folder, task=3) == [None, None, "d_2.mp4"]


def test_an_id_may_hold_dots(tmp_path: Path) -> None:
    dialogue = Dialogue("This.Is.Us.S01E16_clip_39", (Turn("Ann", "Hi."),))
    folder = files(tmp_path / "system", "output_This.Is.Us.S01E16_clip_39.wav")
    assert load_submission(folder, [dialogue], 1).samples[0].output is not None


def test_two_files_for_one_dialogue_are_refused(tmp_path: Path) -> None:
    folder = files(tmp_path / "system", "output_d_0.wav", "d_0.flac")
    with pytest.raises(UserError, match=r"'d_0'.*d_0\.flac and output_d_0\.wav"):
        load_submission(folder, DIALOGUES, 1)


def test_only_regular_files_are_taken(tmp_path: Path) -> None:
    folder = files(tmp_path / "system", "d_0.wav")
    (folder / "d_1.wav").symlink_to(folder / "d_0.wav")
    os.mkfifo(folder / "output_d_2.wav")
    (folder / "more").mkdir()
    submission = load_submission(folder, DIALOGUES, 1)
    assert [sample.output is not None for sample in submission.samples] == [True, False, False]
    assert submission.refused == (
        "d_1.wav (a symbolic link)",
        "output_d_2.wav (a special file)",
    )
    assert submission.extra == ("more/",)


def test_a_link_does_not_count_as_a_second_file(tmp_path: Path) -> None:
    folder = files(tmp_path / "system", "d_0.wav")
    (folder / "output_d_0.wav").symlink_to(folder / "d_0.wav")
    assert outputs(folder)[0] == "d_0.wav"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "is empty"),
        (
            ("a.wav", "b.wav"),
            r"Found a\.wav, b\.wav; expected .*output_d_0\.wav or d_0\.wav.*--spl",
        ),
        (("d_0.mp4",), r"Found d_0\.mp4.*task 1 takes \.wav"),
        (("D_0.wav",), "no output for any"),
        (("bad\nname\x1b.wav",), r"bad\\nname\\x1b\.wav"),
    ],
)
def test_nothing_to_score(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    folder = files(tmp_path / "system", *names)
    with pytest.raises(UserError, match=message):
        load_submission(folder, DIALOGUES, 1)


def test_a_name_that_is_not_utf8_is_shown(tmp_path: Path) -> None:
    folder = files(tmp_path / "system", "d_0.wav")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.wav")).write_bytes(b"")
    (name,) = load_submission(folder, DIALOGUES, 1).extra
    assert name.encode("utf-8") == rb"\udcff.wav"


def test_no_folder_or_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_submission(tmp_path / "none", DIALOGUES, 1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="not a folder"):
        load_submission(tmp_path / "file", DIALOGUES, 1)


def test_the_system_is_named_after_its_folder(tmp_path: Path) -> None:
    system = load_submission(files(tmp_path / "sys-a", "d_0.wav"), DIALOGUES, 1).system
    assert (system.name, system.organization, system.open_weights) == ("sys-a", None, None)


def test_submission_toml(tmp_path: Path) -> None:
    folder = files(tmp_path / "x", "d_0.wav")
    (folder / "submission.toml").write_text(
        'name = "Café"\norganization = "Lab"\ndate = 2026-11-21\nurl = "https://example.org/x"\n'
        'open_weights = true\ntraining_data_overlap = "none"\ntask = 1\nnotes = "Seed 1."\n'
    )
    submission = load_submission(folder, DIALOGUES, 1)
    assert submission.extra == ()
    assert submission.system.model_dump() == {
        "name": "Café",
        "organization": "Lab",
        "date": "2026-11-21",
        "url": "https://example.org/x",
        "open_weights": True,
        "training_data_overlap": "none",
        "kind": "system",
        "task": 1,
        "notes": "Seed 1.",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\nweights = true', "weights: unknown key.*known keys: name, organ"),
        ('name = ""', "name: should have 1 to 80"),
        ('name = "a\\u202eb"', "no control or formatting"),
        ('name = "a"\ndate = "yesterday"', "date: .*'yesterday'"),
        ('name = "a"\nurl = "javascript:alert(1)"', "url: "),
        ('name = "a"\ntask = 4', "task: "),
        ('name = "a"\nopen_weights = "yes"', "open_weights: .*'yes'"),
        ('name = "a"\ntask = 2', "task = 2, but .* task 1"),
        ('name = "a', "not valid TOML: Unterminated string"),
        ("# " + "x" * 70_000, "more than the 65,536 allowed"),
    ],
)
def test_a_bad_submission_toml(tmp_path: Path, text: str, message: str) -> None:
    folder = files(tmp_path / "x", "d_0.wav")
    (folder / "submission.toml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_submission(folder, DIALOGUES, 1)
    assert "submission.toml" in str(caught.value)


def test_submission_toml_is_not_read_through_a_link(tmp_path: Path) -> None:
    folder = files(tmp_path / "x", "d_0.wav")
    (tmp_path / "secret").write_text('name = "secret"')
    (folder / "submission.toml").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="a symbolic link"):
        load_submission(folder, DIALOGUES, 1)


def test_a_submission_toml_without_a_name_takes_the_folders(tmp_path: Path) -> None:
    folder = files(tmp_path / "dialogen", "d_0.wav")
    (folder / "submission.toml").write_text('organization = "Acme"\n')
    system = read_system(folder)
    assert (system.name, system.organization) == ("dialogen", "Acme")
