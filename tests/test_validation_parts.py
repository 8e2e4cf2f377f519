"""Parts of validation by themselves: places in JSON, digits, likeness, comments, packing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from example_submission import AUDITED, NAME, RESULTS, make_submission
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from typer.testing import CliRunner

from mmdia_eval import media, sandbox
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.cli import app
from mmdia_eval.errors import UserError
from mmdia_eval.protocol import load_protocol
from mmdia_eval.results_files import canonical_json
from mmdia_eval.scoring import Request
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray, SandboxMode
from mmdia_eval.validation.comment import MARK, MAX_REPORT, comment
from mmdia_eval.validation.copies import SIMILAR, similarity
from mmdia_eval.validation.digits import few_decimals, uneven_digits
from mmdia_eval.validation.entry import read_entry
from mmdia_eval.validation.findings import found
from mmdia_eval.validation.format import ManifestLine, SubmissionRecord, is_folder_name
from mmdia_eval.validation.locate import line_of
from mmdia_eval.validation.pack import pack
from mmdia_eval.validation.report import make_report, write_report
from mmdia_eval.validation.validate import Checked, validate

ROOT = Path(__file__).parents[1]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON, data=st.data())
def test_every_value_is_found_on_the_line_where_it_stands(value: Any, data: Any) -> None:
    text = json.dumps(value, indent=1)
    path: list[str | int] = []
    at: Any = value
    while isinstance(at, dict | list) and at:
        items = at if isinstance(at, dict) else dict(enumerate(at))
        path.append(data.draw(st.sampled_from(list(items))))
        at = items[path[-1]]
    line = line_of(text, path)
    assert line is not None
    below = "\n".join(text.splitlines()[line - 1 :]) if "\n" in text else text
    shown = json.dumps(at, indent=1).splitlines()[0]
    assert shown in below.splitlines()[0]


def test_a_place_that_is_not_there_is_that_around_it() -> None:
    assert line_of('{"a":\n {"b": 1}}', ["a", "c"]) == 2
    assert line_of('{"b": oh', ["a"]) is None


def test_digits_of_measurements_pass_and_those_of_people_do_not() -> None:
    dice = np.random.default_rng(1)
    measured = list(map(float, dice.normal(3.5, 0.4, 300)))
    assert few_decimals(measured) is None
    assert uneven_digits(measured) is None
    typed = [round(value, 2) for value in measured]
    assert few_decimals(typed) == 2
    # Half of the second decimals are 5s or 0s.
    favoured = [round(v / 5, 2) * 5 if i % 2 else v for i, v in enumerate(measured)]
    p_value = uneven_digits(favoured)
    assert p_value is not None
    assert p_value < 1e-6
    assert uneven_digits(measured[:20]) is None
    assert uneven_digits([3.0] * 100) is None


@pytest.fixture(scope="module")
def recordings() -> list[Audio]:
    folder = resolve_benchmark("mini") / "media"
    names = ("mini_test_01", "mini_test_03")
    return [audio for name in names if (audio := media.decode(folder / f"{name}.opus")[1])]


def changed(audio: Audio, how: str) -> Audio:
    samples: FloatArray = audio.samples
    dice = np.random.default_rng(0)
    if how == "louder and later":
        samples = np.concatenate([np.zeros(9000, np.float32), samples * 3])
    elif how == "noise":
        level = float(np.sqrt(np.mean(samples**2))) / 10
        samples = samples + level * dice.standard_normal(len(samples), dtype=np.float32)
    elif how == "low-pass":
        samples = lfilter([0.1], [1, -0.9], samples).astype(np.float32)
    elif how == "reverberation":
        tail = dice.standard_normal(8000) * np.exp(-np.arange(8000) / 1500)
        samples = np.convolve(samples, np.concatenate([[3.0], tail / 8]))[: len(samples)]
        samples = samples.astype(np.float32)
    else:
        places = np.arange(0, len(samples) - 1, 1.1)
        samples = np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
    return Audio(samples, SAMPLE_RATE)


@pytest.mark.parametrize(
    "how", ["louder and later", "noise", "low-pass", "reverberation", "10 % faster"]
)
def test_a_recording_in_disguise_is_recognised(how: str, recordings: list[Audio]) -> None:
    assert similarity(changed(recordings[0], how), recordings[0])[0] > SIMILAR + 0.1


def test_another_dialogue_of_the_same_voices_is_not_taken_for_it(recordings: list[Audio]) -> None:
    assert similarity(recordings[1], recordings[0])[0] < SIMILAR - 0.15


def test_the_speed_is_found(recordings: list[Audio]) -> None:
    likeness, speed = similarity(changed(recordings[0], "10 % faster"), recordings[0])
    assert likeness > 0.8
    assert speed == pytest.approx(1.1, abs=0.011)


@pytest.mark.parametrize(
    ("subtype", "rate"), [("PCM_16", 16000), ("PCM_24", 22050), ("FLOAT", 8000)]
)
def test_a_listening_copy_has_the_sound_of_its_file(
    subtype: str, rate: int, tmp_path: Path
) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, rate)
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype=subtype)
    assert media.write_listening_copy(tmp_path / "a.wav", tmp_path / "a.flac") is None
    info, mine = media.read_details(tmp_path / "a.wav")
    copied, theirs = media.read_details(tmp_path / "a.flac")
    assert mine == theirs is not None
    assert (copied.duration, copied.sample_rate) == (info.duration, info.sample_rate)
    written, _ = soundfile.read(tmp_path / "a.flac")
    given_, _ = soundfile.read(tmp_path / "a.wav")
    assert np.abs(written - given_).max() <= 2.0**-24
    samples[5] += 2.0**-10
    soundfile.write(tmp_path / "b.wav", samples, rate, subtype=subtype)
    assert media.read_details(tmp_path / "b.wav")[1] != mine


def test_audit_clips_depend_on_protocol_and_ids_alone() -> None:
    embedded = load_protocol("embedded")
    ids = [dialogue.id for dialogue in load_benchmark(resolve_benchmark("mini")).split("test")]
    assert embedded.audit_ids(ids) == embedded.audit_ids(reversed(ids)) == list(AUDITED)
    other = embedded.model_copy(update={"version": "next"})
    assert other.audit_ids(ids) != list(AUDITED)
    assert embedded.model_copy(update={"audit": 0}).sha256 == embedded.sha256
    assert len(load_protocol("strict").audit_ids(map(str, range(1000)))) == 20


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("2026-11-21_acme_dialogen-2", True),
        ("2026-11-21_acme_dialogen-2\n", False),
        ("2026-13-01_acme_x", False),
        ("2026-11-21_Acme_x", False),
        ("2026-11-21_acme", False),
        ("2026-11-21_acme_ｘ", False),
        ("２026-11-21_acme_x", False),
    ],
)
def test_names_of_folders(name: str, good: bool) -> None:
    assert is_folder_name(name) == good


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Request]:
    return make_submission(tmp_path_factory.mktemp("made"))


def test_packing_names_the_blanks(made: tuple[Path, Request], tmp_path: Path) -> None:
    folder = made[0].parents[1]
    arguments = ["submission", "pack", str(folder / "results" / RESULTS)]
    arguments += ["--outputs", str(folder / "outputs"), "--out", str(tmp_path / NAME)]
    done = CliRunner().invoke(app, [*arguments, "--benchmark", "mini"])
    assert done.exit_code == 0
    said = done.output.split("submission.json: ")[1].splitlines()[0].split(", ")
    found_blank = CliRunner().invoke(app, ["validate", str(tmp_path / NAME), "--benchmark", "mini"])
    named = [line.split()[3] for line in found_blank.output.splitlines() if "is blank" in line]
    assert sorted(said) == sorted(named)
    assert [path.name for path in sorted((tmp_path / NAME / "audit").iterdir())] == [
        f"{id_}.flac" for id_ in AUDITED
    ]


def test_the_examples_for_submitters_are_of_the_format() -> None:
    text = (Path(__file__).parents[1] / "submissions" / "SUBMITTING.md").read_text("utf-8")
    record, lines = (
        re.findall(rf"```{kind}\n(.*?)```", text, re.S)[0] for kind in ("json", "jsonl")
    )
    SubmissionRecord.model_validate_json(record)
    assert len([ManifestLine.model_validate_json(line) for line in lines.splitlines()]) == 3


def test_rows_without_results_are_found(made: tuple[Path, Request], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made[0], tmp_path / NAME))
    (folder / "task1.hard.rows.jsonl").touch()
    _, findings = read_entry(folder)
    assert [finding.code for finding in findings] == ["file-missing"]
    assert "task1.hard.json" in findings[0].message


def test_packing_refuses_what_was_not_scored(made: tuple[Path, Request], tmp_path: Path) -> None:
    folder = made[0].parents[1]
    outputs = Path(shutil.copytree(folder / "outputs", tmp_path / "outputs"))
    results = [folder / "results" / RESULTS]
    with pytest.raises(UserError, match="name the folder"):
        pack(results, outputs, tmp_path / "mine", benchmark="mini")
    with pytest.raises(UserError, match="two results files are of one split"):
        pack(results * 2, outputs, tmp_path / NAME, benchmark="mini")
    one, two = sorted(outputs.glob("*.flac"))[:2]
    shutil.copyfile(one, two)
    with pytest.raises(UserError, match="not the files that were scored"):
        pack(results, outputs, tmp_path / NAME, benchmark="mini")
    assert not (tmp_path / NAME).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


HOSTILE = "```\n</details><script>alert(1)</script> @everyone [x](javascript:alert(1)) \u202e"


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.json", data)
    return path


def test_a_comment_shows_findings_and_no_markup_of_theirs(tmp_path: Path) -> None:
    report = make_report([Checked("x", [found("name-file", HOSTILE, HOSTILE, 3)])])
    # As a job would write it that does not escape.
    value = report.model_dump(mode="json")
    value["checked"][0]["findings"][0].update(message=HOSTILE, file=HOSTILE)
    text = comment(zipped(tmp_path / "r.zip", submission=canonical_json(value)))
    assert text.startswith(f"{MARK}\nThe submission is not valid yet.\n")
    before, block, after = text.split("````")
    assert "error name-file:" in block
    assert "alert" not in before + after
    assert "`" not in block
    assert "\u202e" not in block
    assert "@everyone" in block, "inside a block of code nobody is called"


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"valid": "yes", "checked": []}',
        b'{"valid": true, "checked": [{"findings": [{"code": "<b>"}]}]}',
        b'{"valid": true, "checked": [{"findings": [{"code": "secret", "file": [], "line": "1",'
        b' "message": ""}]}]}',
        b"\xff",
        b" " * (MAX_REPORT + 1),
    ],
)
def test_a_comment_takes_reports_only(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        comment(zipped(tmp_path / "r.zip", tree=data))


def test_a_comment_needs_an_archive_with_a_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither"):
        comment(zipped(tmp_path / "r.zip", other=b"{}"))
    (tmp_path / "no.zip").write_bytes(b"x")
    with pytest.raises(UserError, match="zip"):
        comment(tmp_path / "no.zip")


def test_a_comment_is_written_without_any_package(tmp_path: Path) -> None:
    write_report(tmp_path / "tree.json", make_report([Checked("x", [])]))
    archive = zipped(tmp_path / "r.zip", tree=(tmp_path / "tree.json").read_bytes())
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
            "import runpy; sys.argv = ['comment', " + repr(str(archive)) + "]; "
            "runpy.run_module('mmdia_eval.validation.comment', run_name='__main__')",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "The submission is valid." in done.stdout


def test_a_playlist_named_as_a_clip_meets_no_decoder(
    made: tuple[Path, Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(made[0], tmp_path / NAME))
    (folder / "audit" / f"{AUDITED[0]}.flac").write_bytes(b"ffconcat version 1.0\nfile x.wav\n")
    opened: list[Path] = []

    def noted(decoder: Any) -> Any:
        def decode(path: Path, mode: SandboxMode) -> Any:
            opened.append(path)
            return decoder(path, mode)

        return decode

    for name in ("decode", "read_details"):
        monkeypatch.setattr(sandbox, name, noted(getattr(sandbox, name)))
    (checked,) = validate([folder], benchmark="mini")
    assert {finding.code for finding in checked.findings} == {"audit-hash", "audit-unreadable"}
    assert AUDITED[0] not in {path.stem for path in opened if path.is_relative_to(folder)}
    assert AUDITED[1] in {path.stem for path in opened if path.is_relative_to(folder)}
