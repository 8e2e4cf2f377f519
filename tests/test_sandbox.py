"""A decoder sees one file, keeps to its limits, is not believed, and decodes the same sound."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_video import pictures, write_video

from mmdia_eval import decoder, isolation, media, reencode, sandbox, video
from mmdia_eval.artifacts import MediaInfo, VideoInfo
from mmdia_eval.errors import UserError
from mmdia_eval.isolation import Ended, run_limited
from mmdia_eval.types import SandboxMode

MODES: tuple[SandboxMode, ...] = ("bubblewrap", "namespaces", "process")


def working(mode: SandboxMode) -> SandboxMode:
    """The mode, or the test is skipped with what keeps it from working on this machine."""
    try:
        sandbox.check(mode)
    except (OSError, RuntimeError) as error:
        pytest.skip(f"{mode} does not work here: {error}")
    return mode


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> SandboxMode:
    return working(request.param)


@pytest.fixture(params=isolation.ISOLATED)
def isolated(request: pytest.FixtureRequest) -> SandboxMode:
    return working(request.param)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Two seconds of noise that comes and goes, at 24 kHz, under an awkward name."""
    rng = np.random.default_rng(0)
    swell = np.abs(np.sin(np.arange(48_000) / 4000))
    path = tmp_path / "a -'clip' $(touch x);ü.wav"
    soundfile.write(path, rng.standard_normal(48_000) * 0.1 * swell, 24_000)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    sound = (0.3 * np.sin(np.arange(12_800) / 9)).astype(np.float32)
    return write_video(tmp_path / "a.mp4", pictures(20), sound=sound)


def test_every_operation_gives_what_the_open_door_gives(
    tmp_path: Path, speech: Path, clip: Path, mode: SandboxMode
) -> None:
    info, audio = sandbox.decode(speech, mode)
    plain = media.decode(speech)
    assert info == plain[0]
    assert audio is not None
    assert plain[1] is not None
    np.testing.assert_array_equal(audio.samples, plain[1].samples)

    assert sandbox.read_details(speech, mode) == media.read_details(speech)

    frames, expected = tmp_path / "frames.npy", tmp_path / "plain.npy"
    assert sandbox.decode_frames(clip, frames, mode) == video.decode(clip, expected)
    assert frames.read_bytes() == expected.read_bytes()

    at = sandbox.decode_at(speech, 48_000, mode)
    np.testing.assert_array_equal(at.samples, media.decode_at(speech, 48_000).samples)
    assert at.sample_rate == 48_000
    form, sound = reencode.VideoForm(24, 30, 24_000), media.decode_at(speech, 24_000)
    # x264 does not give the same bytes twice; its pictures' size and the sound are the same.
    assert seen(tmp_path, sandbox.reencode_video(clip, mode)) == seen(
        tmp_path, reencode.video(clip)
    )
    assert seen(tmp_path, sandbox.reencode_video(clip, mode, form, speech)) == seen(
        tmp_path, reencode.video(clip, form=form, sound=sound)
    )
    assert sandbox.read_header(speech, mode).duration == 2.0
    assert sandbox.read_header(clip, mode).frame_bytes == video.frame_bytes(clip)

    copies = tmp_path / "copy.flac", tmp_path / "plain.flac"
    assert sandbox.write_listening_copy(speech, copies[0], mode) is None
    assert media.write_listening_copy(speech, copies[1]) is None
    assert copies[0].read_bytes() == copies[1].read_bytes()


def seen(tmp_path: Path, content: bytes) -> tuple[VideoInfo, bytes]:
    """What is found of a video's pictures, and its sound."""
    path = tmp_path / "copy.mp4"
    path.write_bytes(content)
    audio = media.decode(path)[1]
    assert audio is not None
    return video.decode(path, tmp_path / "copy.npy"), audio.samples.tobytes()


def test_a_bad_file_is_named_alike(tmp_path: Path) -> None:
    mode = working("process")
    path = tmp_path / "a.wav"
    path.write_text("no sound", encoding="utf-8")
    assert sandbox.decode(path, mode) == media.decode(path)
    out = tmp_path / "out"
    assert sandbox.decode_frames(path, out, mode) == video.decode(path, out)
    assert not out.exists()
    problem = media.write_listening_copy(path, out)
    assert problem is not None
    assert sandbox.write_listening_copy(path, out, mode) == problem
    assert not out.exists()
    with pytest.raises(UserError, match=rf"^{path}: unreadable: "):
        sandbox.decode_at(path, 24_000, mode)
    with pytest.raises(UserError, match=rf"^{path}: unreadable: "):
        sandbox.reencode_video(path, mode)
    assert sandbox.read_header(path, mode) == sandbox.Header(None, 0)


@pytest.mark.parametrize("named", ["process", "namespaces", "bubblewrap"])
def test_a_bad_file_is_no_lack_of_memory_where_we_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: SandboxMode
) -> None:
    mode = working(named)
    monkeypatch.setattr(sandbox, "MEMORY", 2**30)
    (tmp_path / "a.wav").write_text("no sound", encoding="utf-8")
    ours = np.ones(3 * 2**28, np.uint8)
    info, _ = sandbox.decode(tmp_path / "a.wav", mode)
    assert ours[-1] == 1
    assert (info.problem or "").startswith("unreadable: ")


def test_a_link_is_refused_before_any_decoder_starts(tmp_path: Path, speech: Path) -> None:
    link = tmp_path / "b.wav"
    link.symlink_to(speech)
    info, audio = sandbox.decode(link, "process")
    assert audio is None
    assert info == media.decode(link)[0]


LOOK = """
import json, os, socket, sys
def readable(path):
    try:
        return bool(os.listdir(path)) if os.path.isdir(path) else bool(open(path, "rb").read(1))
    except OSError:
        return False
def reaches(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True
    except OSError:
        return False
def writable(path):
    try:
        open(path, "ab").close()
        return True
    except OSError:
        return False
secrets, port = json.loads(sys.argv[1])
print(json.dumps({
    "seen": [path for path in secrets if readable(path)],
    "clip": readable("/clip"),
    "online": reaches(port),
    "written": [path for path in ("/x", "/clip", "/usr/x", "/code/x", "/tmp/x") if writable(path)],
    "environment": sorted(os.environ),
    "processes": os.getpid(),
    "root": sorted(os.listdir("/")),
}))
"""


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def look(mode: SandboxMode, clip: Path, secrets: list[str], port: int) -> Any:
    with tempfile.TemporaryFile() as data:
        python = isolation.python(mode)[:-1]
        command = [*isolation.enter(mode, clip), *python, LOOK, json.dumps([secrets, port])]
        ended = run_limited(command, 60, data)
    assert ended.died_of == 0, ended.complaints
    return json.loads(ended.said)


def test_an_isolated_decoder_sees_its_file_alone(
    tmp_path: Path,
    speech: Path,
    listening: int,
    isolated: SandboxMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "canary" * 8)
    neighbour = tmp_path / "reference.wav"
    neighbour.write_bytes(b"RIFF")
    examples = isolation.PACKAGE / "examples"
    secrets = [
        str(neighbour),
        str(tmp_path),
        str(speech),
        str(Path.cwd() / "pyproject.toml"),
        str(examples.resolve() / "mini"),
        str(isolation.CODE / "examples" / "mini"),
        "/etc/passwd",
        "/proc/self/environ",
        "/sys/kernel",
    ]
    seen = look(isolated, speech, secrets, listening)
    assert seen["seen"] == []
    assert seen["clip"]
    assert not seen["online"]
    assert seen["written"] == []
    assert set(seen["environment"]) <= {*isolation._ENVIRONMENT, "LC_CTYPE", "PWD", "OLDPWD", "_"}
    assert seen["processes"] < 10


def test_without_namespaces_keys_at_least_are_not_handed_over(
    speech: Path, listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the isolated modes are checked for shows where there is none: the check can fail."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "canary" * 8)
    seen = look(working("process"), speech, ["/etc/passwd", str(speech)], listening)
    assert seen["seen"] == ["/etc/passwd", str(speech)]
    assert seen["online"]
    assert "OPENAI_API_KEY" not in seen["environment"]


def run(code: str, seconds: float = 30, limits: str = "") -> Ended:
    """A program behind the limits of a decoder, but for those given."""
    start = f"from mmdia_eval import decoder; decoder._limit({limits or '20, 2**32, 2**20'}); "
    command = isolation.python("process")
    command[-1] = command[-1].rpartition("; from ")[0] + f"\n{start}\nprint(flush=True)\n{code}"
    with tempfile.TemporaryFile() as data:
        return run_limited(command, seconds, data)


def finding(ended: Ended) -> Any:
    return sandbox._finding(ended, sandbox._Cost(20, 2**20), "process")


@pytest.mark.hostile_case("decoders")
@pytest.mark.hostile_case("decoders")
@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import ctypes; ctypes.string_at(0)", "crashed: the decoder died of SIGSEGV"),
        ("import os; os.abort()", "crashed: the decoder died of SIGABRT"),
        ("import os; os._exit(0)", "crashed: the decoder gave no answer"),
        ("print('{\"found\": NaN}')", "crashed: the decoder gave no answer"),
        ("print('[1]')", "crashed: the decoder gave no answer"),
        ('print(\'{"problem": "\\\\u001b[2J"}\')', "crashed: the decoder gave no answer"),
        ("print('x' * 10**7)", "crashed: the decoder gave too long an answer"),
        ("print('[' * 60000)", "crashed: the decoder gave no answer"),
    ],
    ids=["segfault", "abort", "exit", "nan", "list", "escape", "flood", "depth"],
)
def test_a_decoder_that_breaks_costs_its_clip(code: str, problem: str) -> None:
    with pytest.raises(media.UnusableError, match=f"^{problem}$"):
        finding(run(code))


@pytest.mark.hostile_case("decoders")
def test_one_that_hangs_is_stopped_with_all_it_started() -> None:
    code = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    ended = run(code, 1.0) if os.getuid() == 0 else run("import time; time.sleep(600)", 1.0)
    assert ended.timed_out
    with pytest.raises(media.UnusableError, match=r"^resource_limit: no end after "):
        finding(ended)


@pytest.mark.hostile_case("decoders")
def test_one_that_spins_is_stopped() -> None:
    ended = run("\nwhile True: pass", limits="1, 2**32, 2**20")
    with pytest.raises(media.UnusableError, match=r"^resource_limit: .* processor time$"):
        finding(ended)


@pytest.mark.hostile_case("decoders")
def test_too_large_an_output_is_cut_off() -> None:
    ended = run("import os\nfor i in range(99): os.write(2, b'x' * 10**5)")
    assert len(ended.complaints) <= 2000
    with pytest.raises(media.UnusableError):
        finding(ended)


@pytest.mark.hostile_case("decoders")
def test_memory_is_limited_and_its_want_is_named_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good file, and too little memory: never called corrupt."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((48_000 * 280, 2)), 48_000, subtype="PCM_16")
    mode = working("process")
    monkeypatch.setattr(sandbox, "MEMORY", 180 * 2**20)
    info, audio = sandbox.decode(path, mode)
    assert audio is None
    assert info.problem == decoder.SHORT_OF_MEMORY


@pytest.mark.parametrize(
    ("problem", "taken", "short"),
    [
        ("unreadable: Cannot allocate memory", 1, True),
        ("unreadable: Resource temporarily unavailable", 1, True),
        ("truncated: Invalid data found when processing input", 2**41, True),
        ("truncated: Invalid data found when processing input", 1, False),
        ("too_long: 400 s, at most 300", 2**41, False),
    ],
)
def test_a_codec_without_memory_may_call_its_input_invalid(
    monkeypatch: pytest.MonkeyPatch, problem: str, taken: int, short: bool
) -> None:
    monkeypatch.setattr(decoder, "_most_taken", lambda: taken)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**41, 2**41))
    assert decoder._is_short_of_memory(problem) is short


def test_what_keeps_a_decoder_from_starting_is_no_fault_of_the_file(speech: Path) -> None:
    ended = Ended(b"", "bwrap: No permissions to create new namespace", 0, timed_out=False)
    with pytest.raises(RuntimeError, match=r"did not start \(bubblewrap\): bwrap: No permissions"):
        sandbox._finding(ended, sandbox._Cost(1, 1), "bubblewrap")
    killed = Ended(b"\n", "", 9, timed_out=False)
    with pytest.raises(RuntimeError, match="short of memory"):
        sandbox._finding(killed, sandbox._Cost(1, 1), "bubblewrap")
    failed = Ended(b'\n{"failed": "OSError: No space left"}', "", 0, timed_out=False)
    with pytest.raises(RuntimeError, match="No space left"):
        sandbox._finding(failed, sandbox._Cost(1, 1), "bubblewrap")


@pytest.mark.parametrize(
    ("found", "samples"),
    [
        ({"duration": 1.0}, np.full(16_000, np.nan, np.float32).tobytes()),
        ({"duration": 1.0}, np.zeros(16_000, np.float32).tobytes()[:-1]),
        ({"duration": 1.0}, b""),
        ({"duration": 2.0}, np.ones(16_000, np.float32).tobytes()),
        ({"duration": "1"}, np.ones(16_000, np.float32).tobytes()),
        ("found", np.ones(16_000, np.float32).tobytes()),
    ],
    ids=["nan", "part of a sample", "nothing", "another length", "text", "no object"],
)
def test_what_a_decoder_says_is_not_believed(
    speech: Path, monkeypatch: pytest.MonkeyPatch, found: Any, samples: bytes
) -> None:
    def taken_over(*arguments: Any) -> Any:
        arguments[3].write(samples)
        return found

    monkeypatch.setattr(sandbox, "_run", taken_over)
    info, audio = sandbox.decode(speech, "process")
    assert audio is None
    assert isinstance(info, MediaInfo)
    assert info.problem is not None
    assert info.problem.startswith("crashed: the decoder gave ")


def test_frames_must_be_as_many_as_was_said(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = sandbox._run

    def cut(*arguments: Any) -> Any:
        found = true(*arguments)
        arguments[3].truncate(1000)
        return found

    monkeypatch.setattr(sandbox, "_run", cut)
    info = sandbox.decode_frames(clip, tmp_path / "out", working("process"))
    assert info.problem == "crashed: the decoder gave other frames than it said"
    assert not (tmp_path / "out").exists()


def test_required_refuses_where_none_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(mode: SandboxMode) -> None:
        if mode != "process":
            raise RuntimeError("not permitted")

    monkeypatch.setattr(sandbox, "check", broken)
    sandbox._strongest.cache_clear()
    try:
        assert sandbox.resolve("auto") == "process"
        assert sandbox.resolve("off") == "off"
        monkeypatch.setenv("MMDIA_SANDBOX", "auto")
        assert sandbox.usual() == "process"
        monkeypatch.setenv("MMDIA_SANDBOX", "of")
        with pytest.raises(UserError, match="MMDIA_SANDBOX='of': it should be auto, required, off"):
            sandbox.usual()
        with pytest.raises(UserError, match=r"bubblewrap: not permitted; namespaces: not per"):
            sandbox.resolve("required")
    finally:
        sandbox._strongest.cache_clear()


def test_no_decoder_is_left_when_its_worker_dies(isolated: SandboxMode, speech: Path) -> None:
    """A pool kills a worker that hangs; the decoder must not go on without it."""
    code = f"""
import os, sys, tempfile, threading
from pathlib import Path
from mmdia_eval import isolation
command = [*isolation.enter({isolated!r}, Path({str(speech)!r})), *isolation.python({isolated!r})]
command[-1] = "import time; print('x' * 70000, flush=True) if 0 else None; time.sleep(600)"
threading.Timer(1.5, lambda: os._exit(0)).start()
isolation.run_limited(command, 600, tempfile.TemporaryFile())
"""
    import subprocess
    import time

    root = str(isolation.PACKAGE.parent)
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)
    for _ in range(50):
        if not _sleeping():
            return
        time.sleep(0.1)
    raise AssertionError(f"left behind: {_sleeping()}")


def _sleeping() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            told = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if "if 0 else None; time.sleep(600)" in told and "isolation" not in told:
            found.append(told)
    return found


def test_threads_do_not_mix(speech: Path) -> None:
    mode, found = working("process"), []

    def decode() -> None:
        found.append(sandbox.decode(speech, mode)[0])

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [media.decode(speech)[0]] * 4
