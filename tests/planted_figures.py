"""Faults of the figures: each planted in a good submission, under the code that it must get."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import example_submission as example
from example_submission import AUDITED, MISSING, OTHERS, RESULTS, edit, metric
from planted_faults import BY_ID, Planted, fault, first

from mmdia_eval.benchmark import resolve_benchmark
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.validation import digits, validate

# Rows against the benchmark


@fault("rows-incomplete")
def _(on: Planted) -> None:
    on.rescored(lambda rows: rows.remove(first(rows, "dnsmos")))


@fault("rows-twice")
def _(on: Planted) -> None:
    on.rescored(lambda rows: rows.append(first(rows, "wer")))


@fault("rows-unknown", "manifest-rows")
def _(on: Planted) -> None:
    on.rescored(lambda rows: rows.append({**first(rows, "wer"), "dialogue": "x"}))


@fault("row-fields")
def _(on: Planted) -> None:
    on.rows(lambda rows: first(rows, "dnsmos")["counts"].pop("turns"))


@fault("row-value")
def _(on: Planted) -> None:
    on.rows(lambda rows: first(rows, "dnsmos").update(value=3.14159265358))


@fault("row-worst")
def _(on: Planted) -> None:
    on.counts("dnsmos", lambda counts: counts.update(ovrl=2.0), MISSING)


@fault("row-applicable")
def _(on: Planted) -> None:
    nothing = {"status": "not_applicable", "counts": {}, "reason": "too hard"}
    on.rescored(lambda rows: first(rows, "wer").update(nothing))


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


@fault("copies-unchecked")
def _(on: Planted) -> None:
    silent = on.folder.parents[1] / "silent"
    shutil.copytree(resolve_benchmark("mini"), silent, ignore=shutil.ignore_patterns("media"))
    on.options["benchmark"] = silent


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
