"""Downloads, from a server on this machine that speaks the hub's protocol, and plain HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback_hub import COMMIT, Hub, serving
from safetensors.numpy import save

from mmdia_eval import model_fetch, models
from mmdia_eval.errors import UserError
from mmdia_eval.model_fetch import fetch
from mmdia_eval.models import Model, ModelFile, State

WEIGHTS = save({"w": np.arange(5000, dtype=np.float32)})
CONFIG = b'{"width": 6}'


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("MMDIA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("MMDIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no_token"))
    for name in ("MMDIA_OFFLINE", "MMDIA_ALLOW_UNVERIFIED_MODELS", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving(Hub({"model.safetensors": WEIGHTS, "config.json": CONFIG})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        yield served


@pytest.fixture
def listing(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Lists one model, of the hub or of the web, and gives the folder it belongs into."""

    def lists(files: dict[str, bytes | None], **more: Any) -> Path:
        entries = [
            ModelFile(name=name)
            if content is None
            else ModelFile(name=name, size=len(content), sha256=sha256(content).hexdigest())
            for name, content in files.items()
        ]
        fields: dict[str, Any] = {"repo": "org/tiny", "revision": COMMIT, **more}
        if "url" in fields:
            fields |= {"repo": None, "revision": None}
        model = Model(id="tiny", title="tiny", licence="MIT", files=tuple(entries), **fields)
        monkeypatch.setattr(models, "manifest", lambda: {"tiny": model})
        return tmp_path / "models" / "tiny"

    return lists


def silent(*_: object) -> None:
    """No progress is shown."""


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_model_of_the_hub_is_fetched_at_its_revision(
    hub: Hub, listing: Callable[..., Path]
) -> None:
    folder = listing({"model.safetensors": WEIGHTS, "config.json": CONFIG})
    assert fetch("tiny", silent) == folder
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert everything_below(folder.parent) == {"tiny/model.safetensors", "tiny/config.json"}
    assert all(f"/resolve/{COMMIT}/" in path for _, path, _ in hub.asked)
    hub.asked.clear()
    fetch("tiny", silent)
    assert hub.asked == []


def test_what_is_here_and_right_is_not_fetched_again(
    hub: Hub, listing: Callable[..., Path]
) -> None:
    folder = listing({"model.safetensors": WEIGHTS, "config.json": CONFIG})
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    fetch("tiny", silent)
    assert {path.rpartition("/")[2] for _, path, _ in hub.asked} == {"config.json"}


def test_a_wrong_file_of_the_hub_is_refused_before_it_comes(
    hub: Hub, listing: Callable[..., Path]
) -> None:
    listing({"model.safetensors": WEIGHTS})
    hub.files["model.safetensors"] = WEIGHTS[:-1] + b"\xff"
    with pytest.raises(UserError, match="gives another"):
        fetch("tiny", silent)
    assert {method for method, _, _ in hub.asked} == {"HEAD"}
    assert models.check("tiny").state is State.MISSING


@pytest.mark.parametrize("web", [False, True])
def test_a_wrong_file_is_refused_and_not_left_behind(
    hub: Hub, listing: Callable[..., Path], web: bool
) -> None:
    source = {"url": f"{hub.address}/web"} if web else {}
    folder = listing({"config.json": CONFIG}, **source)
    hub.files["config.json"] = b'{"width": 7}'
    with pytest.raises(UserError, match="than the listed one"):
        fetch("tiny", silent)
    assert everything_below(folder.parent) == set()
    assert models.check("tiny").state is State.MISSING
    hub.files["config.json"] = CONFIG
    fetch("tiny", silent)
    assert models.check("tiny").state is State.VERIFIED


def test_a_wrong_file_in_the_folder_is_replaced(hub: Hub, listing: Callable[..., Path]) -> None:
    folder = listing({"config.json": CONFIG})
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b'{"width": 7}')
    fetch("tiny", silent)
    assert (folder / "config.json").read_bytes() == CONFIG


@pytest.mark.parametrize("web", [False, True])
def test_a_download_that_was_stopped_goes_on(
    hub: Hub, listing: Callable[..., Path], web: bool
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    source = {"url": f"{hub.address}/web"} if web else {}
    folder = listing({"model.safetensors": WEIGHTS}, **source)
    hub.cut = 7000
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny", stop)
    assert "its download was begun" in models.problems("tiny")[0]
    seen: list[int] = []
    fetch("tiny", lambda _name, done, _total: seen.append(done))
    assert hub.asked[-1][2] == "bytes=7000-"
    assert seen[-1] == len(WEIGHTS)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert everything_below(folder.parent) == {"tiny/model.safetensors"}


def test_a_broken_connection_is_taken_up_again(
    hub: Hub, listing: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_fetch, "PAUSE", 0.0)
    listing({"model.safetensors": WEIGHTS})
    hub.cut = 7000
    fetch("tiny", silent)
    assert [wanted for _, _, wanted in hub.asked] == [None, None, "bytes=7000-"]


def test_a_rest_of_another_file_is_dropped(hub: Hub, listing: Callable[..., Path]) -> None:
    listing({"model.safetensors": WEIGHTS})
    part = models.incoming("tiny") / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 100)
    with pytest.raises(UserError, match="than the listed one"):
        fetch("tiny", silent)
    assert not part.exists()
    fetch("tiny", silent)
    assert models.check("tiny").state is State.VERIFIED


def test_unlisted_files_are_checked_against_what_the_hub_says_and_pinned(
    hub: Hub, listing: Callable[..., Path]
) -> None:
    folder = listing({"model.safetensors": None, "config.json": None}, revision=None)
    fetch("tiny", silent)
    assert models.read_pins("tiny") == {
        "model.safetensors": sha256(WEIGHTS).hexdigest(),
        "config.json": sha256(CONFIG).hexdigest(),
    }
    assert models.check("tiny").state is State.PINNED
    assert not any(weights.verified for weights in models.weights("tiny"))
    (folder / "config.json").write_bytes(b"{}")
    assert models.check("tiny").state is State.WRONG


def test_unlisted_files_that_are_here_are_pinned_without_a_download(
    hub: Hub, listing: Callable[..., Path]
) -> None:
    folder = listing({"model.safetensors": None, "config.json": None}, revision=None)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_bytes(CONFIG)
    fetch("tiny", silent)
    assert {method for method, _, _ in hub.asked} == {"HEAD"}
    assert models.check("tiny").state is State.PINNED


def test_split_weights_are_fetched_by_their_index(hub: Hub, listing: Callable[..., Path]) -> None:
    folder = listing({"model.safetensors": None, "config.json": None}, revision=None)
    del hub.files["model.safetensors"]
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": {"w": names[0], "v": names[1]}}
    hub.files |= {models.INDEX: json.dumps(index).encode(), **dict.fromkeys(names, WEIGHTS)}
    fetch("tiny", silent)
    assert {path.name for path in folder.iterdir()} == {models.INDEX, "config.json", *names}
    assert models.check("tiny").state is State.PINNED


def test_a_gated_model_without_a_token_asks_nobody(hub: Hub, listing: Callable[..., Path]) -> None:
    listing({"config.json": CONFIG}, gated=True)
    with pytest.raises(UserError, match=r"https://huggingface\.co/org/tiny") as e:
        fetch("tiny", silent)
    assert "HF_TOKEN" in str(e.value)
    assert hub.asked == []


def test_a_gated_model_with_a_token(
    hub: Hub, listing: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listing({"config.json": CONFIG}, gated=True)
    hub.gated = True
    monkeypatch.setenv("HF_TOKEN", "bad")
    with pytest.raises(UserError, match="the token is not accepted there"):
        fetch("tiny", silent)
    monkeypatch.setenv("HF_TOKEN", "good")
    fetch("tiny", silent)
    assert models.check("tiny").state is State.VERIFIED


def test_the_token_stays_with_the_hub(
    hub: Hub, listing: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large files lie in a store at another address, which the hub redirects to."""
    with serving(Hub(hub.files)) as store:
        listing({"model.safetensors": WEIGHTS}, gated=True)
        hub.gated, hub.store = True, f"{store.address}/web"
        monkeypatch.setenv("HF_TOKEN", "good")
        fetch("tiny", silent)
        assert [method for method, _, _ in hub.asked] == ["HEAD"]
        assert [method for method, _, _ in store.asked] == ["GET"]
        assert store.tokens == [None]
        assert hub.tokens == ["Bearer good"]


def test_offline_forbids_downloads(
    hub: Hub, listing: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listing({"config.json": CONFIG})
    monkeypatch.setenv("MMDIA_OFFLINE", "1")
    with pytest.raises(UserError, match="MMDIA_OFFLINE forbids the network"):
        fetch("tiny", silent)
    assert hub.asked == []


def test_a_full_disk_is_noticed_before_anything_is_asked(
    hub: Hub, listing: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listing({"model.safetensors": WEIGHTS})
    used = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used)
    with pytest.raises(UserError, match="make room"):
        fetch("tiny", silent)
    assert hub.asked == []


def test_a_file_the_source_lacks_and_a_source_out_of_reach(
    hub: Hub, listing: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    listing({"other.bin": b"x"})
    with pytest.raises(UserError, match=r"has no file other\.bin"):
        fetch("tiny", silent)
    listing({"other.bin": b"x"}, url=f"{hub.address}/web")
    with pytest.raises(UserError, match="404"):
        fetch("tiny", silent)
    monkeypatch.setattr(model_fetch, "PAUSE", 0.0)
    listing({"other.bin": b"x"}, url="http://127.0.0.1:9")
    with pytest.raises(UserError, match="refused"):
        fetch("tiny", silent)
