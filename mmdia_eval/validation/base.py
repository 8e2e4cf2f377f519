"""The board as it is: what a new submission may not change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmdia_eval.errors import UserError
from mmdia_eval.validation.format import is_folder_name
from mmdia_eval.validation.git import commit, git


@dataclass(frozen=True)
class Base:
    """The entries of a folder or a revision.

    `files` are their contents' ids (git's for blobs) by "<entry>/<path>", `read` gives a content.
    """

    name: str
    files: Mapping[str, str]
    read: Callable[[str], bytes]

    @property
    def entries(self) -> set[str]:
        return {name.split("/")[0] for name in self.files}

    def of(self, entry: str) -> Iterator[str]:
        """The entry's files, each by its path within the entry."""
        for name in self.files:
            if name.startswith(f"{entry}/"):
                yield name.removeprefix(f"{entry}/")

    def changed(self, entry: str, root: Path) -> list[str]:
        """Files of the entry that are other or gone below `root`, where entries lie."""
        return [
            name
            for name in self.of(entry)
            if _content_id(root / entry / name, self.files[f"{entry}/{name}"])
            != self.files[f"{entry}/{name}"]
        ]


def load_base(value: str, root: Path) -> Base:
    """The base that a `--base` value means: a folder of entries, or a revision of git.

    A folder may also be a checkout with its entries below submissions/. A revision is one of the
    repository that `root`, where the new entries lie, is in.

    Raises:
        UserError: it is neither.
    """
    folder = Path(value)
    if folder.is_dir():
        inner = folder / "submissions"
        return _of_folder(inner if inner.is_dir() else folder)
    return _of_revision(value, root)


def _of_folder(folder: Path) -> Base:
    names = [
        path.relative_to(folder).as_posix()
        for entry in sorted(folder.iterdir())
        if is_folder_name(entry.name) and entry.is_dir() and not entry.is_symlink()
        for path in sorted(entry.rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]
    ids = {name: _blob_id((folder / name).read_bytes(), "sha1") for name in names}
    return Base(str(folder), ids, lambda name: (folder / name).read_bytes())


def _of_revision(revision: str, root: Path) -> Base:
    try:
        prefix = git(root, ["rev-parse", "--show-prefix"]).decode().strip()
    except UserError:
        raise UserError(
            f"--base {revision}: no such folder, and {root} is in no git repository"
        ) from None
    tree = commit(root, revision)
    listing = git(root, ["ls-tree", "-r", "-z", "--full-tree", tree, "--", prefix or "."])
    ids: dict[str, str] = {}
    for line in listing.decode(errors="surrogateescape").split("\0"):
        about, _, path = line.partition("\t")
        name = path.removeprefix(prefix)
        if about.startswith("100") and "/" in name and is_folder_name(name.split("/")[0]):
            ids[name] = about.split()[2]
    return Base(revision, ids, lambda name: git(root, ["cat-file", "blob", ids[name]]))


def _content_id(path: Path, like: str) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    return _blob_id(path.read_bytes(), "sha1" if len(like) == 40 else "sha256")


def _blob_id(data: bytes, algorithm: str) -> str:
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data).hexdigest()
