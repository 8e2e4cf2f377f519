"""What no line of the package may do with what it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile.lab import ROOT

FOLDERS = ("mmdia_eval", "metrics", "judges", "leaderboard", "examples", "submissions")
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
RUNS_DATA = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "dill.load",
    "dill.loads",
    "joblib.load",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "os.system",
    "os.popen",
}
UNPACKS = {"extractall", "unpack_archive"}


def sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not any(part.is_symlink() for part in path.parents)]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def arguments(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def complaints(name: str, call: ast.Call) -> list[str]:
    given, last = arguments(call), name.rpartition(".")[2]
    found = [name] if name in RUNS_TEXT | RUNS_DATA or last in UNPACKS else []
    if name == "torch.load" and given.get("weights_only") != "True":
        found.append("torch.load without weights_only=True")
    if given.get("allow_pickle", "False") != "False":
        found.append(f"{name} with allow_pickle")
    if name.startswith("yaml.") and last not in ("safe_load", "safe_dump"):
        found.append(name)
    if given.get("shell", "False") != "False":
        found.append(f"{name} through a shell")
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_is_run(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [f"{call.lineno}: {what}" for n, call in calls(tree) for what in complaints(n, call)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "archive.extractall(folder)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
    ],
)
def test_the_check_sees_what_it_is_for(line: str) -> None:
    assert [what for name, call in calls(ast.parse(line)) for what in complaints(name, call)]


DOORS = {
    "media": {"decode", "decode_at", "read_details", "read_duration", "write_listening_copy"},
    "video": {"decode", "frame_bytes", "read_header"},
    "reencode": {"video"},
}
OPEN_MEDIA = {
    "mmdia_eval/media.py": "the door itself",
    "mmdia_eval/reencode.py": "what writes anew behind the door",
    "mmdia_eval/decoder.py": "the decoder's process",
    "mmdia_eval/sandbox.py": "what chooses between the two",
    "mmdia_eval/benchmark_check.py": "the benchmark's recordings",
    "mmdia_eval/example_systems.py": "the benchmark's recordings",
    "mmdia_eval/importers/release.py": "the benchmark's recordings",
    "mmdia_eval/validation/pack.py": "the submitter's own outputs, at home",
    "judges/material.py": "the benchmark's recordings",
    "judges/probes.py": "the audit's own recordings",
}


def opens_media(tree: ast.AST) -> bool:
    doors = {f"{module}.{name}" for module, names in DOORS.items() for name in names}
    imported = {
        f"{(node.module or '').removeprefix('mmdia_eval.')}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return bool(doors & (imported | {name for name, _ in calls(tree)}))


def test_only_these_open_media_outside_a_sandbox() -> None:
    """A new caller is for the benchmark's own files, and is listed here, or it is a mistake."""
    found = {path for path in sources() if opens_media(ast.parse(path.read_text("utf-8")))}
    assert {str(path.relative_to(ROOT)) for path in found} <= set(OPEN_MEDIA)


OPENERS = {
    "av.open",
    "soundfile.read",
    "soundfile.SoundFile",
    "cv2.VideoCapture",
    "cv2.imread",
    "Image.open",
    "torchaudio.load",
    "librosa.load",
}
USE_OPENERS = {
    "mmdia_eval/reencode.py": "a picture from memory; writes",
    "mmdia_eval/media.py": "the door itself",
    "mmdia_eval/example_clips.py": "writes",
    "mmdia_eval/example_systems.py": "writes",
    "mmdia_eval/round_trips.py": "reads what it has just written",
    "judges/probes.py": "writes",
    "examples/make_audit_media.py": "writes",
    "examples/make_mini.py": "writes",
}


def test_nothing_else_opens_a_file_with_a_codec() -> None:
    """It would with the codec's defaults, and FFmpeg's follow playlists."""
    found = {
        str(path.relative_to(ROOT))
        for path in sources()
        if OPENERS & {name for name, _ in calls(ast.parse(path.read_text("utf-8")))}
    }
    assert found <= set(USE_OPENERS)
    assert "mmdia_eval/media.py" in found
