"""Make a submission's folder of results files and the outputs that they are of."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmdia_eval import media, reencode, video
from mmdia_eval.benchmark import Benchmark, load_benchmark, resolve_benchmark
from mmdia_eval.errors import ProblemsError, UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.protocol import load_protocol
from mmdia_eval.results import Results
from mmdia_eval.results_files import canonical_json, read_results, read_rows
from mmdia_eval.store import digest, file_sha256
from mmdia_eval.submission import load_submission, read_system
from mmdia_eval.types import Sample, Task
from mmdia_eval.validation.format import (
    ENDINGS,
    MANIFEST,
    README,
    SUBMISSION,
    ManifestLine,
    audit_file,
    is_folder_name,
)

README_TEXT = "What a reader should know of the system. Shown as plain text.\n"


def pack(
    results: Sequence[Path],
    outputs: Path,
    out: Path,
    *,
    benchmark: Path | str | None = None,
) -> list[str]:
    """Write `out` from results files of one system, task and style; give what is left blank.

    Rows are copied as they are, outputs listed in manifest.jsonl, the clips that the protocol asks
    for written anew into audit/. What only the submitter knows is null in submission.json.

    Raises:
        UserError: `out` is there already or is misnamed, the results are not of one run, or the
            outputs are not those that were scored.
    """
    if not is_folder_name(out.absolute().name):
        raise UserError(
            f"{out}: name the folder <yyyy-mm-dd>_<organization>_<system>, in lower-case letters, "
            "digits and hyphens, as 2026-11-21_acme_dialogen-2"
        )
    if out.exists():
        raise UserError(f"{out} is there already; name a new folder, or remove it")
    runs = [read_results(path) for path in results]
    _check_one_system(results, runs)
    loaded = load_benchmark(resolve_benchmark(benchmark))
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        for path, run in zip(results, runs, strict=True):
            _copy_results(path, run, made)
        manifest = _manifest(runs, loaded, outputs, made)
        write_atomic(made / MANIFEST, manifest)
        record = _record(runs, outputs, manifest)
        write_atomic(made / SUBMISSION, canonical_json(record))
        write_atomic(made / README, README_TEXT.encode())
        made.rename(out)
    return _blanks(record)


def _check_one_system(paths: Sequence[Path], runs: Sequence[Results]) -> None:
    if not runs:
        raise UserError("give at least one results file")
    keys = [
        (run.system.name, run.task, run.style, run.protocol.sha256, run.benchmark.sha256)
        for run in runs
    ]
    for path, key in zip(paths, keys, strict=True):
        if key != keys[0]:
            raise UserError(
                f"{path}: of another system, task, style, protocol or benchmark than {paths[0]}; "
                "a submission is one system on one task, told the style in one way"
            )
    splits = [run.split for run in runs]
    if len(set(splits)) < len(splits):
        raise UserError(f"two results files are of one split: {', '.join(splits)}")


def _copy_results(path: Path, run: Results, made: Path) -> None:
    read_rows(path)
    style = f".{run.style}" if run.style else ""
    stem = f"task{run.task}.{run.split}{style}"
    named: dict[str, str] = {}
    for ending, kind in ENDINGS.items():
        if source := getattr(run, f"{kind}_file", None):
            named[f"{kind}_file"] = f"{stem}{ending}"
            shutil.copyfile(path.with_name(source), made / f"{stem}{ending}")
    renamed = run.model_copy(update=named)
    write_atomic(made / f"{stem}.json", canonical_json(renamed.model_dump(mode="json")))


def _manifest(runs: Sequence[Results], benchmark: Benchmark, outputs: Path, made: Path) -> bytes:
    samples: dict[str, Sample] = {}
    wanted: set[str] = set()
    for run in runs:
        dialogues = benchmark.split(run.split, run.task)
        if benchmark.split_sha256(run.split) != run.benchmark.split_sha256:
            raise UserError(f"benchmark {benchmark.root} is not the one that was scored")
        submission = load_submission(outputs, dialogues, run.task)
        mine = {one.dialogue.id: one for one in submission.samples if one.output}
        _check_scored(run, mine, outputs)
        samples |= mine
        wanted |= set(load_protocol(run.protocol.name).audit_ids(d.id for d in dialogues))
    lines = []
    problems = []
    for id_ in sorted(samples):
        line = _line(samples[id_], runs[0].task)
        if id_ in wanted and line.problem is None:
            clip = made / audit_file(id_, runs[0].task)
            problems += _write_clip(Path(str(samples[id_].output)), clip, runs[0].task)
            line = line.model_copy(update={"audit_sha256": file_sha256(clip)})
        lines.append(line)
    if problems:
        raise ProblemsError(problems)
    return "".join(f"{line.model_dump_json(exclude_none=True)}\n" for line in lines).encode()


def _check_scored(run: Results, samples: Mapping[str, Sample], outputs: Path) -> None:
    hashes = {id_: file_sha256(Path(str(one.output))) for id_, one in samples.items()}
    # Task 3 also hashes the benchmark's driving recordings.
    if run.task != 3 and digest(hashes) != run.provenance.submission_sha256:
        raise UserError(
            f"{outputs}: not the files that were scored for split {run.split}; give those, or "
            "score these"
        )


def _line(sample: Sample, task: Task) -> ManifestLine:
    path = Path(str(sample.output))
    known: dict[str, Any] = {
        "dialogue": sample.dialogue.id,
        "path": path.name,
        "bytes": path.stat().st_size,
        "sha256": file_sha256(path),
    }
    if task == 3:
        header = video.read_header(path)
        figures: dict[str, Any] = {
            "seconds": header.duration or None,
            "width": header.width or None,
            "height": header.height or None,
            "fps": header.frame_rate or None,
            "problem": header.problem,
        }
        return ManifestLine(**known, **figures)
    info, pcm_sha256 = media.read_details(path)
    if info.problem is not None:
        return ManifestLine(**known, problem=info.problem)
    return ManifestLine(
        **known,
        pcm_sha256=pcm_sha256,
        seconds=info.duration,
        sample_rate=info.sample_rate,
        channels=info.channels,
    )


def _write_clip(source: Path, clip: Path, task: Task) -> list[str]:
    clip.parent.mkdir(exist_ok=True)
    if task == 3:
        write_atomic(clip, reencode.video(source))
        return []
    problem = media.write_listening_copy(source, clip)
    return [f"{source}: {problem}"] if problem else []


def _record(runs: Sequence[Results], outputs: Path, manifest: bytes) -> dict[str, Any]:
    """submission.json, as far as it is known."""
    first, system = runs[0], read_system(outputs)
    return {
        "schema_version": "1.0",
        "system": {
            "name": first.system.name,
            "version": None,
            "organization": first.system.organization,
            "license": None,
            "parameters": None,
            "open_weights": first.system.open_weights,
            "url": first.system.url,
        },
        "contact": None,
        "paper": None,
        "code": None,
        "date": system.date or datetime.now(UTC).date().isoformat(),
        "task": first.task,
        "style": first.style,
        "benchmark": {"name": first.benchmark.name, "version": first.benchmark.version},
        "splits": [{"split": run.split, "sha256": run.benchmark.split_sha256} for run in runs],
        "protocol": first.protocol.model_dump(include={"name", "version", "sha256"}),
        "samples_per_prompt": None,
        "training_data": None,
        "reference_audio": None,
        "hardware": None,
        "supersedes": None,
        "media": {"url": None, "revision": None, "sha256": hashlib.sha256(manifest).hexdigest()},
        "original_work": None,
    }


MAY_BE_NULL = ("system.parameters", "system.url", "paper", "code", "style", "supersedes")


def _blanks(record: dict[str, Any]) -> list[str]:
    """The fields that have to be filled in before the folder is valid."""
    flat = {
        f"{name}.{inner}" if isinstance(value, dict) else name: one
        for name, value in record.items()
        for inner, one in (value.items() if isinstance(value, dict) else [("", value)])
    }
    return [name for name, value in flat.items() if value is None and name not in MAY_BE_NULL]
