"""`mmdia-eval --help` against the bare interpreter. Target: under 300 ms."""

from __future__ import annotations

from statistics import median

from benchmarks.score import seconds

REPEATS = 9


def main() -> None:
    """Print the median wall time of both."""
    bare = median(seconds(["-c", "pass"]) for _ in range(REPEATS))
    shown = median(seconds(["-m", "mmdia_eval", "--help"]) for _ in range(REPEATS))
    print("startup: median of wall time")
    print(f"  python -c pass               {1000 * bare:7.0f} ms")
    print(f"  mmdia-eval --help            {1000 * shown:7.0f} ms   {shown / bare:.1f}x")


if __name__ == "__main__":
    main()
