"""mmdia-eval: score multimodal dialogue generation systems, the same way twice."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mmdia-eval")
except PackageNotFoundError:
    __version__ = "0.0.0+unknown"
