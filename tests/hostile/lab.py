"""A benchmark with a dialogue for each case, a system's folder, and the real command line."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import mmdia_eval
from hostile.case import Case, Site
from hostile.recordings import RATE, speech
from mmdia_eval.benchmark import write_benchmark
from mmdia_eval.types import Dialogue, Turn

ROOT = Path(mmdia_eval.__file__).parent.parent
GOOD = ("good_0", "good_1", "good_2")
KEYS = ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY")


class Canary:
    """A server on this machine that answers nothing and counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                asking, _ = self._server.accept()
            except OSError:
                return
            self.asked += 1
            asking.close()

    def close(self) -> None:
        self._server.close()


@dataclass
class Run:
    """What one run left: its rows by dialogue, and all that it said and wrote."""

    code: int
    seconds: float
    said: str
    results: dict[str, Any]
    rows: dict[str, dict[str, Any]]

    def code_of(self, dialogue: str) -> str:
        """`scored`, `no output`, or the code of what is wrong."""
        row = self.rows[dialogue]
        if row["status"] != "missing":
            return str(row["status"])
        return str(row["reason"]).split(":")[0].removesuffix(" file")


@dataclass
class Lab:
    """Where the cases lie. What must never come out of it is in `secrets`."""

    root: Path
    canary: Canary
    secrets: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.outputs = self.root / "outputs"
        self.outputs.mkdir()
        self.marker = self.root / "executed"
        self.word = f"canary-{secrets.token_hex(16)}"
        self.keys = {name: f"sk-{self.word}-{name}" for name in KEYS}
        folder = self.root / "references"
        folder.mkdir()
        self.secret = folder / "secret.wav"
        samples = np.random.default_rng(7).integers(-9000, 9000, 4 * RATE).astype(np.int16)
        soundfile.write(self.secret, samples, RATE, subtype="PCM_16")
        (folder / "transcript.txt").write_text(self.word)
        self.secrets += [self.word.encode(), samples[:64].tobytes()]

    def site(self, dialogue: str, extension: str) -> Site:
        path = self.outputs / f"{dialogue}{extension}"
        return Site(path, self.secret, self.canary.address, self.marker)

    def benchmark(self, ids: Sequence[str], video: Path | None = None) -> Path:
        folder = self.root / "benchmark"
        folder.mkdir()
        driving = folder / "driving.wav"
        soundfile.write(driving, speech(), RATE)
        turns = (Turn("A", "one two three"), Turn("B", "four five"))
        if video is not None:
            (folder / "video.mp4").write_bytes(video.read_bytes())
        dialogues = [
            Dialogue(
                id_,
                turns,
                audio=driving if video else None,
                video=folder / "video.mp4" if video else None,
                duration=2.0,
            )
            for id_ in ids
        ]
        splits = {"test": dialogues}
        write_benchmark(folder, name="b", version="1", license="CC0-1.0", splits=splits)
        return folder

    def run(self, *arguments: str, name: str, plugins: str = "") -> Run:
        """`mmdia-eval score` on the outputs as they are, in a process of its own."""
        out, cache = self.root / name / "results.json", self.root / name / "cache"
        out.parent.mkdir()
        start = f"{plugins}\nfrom mmdia_eval.cli import main; main()"
        command = [sys.executable, "-c", start, "--verbose", "score", str(self.outputs)]
        command += ["--benchmark", str(self.root / "benchmark"), "--out", str(out)]
        command += ["--cache", str(cache), *arguments]
        environment = {
            **os.environ,
            **self.keys,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        }
        begin = time.monotonic()
        ended = subprocess.run(
            command, cwd=out.parent, env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - begin
        said = ended.stdout + ended.stderr
        assert out.exists(), said
        lines = out.with_name("results.rows.jsonl").read_text(encoding="utf-8").splitlines()
        rows = {row["dialogue"]: row for row in map(json.loads, lines)}
        results = json.loads(out.read_text(encoding="utf-8"))
        return Run(ended.returncode, seconds, said, results, rows)

    def leaks(self, run: Run, name: str) -> list[str]:
        """What of the secrets came out: on the terminal, in results, in the cache."""
        places = {"terminal": run.said.encode()}
        for path in sorted((self.root / name).rglob("*")):
            if path.is_file():
                places[str(path)] = path.read_bytes()
        return [place for place, data in places.items() for s in self.secrets if s in data]


@contextmanager
def lab(root: Path) -> Iterator[Lab]:
    canary = Canary()
    try:
        yield Lab(root, canary)
    finally:
        canary.close()


def ids_of(found: Sequence[Case]) -> dict[str, Case]:
    """A dialogue for each case."""
    return {f"c{number:03}": case for number, case in enumerate(found)}
