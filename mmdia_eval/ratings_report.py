"""Human ratings in a terminal."""

from __future__ import annotations

from rich.text import Text

from mmdia_eval.human_mos import HumanRatings, RaterReport
from mmdia_eval.report import plain_console, plain_table, print_lines
from mmdia_eval.submission import printable


def print_human_ratings(human: HumanRatings) -> None:
    """The systems' means, how far raters agree, and each rater."""
    console = plain_console()
    table = plain_table()
    table.add_column("dimension")
    table.add_column("system", overflow="fold")
    for title in ("MOS", "95% interval", "ratings", "raters", "dialogues"):
        table.add_column(title, justify="right")
    for dimension in human.dimensions:
        for each in dimension.systems:
            interval = each.interval
            shown = "-" if interval is None else f"[{interval.lower:.2f}, {interval.upper:.2f}]"
            counts = (str(each.ratings), str(each.raters), str(each.dialogues))
            system = Text(printable(each.system))
            table.add_row(dimension.dimension, system, f"{each.mean:.2f}", shown, *counts)
    console.print(table)
    console.print()
    for dimension in human.dimensions:
        alpha = "not defined" if dimension.alpha is None else f"{dimension.alpha:.3f}"
        print_lines(console, [f"{dimension.dimension}: Krippendorff's alpha (ordinal) {alpha}"])
    console.print()
    _print_raters(human)
    if human.excluded_raters:
        print_lines(console, [f"left out: {', '.join(human.excluded_raters)}"])


def _print_raters(human: HumanRatings) -> None:
    table = plain_table()
    table.add_column("rater", overflow="fold")
    for title in ("ratings", "mean", "deviation", "agreement", "flags"):
        table.add_column(title, justify="right")
    for rater in human.raters:
        table.add_row(Text(printable(rater.rater)), *_figures(rater))
    plain_console().print(table)


def _figures(rater: RaterReport) -> tuple[str, ...]:
    agreement = "-" if rater.agreement is None else f"{rater.agreement:.2f}"
    mean, deviation = f"{rater.mean:.2f}", f"{rater.deviation:.2f}"
    return str(rater.ratings), mean, deviation, agreement, ", ".join(rater.flags) or "-"
