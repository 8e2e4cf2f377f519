"""The report of what is here, and the commands about models."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from toy_plugins import Peak, PeakExtractor
from typer.testing import CliRunner

from mmdia_eval import doctor, model_listing, models, registry
from mmdia_eval.api import Inputs, Requirement
from mmdia_eval.cli import app, main
from mmdia_eval.models import Model, ModelFile
from mmdia_eval.protocol import Protocol

PROTOCOL = """
name = "two"
version = "1"
summary = "for tests"
comparable = false
tasks = [1]
[extractors.doubled]
extractor = "toy_doubled"
settings = {{ log = "{log}" }}
[extractors.peak]
extractor = "{peak}"
settings = {{ log = "{log}" }}
[[metrics]]
name = "loudness"
metric = "toy_loudness"
[[metrics]]
name = "duration_ratio"
metric = "duration_ratio"
"""


@registry.extractor("toy_absent")
class AbsentExtractor(PeakExtractor):
    requires = (Requirement("no_such_module", "pip install no-such-module"),)

    def models(self) -> tuple[str, ...]:
        return ("tiny",)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Peak]:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One listed model, empty folders, no keys, no tools."""
    file = ModelFile(name="a.bin", size=3, sha256=sha256(b"abc").hexdigest())
    extra = ModelFile(name="b.txt")
    tiny = Model(id="tiny", title="t", repo="org/tiny", licence="MIT", files=(file, extra))
    monkeypatch.setattr(models, "manifest", lambda: {"tiny": tiny})
    monkeypatch.setenv("MMDIA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("MMDIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in (*doctor.KEYS, "MMDIA_MFA", "MMDIA_OFFLINE", "MMDIA_ALLOW_UNVERIFIED_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "_ASK_TORCH", "print('{}')")
    monkeypatch.setattr(doctor, "_torch", list)


def put(name: str, content: bytes) -> None:
    path = models.root() / "tiny" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def finding(name: str) -> doctor.Fact:
    (fact,) = [fact for fact in doctor.examine().facts if fact.name == name]
    return fact


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_keys_are_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("HF_TOKEN", "")
    assert finding("OPENAI_API_KEY").finding == "set"
    assert finding("HF_TOKEN").finding == "not set"
    for arguments in (["doctor"], ["doctor", "--json"]):
        assert "sk-secret" not in run(*arguments)[1]


def test_the_aligner_is_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "conda create" in finding("MFA").finding
    monkeypatch.setenv("MMDIA_MFA", "no-such-mfa run")
    assert "names 'no-such-mfa'" in finding("MFA").finding
    tool = tmp_path / "mfa"
    tool.write_text(f"#!{sys.executable}\nimport sys\nprint('3.4.3', sys.argv[1])\n")
    tool.chmod(0o755)
    monkeypatch.setenv("MMDIA_MFA", str(tool))
    assert finding("MFA") == doctor.Fact("tools", "MFA", True, f"3.4.3 version ({tool})")
    tool.write_text(f"#!{sys.executable}\nraise SystemExit('no kalpy')\n")
    assert "fails: no kalpy" in finding("MFA").finding
    tool.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    monkeypatch.setattr(doctor, "TOOL_LIMIT", 0.3)
    assert "no answer" in finding("MFA").finding


def test_extras_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=2",
        "rich>=13; extra == 'good'",
        'rich>=13; extra == "bad"',
        'no-such-package<2,>=1; extra == "bad"',
        'mmdia-eval[good,bad]; extra == "all"',
    ]
    monkeypatch.setattr(doctor, "_requirements", lambda: lines)
    extras = [fact for fact in doctor.examine().facts if fact.topic == "extras"]
    assert extras == [
        doctor.Fact("extras", "good", True, "all 1 packages"),
        doctor.Fact(
            "extras",
            "bad",
            False,
            "missing: no-such-package: pip install 'mmdia-eval[bad]'",
        ),
    ]


def test_torch_that_cannot_be_loaded_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "_ASK_TORCH", "raise OSError('libcudart.so.13')")
    (fact,) = doctor._torch()
    assert not fact.good
    assert "libcudart.so.13" in fact.finding


def test_gpus_are_named_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    answer = {
        "version": "2.13.0",
        "cuda": "13.0",
        "gpus": [{"name": "H200", "memory": 140 * 2**30, "free": 100 * 2**30}],
    }
    monkeypatch.setattr(doctor, "_ASK_TORCH", f"print({json.dumps(answer)!r})")
    assert [fact.finding for fact in doctor._torch()] == [
        "2.13.0, CUDA 13.0",
        "H200, 140 GiB, 100 GiB free",
    ]


def test_a_protocol_says_which_metrics_can_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "two.toml"
    path.write_text(PROTOCOL.format(log=tmp_path / "log", peak="toy_absent"), "utf-8")
    found = doctor.readiness(str(path), 1)
    assert found.ready == ("duration_ratio",)
    assert any("pip install no-such-module" in why for why in found.lacking)
    assert set(found.lacking.values()) == {("loudness",)}
    path.write_text(PROTOCOL.format(log=tmp_path / "log", peak="toy_peak"), "utf-8")
    assert doctor.readiness(str(path), 1).ready == ("loudness", "duration_ratio")


def test_doctor_prints_a_table_and_json() -> None:
    put("a.bin", b"abd")
    code, text = run("doctor")
    assert code == 0
    assert "missing: b.txt" in text
    assert "embedded" in text
    code, text = run("doctor", "--json")
    assert code == 0
    report = json.loads(text)
    by_name = {fact["name"]: fact for fact in report["facts"]}
    assert by_name["tiny"]["good"] is False
    embedded = next(p for p in report["protocols"] if p["protocol"] == "embedded")
    assert "wer" in embedded["ready"]


def test_a_protocol_wants_the_models_its_extractors_name(tmp_path: Path) -> None:
    entry = {"extractor": "toy_absent", "settings": {"log": "x"}}
    protocol = Protocol.model_validate(
        {
            "name": "p",
            "version": "1",
            "summary": "s",
            "comparable": False,
            "tasks": [1],
            "extractors": {"peak": entry, "other": {"extractor": "no_such_extractor"}},
            "metrics": [],
        }
    )
    assert model_listing.wanted(protocol) == ["tiny"]


def test_models_are_listed_whole_and_file_by_file() -> None:
    put("a.bin", b"abc")
    code, text = run("models", "list")
    assert (code, "missing: b.txt" in text) == (0, True)
    code, text = run("models", "list", "tiny")
    assert code == 0
    assert sha256(b"abc").hexdigest()[:20] in text.replace("\n", "")
    assert "unknown" in text
    assert "https://huggingface.co/org/tiny" in text


def test_verify_pins_what_is_not_listed_and_says_what_is_wrong() -> None:
    assert "no listed model" in run("models", "verify")[1]
    put("a.bin", b"abc")
    put("b.txt", b"anything")
    code, text = run("models", "verify")
    assert code == 1
    assert "models verify --pin tiny" in text
    code, text = run("models", "verify", "--pin", "tiny")
    assert code == 0
    assert "pinned" in text
    assert run("models", "path", "tiny")[1].strip() == str(models.root() / "tiny")
    put("a.bin", b"abd")
    code, text = run("models", "verify", "--pin")
    assert code == 1
    assert "listed" in text


def test_options_set_the_switches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MMDIA_OFFLINE", "")
    monkeypatch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "")
    other = tmp_path / "other"
    assert run("models", "path", "--models", str(other))[1].strip() == str(other)
    put("a.bin", b"xyz")
    put("b.txt", b"x")
    assert models.problems("tiny")
    assert run("models", "path", "tiny", "--allow-unverified-models")[0] == 0
    monkeypatch.setattr(sys, "argv", ["mmdia-eval", "models", "fetch", "tiny", "--offline"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "MMDIA_OFFLINE forbids the network" in capsys.readouterr().err


def test_fetch_wants_a_model_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mmdia-eval", "models", "fetch"])
    with pytest.raises(SystemExit):
        main()
    assert "name the models to fetch" in capsys.readouterr().err
