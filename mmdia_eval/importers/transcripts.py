"""The evaluation list, `_gt_trans.tsv`: an id, a tab, `[SPEAKER0]WORDS[SPEAKER1]WORDS…`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmdia_eval.errors import UserError
from mmdia_eval.importers.common import Draft, make_turns
from mmdia_eval.importers.report import Tally
from mmdia_eval.strict_json import read_bytes
from mmdia_eval.types import Dialogue

_TAG = re.compile(r"\[(SPEAKER\d{1,4})\]", re.ASCII)


def read_transcripts(file: Path, tally: Tally) -> Iterator[Draft]:
    """The dialogues of a `_gt_trans.tsv`; they have no times and no style.

    Raises:
        UserError: the file cannot be read, or is not UTF-8.
    """
    try:
        text = read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at offset {error.start}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        tally.read += 1
        dialogue_id, tab, script = line.partition("\t")
        dialogue_id = dialogue_id.strip()
        if not tab:
            tally.drop("lines without a tab", f"{file}:{number}")
            continue
        before, *pieces = _TAG.split(script)
        if not pieces:
            tally.drop("no [SPEAKER0] tag", dialogue_id)
            continue
        if before.strip():
            tally.skip("words before the first speaker tag", dialogue_id)
        parts = list(zip(pieces[0::2], pieces[1::2], strict=True))
        yield Draft(Dialogue(dialogue_id, tuple(make_turns(parts, None, None, dialogue_id, tally))))
