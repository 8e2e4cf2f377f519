"""The shipped protocols: whole, explained, and different where they say so."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources

import pytest

from mmdia_eval import registry
from mmdia_eval.artifacts import MediaInfo
from mmdia_eval.errors import UserError
from mmdia_eval.explain import print_column
from mmdia_eval.listing import print_metrics
from mmdia_eval.plan import make_plan
from mmdia_eval.protocol import ExtractorEntry, Protocol, load_protocol, protocol_names
from mmdia_eval.types import Dialogue, Sample, Task, Turn

SPEECH = ("strict", "paper", "release")
LIPS = ("syncnet-clean", "syncnet-compat")
JUDGED = (
    "spontaneity",
    "coherence",
    "intelligibility",
    "similarity",
    "quality",
    "instruction_following",
)


def source(name: str) -> str:
    return resources.files("mmdia_eval.protocols").joinpath(f"{name}.toml").read_text("utf-8")


def lacking(protocol: Protocol) -> set[str]:
    """Plugins of a protocol that this installation does not have."""
    metrics = {entry.metric for entry in protocol.metrics}
    extractors = {entry.extractor for entry in protocol.extractors.values()}
    return {name for name in metrics if name not in registry.metric} | {
        name for name in extractors if name not in registry.extractor
    }


def needed_roles(protocol: Protocol) -> Iterator[tuple[str, str]]:
    """(who, role) for every role that a column or an extractor reads."""
    for entry in protocol.metrics:
        cls = registry.metric.get(entry.metric)
        metric = cls(cls.Settings.model_validate(entry.settings))
        for kind in metric.needs:
            yield entry.name, entry.inputs.get(kind.kind, kind.kind)
        for kind in metric.reference_needs:
            yield entry.name, f"reference_{kind.kind}"
    for role, made in protocol.extractors.items():
        for kind in registry.extractor.get(made.extractor).needs:
            yield role, made.inputs.get(kind.kind, kind.kind)


def complete(name: str) -> Protocol:
    protocol = load_protocol(name)
    if found := lacking(protocol):
        pytest.skip(f"not in this installation: {', '.join(sorted(found))}")
    return protocol


def test_the_shipped_protocols() -> None:
    assert set(protocol_names()) == {"embedded", *SPEECH, *LIPS}
    for name in SPEECH:
        protocol = load_protocol(name)
        tasks = [1, 2, 3] if name == "strict" else [1, 2]
        assert (protocol.name, protocol.tasks, protocol.comparable) == (name, tasks, True)
        columns = {entry.name for entry in protocol.metrics}
        assert columns >= {"wer", "cpwer", "sasim", "utmos", "label_recall"}
        assert columns >= {f"judge_{dimension}" for dimension in JUDGED}


@pytest.mark.parametrize("name", [*SPEECH, *LIPS])
def test_every_role_named_is_used_and_every_named_input_is_a_role(name: str) -> None:
    protocol = load_protocol(name)
    roles = set(protocol.extractors)
    named = {role for entry in protocol.metrics for role in entry.inputs.values()}
    named |= {role for entry in protocol.extractors.values() for role in entry.inputs.values()}
    assert named <= roles


@pytest.mark.parametrize("name", protocol_names())
def test_every_role_read_has_an_extractor(name: str) -> None:
    protocol = complete(name)
    needed = dict(needed_roles(protocol))
    assert set(needed.values()) - {MediaInfo.kind} <= set(protocol.extractors)
    read = {role for _, role in needed_roles(protocol)}
    assert set(protocol.extractors) <= read, "a role that nothing reads"


@pytest.mark.parametrize("name", [*SPEECH, *LIPS])
def test_each_setting_is_commented(name: str) -> None:
    """Every extractor of a protocol stands under a comment that says where it comes from."""
    lines = source(name).splitlines()
    headings = [n for n, line in enumerate(lines) if line.startswith("[extractors.")]
    assert len(headings) == len(load_protocol(name).extractors)
    assert [lines[n] for n in headings if not lines[n - 1].startswith("# ")] == []


@pytest.mark.parametrize("name", protocol_names())
def test_every_column_is_explained_and_listed(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = complete(name)
    monkeypatch.setenv("COLUMNS", "1000")
    print_metrics(protocol)
    listed = capsys.readouterr().out
    for entry in protocol.metrics:
        print_column(entry.name, protocol)
        text = capsys.readouterr().out
        assert entry.name in listed
        assert entry.note in text
        assert "average over" in text
        assert re.search("an output that is not there counts as|no value unless every", text)
        for setting, value in entry.settings.items():
            assert re.search(rf"^{setting} +{re.escape(str(value))}\b", text, re.MULTILINE)


def test_a_column_is_explained_down_to_the_engine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    print_column("wer_generic", load_protocol("embedded"))
    text = capsys.readouterr().out
    assert "generic_transcript: pocketsphinx_transcript 1 (language_model=generic)" in text
    assert "Whisper's English rules" in text
    assert "counts as 1 where two speakers talk" in text
    assert "ask for it with --metric wer_generic" in text
    with pytest.raises(UserError, match=r"'embedded' has no column 'werr'; it has: wer, "):
        print_column("werr", load_protocol("embedded"))


def test_settings_by_task_and_style() -> None:
    entry = ExtractorEntry.model_validate(
        {
            "extractor": "x",
            "settings": {"a": 1, "b": 1},
            "when": {"task2": {"a": 2}, "triplet": {"a": 3, "b": 3}},
        }
    )
    assert entry.of(1, None).settings == entry.of(1, "description").settings == {"a": 1, "b": 1}
    assert entry.of(1, "triplet").settings == {"a": 3, "b": 3}
    assert entry.of(2, None).settings == {"a": 2, "b": 1}
    assert entry.of(2, "triplet").settings == {"a": 2, "b": 3}


def test_a_protocol_says_which_condition_its_judge_sees() -> None:
    strict = load_protocol("strict")
    runs: list[tuple[Task, str | None]] = [
        (1, None),
        (1, "description"),
        (1, "triplet"),
        (2, None),
    ]
    found = [strict.of(*run).extractors["verdict"].settings["condition"] for run in runs]
    assert found == ["description", "description", "triplet", "keyframes"]
    for entry in strict.of(2, "triplet").metrics:
        if entry.name.startswith("judge_"):
            assert entry.settings["condition"] == "keyframes"
    assert strict.sha256 == load_protocol("strict").sha256


def test_a_note_changes_no_digest() -> None:
    protocol = load_protocol("strict")
    noted = [entry.model_copy(update={"note": "x"}) for entry in protocol.metrics]
    assert protocol.model_copy(update={"metrics": noted}).sha256 == protocol.sha256


@pytest.mark.parametrize("name", SPEECH)
def test_the_protocols_are_listed_where_there_is_no_torch(name: str) -> None:
    complete(name)
    code = (
        "import sys\n"
        "for package in ('torch', 'transformers', 'pyannote', 'speechbrain', 'faster_whisper',\n"
        "                'google.genai', 'openai'):\n"
        "    sys.modules[package] = None\n"
        "from mmdia_eval.cli import main\n"
        f"sys.argv = ['mmdia-eval', 'metrics', 'list', '--protocol', {name!r}]\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "utmos" in ended.stdout


def test_the_embedded_protocol_scores_task_2() -> None:
    protocol = load_protocol("embedded")
    sample = Sample(Dialogue("d", (Turn("A", "Hi."), Turn("B", "Ho."))), None)
    assert make_plan(protocol.of(2, None), 2, [sample], ["Hi."], ["wer"]).task == 2
