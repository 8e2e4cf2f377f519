"""Names have one owner, and a third party's names carry its prefix."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from mmdia_eval import registry
from mmdia_eval.api import Metric
from mmdia_eval.errors import UserError
from mmdia_eval.registry import Registry, RegistryError


def test_a_name_has_one_owner() -> None:
    names: Registry[Metric] = Registry("metric")
    names("wer")(type("A", (), {}))
    with pytest.raises(RegistryError, match=r"metric 'wer' is defined twice: in .* and in "):
        names("wer")(type("B", (), {}))


def test_registering_the_same_class_again_changes_nothing() -> None:
    names: Registry[Metric] = Registry("metric")
    cls = type("A", (), {})
    assert names("a")(cls) is names("a")(cls)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown metric 'wers'; known: .*cpwer.*, wer"):
        registry.metric.get("wers")


def test_the_built_in_plugins_are_found() -> None:
    assert {"wer", "cpwer", "sasim", "mos"} <= set(registry.metric)
    assert {"pocketsphinx_transcript", "ge2e_diarization", "dnsmos"} <= set(registry.extractor)


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """An installed plugin named "acme" whose module registers the name in `request.param`."""
    entry = EntryPoint("acme", "unused", registry.ENTRY_POINT_GROUP)

    def load(self: EntryPoint) -> None:
        registry.metric(request.param)(type("Acme", (), {}))

    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    items = dict(registry.metric._items)
    registry.load_plugins.cache_clear()
    yield
    registry.metric._items.clear()
    registry.metric._items.update(items)
    registry.load_plugins.cache_clear()


@pytest.mark.parametrize("third_party", ["acme/loudness"], indirect=True)
def test_a_third_party_metric_is_found_by_its_prefixed_name(third_party: None) -> None:
    assert "acme/loudness" in registry.metric


@pytest.mark.parametrize("third_party", ["loudness"], indirect=True)
def test_a_third_party_name_without_its_prefix_is_refused(third_party: None) -> None:
    with pytest.raises(RegistryError, match="name it 'acme/loudness'"):
        registry.metric.get("wer")
