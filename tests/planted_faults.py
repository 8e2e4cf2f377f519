"""One fault for each code that a submission can have, each planted in a good submission.

Here those of the files; those of the figures are in planted_figures.py.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import example_submission as example
import pytest
from example_submission import AUDITED, OTHERS, RESULTS, ROWS, edit, metric

from mmdia_eval.scoring import Request
from mmdia_eval.store import file_sha256
from mmdia_eval.validation import entry

BY_ID = {dialogue.id: dialogue for dialogue in example.prepare_dialogues()}


@dataclass(frozen=True)
class Planted:
    """Where a fault is planted: the submission, what it answers, and how to check it."""

    folder: Path
    request: Request
    patch: pytest.MonkeyPatch
    options: dict[str, Any] = field(default_factory=dict)

    def submission(self, **changes: Any) -> None:
        edit(self.folder / "submission.json", lambda record: record.update(changes))

    def results(self, change: Callable[[Any], object]) -> None:
        edit(self.folder / RESULTS, change)

    def metric(self, name: str = "wer", /, **changes: Any) -> None:
        self.results(lambda record: metric(record, name).update(changes))

    def rows(self, change: Callable[[list[Any]], object]) -> None:
        example.edit_rows(self.folder, change)

    def rescored(self, change: Callable[[list[Any]], object]) -> None:
        example.rescore(self.folder, self.request, change)

    def counts(self, name: str, change: Callable[[dict[str, float]], object], *ids: str) -> None:
        """Change the counts of scored dialogues, and let every figure follow."""

        def changed(rows: list[Any]) -> None:
            for row in rows:
                wanted = row["dialogue"] in ids if ids else row["status"] == "scored"
                if row["metric"] == name and wanted:
                    change(row["counts"])

        self.rescored(changed)

    def line(self, dialogue: str, **changes: Any) -> None:
        def changed(manifest: list[Any]) -> None:
            next(line for line in manifest if line["dialogue"] == dialogue).update(changes)

        example.edit_manifest(self.folder, changed)

    def beside(self, kind: str, name: str, data: bytes, hashed: bytes | None = None) -> None:
        """A further file that the results name, by the sha256 of `hashed` or else of `data`."""
        path = self.folder / RESULTS.replace(".json", f".{name}.jsonl")
        path.write_bytes(data)
        sha256 = hashlib.sha256(data if hashed is None else hashed).hexdigest()
        self.results(
            lambda record: record.update({f"{kind}_file": path.name, f"{kind}_sha256": sha256})
        )

    def entry_of_base(self, name: str = example.NAME) -> Path:
        """A copy of the submission on a board that it is checked against."""
        base = self.folder.parents[1] / "board"
        shutil.copytree(self.folder, base / name)
        self.options["base"] = str(base)
        return base / name


@dataclass(frozen=True)
class Fault:
    """How to plant it, and the codes that cannot but come with it."""

    plant: Callable[[Planted], object]
    also: frozenset[str] = frozenset()


FAULTS: dict[str, Fault] = {}


def fault(code: str, *also: str) -> Callable[[Callable[[Planted], object]], object]:
    def register(plant: Callable[[Planted], object]) -> object:
        FAULTS[code] = Fault(plant, frozenset(also))
        return plant

    return register


def first(rows: list[Any], name: str, dialogue: str = OTHERS[0]) -> Any:
    return next(row for row in rows if (row["metric"], row["dialogue"]) == (name, dialogue))


# What lies in the folder


@fault("name-folder")
def _(on: Planted) -> None:
    on.folder.rename(on.folder.with_name("My Submission"))


@fault("name-file")
def _(on: Planted) -> None:
    (on.folder / "scores.pkl").write_bytes(b"")


@fault("file-kind")
def _(on: Planted) -> None:
    (on.folder / "README.md").unlink()
    (on.folder / "README.md").symlink_to("/etc/passwd")


@fault("file-missing")
def _(on: Planted) -> None:
    (on.folder / "manifest.jsonl").unlink()


@fault("file-too-large")
def _(on: Planted) -> None:
    (on.folder / "README.md").write_text("a" * 70_000)


@fault("total-too-large")
def _(on: Planted) -> None:
    on.patch.setattr(entry, "MAX_TOTAL", 1000)


@fault("readme-text")
def _(on: Planted) -> None:
    (on.folder / "README.md").write_text("Hello.\nThis is \u202egnp.exe\n", "utf-8")


@fault("secret")
def _(on: Planted) -> None:
    (on.folder / "README.md").write_text("export HF_TOKEN=hf_" + "a" * 34)


# Each file by itself


@fault("json-invalid")
def _(on: Planted) -> None:
    path = on.folder / "submission.json"
    path.write_text(path.read_text().replace('"task": 1', '"task": 1,\n"task": 1'))


@fault("submission-schema")
def _(on: Planted) -> None:
    on.submission(paper="javascript:alert(1)")


@fault("submission-blank")
def _(on: Planted) -> None:
    on.submission(contact=None)


@fault("results-schema")
def _(on: Planted) -> None:
    on.results(lambda record: record.update(rank=1))


@fault("rows-schema")
def _(on: Planted) -> None:
    on.rows(lambda rows: rows[0].update(value="0.1"))


@fault("manifest-schema", "manifest-results", "manifest-rows")
def _(on: Planted) -> None:
    on.line(OTHERS[0], bytes=-1)


@fault("replies-schema")
def _(on: Planted) -> None:
    on.beside("replies", "judge", b'{"dialogue": "mini_test_01"}\n')


@fault("details-schema")
def _(on: Planted) -> None:
    on.beside("details", "details", b'{"dialogue": "mini_test_01", "seconds": -1}\n')


# The files against each other


@fault("results-name")
def _(on: Planted) -> None:
    for ending in (".json", ".rows.jsonl", ".details.jsonl"):
        (on.folder / f"task1.test{ending}").rename(on.folder / f"task1.hard{ending}")
    named = {f"{kind}_file": f"task1.hard.{kind}.jsonl" for kind in ("rows", "details")}
    edit(on.folder / "task1.hard.json", lambda record: record.update(named))


@fault("replies-hash")
def _(on: Planted) -> None:
    on.beside("replies", "judge", b"", b"another")


@fault("details-hash")
def _(on: Planted) -> None:
    on.beside("details", "details", b"", b"another")


@fault("results-differ")
def _(on: Planted) -> None:
    on.submission(style="triplet")


@fault("results-provisional")
def _(on: Planted) -> None:
    on.rescored(
        lambda rows: first(rows, "wer").update(status="failed", counts={}, reason="it broke")
    )


@fault("results-verification")
def _(on: Planted) -> None:
    on.results(lambda record: record.update(verification="re-scored"))


@fault("weights-unverified")
def _(on: Planted) -> None:
    weights = {"name": "own.bin", "sha256": "0" * 64, "verified": False}
    on.results(lambda record: record["provenance"]["extractors"][0]["weights"].append(weights))


@fault("rows-hash")
def _(on: Planted) -> None:
    with (on.folder / ROWS).open("a") as file:
        file.write("\n")


# Results against the protocol and the benchmark


@fault("protocol-unknown", "metric-definition")
def _(on: Planted) -> None:
    for name in ("submission.json", RESULTS):
        edit(on.folder / name, lambda record: record["protocol"].update(version="0"))


@fault("metric-unknown", "metric-not-run")
def _(on: Planted) -> None:
    on.metric("wer", name="wer_best")
    on.rows(lambda rows: [r.update(metric="wer_best") for r in rows if r["metric"] == "wer"])


@fault("metric-version")
def _(on: Planted) -> None:
    on.metric(version="0")


@fault("metric-definition")
def _(on: Planted) -> None:
    on.metric(unit="percent")


@fault("metric-not-run")
def _(on: Planted) -> None:
    on.rows(lambda rows: rows.__setitem__(slice(None), [r for r in rows if r["metric"] != "wer"]))
    on.results(lambda record: record["metrics"].remove(metric(record)))


@fault("benchmark-missing")
def _(on: Planted) -> None:
    for name in ("submission.json", RESULTS):
        edit(on.folder / name, lambda record: record["benchmark"].update(name="mm-dia"))


@fault("benchmark-left-out")
def _(on: Planted) -> None:
    on.options["without_benchmark"] = True


@fault("benchmark-differs")
def _(on: Planted) -> None:
    on.results(lambda record: record["benchmark"].update(dialogues=9))


# The manifest and the audit clips


@fault("manifest-unknown")
def _(on: Planted) -> None:
    line = {"dialogue": "x", "path": "x.flac", "bytes": 1, "sha256": "0" * 64, "problem": "empty"}
    example.edit_manifest(on.folder, lambda manifest: manifest.append(line))


@fault("manifest-twice")
def _(on: Planted) -> None:
    example.edit_manifest(on.folder, lambda manifest: manifest.append(manifest[0]))


@fault("manifest-path")
def _(on: Planted) -> None:
    on.line(OTHERS[0], path="take_17.flac")


@fault("manifest-results")
def _(on: Planted) -> None:
    on.line(OTHERS[0], sha256="0" * 64)


@fault("manifest-rows")
def _(on: Planted) -> None:
    on.line(OTHERS[0], problem="silent: -90 dBFS")


@fault("media-hash")
def _(on: Planted) -> None:
    edit(on.folder / "submission.json", lambda record: record["media"].update(sha256="0" * 64))


@fault("audit-missing")
def _(on: Planted) -> None:
    (on.folder / "audit" / f"{AUDITED[0]}.flac").unlink()


@fault("audit-extra")
def _(on: Planted) -> None:
    output = next(s.output for s in on.request.plan.samples if s.dialogue.id == OTHERS[0])
    assert output is not None
    example.put_clip(on.folder, OTHERS[0], output)


@fault("audit-hash")
def _(on: Planted) -> None:
    on.line(AUDITED[0], audit_sha256="0" * 64)


@fault("audit-unreadable")
def _(on: Planted) -> None:
    clip = on.folder / "audit" / f"{AUDITED[0]}.flac"
    clip.write_bytes(b"#EXTM3U\n/etc/passwd\n")
    on.line(AUDITED[0], audit_sha256=file_sha256(clip))


@fault("clip-duplicate")
def _(on: Planted) -> None:
    on.line(OTHERS[0], pcm_sha256="0" * 64)
    on.line(OTHERS[1], pcm_sha256="0" * 64)
