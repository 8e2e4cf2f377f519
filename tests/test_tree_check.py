"""What a pull request may do to the tree, on repositories made with git's plumbing.

No file of a hostile tree is written to the disk: objects and trees are put together by id.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmdia_eval.cli import app
from mmdia_eval.errors import UserError
from mmdia_eval.validation import tree
from mmdia_eval.validation.findings import CODES
from mmdia_eval.validation.tree import check_tree

ENTRY = "submissions/2026-11-21_acme_dialogen-2"
IDENTITY = {
    name: value
    for who in ("AUTHOR", "COMMITTER")
    for name, value in ((f"GIT_{who}_NAME", "a"), (f"GIT_{who}_EMAIL", "a@example.org"))
}
PLAIN = "100644"
Files = Mapping[str, tuple[str, bytes]]
BASE: Files = {
    "README.md": (PLAIN, b"readme\n"),
    "mmdia_eval/cli.py": (PLAIN, b"print()\n"),
    "submissions/SUBMITTING.md": (PLAIN, b"how to\n"),
    "submissions/2026-01-01_other_system/submission.json": (PLAIN, b"{}\n"),
}
GOOD: Files = {
    f"{ENTRY}/submission.json": (PLAIN, b"{}\n"),
    f"{ENTRY}/audit/mini_test_04.flac": (PLAIN, b"fLaC"),
}


class Repository:
    """A bare repository whose commits are made of (mode, content) by path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--bare", "--initial-branch=main")
        self.base = self.commit(BASE)

    def git(self, *arguments: str, given: bytes = b"", **environment: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.folder), "-c", "core.protectNTFS=false", *arguments],
            input=given,
            capture_output=True,
            check=True,
            env={**os.environ, **IDENTITY, **environment},
        )
        return done.stdout.decode().strip()

    def commit(self, files: Files, parent: str | None = None) -> str:
        lines = []
        for path, (mode, content) in files.items():
            id_ = content.decode() if mode == "160000" else self.blob(content)
            lines.append(f"{mode} {id_}\t{path}\0".encode(errors="surrogateescape"))
        index = str(self.folder / "index.temporary")
        Path(index).unlink(missing_ok=True)
        self.git("update-index", "-z", "--index-info", given=b"".join(lines), GIT_INDEX_FILE=index)
        made = self.git("write-tree", "--missing-ok", GIT_INDEX_FILE=index)
        parents = ["-p", parent] if parent else []
        return self.git("commit-tree", made, *parents, "-m", "x")

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", given=content)

    def codes(self, files: Files) -> set[str]:
        head = self.commit({**BASE, **files}, self.base)
        return {finding.code for finding in check_tree(self.base, head, self.folder).findings}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("git") / "repository")


def test_one_new_folder_of_plain_files_is_all_right(repository: Repository) -> None:
    assert repository.codes(GOOD) == set()


FAULTS: dict[str, tuple[Files, set[str]]] = {
    "tree-symlink": ({f"{ENTRY}/README.md": ("120000", b"/etc/passwd")}, set()),
    "tree-submodule": ({f"{ENTRY}/audit/x": ("160000", b"1" * 40)}, set()),
    "tree-executable": ({f"{ENTRY}/run.sh": ("100755", b"#!/bin/sh\n")}, set()),
    "tree-control": ({f"{ENTRY}/a\nb.json": (PLAIN, b"")}, set()),
    "tree-name": ({f"{ENTRY}/größe.json": (PLAIN, b"")}, set()),
    "tree-case": ({f"{ENTRY}/SUBMISSION.json": (PLAIN, b"")}, set()),
    "tree-changed": (
        {"submissions/2026-01-01_other_system/submission.json": (PLAIN, b"{1}\n")},
        {"tree-two-entries"},
    ),
    "tree-outside": ({"mmdia_eval/new.py": (PLAIN, b"")}, set()),
    "tree-two-entries": ({"submissions/2026-11-21_acme_x/README.md": (PLAIN, b"")}, set()),
    "tree-attributes": ({f"{ENTRY}/.gitattributes": (PLAIN, b"* filter=lfs\n")}, set()),
    "tree-github": ({".github/workflows/x.yml": (PLAIN, b"on: push\n")}, {"tree-outside"}),
}


@pytest.mark.parametrize("code", FAULTS)
def test_each_planted_fault_has_its_own_code(code: str, repository: Repository) -> None:
    files, also = FAULTS[code]
    assert repository.codes({**GOOD, **files}) == {code} | also


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("a\u202eb.json", {"tree-control"}),
        ("a\u00a0b.json", {"tree-name"}),
        ("a b.json", {"tree-name"}),
        ("\udcff.json", {"tree-control"}),
        ("-rf.json", {"tree-name"}),
        ("..hidden", {"tree-name"}),
        ("x.gitmodules/.gitmodules", {"tree-attributes"}),
    ],
)
def test_names_that_a_tool_could_misread(
    name: str, codes: set[str], repository: Repository
) -> None:
    assert repository.codes({**GOOD, f"{ENTRY}/{name}": (PLAIN, b"")}) == codes


def test_two_unicode_forms_of_one_name_collide(repository: Repository) -> None:
    forms = {f"{ENTRY}/caf\u00e9.json": (PLAIN, b""), f"{ENTRY}/cafe\u0301.json": (PLAIN, b"")}
    assert repository.codes({**GOOD, **forms}) == {"tree-case", "tree-name"}


def test_a_folder_that_differs_by_case_from_an_old_one(repository: Repository) -> None:
    files: Files = {"Submissions/2026-11-21_acme_x/README.md": (PLAIN, b"")}
    assert repository.codes({**GOOD, **files}) == {"tree-case", "tree-outside"}


def test_nothing_added_is_no_submission(repository: Repository) -> None:
    assert repository.codes({}) == {"tree-empty"}


def test_a_file_that_is_removed(repository: Repository) -> None:
    kept = {path: file for path, file in BASE.items() if path != "README.md"}
    head = repository.commit({**kept, **GOOD}, repository.base)
    found = check_tree(repository.base, head, repository.folder).findings
    assert {finding.code for finding in found} == {"tree-changed", "tree-outside"}


def test_sizes_are_bounded(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_FILE", 100)
    monkeypatch.setattr(tree, "MAX_TOTAL", 250)
    # The sizes of files whose names have blanks or other letters are seen too.
    names = ("big.json", "big file.json", "größe.json")
    files: Files = {f"{ENTRY}/{name}": (PLAIN, b"x" * 101) for name in names}
    head = repository.commit({**BASE, **files}, repository.base)
    found = check_tree(repository.base, head, repository.folder).findings
    large = [finding.file for finding in found if finding.code == "tree-file-size"]
    assert sorted(map(str, large)) == sorted(f"{ENTRY}/{name}" for name in names)
    assert "tree-size" in {finding.code for finding in found}


def test_every_code_has_a_planted_fault() -> None:
    elsewhere = {"tree-empty", "tree-file-size", "tree-size"}
    assert set(FAULTS) | elsewhere == {code for code in CODES if code.startswith("tree-")}


def test_only_what_is_new_since_the_fork_counts(repository: Repository) -> None:
    """The base went on after the pull request was begun."""
    head = repository.commit({**BASE, **GOOD}, repository.base)
    newer = repository.commit({**BASE, "later.md": (PLAIN, b"")}, repository.base)
    assert check_tree(newer, head, repository.folder).findings == []


def test_revisions_that_are_none_are_refused(repository: Repository) -> None:
    for revision in ("nowhere", "--output=/tmp/x", ""):
        with pytest.raises(UserError, match="is no revision"):
            check_tree(repository.base, revision, repository.folder)
    alone = repository.commit(GOOD)
    with pytest.raises(UserError, match="no common history"):
        check_tree(repository.base, alone, repository.folder)


def test_the_command(repository: Repository, tmp_path: Path) -> None:
    head = repository.commit({**BASE, **GOOD}, repository.base)
    where = ["--repository", str(repository.folder), "--json", str(tmp_path / "tree.json")]
    done = CliRunner().invoke(app, ["tree", "check", f"{repository.base}..{head}", *where])
    assert (done.exit_code, done.output) == (0, "pull request\n  valid\n")
    done = CliRunner().invoke(app, ["tree", "check", repository.base, repository.base, *where])
    assert done.exit_code == 1
    assert "error tree-empty" in done.output
    assert json.loads((tmp_path / "tree.json").read_text())["valid"] is False
