"""Runs that are killed, full disks, files that lost a part: nothing is lost or mistaken."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_cli import Invoke

from hostile.lab import ROOT
from hostile.recordings import RATE, speech

RESULTS = Path("results", "system", "task1.test.json")
ROWS = Path("results", "system", "task1.test.rows.jsonl")


def metrics(path: Path = RESULTS) -> object:
    return json.loads(path.read_text(encoding="utf-8"))["metrics"]


def score(invoke: Invoke, folder: Path) -> int:
    return invoke("score", folder, "--metric", "duration_ratio").code


@pytest.mark.hostile_case("crashes")
def test_killed_in_the_middle(invoke: Invoke, outputs: Path, tmp_path: Path) -> None:
    """kill -9 of all its processes, twice; the result is that of an undisturbed run."""
    command = [sys.executable, "-m", "mmdia_eval", "score", str(outputs), "--jobs", "1"]
    command += ["--metric", "duration_ratio"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MMDIA_SANDBOX": "auto"}
    for wait in (1.5, 3.0):
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert score(invoke, outputs) == 0
    disturbed = metrics()
    shutil.rmtree(tmp_path / "cache")
    assert score(invoke, outputs) == 0
    assert metrics() == disturbed


@pytest.mark.hostile_case("crashes")
def test_the_disk_is_full(invoke: Invoke, outputs: Path, tmp_path: Path) -> None:
    """The earlier results stay, and no file is blamed for want of room on our side."""
    assert score(invoke, outputs) == 0
    before = RESULTS.read_bytes(), ROWS.read_bytes()
    soundfile.write(outputs / "output_mini_test_01.wav", speech(), RATE)
    (outputs / "output_mini_test_01.opus").unlink()
    small = tmp_path / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size=256k none {small} && cp -r {tmp_path}/results {small} && "
        f"head -c 1m /dev/zero > {small}/fill; cd {small}; "
        f"{sys.executable} -m mmdia_eval score {outputs} --metric duration_ratio --cache {small}/c;"
        f" echo code $?; cmp {small}/{RESULTS} {tmp_path}/{RESULTS} && echo same"
    )
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "code" not in ended.stdout:
        pytest.skip(f"no small disk can be made here: {ended.stderr.strip()[-200:]}")
    assert "code 2" in ended.stdout
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "same" in ended.stdout
    assert (RESULTS.read_bytes(), ROWS.read_bytes()) == before


def _cut_last_line(rows: Path) -> None:
    rows.write_bytes(rows.read_bytes()[:-20])


def _flip(rows: Path) -> None:
    raw = bytearray(rows.read_bytes())
    raw[len(raw) // 2] ^= 1
    rows.write_bytes(raw)


def _append(rows: Path) -> None:
    rows.write_bytes(rows.read_bytes() + rows.read_bytes().splitlines(keepends=True)[0])


@pytest.mark.hostile_case("crashes")
@pytest.mark.parametrize("damage", [_cut_last_line, _flip, _append], ids=["torn", "bit", "line"])
def test_rows_that_are_not_those_of_the_results(
    invoke: Invoke, outputs: Path, damage: Callable[[Path], None]
) -> None:
    assert score(invoke, outputs) == 0
    damage(ROWS)
    ended = invoke("report", RESULTS)
    assert ended.code == 2
    assert "sha256 differs" in ended.err


@pytest.mark.hostile_case("crashes")
def test_a_bit_turned_over_in_every_cached_file(
    invoke: Invoke, outputs: Path, tmp_path: Path
) -> None:
    assert score(invoke, outputs) == 0
    first = metrics()
    RESULTS.unlink()
    rng = np.random.default_rng(0)
    damaged = sorted((tmp_path / "cache" / "artifacts").rglob("*.*"))
    assert len(damaged) > 10
    for path in damaged:
        raw = bytearray(path.read_bytes())
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        path.write_bytes(raw)
    assert score(invoke, outputs) == 0
    assert metrics() == first
    assert "damaged cache entries" in RESULTS.read_text(encoding="utf-8")
