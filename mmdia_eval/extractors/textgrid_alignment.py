"""Alignments that lie ready as Praat TextGrids, made by whatever aligner."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs, Requirement
from mmdia_eval.artifacts import Alignment
from mmdia_eval.extractors.script_words import script_words, unplaced
from mmdia_eval.extractors.textgrid_words import place_words, read_words
from mmdia_eval.registry import extractor
from mmdia_eval.store import file_sha256

PRAATIO = Requirement("praatio", "pip install 'praatio>=6'")

SUFFIX = ".TextGrid"


class TextGridSettings(api.Settings):
    """`folder` holds `<dialogue id>.TextGrid` or `output_<dialogue id>.TextGrid`.

    A relative folder is looked for in the working directory. The files belong to one system's
    outputs, so each system needs its own.
    """

    folder: str


@extractor("textgrid_alignment")
class TextGridAlignment(Extractor[Alignment]):
    """Where each word of the script is, in seconds, according to a TextGrid's tier of words.

    The tier is called "words", or ends so, as "A - words" does, one for each speaker. Its words are
    laid over the script as `place_words` says; a file without TextGrid counts as a failed
    alignment.
    """

    version: ClassVar[str] = "1"
    makes = Alignment
    reads = ("script",)
    requires = (PRAATIO,)
    cost = 0.001
    Settings: ClassVar[type[api.Settings]] = TextGridSettings

    @property
    def folder(self) -> Path:
        return Path(self.settings.folder).expanduser()

    def problems(self) -> list[str]:
        if any(self.folder.glob(f"*{SUFFIX}")):
            return []
        return [
            f"extractor {self.name!r}: no {SUFFIX} file in {self.folder.absolute()}: "
            "set `folder` in the protocol to where they are"
        ]

    def identity(self) -> Mapping[str, Any]:
        """The files' names and contents: a changed TextGrid is read again."""
        files = sorted(self.folder.glob(f"*{SUFFIX}"))
        lines = [f"{file.name} {file_sha256(file)}\n" for file in files]
        return {"textgrids": hashlib.sha256("".join(lines).encode()).hexdigest()}

    def load(self) -> None:
        """Nothing: there is no model."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Alignment]:
        return [self._align(inputs) for inputs in batch]

    def _align(self, inputs: Inputs) -> Alignment:
        script = script_words(inputs.dialogue)
        names = [f"{prefix}{inputs.dialogue.id}{SUFFIX}" for prefix in ("", "output_")]
        found = [self.folder / name for name in names if (self.folder / name).is_file()]
        if not found:
            return unplaced(script, f"no {' or '.join(names)} in {self.folder}")
        return place_words(script, read_words(found[0]), inputs.audio.duration)
