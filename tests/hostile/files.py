"""Entries of a folder that are no files, and names that are no dialogue's."""

from __future__ import annotations

import os
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path

from hostile.case import Case, Site, cases
from hostile.recordings import speech, wav

REFUSED = ("no output",)


def symbolic(site: Site) -> None:
    site.path.symlink_to(site.secret)


def dangling(site: Site) -> None:
    site.path.symlink_to(site.path.with_name("nowhere.wav"))


def circle(site: Site) -> None:
    site.path.symlink_to(site.path)


def through_a_folder(site: Site) -> None:
    """A link to the secret's folder, and a name that would lie in it."""
    site.path.with_name("linked").symlink_to(site.secret.parent)
    site.path.symlink_to(site.path.with_name("linked") / "secret.wav")


def hard(site: Site) -> None:
    site.path.hardlink_to(site.secret)


def pipe(site: Site) -> None:
    os.mkfifo(site.path)


def folder(site: Site) -> None:
    site.path.mkdir()
    (site.path / "secret.wav").symlink_to(site.secret)


def listening(site: Site) -> None:
    """A socket. Its path may be longer than an address holds, so it is made where it is."""
    here = os.open(".", os.O_RDONLY)
    os.chdir(site.path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(site.path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def device(site: Site) -> None:
    """/dev/zero, which never ends; a pipe where only the superuser may make one."""
    try:
        os.mknod(site.path, 0o20666, os.makedev(1, 5))
    except PermissionError:
        os.mkfifo(site.path)


OBJECTS: list[Case] = cases(
    "file system objects",
    REFUSED,
    {
        "symbolic link to the reference": symbolic,
        "dangling link": dangling,
        "link to itself": circle,
        "link through a linked folder": through_a_folder,
        "hard link to the reference": hard,
        "named pipe": pipe,
        "folder": folder,
        "socket": listening,
        "endless device": device,
    },
)


def named(name: str | bytes) -> Callable[[Site], None]:
    """A good recording under another name than the dialogue's."""

    def make(site: Site) -> None:
        given = os.fsencode(name.format(id=site.path.stem)) if isinstance(name, str) else name
        Path(os.fsdecode(os.fsencode(site.path.parent) + b"/" + given)).write_bytes(
            wav(speech(0.5))
        )

    return make


PROTOCOLS: list[Case] = cases(
    "protocol names",
    REFUSED,
    {
        name.replace(".wav", ""): named(name)
        for name in (
            "concat:{id}|b.wav",
            "subfile,,start,0,end,0,,:{id}.wav",
            "data:audio;base64,{id}.wav",
            "file:{id}.wav",
            "pipe:0{id}.wav",
            "cache:{id}.wav",
            "-i {id}.wav",
        )
    },
)

UNICODE: list[Case] = cases(
    "unicode",
    REFUSED,
    {
        "line feed at the end": named("{id}\n.wav"),
        "line feed before the extension": named("{id}.wav\n"),
        "escape sequence": named("\x1b[2J{id}.wav"),
        "right-to-left override": named("\u202evaw.{id}.wav"),
        "zero-width space": named("{id}\u200b.wav"),
        "byte order mark": named("\ufeff{id}.wav"),
        "fullwidth digits": named("c\uff10\uff10{id}.wav"),
        "arabic digits": named("c\u0660\u0661{id}.wav"),
        "cyrillic letter": named("\u0441{id}.wav"),
        "ligature": named("\ufb01{id}.wav"),
        "composed": named(unicodedata.normalize("NFC", "e\u0301{id}.wav")),
        "decomposed": named(unicodedata.normalize("NFD", "\u00e9{id}.wav")),
        "upper case": named("OUTPUT_{id}.wav"),
        "not UTF-8": named(b"\xff\xfe.wav"),
        "private use": named("\ue000{id}.wav"),
        "tag characters": named("\U000e0041{id}.wav"),
        "backslashes": named("..\\..\\{id}.wav"),
        "markup": named("<img src=x onerror=alert(1)>{id}.wav"),
        "as long as names get": named("{id}" + "x" * 240 + ".wav"),
    },
)
