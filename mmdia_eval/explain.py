"""How a protocol defines one of its columns, in words."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from mmdia_eval import registry
from mmdia_eval.api import Metric, SetMetric, Settings
from mmdia_eval.artifacts import Artifact, MediaInfo
from mmdia_eval.categories import INTERACTION_TYPES, RELATIONSHIPS
from mmdia_eval.errors import UserError
from mmdia_eval.listing import DIRECTIONS
from mmdia_eval.protocol import ExtractorEntry, MetricEntry, Protocol
from mmdia_eval.report import plain_console
from mmdia_eval.statistics import corpus_value
from mmdia_eval.text import normalizer
from mmdia_eval.types import Dialogue, Keyframe, Segment, Style, Turn

Row = tuple[str, str]

SPECIMEN = Dialogue(
    "specimen",
    tuple(
        Turn(who, "Some words. And more.", Segment(2 * i, 2 * i + 2))
        for i, who in enumerate(("A", "B") * 4)
    ),
    style=Style("calm", RELATIONSHIPS[0], INTERACTION_TYPES[0], "calm", "friends", "talk"),
    audio=Path("specimen.wav"),
    duration=16.0,
    keyframes=(Keyframe(Path("specimen.png"), 1.0, "A"),),
)
"""Two speakers, four turns each, for what an output costs that is not there."""


def print_column(name: str, protocol: Protocol) -> None:
    """How a protocol defines one of its columns, in words.

    Raises:
        UserError: the protocol has no such column; the message lists those it has.
    """
    entry = next((entry for entry in protocol.metrics if entry.name == name), None)
    if entry is None:
        known = ", ".join(entry.name for entry in protocol.metrics)
        raise UserError(f"protocol {protocol.name!r} has no column {name!r}; it has: {known}")
    cls = registry.metric.get(entry.metric)
    metric = cls(cls.Settings.model_validate(entry.settings))
    console = plain_console()
    console.print(f"{name} of protocol {protocol.name} {protocol.version}")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for title, text in _definition(entry, metric, protocol):
        table.add_row(title, Text(text))
    console.print(table)


def _definition(entry: MetricEntry, metric: Metric, protocol: Protocol) -> Iterator[Row]:
    if entry.note:
        yield "in words", entry.note
    yield "metric", f"{metric.name} {metric.version}: {_doc(type(metric))}"
    yield "unit", f"{metric.unit}, {DIRECTIONS[metric.higher_is_better]}"
    yield "average over", metric.aggregation
    for role in _roles(metric.needs, entry.inputs):
        yield "reads", _source(role, protocol)
    for kind in metric.reference_needs:
        yield "of reference", _source(f"reference_{kind.kind}", protocol)
    yield from _settings(metric.settings)
    for condition, changed in entry.when.items():
        yield f"with {condition}", _pairs(changed)
    if metric.companion:
        yield "beside it", metric.companion
    worst = corpus_value([metric.worst(SPECIMEN)], metric.reduce)
    if isinstance(metric, SetMetric):
        yield "missing", "no value unless every dialogue has an output"
    elif worst is not None:
        yield (
            "missing",
            f"an output that is not there counts as {worst:.3g} where two speakers talk",
        )
    yield "default", "yes" if entry.default else f"no: ask for it with --metric {entry.name}"


def _roles(kinds: Sequence[type[Artifact]], inputs: Mapping[str, str]) -> list[str]:
    return [inputs.get(kind.kind, kind.kind) for kind in kinds]


def _source(role: str, protocol: Protocol) -> str:
    """The extractor behind a role, and behind the roles that it reads itself."""
    if role == MediaInfo.kind:
        return f"{role}: what the decoder finds"
    if role not in protocol.extractors:
        return f"{role}: no extractor in this protocol"
    entry = protocol.extractors[role]
    cls = registry.extractor.get(entry.extractor)
    behind = [_source(needed, protocol) for needed in _roles(cls.needs, entry.inputs)]
    of = f", of {'; of '.join(behind)}" if behind else ""
    return f"{role}: {entry.extractor} {cls.version}{_given(entry)}{of}"


def _given(entry: ExtractorEntry) -> str:
    parts = [_pairs(entry.settings)] if entry.settings else []
    parts += [f"with {name}: {_pairs(changed)}" for name, changed in entry.when.items()]
    return f" ({'; '.join(parts)})" if parts else ""


def _settings(settings: Settings) -> Iterator[Row]:
    """Each setting with its default where it differs, then what the settings mean."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        note = "" if value == field.default else f" (default {field.default})"
        yield name, f"{value}{note}"
        if name == "normalizer":
            yield "", _doc(normalizer(value).function) or "the text as it is"
    for cls in type(settings).__mro__:
        if cls is Settings:
            break
        yield "", _doc(cls)


def _doc(item: Any) -> str:
    """The docstring in one paragraph."""
    return " ".join((inspect.getdoc(item) or "").split())


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
