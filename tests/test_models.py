"""What is known of model files, and which of them may be loaded."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from toy_plugins import PeakExtractor, ToySettings

from mmdia_eval import models, scoring
from mmdia_eval.errors import UserError
from mmdia_eval.models import Model, ModelFile, State
from mmdia_eval.plan import Stage
from mmdia_eval.provenance import extractor_records

WEIGHTS = save({"w": np.arange(6, dtype=np.float32)})
CONFIG = b'{"width": 6}'


def listed(name: str, content: bytes, **more: Any) -> ModelFile:
    return ModelFile(name=name, size=len(content), sha256=sha256(content).hexdigest(), **more)


def model(*files: ModelFile, **more: Any) -> Model:
    fields = {"id": "tiny", "title": "a tiny model", "repo": "org/tiny", "licence": "MIT"}
    return Model.model_validate({**fields, "files": files, **more})


WHOLE = model(listed("model.safetensors", WEIGHTS), listed("config.json", CONFIG))
UNLISTED = model(ModelFile(name="model.safetensors"), ModelFile(name="config.json"))

Listing = Callable[[Model], Path]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listing:
    """Lists one model alone, and gives its folder below a new models folder."""
    monkeypatch.setenv("MMDIA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("MMDIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("MMDIA_OFFLINE", "MMDIA_ALLOW_UNVERIFIED_MODELS"):
        monkeypatch.delenv(name, raising=False)

    def listing(only: Model) -> Path:
        monkeypatch.setattr(models, "manifest", lambda: {only.id: only})
        return tmp_path / "models" / only.id

    return listing


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def states() -> dict[str, State]:
    return {check.file.name: check.state for check in models.check("tiny").files}


def test_every_listed_model_has_a_source_and_files() -> None:
    for id_, found in models.manifest().items():
        assert found.id == id_
        assert (found.repo is None) != (found.url is None)
        assert any(not file.optional for file in found.files)
        for file in found.files:
            assert (file.size is None) == (file.sha256 is None), (id_, file.name)
            assert not Path(file.name).is_absolute()


def test_a_missing_model_says_how_to_get_it(here: Listing) -> None:
    here(WHOLE)
    (problem,) = models.problems("tiny")
    assert "org/tiny" in problem
    assert "mmdia-eval models fetch tiny" in problem
    with pytest.raises(UserError, match="models fetch tiny"):
        models.folder("tiny")
    with pytest.raises(UserError, match="models fetch tiny"):
        models.weights("tiny")


def test_a_gated_model_names_its_page_and_the_token(here: Listing) -> None:
    here(WHOLE.model_copy(update={"gated": True}))
    (problem,) = models.problems("tiny")
    assert "https://huggingface.co/org/tiny" in problem
    assert "HF_TOKEN" in problem


def test_an_unknown_model_is_a_problem_that_lists_the_known(here: Listing) -> None:
    here(WHOLE)
    assert models.problems("tinny") == ["unknown model 'tinny'; known: tiny"]


def test_listed_files_are_verified(here: Listing) -> None:
    folder = here(WHOLE)
    put(folder, {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    assert models.problems("tiny") == []
    assert models.folder("tiny") == folder
    found = models.weights("tiny")
    assert [(w.name, w.sha256) for w in found] == [
        ("tiny/model.safetensors", sha256(WEIGHTS).hexdigest()),
        ("tiny/config.json", sha256(CONFIG).hexdigest()),
    ]
    assert all(weights.verified for weights in found)


def test_another_file_is_refused_unless_allowed_and_then_marked(
    here: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here(WHOLE)
    other = save({"w": np.arange(6, dtype=np.float32)[::-1].copy()})
    assert len(other) == len(WEIGHTS)
    put(folder, {"model.safetensors": other, "config.json": CONFIG})
    (problem,) = models.problems("tiny")
    assert str(folder / "model.safetensors") in problem
    assert sha256(other).hexdigest() in problem
    assert sha256(WEIGHTS).hexdigest() in problem
    assert "--allow-unverified-models" in problem
    monkeypatch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "1")
    assert models.folder("tiny") == folder
    assert [w.verified for w in models.weights("tiny")] == [False, True]


def test_results_name_weights_that_are_not_verified(
    here: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine(PeakExtractor):
        def models(self) -> tuple[str, ...]:
            return ("tiny",)

    put(here(UNLISTED), {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    monkeypatch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "1")
    records = extractor_records([Stage("peak", Engine(ToySettings(log=""), ()), {}, {})])
    assert [w.verified for w in records[0].weights] == [False, False]
    (warning,) = scoring._unverified(records)
    assert "tiny/config.json, tiny/model.safetensors" in warning
    put(here(WHOLE), {})
    records = extractor_records([Stage("peak", Engine(ToySettings(log=""), ()), {}, {})])
    assert scoring._unverified(records) == []


@pytest.mark.parametrize("cut", [0, 5, 40, len(WEIGHTS) - 1])
def test_a_half_downloaded_file_is_never_usable(
    here: Listing, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "1")
    for listing in (WHOLE, UNLISTED):
        put(here(listing), {"model.safetensors": WEIGHTS[:cut], "config.json": CONFIG})
        assert states()["model.safetensors"] is State.INCOMPLETE
        (problem,) = models.problems("tiny")
        assert "incomplete" in problem
        assert "models fetch tiny" in problem


def test_a_cut_archive_and_cut_json_are_incomplete(here: Listing, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(3)}, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    folder = here(model(ModelFile(name="a.pt"), ModelFile(name="config.json")))
    put(folder, {"a.pt": whole[:-30], "config.json": CONFIG[:-1]})
    assert set(states().values()) == {State.INCOMPLETE}
    put(folder, {"a.pt": whole, "config.json": CONFIG})
    assert set(states().values()) == {State.UNVERIFIED}


def test_a_file_of_unknown_form_that_is_short_is_refused_and_says_so(here: Listing) -> None:
    folder = here(model(listed("model.bin", b"0123456789")))
    put(folder, {"model.bin": b"01234"})
    (problem,) = models.problems("tiny")
    assert "5 bytes, listed 10" in problem
    assert "half-downloaded" in problem


def test_what_a_downloader_left_is_incomplete(here: Listing) -> None:
    put(here(WHOLE), {"model.safetensors.part": WEIGHTS[:9], "config.json": CONFIG})
    assert states()["model.safetensors"] is State.INCOMPLETE


def test_an_optional_file_may_be_absent_but_not_wrong(here: Listing) -> None:
    folder = here(model(listed("a.bin", b"a"), listed("b.txt", b"b", optional=True)))
    put(folder, {"a.bin": b"a"})
    assert models.problems("tiny") == []
    put(folder, {"b.txt": b"x"})
    assert states() == {"a.bin": State.VERIFIED, "b.txt": State.WRONG}


def test_an_unlisted_file_is_refused_until_pinned_and_a_pin_notices_a_change(
    here: Listing,
) -> None:
    folder = here(UNLISTED)
    put(folder, {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    assert all("models verify --pin tiny" in problem for problem in models.problems("tiny"))
    assert len(models.problems("tiny")) == 2
    models.accept(models.check("tiny"))
    assert set(states().values()) == {State.PINNED}
    assert models.folder("tiny") == folder
    assert [w.verified for w in models.weights("tiny")] == [False, False]
    put(folder, {"config.json": b'{"width": 7}'})
    (problem,) = models.problems("tiny")
    assert "pinned" in problem


def test_a_pin_never_overrules_a_listed_hash(here: Listing) -> None:
    folder = here(WHOLE)
    put(folder, {"model.safetensors": WEIGHTS, "config.json": b'{"width": 8}'})
    models.accept(models.check("tiny"))
    models.pin("tiny", {"config.json": sha256(b'{"width": 8}').hexdigest()})
    assert states()["config.json"] is State.WRONG


def test_split_weights_are_found_by_their_index(here: Listing) -> None:
    folder = here(UNLISTED)
    index = json.dumps({"weight_map": {"w": "a.safetensors", "v": "b.safetensors"}}).encode()
    put(folder, {models.INDEX: index, "config.json": CONFIG, "a.safetensors": WEIGHTS})
    assert states() == {
        models.INDEX: State.UNVERIFIED,
        "a.safetensors": State.UNVERIFIED,
        "b.safetensors": State.MISSING,
        "config.json": State.UNVERIFIED,
    }
    put(folder, {models.INDEX: b'{"weight_map": {"w": "../../etc/passwd"}}'})
    assert set(states()) == {models.INDEX, "config.json"}


def test_the_hubs_cache_is_found_and_the_own_folder_comes_first(
    here: Listing, tmp_path: Path
) -> None:
    commit = "c" * 40
    folder = here(model(listed("sub/a.bin", b"aa"), listed("b.bin", b"b"), revision=commit))
    cached = tmp_path / "hub" / "models--org--tiny"
    put(cached / "blobs", {"1": b"aa", "2": b"b"})
    snapshot = cached / "snapshots" / commit
    (snapshot / "sub").mkdir(parents=True)
    (snapshot / "sub" / "a.bin").symlink_to("../../../blobs/1")
    (snapshot / "b.bin").symlink_to("../../blobs/2")
    assert models.folder("tiny") == snapshot
    assert set(states().values()) == {State.VERIFIED}
    put(folder, {"sub/a.bin": b"aa", "b.bin": b"b"})
    assert models.folder("tiny") == folder


def test_another_revision_in_the_hubs_cache_is_not_used(here: Listing, tmp_path: Path) -> None:
    here(model(listed("a.bin", b"a"), revision="c" * 40))
    put(tmp_path / "hub" / "models--org--tiny" / "snapshots" / ("d" * 40), {"a.bin": b"a"})
    assert models.check("tiny").folder is None


def test_a_changed_file_is_hashed_again(here: Listing) -> None:
    folder = here(model(listed("a.bin", b"first")))
    put(folder, {"a.bin": b"first"})
    long_ago = 1_000_000_000
    os.utime(folder / "a.bin", (long_ago, long_ago))
    assert states() == {"a.bin": State.VERIFIED}
    with (folder / "a.bin").open("r+b") as file:  # the same inode, size and modification time
        file.write(b"other")
    os.utime(folder / "a.bin", (long_ago, long_ago))
    assert states() == {"a.bin": State.WRONG}


def test_a_file_is_hashed_once(here: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = here(model(listed("a.bin", b"a")))
    put(folder, {"a.bin": b"a"})
    os.utime(folder / "a.bin", (1_000_000_000, 1_000_000_000))
    assert states() == {"a.bin": State.VERIFIED}

    def never(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr("mmdia_eval.model_files.file_sha256", never)
    assert states() == {"a.bin": State.VERIFIED}
    models.forget("tiny")
    with pytest.raises(AssertionError):
        models.check("tiny")


def test_a_damaged_memory_of_hashes_costs_nothing_but_time(here: Listing, tmp_path: Path) -> None:
    put(here(model(listed("a.bin", b"a"))), {"a.bin": b"a"})
    put(tmp_path / "cache", {"model_sha256.json": b"{"})
    assert states() == {"a.bin": State.VERIFIED}


def test_looking_at_models_opens_no_socket(here: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    folder = here(WHOLE)
    assert len(models.problems("tiny")) == 1
    put(folder, {"model.safetensors": WEIGHTS, "config.json": CONFIG})
    assert models.folder("tiny") == folder


def test_libraries_in_a_worker_are_offline(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom mmdia_eval import workers\n"
        f"workers._start(Path({str(tmp_path)!r}), ())\n"
        "import socket, huggingface_hub\n"
        "socket.socket = lambda *_, **__: print('a socket')\n"
        "try:\n    huggingface_hub.hf_hub_download('org/tiny', 'config.json')\n"
        "except huggingface_hub.errors.LocalEntryNotFoundError as error:\n"
        "    print(type(error.__cause__).__name__)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["OfflineModeIsEnabled"]
