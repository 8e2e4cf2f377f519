"""How a program is shut in with one file: by bubblewrap, by util-linux, or by its limits alone."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from mmdia_eval.types import SandboxMode

ISOLATED: tuple[SandboxMode, ...] = ("bubblewrap", "namespaces")
"""The modes in which a program sees no other file of the user's and no network."""

CLIP = Path("/clip")
"""Where the one file lies in an isolated program's view."""
PACKAGE = Path(__file__).resolve().parent
CODE = Path("/code") / PACKAGE.name
MOST_SAID = 64 * 1024
"""Bytes that a program may say on its standard output."""

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Ended:
    """How a program ended: `died_of` is a signal, or 0; `complaints` what it said on stderr."""

    said: bytes
    complaints: str
    died_of: int
    timed_out: bool


def run_limited(command: Sequence[str], seconds: float, data: IO[bytes]) -> Ended:
    """Run a program for so long at most, with an empty environment and one open file to write to.

    More than `MOST_SAID` bytes on standard output end it too. Nothing of its session outlives it.
    """
    late = threading.Event()
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_ENVIRONMENT,
            cwd="/",
            pass_fds=(data.fileno(),),
            start_new_session=True,
        ) as process,
    ):

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            said = process.stdout.read(MOST_SAID) if process.stdout else b""
            if len(said) == MOST_SAID:
                _kill(process)
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process)
        complaints.seek(0)
        told = complaints.read(2000).decode("utf-8", "replace").strip()
    died_of = -code if code < 0 else code - 128 if code > 128 else 0
    return Ended(said, told, died_of, late.is_set())


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The program with all that it started in its session, where any of it still runs."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def lacking(mode: SandboxMode) -> str | None:
    """What this machine lacks for the mode, as far as that shows without trying."""
    if os.name != "posix" or (mode in ISOLATED and sys.platform != "linux"):
        return f"there is none on {sys.platform}"
    programs = {"bubblewrap": ["bwrap"], "namespaces": ["unshare", "setpriv"]}.get(mode, [])
    absent = [program for program in programs if shutil.which(program) is None]
    return f"{absent[0]} is not installed" if absent else None


def python(mode: SandboxMode) -> list[str]:
    """The command that starts Python with our package and its codecs, where `enter` has led."""
    code = CODE.parent if mode in ISOLATED else PACKAGE.parent
    paths = [*map(str, _site_folders()), str(code)]
    start = f"import sys; sys.path += {paths!r}; from mmdia_eval.decoder import main; main()"
    # The interpreter itself: a virtual environment's link to it does not lead there from inside.
    return [str(Path(sys.executable).resolve()), "-I", "-S", "-B", "-c", start]


def enter(mode: SandboxMode, clip: Path) -> list[str]:
    """The command that runs what follows it in this mode, with `clip` at `CLIP` if isolated."""
    if mode == "bubblewrap":
        return _bubblewrap(clip)
    if mode == "namespaces":
        return _namespaces(clip)
    if shutil.which("setpriv"):
        return ["setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--"]
    return []


@cache
def _site_folders() -> tuple[Path, ...]:
    """The folders of the packages that decoding takes."""
    folders = []
    for name in ("numpy", "av", "soundfile", "soxr", "cffi"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin).resolve()
            folders.append(origin.parents[1 if spec.submodule_search_locations else 0])
    return tuple(dict.fromkeys(folders))


@cache
def _visible() -> tuple[Path, ...]:
    """What an isolated program sees beside its file, read-only: libraries and Python."""
    system = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/nix/store", "/gnu/store")
    wanted = [Path(one) for one in system if not Path(one).is_symlink()]
    wanted += [Path(sys.base_prefix).resolve(), *_site_folders()]
    found = [one for one in dict.fromkeys(wanted) if one.exists()]
    return tuple(one for one in found if not any(one.is_relative_to(o) for o in found if o != one))


@cache
def _links() -> tuple[tuple[str, str], ...]:
    """The system's links into /usr: where each leads, and its own place."""
    links = [Path(one) for one in ("/lib", "/lib64", "/bin")]
    return tuple((str(link.readlink()), str(link)) for link in links if link.is_symlink())


@cache
def _masked() -> tuple[Path, ...]:
    """Folders with recordings below what is visible: the mini benchmark of an installed package."""
    seen = {CODE: PACKAGE} | {site / PACKAGE.name: site / PACKAGE.name for site in _site_folders()}
    found = [(place, real / "examples") for place, real in seen.items()]
    return tuple(p / "examples" for p, real in found if real.is_dir() and not real.is_symlink())


def _bubblewrap(clip: Path) -> list[str]:
    command = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    command += ["--cap-drop", "ALL", *_no_further_namespaces()]
    for path in _visible():
        command += ["--ro-bind", str(path), str(path)]
    for target, link in _links():
        command += ["--symlink", target, link]
    command += ["--ro-bind", str(PACKAGE), str(CODE)]
    for folder in _masked():
        command += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
    command += ["--ro-bind", str(clip), str(CLIP), "--remount-ro", "/", "--chdir", "/", "--"]
    return command


@cache
def _no_further_namespaces() -> tuple[str, ...]:
    """An option of bubblewrap 0.8 and later."""
    told = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
    return ("--disable-userns",) if "--disable-userns" in told.stdout + told.stderr else ()


def _namespaces(clip: Path) -> list[str]:
    """With util-linux alone: the same view, put together in namespaces and entered by pivot_root.

    The new root is made over /sys, which is on every machine and holds nothing that is wanted.
    `nosuid` and `nodev` are given since a remount may not take them away.
    """
    lines = ["set -e", "mount -t tmpfs -o mode=755,nosuid,nodev none /sys"]
    for source, target in (*((p, p) for p in _visible()), (PACKAGE, CODE), (clip, CLIP)):
        place, options = shlex.quote(f"/sys{target}"), "remount,bind,ro,nosuid,nodev"
        parent = shlex.quote(f"/sys{target.parent}")
        lines += [f"mkdir -p {place}" if source.is_dir() else f"mkdir -p {parent}; : >{place}"]
        lines += [f"mount --bind {shlex.quote(str(source))} {place}"]
        lines += [f"mount -o {options}{',noexec' if target == CLIP else ''} {place}"]
    lines += [f"ln -s {shlex.quote(to)} {shlex.quote(f'/sys{link}')}" for to, link in _links()]
    lines += [f"mount -t tmpfs -o ro none {shlex.quote(f'/sys{one}')}" for one in _masked()]
    lines += [
        "mkdir /sys/proc",
        "cd /sys",
        "pivot_root . .",
        "mount -t proc none /proc",
        "umount -l .",
        "echo 0 >/proc/sys/user/max_user_namespaces",
        "umount /proc",
        "mount -n -i -o remount,ro none /",
        "cd /",
        'exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- "$@"',
    ]
    spaces = ("user", "map-root-user", "net", "ipc", "pid", "uts", "cgroup", "mount")
    return [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *("unshare", *(f"--{space}" for space in spaces), "--fork", "--kill-child"),
        *("sh", "-c", "\n".join(lines), "sh"),
    ]
