"""Run every benchmark, or those named: `python -m benchmarks cpwer score`."""

from __future__ import annotations

import importlib
import sys

ALL = (
    *("startup", "intervals", "wer", "cpwer", "definitions", "fvd", "judge", "lip_sync"),
    *("rescore", "score"),
)


def main() -> None:
    """Run each by its module's `main`."""
    for name in sys.argv[1:] or ALL:
        importlib.import_module(f"benchmarks.{name}").main()
        print(flush=True)


if __name__ == "__main__":
    main()
