"""What a pull request does to the tree: looked up in git's objects, never in a work tree.

A work tree has lost what matters here: modes, names that it cannot hold, files it would not write.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdia_eval.errors import UserError
from mmdia_eval.submission import printable
from mmdia_eval.validation.findings import Finding, few_alike, found, in_order
from mmdia_eval.validation.format import MAX_BYTES, MAX_TOTAL, is_folder_name
from mmdia_eval.validation.git import commit, git
from mmdia_eval.validation.validate import Checked

SUBMISSIONS = "submissions"
MAX_FILE = max(MAX_BYTES.values())
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
REGULAR, EXECUTABLE, SYMLINK, SUBMODULE = "100644", "100755", "120000", "160000"
_KINDS = {EXECUTABLE: "tree-executable", SYMLINK: "tree-symlink", SUBMODULE: "tree-submodule"}


@dataclass(frozen=True)
class Change:
    """A line of `git diff --raw`: `status` is A, M, D or T; the id is zeros for what is gone."""

    mode: str
    id: str
    status: str
    path: str

    @property
    def parts(self) -> Sequence[str]:
        return self.path.split("/")


def check_tree(base: str, head: str, repository: Path = Path()) -> Checked:
    """What is wrong with the changes of `head` since it left `base`, as a submission.

    Raises:
        UserError: no git, no repository, no such revision, or no common history.
    """
    old, new = commit(repository, base), commit(repository, head)
    try:
        fork = git(repository, ["merge-base", old, new]).decode().strip()
    except UserError:
        raise UserError(f"{repository}: {base} and {head} have no common history") from None
    changes = _changes(repository, fork, new)
    findings = [
        *_contents(changes),
        *_collisions(changes, _names(repository, new)),
        *_sizes(changes, _bytes_of(repository, changes)),
        *_whole(changes),
    ]
    return Checked("pull request", in_order(list(few_alike(findings))))


def _changes(repository: Path, base: str, head: str) -> list[Change]:
    options = [
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
        "--no-ext-diff",
        "--ignore-submodules=none",
    ]
    fields = git(repository, ["diff", *options, base, head, "--"]).split(b"\0")
    changes = []
    for about, path in zip(fields[:-1:2], fields[1::2], strict=True):
        _, mode, _, id_, status = about.decode().split(" ")
        changes.append(Change(mode, id_, status[0], path.decode(errors="surrogateescape")))
    return changes


def _names(repository: Path, head: str) -> list[str]:
    """All paths of the tree, with the folders above them."""
    listing = git(repository, ["ls-tree", "-r", "-z", "--full-tree", "--name-only", head])
    paths = listing.decode(errors="surrogateescape").split("\0")[:-1]
    return sorted(
        {"/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 2)}
    )


def _bytes_of(repository: Path, changes: Sequence[Change]) -> Mapping[str, int]:
    ids = [change.id for change in changes if change.mode in (REGULAR, EXECUTABLE)]
    answers = git(
        repository, ["cat-file", "--batch-check"], "".join(f"{i}\n" for i in ids).encode()
    )
    said = [line.split() for line in answers.decode().splitlines()]
    if any(len(words) < 3 for words in said):
        raise UserError(f"{repository}: the clone lacks objects; fetch its whole history")
    return {id_: int(words[2]) for id_, words in zip(ids, said, strict=True)}


def _contents(changes: Sequence[Change]) -> Iterator[Finding]:
    for change in changes:
        shown = printable(change.path.encode(errors="surrogateescape").decode(errors="replace"))
        for code in _codes(change):
            yield found(code, shown, shown)


def _codes(change: Change) -> Iterator[str]:
    if change.status != "A":
        yield "tree-changed"
    if change.mode in _KINDS:
        yield _KINDS[change.mode]
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in change.path):
        yield "tree-control"
    elif not all(PLAIN_NAME.fullmatch(part) for part in change.parts) and not _of_tools(change):
        yield "tree-name"
    if change.parts[-1] in (
        ".gitattributes",
        ".gitignore",
        ".gitmodules",
        ".lfsconfig",
        ".mailmap",
    ):
        yield "tree-attributes"
    if ".github" in change.parts:
        yield "tree-github"
    inside = len(change.parts) >= 3 and change.parts[0] == SUBMISSIONS
    if not (inside and is_folder_name(change.parts[1])):
        yield "tree-outside"


def _of_tools(change: Change) -> bool:
    """Names with a finding of their own."""
    return any(part.startswith(".git") for part in change.parts)


def _collisions(changes: Sequence[Change], names: Sequence[str]) -> Iterator[Finding]:
    """Names that another file system takes for one."""
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault(unicodedata.normalize("NFKC", name).casefold(), set()).add(name)
    touched = {
        "/".join(change.parts[:n]) for change in changes for n in range(1, len(change.parts) + 1)
    }
    for same in alike.values():
        if len(same) > 1 and same & touched:
            shown = [printable(name) for name in sorted(same)]
            yield found("tree-case", " and ".join(shown), shown[-1])


def _sizes(changes: Sequence[Change], sizes: Mapping[str, int]) -> Iterator[Finding]:
    total = 0
    for change in changes:
        size = sizes.get(change.id, 0)
        total += size
        if size > MAX_FILE:
            yield found(
                "tree-file-size", f"{size:,} bytes; at most {MAX_FILE:,}", printable(change.path)
            )
    if total > MAX_TOTAL:
        yield found("tree-size", f"{total:,} bytes; at most {MAX_TOTAL:,}")


def _whole(changes: Sequence[Change]) -> Iterator[Finding]:
    entries = sorted(
        {c.parts[1] for c in changes if c.parts[0] == SUBMISSIONS and len(c.parts) > 2}
    )
    if len(entries) > 1:
        yield found("tree-two-entries", ", ".join(printable(entry) for entry in entries))
    if not entries:
        yield found("tree-empty", "no file below submissions/")
