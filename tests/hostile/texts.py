"""What stands in the text files that strangers send: results, ratings, `submission.toml`."""

from __future__ import annotations

from collections.abc import Mapping

JSON: Mapping[str, bytes] = {
    "NaN": b'{"status": NaN}',
    "Infinity": b'{"status": Infinity}',
    "minus Infinity": b'{"status": -Infinity}',
    "1e999": b'{"status": 1e999}',
    "a key twice": b'{"status": "complete", "status": "provisional"}',
    "a key twice, deep": b'{"a": [{"b": 1, "b": 2}]}',
    "an integer of 5000 digits": b'{"status": ' + b"9" * 5000 + b"}",
    "an integer past 2^53": b'{"status": 12345678901234567890}',
    "nested 100,000 deep": b"[" * 100_000,
    "half of a surrogate pair": b'{"status": "\\ud800"}',
    "not UTF-8": b'{"status": "\xff"}',
    "UTF-16": '{"status": 1}'.encode("utf-16"),
    "two values": b'{"status": 1} {"status": 2}',
    "a comment": b'{"status": 1} // ok',
    "a NUL byte": b'{"status": "a\0b"}',
    "nothing": b"",
    "a list": b"[]",
    "an unknown key": b'{"__proto__": {"admin": true}}',
}

RATINGS: Mapping[str, str] = {
    "a quote left open": 'ann,d,x,quality,"4\n',
    "a NUL byte": "ann,d\0,x,quality,4\n",
    "NaN": "ann,d,x,quality,nan\n",
    "1e999": "ann,d,x,quality,1e999\n",
    "fullwidth digit": "ann,d,x,quality,\uff14\n",
    "an underscore": "ann,d,x,quality,0_4\n",
    "hexadecimal": "ann,d,x,quality,0x4\n",
    "too few columns": "ann,d\n",
    "a field of a megabyte": f"ann,d,{'x' * 2**20},quality,4\n",
    "an unknown dimension": "ann,d,x,=cmd|'/c calc'!A1,4\n",
}

TOML: Mapping[str, bytes] = {
    "escape sequence in the name": b'name = "a\\u001b[2Jb"',
    "right-to-left override in the name": b'name = "a\\u202eb"',
    "zero-width space in the name": b'name = "a\\u200bb"',
    "line feed in the name": b'name = "a\\nb"',
    "half of a surrogate pair in the name": b'name = "\\ud800"',
    "a name of 10,000 letters": b'name = "' + b"a" * 10_000 + b'"',
    "a blank name": b'name = " \\u00a0 "',
    "a name that is no text": b"name = 5",
    "script as the address": b'name = "a"\nurl = "javascript:alert(1)"',
    "data as the address": b'name = "a"\nurl = "data:text/html,<script>"',
    "a key of another program": b'name = "a"\n__class__ = "os"',
    "a badge of one's own": b'name = "a"\nverification = "re-scored"',
    "nested 10,000 deep": b"name = " + b"[" * 10_000,
    "not UTF-8": b'name = "\xff"',
    "a megabyte": b'name = "a"\nnotes = "' + b"a" * 2**20 + b'"',
    "a key twice": b'name = "a"\nname = "b"',
}
