"""Templates to pages: escaped, with their own style and script and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mmdia_eval.errors import UserError

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, *, style: str, scripts: Sequence[str], **values: object) -> str:
    """A page of `templates/`, its style and scripts inlined and allowed by their hashes alone.

    The template gets `style`, `script`, `style_hash`, `script_hash` and `values`, escaped.

    Raises:
        UserError: Jinja2 is not installed.
    """
    if find_spec("jinja2") is None:
        raise UserError("the page needs Jinja2: pip install 'mmdia-eval[board]'")
    from markupsafe import Markup  # noqa: PLC0415

    css, code = _text(style), "".join(_text(name) for name in scripts)
    return (
        _environment()
        .get_template(template)
        .render(
            # Our own files, not data: as they are, and the page's policy allows just them.
            style=Markup(css),  # noqa: S704
            script=Markup(code),  # noqa: S704
            style_hash=_csp_hash(css),
            script_hash=_csp_hash(code),
            **values,
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _text(name: str) -> str:
    """A file of `templates/`, without indentation and lines of comment."""
    lines = [line.strip() for line in (TEMPLATES / name).read_text("utf-8").splitlines()]
    return "".join(f"{line}\n" for line in lines if not line.startswith("//"))


@cache
def _csp_hash(text: str) -> str:
    """The source expression that allows exactly this inline text (CSP level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
