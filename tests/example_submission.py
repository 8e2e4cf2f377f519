"""A good submission of the mini benchmark, and ways to make it again after a change.

Its figures are what the metrics give for made-up counts: no engine runs.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mmdia_eval import media
from mmdia_eval.details import Details, HeardWord, ScriptTurn, details_jsonl
from mmdia_eval.measure import Outcome
from mmdia_eval.results_files import read_results, write_results
from mmdia_eval.run import RunResult
from mmdia_eval.scoring import Request, assemble, prepare
from mmdia_eval.store import file_sha256
from mmdia_eval.types import SAMPLE_RATE, Dialogue
from mmdia_eval.validation.pack import pack

NAME = "2026-11-21_acme_dialogen-2"
RESULTS, ROWS = "task1.test.json", "task1.test.rows.jsonl"
MISSING = "mini_test_02"
AUDITED = ("mini_test_04", "mini_test_05", "mini_test_08")
OTHERS = ("mini_test_01", "mini_test_03", "mini_test_06", "mini_test_07")
ANSWERS: dict[str, Any] = {
    "contact": "@acme-speech",
    "samples_per_prompt": 1,
    "training_data": "2,000 h of licensed podcasts; none of the benchmark.",
    "reference_audio": False,
    "hardware": "one H100",
    "original_work": True,
}


def make_outputs(folder: Path, dialogues: Iterable[Dialogue]) -> None:
    """Noise in the rhythm of syllables: like speech in length, like no recording in its bands."""
    folder.mkdir(parents=True)
    for dialogue in dialogues:
        if dialogue.id == MISSING:
            continue
        dice = np.random.default_rng(zlib.crc32(dialogue.id.encode()))
        steps = dice.random(round((dialogue.duration or 10) * 8))
        noise = dice.standard_normal(len(steps) * SAMPLE_RATE // 8)
        samples = 0.1 * noise * np.repeat(steps, SAMPLE_RATE // 8)
        path = folder / f"output_{dialogue.id}.flac"
        soundfile.write(path, np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")
    (folder / "submission.toml").write_text(
        'name = "DialoGen 2"\norganization = "Acme Speech"\n'
        "date = 2026-11-21\nopen_weights = true\n"
    )


def made_up(metric: Any, name: str, dialogue: Dialogue) -> dict[str, float]:
    """Counts that a fair output might have, around those of a missing one."""
    dice = np.random.default_rng(zlib.crc32(f"{name} {dialogue.id}".encode()))
    counts = {field: float(value) for field, value in metric.worst(dialogue).items()}
    if name in ("wer", "cpwer"):
        wrong = float(dice.integers(1, 6))
        changed = {"substitutions": wrong, "deletions": 0.0, "rate": wrong / counts["words"]}
    elif name == "sasim":
        changed = {"intra": dice.uniform(0.6, 0.9), "inter": dice.uniform(0.1, 0.3)}
    elif name == "sim_ref":
        changed = {"similarity": dice.uniform(0.4, 0.7), "turns_compared": counts["turns"]}
    elif name == "dnsmos":
        changed = {score: dice.uniform(2.5, 3.5) for score in ("ovrl", "p808", "sig", "bak")}
    elif name == "turn_order_accuracy":
        changed = {"correct": counts["pairs"] - float(dice.integers(0, 3))}
    elif name == "speaker_count_error":
        more = float(dice.integers(0, 2))
        changed = {"error": more, "detected": counts["reference"] + more}
    else:
        changed = {"output_seconds": counts["reference_seconds"] * dice.uniform(0.8, 1.2)}
    return {**counts, **changed}


def request_of(outputs: Path) -> Request:
    return prepare(outputs, 1, "test", "embedded", "mini")


def outcomes(request: Request) -> list[Outcome]:
    found = []
    for job in request.plan.metrics:
        for sample in request.plan.samples:
            id_ = sample.dialogue.id
            if sample.output is None:
                worst = job.metric.worst(sample.dialogue)
                found.append(Outcome(id_, job.name, "missing", worst, "no output file"))
            else:
                counts = made_up(job.metric, job.name, sample.dialogue)
                found.append(Outcome(id_, job.name, "scored", counts))
    return found


def write_scored(path: Path, request: Request, found: Iterable[Outcome]) -> None:
    """Results and rows as a run with these outcomes would write them."""
    hashes = {s.dialogue.id: file_sha256(s.output) for s in request.plan.samples if s.output}
    run = RunResult(tuple(found), {}, hashes, 0, {}, (), {})
    results, rows = assemble(request, run)
    heard = [said_of(s.dialogue) for s in request.plan.samples if s.output]
    write_results(path, results, rows, details=details_jsonl(heard))


def said_of(dialogue: Dialogue) -> Details:
    """A recogniser that hears half a second of each turn's first word."""
    script = [ScriptTurn(speaker=turn.speaker, text=turn.text) for turn in dialogue.turns]
    words = [
        HeardWord(text=turn.text.split()[0], start=float(n), end=n + 0.5)
        for n, turn in enumerate(script)
    ]
    seconds = dialogue.duration or 10.0
    return Details(
        dialogue=dialogue.id, seconds=seconds, script=script, words=words, voices=[], judged=[]
    )


def make_submission(folder: Path) -> tuple[Path, Request]:
    """A good submission below `folder`, and the request that it is the answer to."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs = folder / "outputs"
    dialogues = prepare_dialogues()
    make_outputs(outputs, dialogues)
    request = request_of(outputs)
    write_scored(folder / "results" / RESULTS, request, outcomes(request))
    out = folder / "submissions" / NAME
    pack([folder / "results" / RESULTS], outputs, out, benchmark="mini")
    edit(out / "submission.json", fill_in)
    return out, request


def prepare_dialogues() -> tuple[Dialogue, ...]:
    from mmdia_eval.benchmark import load_benchmark, resolve_benchmark

    return load_benchmark(resolve_benchmark("mini")).split("test", 1)


def fill_in(record: Any) -> None:
    """What `pack` leaves blank."""
    record.update(ANSWERS)
    record["system"].update(version="2.0", license="Apache-2.0", parameters=1_000_000_000)
    record["media"].update(url="https://example.org/dialogen-2/outputs", revision="v2.0")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text("utf-8"))
    change(value)
    path.write_text(json.dumps(value, indent=2), "utf-8")


def metric(record: Any, name: str = "wer") -> Any:
    return next(one for one in record["metrics"] if one["name"] == name)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_lines(path: Path, values: Iterable[Any]) -> None:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), "utf-8")


def edit_rows(folder: Path, change: Callable[[list[Any]], object]) -> None:
    """Change rows, and the results' sha256 of them, but none of the results' figures."""
    rows = lines(folder / ROWS)
    change(rows)
    write_lines(folder / ROWS, rows)
    sha256 = hashlib.sha256((folder / ROWS).read_bytes()).hexdigest()
    edit(folder / RESULTS, lambda record: record.update(rows_sha256=sha256))


def rescore(folder: Path, request: Request, change: Callable[[list[Any]], object]) -> None:
    """Change rows, and let the results follow: what a careful forger would do."""
    rows = lines(folder / ROWS)
    change(rows)
    found = [
        Outcome(row["dialogue"], row["metric"], row["status"], row["counts"], row["reason"])
        for row in rows
    ]
    before = read_results(folder / RESULTS).provenance.submission_sha256
    write_scored(folder / RESULTS, request, found)
    edit(
        folder / RESULTS,
        lambda record: record["provenance"].update(submission_sha256=before),
    )


def edit_manifest(folder: Path, change: Callable[[list[Any]], object]) -> None:
    """Change the manifest, and submission.json's sha256 of it."""
    manifest = lines(folder / "manifest.jsonl")
    change(manifest)
    write_lines(folder / "manifest.jsonl", manifest)
    sha256 = file_sha256(folder / "manifest.jsonl")
    edit(folder / "submission.json", lambda record: record["media"].update(sha256=sha256))


def put_clip(folder: Path, dialogue: str, source: Path) -> None:
    """Make another recording the dialogue's audit clip, in the manifest too."""
    clip = folder / "audit" / f"{dialogue}.flac"
    assert media.write_listening_copy(source, clip) is None
    hashes = {"audit_sha256": file_sha256(clip), "pcm_sha256": media.read_details(clip)[1]}

    def change(manifest: list[Any]) -> None:
        next(line for line in manifest if line["dialogue"] == dialogue).update(hashes)

    edit_manifest(folder, change)
