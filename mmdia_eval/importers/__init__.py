"""Readers for MM-DIA as its authors release it; each turns one form into our dialogues."""

from mmdia_eval.importers.release import import_benchmark
from mmdia_eval.importers.report import ImportReport, SplitReport

__all__ = ["ImportReport", "SplitReport", "import_benchmark"]
