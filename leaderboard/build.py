"""The static site: HTML without a server, a CDN or a clock, and its data as JSON and CSV."""

from __future__ import annotations

import filecmp
import gc
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmdia_eval import display
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.leaderboard.boards import Board, make_boards, tab_of
from mmdia_eval.leaderboard.clips import KINDS
from mmdia_eval.leaderboard.entry_page import ResultView, view_result
from mmdia_eval.leaderboard.export import board_csv, board_data
from mmdia_eval.leaderboard.pages import render_page
from mmdia_eval.leaderboard.published import PublishedTable, read_published
from mmdia_eval.leaderboard.reading import Entry, about, read_entries
from mmdia_eval.leaderboard.states import EntryState, read_states
from mmdia_eval.results import Results
from mmdia_eval.results_files import canonical_json

RELEASES = "releases"
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


@dataclass(frozen=True)
class Tab:
    """A task, told in one style: an anchor, a title, and its tables."""

    id: str
    title: str
    boards: tuple[Board, ...]


@dataclass(frozen=True)
class Link:
    """A release in the menu; `href` is None for the one being read."""

    name: str
    href: str | None


@dataclass(frozen=True)
class _Site:
    """What the pages of one build share."""

    tabs: tuple[Tab, ...]
    entries: tuple[Entry, ...]
    states: tuple[tuple[str, EntryState], ...]
    published: tuple[PublishedTable, ...]

    @property
    def boards(self) -> list[Board]:
        return [board for tab in self.tabs for board in tab.boards]

    @property
    def ids(self) -> set[str]:
        return {entry.id for entry in self.entries}

    @property
    def gone(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.gone]


def build_leaderboard(
    results: Sequence[Path],
    out: Path,
    *,
    published: Path | None = None,
    entries: Path | None = None,
    release: str | None = None,
) -> Path:
    """Write the site into `out` and return the page's path.

    `index.html`, a page an entry below `e/`, `changelog.html`, `leaderboard.json`, `results.csv`.
    The same files give the same bytes, in whatever order.

    Args:
        results: results files and human ratings, or folders in which every .json file is one of
            them. Ratings become columns of the systems that they name, in the tables of their
            task, split and style. Recordings in `audit/` beside results can be heard.
        out: the site's folder.
        published: a folder of published tables, shown apart.
        entries: the maintainers' folder of `<id>.json`: what is verified, disputed, withdrawn.
        release: a name under which this build is also kept, for good, below `releases/`.

    Raises:
        UserError: no results, a file that is none, a system twice in one table, a release that
            exists with other content, or no Jinja2.
    """
    with _many_objects():
        return _build(results, out, published, entries, release)


@contextmanager
def _many_objects() -> Iterator[None]:
    """No garbage collection: rows are hundreds of thousands of objects, none of them in a cycle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _build(
    results: Sequence[Path],
    out: Path,
    published: Path | None,
    entries: Path | None,
    release: str | None,
) -> Path:
    states = read_states(entries) if entries else None
    found = read_entries(results, states)
    boards = make_boards(found)
    site = _Site(
        _tabs(boards),
        found,
        tuple((states or {}).items()),
        tuple(read_published(published)) if published else (),
    )
    if release is not None:
        _keep_release(site, out, release)
    kept = sorted(path.name for path in (out / RELEASES).glob("*") if path.is_dir())
    links = [Link("latest", None)]
    links += [Link(name, f"{RELEASES}/{name}/index.html") for name in reversed(kept)]
    _write(site, out, tuple(links) if kept else ())
    return out / "index.html"


def _tabs(boards: Sequence[Board]) -> tuple[Tab, ...]:
    titles = {
        tab_of(board.all_rows[0].entry.results): _title(board.all_rows[0].entry.results)
        for board in boards
    }
    return tuple(
        Tab(id_, title, tuple(board for board in boards if board.tab == id_))
        for id_, title in sorted(titles.items())
    )


def _title(results: Results) -> str:
    return f"Task {results.task}" + (f", {results.style}" if results.style else "")


def _keep_release(site: _Site, out: Path, name: str) -> None:
    if not _RELEASE.fullmatch(name):
        raise UserError(f"release {name!r}: take letters, digits, '.', '_' and '-' for a name")
    target, part = out / RELEASES / name, out / RELEASES / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    _write(site, part, (Link(name, None), Link("latest", "../../index.html")))
    if not target.exists():
        part.rename(target)
        return
    same = _same(part, target)
    shutil.rmtree(part)
    if not same:
        raise UserError(f"{target} is there with other content; a release stays: name a new one")


def _same(one: Path, other: Path) -> bool:
    files = [
        sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file()) for root in (one, other)
    ]
    return files[0] == files[1] and not any(
        filecmp.cmpfiles(one, other, [str(file) for file in files[0]], shallow=False)[1:]
    )


def _write(site: _Site, out: Path, releases: tuple[Link, ...]) -> None:
    data = board_data(site.boards, site.gone, site.published)
    write_atomic(out / "leaderboard.json", canonical_json(data))
    write_atomic(out / "results.csv", board_csv(site.boards, site.published))
    pages = out / "e"
    placed = set()
    for id_ in sorted(site.ids):
        views = _views(site, id_, out)
        write_atomic(pages / f"{id_}.html", _entry_page(site, id_, views).encode())
        clips = [one.clip for view in views for one in view.dialogues if one.clip]
        placed |= {pages / f"{id_}.html", *(pages / clip.href for clip in clips if clip.href)}
    for path in pages.rglob("*"):
        if path.suffix in {".html", *KINDS} and path not in placed:
            path.unlink()  # of an earlier build
    changes = sorted(
        ((change, id_) for id_, state in site.states for change in state.changes),
        key=lambda pair: (pair[0].when, pair[1]),
        reverse=True,
    )
    if site.states:
        page = render_page(
            "changelog.html.j2",
            style="page.css",
            scripts=[],
            changes=changes,
            known=site.ids,
        )
        write_atomic(out / "changelog.html", page.encode())
    index = render_page(
        "index.html.j2",
        style="page.css",
        scripts=["popovers.js", "index.js"],
        site=site,
        releases=releases,
        display=display,
        newest=max(entry.results.provenance.created for entry in site.entries),
        verifications=sorted({e.verification for e in site.entries if not e.gone}),
        about=about,
        known=site.ids,
        splits=sorted({board.split for board in site.boards}),
        protocols=sorted({board.protocol.name for board in site.boards}),
    )
    write_atomic(out / "index.html", index.encode())


def _views(site: _Site, id_: str, out: Path) -> list[ResultView]:
    entries = [entry for entry in site.entries if entry.id == id_]
    order = sorted(entries, key=lambda e: (e.results.task, e.results.style or "", e.results.split))
    return [view_result(entry, site.boards, out) for entry in order]


def _entry_page(site: _Site, id_: str, views: Sequence[ResultView]) -> str:
    state = next((state for known, state in site.states if known == id_), None)
    return render_page(
        "entry.html.j2",
        style="page.css",
        scripts=["popovers.js", "entry.js"],
        id=id_,
        system=views[0].entry.results.system,
        state=state,
        about=about,
        known=site.ids,
        views=views,
        display=display,
    )
