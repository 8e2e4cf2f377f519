"""MFA itself cannot be installed here: these tests run a stand-in for its command.

The stand-in is a small script that keeps to the command line documented for MFA 3.4 (arguments,
corpus layout, where TextGrids go, what it says when nothing aligns), and writes TextGrids in which
words stand at even steps, as MFA spells them. It shows that the harness talks to such a command
correctly; it says nothing of MFA's alignments.
"""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import AlignedTurn, Alignment, Artifacts
from mmdia_eval.extractors import mfa_alignment
from mmdia_eval.extractors.mfa_alignment import MfaAlignment, MfaSettings, mfa_command
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, Dialogue, Turn

STAND_IN = """\
#!{python}
import json, os, sys, time
from pathlib import Path

arguments = sys.argv[1:]
if arguments == ["version"]:
    print(os.environ.get("STAND_IN_VERSION", "3.4.3"))
    sys.exit(0)
with open({log!r}, "a") as log:
    log.write(json.dumps(arguments) + "\\n")
if os.environ.get("STAND_IN_HANGS"):
    if os.fork() == 0:
        Path({log!r}).with_suffix(".child").write_text(str(os.getpid()))
    time.sleep(60)
if os.environ.get("STAND_IN_FAILS"):
    print("PretrainedModelNotFoundError:\\nCould not find a model named", file=sys.stderr)
    sys.exit(1)
command, corpus, dictionary, model, output = arguments[:5]
assert command == "align"
done = 0
for lab in sorted(Path(corpus).rglob("*.lab")):
    assert lab.with_suffix(".wav").is_file()
    words = lab.read_text().lower().split()
    if "unalignable" in words:
        continue
    labels = [part for word in words for part in word.replace("'s", " 's").split()]
    labels = ["<unk>" if word == "zyxxy" else word for word in labels]
    folder = Path(output) / lab.parent.relative_to(corpus)
    folder.mkdir(parents=True)
    rows = "".join(
        f'intervals [{{n}}]:\\nxmin = {{n * 0.1:.2f}}\\nxmax = {{n * 0.1 + 0.1:.2f}}\\n'
        f'text = "{{word}}"\\n'
        for n, word in enumerate(labels, 1)
    )
    end = len(labels) * 0.1 + 0.2
    (folder / f"{{lab.stem}}.TextGrid").write_text(
        'File type = "ooTextFile"\\nObject class = "TextGrid"\\n\\n'
        f"xmin = 0\\nxmax = {{end}}\\ntiers? <exists>\\nsize = 1\\nitem []:\\nitem [1]:\\n"
        f'class = "IntervalTier"\\nname = "words"\\nxmin = 0\\nxmax = {{end}}\\n'
        f"intervals: size = {{len(labels)}}\\n" + rows
    )
    done += 1
if not done:
    print("NoAlignmentsError:\\n\\nThere were no successful\\nalignments for 1 utterances.")
    sys.exit(1)
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Installs the stand-in; gives the arguments of every `align` so far."""
    import json

    log = tmp_path / "calls.jsonl"
    command = tmp_path / "with blank" / "mfa"
    command.parent.mkdir()
    command.write_text(STAND_IN.format(python=sys.executable, log=str(log)))
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("MMDIA_MFA", f"'{command}'")
    mfa_alignment._version.cache_clear()
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def inputs(*texts: str, seconds: float = 3.0) -> Inputs:
    dialogue = Dialogue("d", tuple(Turn("A", text) for text in texts))
    samples = 0.1 * np.ones(round(seconds * SAMPLE_RATE), np.float32)
    return Inputs(Audio(samples), dialogue, Artifacts({}))


def aligner(**settings: Any) -> MfaAlignment:
    made = MfaAlignment(MfaSettings(**settings), ())
    made.load()
    return made


def align(*texts: str, **settings: Any) -> Alignment:
    (found,) = aligner(**settings).extract([inputs(*texts)])
    return found


def starts(turn: AlignedTurn) -> list[tuple[str, float]]:
    return [(word.text, round(word.start, 3)) for word in turn.words]


def test_is_registered() -> None:
    assert extractor.get("mfa_alignment") is MfaAlignment


def test_the_command_is_read_as_a_shell_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMDIA_MFA", raising=False)
    assert mfa_command() == ["mfa"]
    monkeypatch.setenv("MMDIA_MFA", "conda run -n 'my mfa' mfa")
    assert mfa_command() == ["conda", "run", "-n", "my mfa", "mfa"]


@pytest.mark.parametrize("command", ["/nowhere/mfa", ""])
def test_an_absent_command_is_a_problem_before_any_work(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("MMDIA_MFA", command)
    made = aligner()
    (problem,) = made.problems()
    assert problem.startswith("extractor 'mfa_alignment' runs the Montreal Forced Aligner")
    assert "conda create -n mfa -c conda-forge montreal-forced-aligner" in problem
    assert "MMDIA_MFA='conda run -n mfa mfa'" in problem
    assert made.identity()["mfa"] is None


def test_a_broken_installation_is_a_problem_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MMDIA_MFA", f"{sys.executable} -c 'import kalpy_is_not_here'")
    (problem,) = aligner().problems()
    assert "version ended with 1" in problem
    assert "No module named 'kalpy_is_not_here'" in problem


def test_its_version_and_models_are_part_of_the_identity(
    calls: Callable[[], list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MFA_ROOT_DIR", str(tmp_path))
    assert aligner().problems() == []
    assert aligner().identity() == {
        "mfa": "3.4.3",
        "dictionary_sha256": None,
        "acoustic_model_sha256": None,
    }
    models = tmp_path / "pretrained_models" / "acoustic"
    models.mkdir(parents=True)
    (models / "english_us_arpa.zip").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert aligner().identity()["acoustic_model_sha256"] == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_words_come_back_in_their_turns(calls: Callable[[], list[list[str]]]) -> None:
    found = align("(laughs) That's 'twenty-one' dogs.", "<sigh>", "Don't, Zyxxy!")
    assert found.problem is None
    assert starts(found.turns[0]) == [("that's", 0.1), ("twenty", 0.3), ("one", 0.4), ("dogs", 0.5)]
    assert found.turns[1] == AlignedTurn(1, (), 0)
    assert starts(found.turns[2]) == [("don't", 0.6), ("zyxxy", 0.7)]


def test_the_command_line(calls: Callable[[], list[list[str]]]) -> None:
    align("yes")
    align("yes", dictionary="d.dict", acoustic_model="m.zip", beam=100, retry_beam=400)
    plain, widened = calls()
    assert plain[0] == "align"
    assert plain[2:4] == ["english_us_arpa", "english_us_arpa"]
    assert "--beam" not in plain
    assert widened[2:4] == ["d.dict", "m.zip"]
    # Options come after the positional arguments: MFA would take the widths for positional ones.
    assert widened[-4:] == ["--beam", "100", "--retry_beam", "400"]
    assert not Path(plain[1]).exists()


def test_one_start_for_a_batch_and_a_speaker_for_each_file(
    calls: Callable[[], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, str, int]] = []
    run = mfa_alignment._run

    def spy(arguments: Sequence[str], patience: float) -> tuple[int, str]:
        for lab in sorted(Path(arguments[2]).rglob("*.lab")):
            info = soundfile.info(lab.with_suffix(".wav"))
            written.append((lab.parent.name, lab.read_text(), info.samplerate))
        return run(arguments, patience)

    monkeypatch.setattr(mfa_alignment, "_run", spy)
    found = aligner().extract([inputs("one"), inputs("(hm)"), inputs("It's 3:", "four")])
    assert len(calls()) == 1
    assert written == [("file0", "one\n", 16_000), ("file2", "it's three four\n", 16_000)]
    assert found[1] == Alignment((AlignedTurn(0, (), 0),), "the script has no words")
    assert [starts(turn) for turn in found[2].turns] == [
        [("it's", 0.1), ("three", 0.3)],
        [("four", 0.4)],
    ]


def test_a_script_without_words_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMDIA_MFA", "/nowhere/mfa")
    assert align("(laughs)").problem == "the script has no words"


def test_a_file_that_mfa_cannot_align_is_counted(calls: Callable[[], list[list[str]]]) -> None:
    alone = align("unalignable words")
    assert alone.turns == (AlignedTurn(0, (), 2),)
    assert alone.problem is not None
    assert alone.problem.startswith("MFA wrote no TextGrid")
    first, second = aligner().extract([inputs("fine words"), inputs("unalignable words")])
    assert first.problem is None
    assert second == alone


def test_an_error_of_mfa_is_told(
    calls: Callable[[], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    with pytest.raises(RuntimeError, match=r"exit code 1: .* Could not find a model named"):
        align("yes")


def test_a_command_that_hangs_is_stopped_with_its_children(
    calls: Callable[[], list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_HANGS", "1")
    monkeypatch.setattr(mfa_alignment, "SECONDS_PER_SECOND", 0.0)
    with pytest.raises(RuntimeError, match="gave no answer in 2 s and was stopped"):
        align("yes", timeout=2.0)
    child = int((tmp_path / "calls.child").read_text())
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(process: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
