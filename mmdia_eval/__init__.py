"""mmdia-eval: score multimodal dialogue generation systems, the same way twice.

The names of the package are looked up on first use, so that importing it costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdia_eval.scoring import score

    __version__: str

__all__ = ["__version__", "score"]


def __getattr__(name: str) -> Any:
    if name == "score":
        from mmdia_eval.scoring import score  # noqa: PLC0415

        return score
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            return version("mmdia-eval")
        except PackageNotFoundError:
            return "0.0.0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
