"""Plugins by name. A name has one owner; a third party's names carry its prefix."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mmdia_eval.api import Extractor, Metric
from mmdia_eval.errors import UserError

if TYPE_CHECKING:
    from mmdia_eval.judges.client import JudgeClient

T = TypeVar("T")
ENTRY_POINT_GROUP = "mmdia_eval.plugins"
BUILT_IN_PACKAGES = ("mmdia_eval.metrics", "mmdia_eval.extractors", "mmdia_eval.judges")


class RegistryError(Exception):
    """A plugin is defined wrongly; the message names the plugin and both owners of a name."""


class Registry(Generic[T]):
    """Classes by name, for one kind of plugin.

    Use as a decorator: `@metric("wer")`. While a third party's entry point is being loaded, only
    names of the form `prefix/name` are accepted, the prefix being the entry point's name.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, type[T]] = {}

    def __call__(self, name: str) -> Callable[[type[Any]], type[Any]]:
        def register(cls: type[Any]) -> type[Any]:
            prefix = _loading.prefix
            if prefix is not None and not name.startswith(f"{prefix}/"):
                raise RegistryError(
                    f"plugin {prefix!r} registers the {self.kind} {name!r}: "
                    f"name it '{prefix}/{name}'"
                )
            old = self._items.get(name)
            if old is not None and old is not cls:
                raise RegistryError(
                    f"{self.kind} {name!r} is defined twice: "
                    f"in {old.__module__} and in {cls.__module__}"
                )
            self._items[name] = cls
            cls.name = name
            return cls

        return register

    def get(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            UserError: no plugin has the name; the message lists those that exist.
        """
        load_plugins()
        if name not in self._items:
            known = ", ".join(sorted(self._items)) or "none"
            raise UserError(f"unknown {self.kind} {name!r}; known: {known}")
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        load_plugins()
        return iter(sorted(self._items))

    def __contains__(self, name: str) -> bool:
        load_plugins()
        return name in self._items


class _Loading:
    prefix: str | None = None


_loading = _Loading()

metric: Registry[Metric] = Registry("metric")
extractor: Registry[Extractor[Any]] = Registry("extractor")
judge: Registry[JudgeClient] = Registry("judge")


@cache
def load_plugins() -> None:
    """Import the built-in plugins and every installed entry point, once a process.

    Raises:
        RegistryError: two plugins own one name, or a third party's name lacks its prefix.
    """
    for package_name in BUILT_IN_PACKAGES:
        package = importlib.import_module(package_name)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package_name}.{module.name}")
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        _loading.prefix = entry_point.name
        try:
            entry_point.load()
        finally:
            _loading.prefix = None
