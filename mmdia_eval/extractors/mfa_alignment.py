"""Forced alignment with the Montreal Forced Aligner, run as the command it is."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from pydantic import Field

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import Alignment
from mmdia_eval.extractors.script_words import Script, script_words, unplaced
from mmdia_eval.extractors.textgrid_alignment import PRAATIO, SUFFIX
from mmdia_eval.extractors.textgrid_words import place_words, read_words
from mmdia_eval.registry import extractor
from mmdia_eval.store import file_sha256
from mmdia_eval.types import Audio

VARIABLE = "MMDIA_MFA"
"""The environment variable that holds the command, as a shell would read it."""

INSTALL = (
    "conda create -n mfa -c conda-forge montreal-forced-aligner; "
    f"then set {VARIABLE}='conda run -n mfa mfa'"
)

START_SECONDS = 120.0
"""Patience for `mfa version`; the first start of a conda environment reads it from disk."""

SECONDS_PER_SECOND = 20.0
"""Patience for each second of audio, beside `timeout`."""

NO_ALIGNMENT = ("no successful alignments", "No utterances had features")
"""What MFA 3.4 says, ending with an error, when it could align none of the files, or all are too
short; of several files it leaves out those alone (alignment/mixins.py, corpus/acoustic_corpus.py).
"""


class MfaSettings(api.Settings):
    """`dictionary` and `acoustic_model` are names that `mfa model list` knows, or paths.

    `beam` and `retry_beam` are widths of the search; None leaves them to MFA (10 and 40 in 3.4).
    `timeout` in seconds, for MFA's start, is beside 20 for each second of audio.
    """

    dictionary: str = "english_us_arpa"
    acoustic_model: str = "english_us_arpa"
    beam: int | None = Field(default=None, ge=1)
    retry_beam: int | None = Field(default=None, ge=1)
    timeout: float = Field(default=600.0, gt=0.0)


@extractor("mfa_alignment")
class MfaAlignment(Extractor[Alignment]):
    """Where in the audio each word of the script is, in seconds, by MFA's `align`.

    MM-DIA's release (`export_sentence_timestamps_from_mfa.py`) aligns each dialogue's whole script
    as one utterance of one speaker with `english_us_arpa` and no beam, and so does this. Two things
    differ: each dialogue is a speaker of its own, where the release adapts to the voices of all
    files together; and numbers are spelled out, where MFA knows no digits.

    A file without alignment is counted: its turns have no words, `problem` tells. Words that the
    dictionary lacks are aligned as noise and keep their places. Written against the command line of
    MFA 3.4.
    """

    version: ClassVar[str] = "1"
    makes = Alignment
    reads = ("script",)
    requires = (PRAATIO,)
    batch_seconds = 1800.0
    Settings: ClassVar[type[api.Settings]] = MfaSettings

    def problems(self) -> list[str]:
        command = mfa_command()
        if not command or shutil.which(command[0]) is None:
            return [
                f"extractor {self.name!r} runs the Montreal Forced Aligner, and there is no "
                f"command {' '.join(command) or repr('')}: {INSTALL}"
            ]
        try:
            mfa_version(command)
        except RuntimeError as error:
            return [f"extractor {self.name!r}: {error}; {INSTALL}"]
        return []

    def identity(self) -> Mapping[str, Any]:
        """MFA's version, and the models' sha256 where they can be found."""
        try:
            found = mfa_version(mfa_command())
        except RuntimeError:
            found = None
        return {
            "mfa": found,
            "dictionary_sha256": _model_sha256("dictionary", self.settings.dictionary),
            "acoustic_model_sha256": _model_sha256("acoustic", self.settings.acoustic_model),
        }

    def load(self) -> None:
        """Nothing: each batch starts the command anew."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Alignment]:
        scripts = [script_words(inputs.dialogue) for inputs in batch]
        with TemporaryDirectory(prefix="mmdia-mfa-") as name:
            folder = Path(name)
            for number, (inputs, script) in enumerate(zip(batch, scripts, strict=True)):
                if any(script):
                    _write(folder / "corpus" / f"file{number}", inputs.audio, script)
            spoken = sum(any(script) for script in scripts)
            seconds = sum(inputs.audio.duration for inputs in batch)
            if spoken:
                self._align(folder, spoken, seconds)
            return [
                self._read(folder / "aligned" / f"file{number}", script, inputs.audio.duration)
                for number, (inputs, script) in enumerate(zip(batch, scripts, strict=True))
            ]

    def _align(self, folder: Path, files: int, seconds: float) -> None:
        jobs = min(files, os.cpu_count() or 1)
        arguments = [
            *mfa_command(),
            "align",
            str(folder / "corpus"),
            self.settings.dictionary,
            self.settings.acoustic_model,
            str(folder / "aligned"),
            *("--output_format", "long_textgrid"),
            *("--temporary_directory", str(folder / "work")),
            *("--num_jobs", str(jobs)),
            "--clean",
            "--overwrite",
        ]
        for option in ("beam", "retry_beam"):
            width = getattr(self.settings, option)
            arguments += [] if width is None else [f"--{option}", str(width)]
        code, output = _run(arguments, self.settings.timeout + SECONDS_PER_SECOND * seconds)
        if code and not any(words in " ".join(output.split()) for words in NO_ALIGNMENT):
            raise RuntimeError(f"mfa align ended with exit code {code}: {_end(output)}")

    def _read(self, folder: Path, script: Script, duration: float) -> Alignment:
        if not any(script):
            return unplaced(script, "the script has no words")
        path = folder / f"{folder.name}{SUFFIX}"
        if not path.is_file():
            return unplaced(
                script, "MFA wrote no TextGrid: no alignment of the script within its beams"
            )
        return place_words(script, read_words(path), duration)


def mfa_command() -> list[str]:
    """The command's parts, from `MMDIA_MFA`, else `mfa`."""
    return shlex.split(os.environ.get(VARIABLE, "mfa"))


def mfa_version(command: Sequence[str]) -> str:
    """What `mfa version` prints.

    Raises:
        RuntimeError: the command cannot be run, or fails; the message says how.
    """
    return _version(tuple(command))


@cache
def _version(command: tuple[str, ...]) -> str:
    try:
        code, output = _run([*command, "version"], START_SECONDS)
    except OSError as error:
        raise RuntimeError(f"{' '.join(command)} cannot be run: {error.strerror}") from None
    if code or not output.strip():
        raise RuntimeError(f"{' '.join(command)} version ended with {code}: {_end(output)}")
    return output.split()[-1]


def _run(arguments: Sequence[str], patience: float) -> tuple[int, str]:
    """Exit code, and what was said on both streams. A command that hangs is ended whole."""
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise RuntimeError(
                f"{shlex.join(arguments[:2])} … gave no answer in {patience:.0f} s and was stopped"
            ) from None
        return process.returncode, output


def _end(output: str, length: int = 500) -> str:
    """The end of what a command said, on one line."""
    text = " ".join(output.split())
    return text if len(text) <= length else f"… {text[-length:]}"


def _write(folder: Path, audio: Audio, script: Script) -> None:
    """A folder is a speaker to MFA, so that no file's alignment depends on the others."""
    import soundfile  # noqa: PLC0415

    folder.mkdir(parents=True)
    path = folder / folder.name
    soundfile.write(path.with_suffix(".wav"), audio.samples, audio.sample_rate, subtype="PCM_16")
    words = " ".join(word for turn in script for word in turn)
    path.with_suffix(".lab").write_text(f"{words}\n", encoding="utf-8")


def _model_sha256(kind: str, name: str) -> str | None:
    """The sha256 of a model's file, or None where it lies out of sight, as in a container."""
    root = Path(os.environ.get("MFA_ROOT_DIR", Path.home() / "Documents" / "MFA"))
    saved = sorted((root / "pretrained_models" / kind).glob(f"{name}.*"))
    files = [path for path in (Path(name), *saved) if path.is_file()]
    return file_sha256(files[0]) if files else None
