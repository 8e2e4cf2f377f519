"""One fault for each code that a submission can have, each planted in a good submission."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import example_submission as example
import pytest
from example_submission import AUDITED, MISSING, OTHERS, RESULTS, ROWS, edit, metric

from mmdia_eval.scoring import Request
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.validation import digits, entry, validate

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


def _first(rows: list[Any], name: str, dialogue: str = OTHERS[0]) -> Any:
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
        lambda rows: _first(rows, "wer").update(status="failed", counts={}, reason="it broke")
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


# Rows against the benchmark


@fault("rows-incomplete")
def _(on: Planted) -> None:
    on.rescored(lambda rows: rows.remove(_first(rows, "dnsmos")))


@fault("rows-twice")
def _(on: Planted) -> None:
    on.rescored(lambda rows: rows.append(_first(rows, "wer")))


@fault("rows-unknown", "manifest-rows")
def _(on: Planted) -> None:
    on.rescored(lambda rows: rows.append({**_first(rows, "wer"), "dialogue": "x"}))


@fault("row-fields")
def _(on: Planted) -> None:
    on.rows(lambda rows: _first(rows, "dnsmos")["counts"].pop("turns"))


@fault("row-value")
def _(on: Planted) -> None:
    on.rows(lambda rows: _first(rows, "dnsmos").update(value=3.14159265358))


@fault("row-worst")
def _(on: Planted) -> None:
    on.counts("dnsmos", lambda counts: counts.update(ovrl=2.0), MISSING)


@fault("row-applicable")
def _(on: Planted) -> None:
    nothing = {"status": "not_applicable", "counts": {}, "reason": "too hard"}
    on.rescored(lambda rows: _first(rows, "wer").update(nothing))


@fault("row-reference")
def _(on: Planted) -> None:
    def more_words(counts: dict[str, float]) -> None:
        counts["words"] += 100
        counts["rate"] = counts["substitutions"] / counts["words"]

    on.counts("wer", more_words, OTHERS[0])


# Results against the rows


@fault("value-differs")
def _(on: Planted) -> None:
    on.results(lambda record: metric(record).update(value=metric(record)["value"] - 1e-6))


@fault("interval-differs")
def _(on: Planted) -> None:
    on.results(lambda record: metric(record)["interval"].update(upper=0.9))


@fault("component-differs")
def _(on: Planted) -> None:
    on.results(lambda record: metric(record)["components"].update(median=0.0))


@fault("coverage-differs")
def _(on: Planted) -> None:
    on.results(lambda record: metric(record)["coverage"].update(scored=8, missing=0))


@fault("value-of-set", "metric-unknown")
def _(on: Planted) -> None:
    fvd = {
        "name": "fvd",
        "metric": "fvd",
        "version": "1",
        "unit": "distance",
        "higher_is_better": False,
        "companion": "floor",
        "value": 12.5,
        "interval": None,
        "components": {},
        "settings": {},
        "signature": "fvd@1",
        "coverage": {"expected": 8, "scored": 0, "missing": 0, "not_applicable": 8, "failed": 0},
    }
    nothing: dict[str, Any] = {
        "metric": "fvd",
        "status": "not_applicable",
        "counts": {},
        "value": None,
    }
    on.results(lambda record: record["metrics"].append(fvd))
    on.rows(
        lambda rows: rows.extend(
            {**nothing, "dialogue": id_, "reason": "no reference video"} for id_ in BY_ID
        )
    )


# Plausibility


@fault("value-range")
def _(on: Planted) -> None:
    on.counts("sim_ref", lambda counts: counts.update(similarity=1.31415926535), OTHERS[0])


@fault("word-counts")
def _(on: Planted) -> None:
    on.counts(
        "wer",
        lambda counts: counts.update(substitutions=0.5, rate=0.5 / counts["words"]),
        OTHERS[0],
    )


@fault("grim")
def _(on: Planted) -> None:
    on.counts("speaker_count_error", lambda counts: counts.update(error=0.3), OTHERS[0])


@fault("lse-sum", "component-differs")
def _(on: Planted) -> None:
    on.results(lambda record: metric(record)["components"].update(c_plus_d=31.0))


@fault("value-perfect")
def _(on: Planted) -> None:
    on.counts("dnsmos", lambda counts: counts.update(ovrl=5.0))


@fault("better-than-reference")
def _(on: Planted) -> None:
    truth = on.folder.parents[1] / "truth.json"
    shutil.copyfile(on.folder / RESULTS, truth)
    edit(
        truth,
        lambda record: metric(record).update(
            interval={**metric(record)["interval"], "lower": 0.8, "upper": 0.9}
        ),
    )
    on.options["references"] = [truth]


@fault("rows-constant")
def _(on: Planted) -> None:
    on.counts("dnsmos", lambda counts: counts.update(ovrl=3.14159265358))


@fault("rows-repeated")
def _(on: Planted) -> None:
    on.counts("dnsmos", lambda counts: counts.update(ovrl=3.14159265358), *OTHERS)


@fault("digits-rounded")
def _(on: Planted) -> None:
    on.counts("dnsmos", lambda counts: counts.update(ovrl=round(counts["ovrl"], 4)))


@fault("digits-uneven")
def _(on: Planted) -> None:
    on.patch.setattr(digits, "FEWEST", 7)
    on.counts(
        "dnsmos",
        lambda counts: counts.update(ovrl=round(counts["ovrl"], 1) + 1e-9 * counts["p808"]),
    )


# Copies


@fault("copied-file")
def _(on: Planted) -> None:
    on.line(OTHERS[0], sha256=file_sha256(Path(str(BY_ID[OTHERS[0]].audio))))
    manifest = example.lines(on.folder / "manifest.jsonl")
    scored = digest({line["dialogue"]: line["sha256"] for line in manifest})
    on.results(lambda record: record["provenance"].update(submission_sha256=scored))


@fault("copied-clip")
def _(on: Planted) -> None:
    example.put_clip(on.folder, AUDITED[0], Path(str(BY_ID[AUDITED[0]].audio)))


@fault("copied-reference", "copied-clip")
def _(on: Planted) -> None:
    for id_ in AUDITED[:2]:
        example.put_clip(on.folder, id_, Path(str(BY_ID[id_].audio)))


@fault("copied-entry")
def _(on: Planted) -> None:
    other = on.entry_of_base("2026-10-01_other_copycat")
    shutil.copytree(other, on.folder.parent / other.name)


# Against the base


@fault("base-value-moved")
def _(on: Planted) -> None:
    edit(on.entry_of_base() / RESULTS, lambda record: metric(record).update(value=0.5))


@fault("base-removed")
def _(on: Planted) -> None:
    old = on.entry_of_base()
    shutil.copyfile(old / RESULTS, old / "task1.hard.json")


@fault("base-other-entry")
def _(on: Planted) -> None:
    other = on.entry_of_base("2026-10-01_other_system")
    shutil.rmtree(other)
    other.mkdir()
    (other / "README.md").write_text("A system.\n")


@fault("supersedes-unknown")
def _(on: Planted) -> None:
    on.entry_of_base()
    on.submission(supersedes="2020-01-01_acme_dialogen-1")


@fault("check-crashed")
def _(on: Planted) -> None:
    def broken(entry: object, context: object) -> Any:
        raise ZeroDivisionError("oh")

    on.patch.setattr(validate, "CHECKS", {**validate.CHECKS, "new": broken})
