"""How far apart the protocols' definitions are, on the mini benchmark's example systems.

Each protocol's word error columns run as they are defined, with the embedded protocol's recogniser
and diarizer in place of the models: every difference is the definition's. Speaker labels that a
protocol has from a language model or from a recogniser's tags come from the same diarizer.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import Diarization, Transcript, Utterance, Word
from mmdia_eval.attribution import speaker_runs
from mmdia_eval.benchmark import resolve_benchmark
from mmdia_eval.example_systems import make_systems
from mmdia_eval.protocol import Protocol, load_protocol
from mmdia_eval.registry import extractor
from mmdia_eval.scoring import score

PROTOCOLS = ("strict", "paper", "release")
WORD_ERRORS = ("wer", "cpwer", "cpwer_labelled")
LABELLED = "labelled_by_diarizer"

Engine = Mapping[str, Any]


class LabelledSettings(api.Settings):
    """`tags`: "number", a voice's place in the file; "parity", two speakers by turns."""

    tags: Literal["number", "parity"] = "number"


@extractor(LABELLED)
class LabelledTranscript(Extractor[Transcript]):
    """A transcript's words with the diarizer's voices for labels, one utterance a change."""

    version = "1"
    makes = Transcript
    needs = (Transcript, Diarization)
    Settings = LabelledSettings

    def load(self) -> None:
        """Nothing."""

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Transcript]:
        return [self._labelled(inputs) for inputs in batch]

    def _labelled(self, inputs: Inputs) -> Transcript:
        diarization = inputs.artifacts[Diarization]
        runs = speaker_runs(inputs.artifacts[Transcript], diarization, str)
        utterances = []
        for place, (voice, same) in enumerate(groupby(runs, key=lambda run: run.speaker)):
            text = " ".join(run.text for run in same)
            number = place % 2 if self.settings.tags == "parity" else _number(voice, diarization)
            words = tuple(Word(word, 0.0, 0.0) for word in text.split())
            utterances.append(Utterance(words, speaker=str(number)))
        return Transcript(tuple(utterances), word_times=False)


def _number(voice: str, diarization: Diarization) -> int:
    return diarization.speakers.index(voice) if voice in diarization.speakers else 0


RECOGNISER: Engine = {
    "extractor": "pocketsphinx_transcript",
    "settings": {"language_model": "scripts"},
}
DIARIZER: Engine = {"extractor": "ge2e_diarization"}
HEARD: Engine = {"transcript": "heard", "diarization": "voices"}
ENGINES: Mapping[str, Engine] = {
    "faster_whisper_transcript": RECOGNISER,
    "whisper_transcript": RECOGNISER,
    "whisperd_transcript": {
        "extractor": LABELLED,
        "settings": {"tags": "parity"},
        "inputs": HEARD,
    },
    "llm_diarization": {"extractor": LABELLED, "inputs": HEARD},
    "pyannote_diarization": DIARIZER,
    "pyannote_diarization_oracle": {"extractor": "ge2e_diarization_oracle"},
}
"""The embedded engine in the place of a protocol's, by the extractor's name."""


def with_embedded_engines(protocol: Protocol) -> str:
    """A protocol file with the word error columns of `protocol`, all of them default ones."""
    engines = {"heard": RECOGNISER, "voices": DIARIZER}
    for role, entry in protocol.extractors.items():
        if entry.extractor in ENGINES:
            engines[role] = ENGINES[entry.extractor]
    lines = [f'name = "{protocol.name}, embedded engines"', f'version = "{protocol.version}"']
    lines += ['summary = ""', "comparable = false", "tasks = [1]"]
    for role, engine in engines.items():
        lines += [f"[extractors.{role}]", *_pairs(engine)]
    for column in protocol.metrics:
        if column.metric in WORD_ERRORS:
            fields = column.model_dump(include={"name", "metric", "settings", "inputs"})
            lines += ["[[metrics]]", *_pairs(fields)]
    return "\n".join(lines) + "\n"


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_toml(value)}" for key, value in values.items()]


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_pairs(value)) + " }"
    return json.dumps(value)


def main() -> None:
    """Print the table: a row a system, a column a definition, in percent."""
    values: dict[str, dict[str, float | None]] = {}
    with tempfile.TemporaryDirectory() as name:
        systems = make_systems(resolve_benchmark("mini"), Path(name) / "outputs")
        for protocol in map(load_protocol, PROTOCOLS):
            file = Path(name) / f"{protocol.name}.toml"
            file.write_text(with_embedded_engines(protocol), encoding="utf-8")
            for system in systems:
                found = score(system, split="test", benchmark="mini", protocol=str(file))
                values.setdefault(system.name, {}).update(
                    {f"{protocol.name}\n{one.name}": one.value for one in found.metrics}
                )
    table = Table(title="word error columns of the protocols, %, embedded engines", box=None)
    table.add_column("system")
    for title in next(iter(values.values())):
        table.add_column(title, justify="right")
    for system_name, row in values.items():
        shown = ("-" if value is None else f"{100 * value:.2f}" for value in row.values())
        table.add_row(system_name, *shown)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
