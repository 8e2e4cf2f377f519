"""mmdia-eval: score multimodal dialogue generation systems, the same way twice.

`score` is imported on first use, so that importing the package costs nothing.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdia_eval.scoring import score

__all__ = ["__version__", "score"]

try:
    __version__ = version("mmdia-eval")
except PackageNotFoundError:
    __version__ = "0.0.0+unknown"


def __getattr__(name: str) -> Any:
    if name == "score":
        from mmdia_eval.scoring import score  # noqa: PLC0415

        return score
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
