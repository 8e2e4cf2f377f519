"""Names in cells that a spreadsheet shows, and does not compute."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet may take for the beginning of a formula, wherever the text came from."""


def to_cell(text: str) -> str:
    """The text, behind an apostrophe where it would be a formula.

    >>> to_cell("=1+1"), to_cell("Dialo-Gen")
    ("'=1+1", 'Dialo-Gen')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def from_cell(cell: str) -> str:
    """The text that `to_cell` made the cell of.

    >>> from_cell("'=1+1"), from_cell("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell
