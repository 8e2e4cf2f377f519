"""`train_eval_test_hard_ids.json` against the dialogues read: who is in which split.

The lists look as if chosen by `SxxExx_clip_N` without the series, so ids may recur across lists,
and an id may be given without its series; such a one is used only if it fits a single dialogue.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from mmdia_eval.errors import UserError
from mmdia_eval.importers.report import SplitReport
from mmdia_eval.strict_json import read_json
from mmdia_eval.types import SPLITS

_EPISODE = re.compile(r"(?<![A-Za-z0-9])s\d+e\d+\S*_clip_\d+$", re.ASCII | re.IGNORECASE)


def read_ids(path: Path) -> dict[str, list[str]]:
    """The lists of an ids file, by name in lower case.

    Raises:
        UserError: not an object of lists of ids, or none of the lists is one of our splits.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: should be an object of lists of ids, {{split: [id, …]}}")
    lists: dict[str, list[str]] = {}
    for key, ids in value.items():
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
            raise UserError(f"{path}: {key!r} should be a list of ids (strings)")
        lists.setdefault(key.strip().lower(), []).extend(ids)
    if not any(name in SPLITS for name in lists):
        raise UserError(
            f"{path}: has the lists {', '.join(lists) or 'none'}; needs one of {', '.join(SPLITS)}"
        )
    return lists


def assign(
    lists: Mapping[str, list[str]], ids: Collection[str], dropped: Collection[str]
) -> tuple[dict[str, list[str]], tuple[SplitReport, ...]]:
    """Ids by split, in the lists' order, and a report for every list.

    Lists that are not splits of ours (train, eval) are left out, but ids shared with them counted.
    """
    episodes = defaultdict(list)
    for dialogue_id in ids:
        match = _EPISODE.search(dialogue_id)
        if match:
            episodes[match[0]].append(dialogue_id)
    known = set(ids)
    assigned: dict[str, list[str]] = {}
    reports = []
    sets = {name: set(listed) for name, listed in lists.items()}
    for name, listed in lists.items():
        distinct = list(dict.fromkeys(listed))
        found: dict[str, None] = {}
        unused: dict[str, list[str]] = {"missing": [], "dropped": [], "ambiguous": []}
        for item in distinct if name in SPLITS else ():
            candidates = [item] if item in known else episodes.get(item, [])
            if len(candidates) == 1:
                found[candidates[0]] = None
            elif candidates:
                unused["ambiguous"].append(item)
            else:
                unused["dropped" if item in dropped else "missing"].append(item)
        if found:
            assigned[name] = list(found)
        reports.append(
            SplitReport(
                name=name,
                kept=name in SPLITS,
                listed=len(distinct),
                repeated=len(listed) - len(distinct),
                found=len(found),
                missing=tuple(unused["missing"]),
                dropped=tuple(unused["dropped"]),
                ambiguous=tuple(unused["ambiguous"]),
                shared={
                    other: len(sets[name] & ids_of_other)
                    for other, ids_of_other in sets.items()
                    if other != name and sets[name] & ids_of_other
                },
            )
        )
    return assigned, tuple(reports)
