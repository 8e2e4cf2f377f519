"""The tables of docs/metrics/sa-lse.md, computed anew: the page says what the code gives.

`python -m pytest tests/test_sa_lse_paper.py` after a change says which rows to write again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from planted_lips import lips_of, sound_of

from mmdia_eval.lip_sync import LipTrack, track_lip_sync
from mmdia_eval.speaker_lip_sync import Score, Speech, speaker_lip_sync
from mmdia_eval.types import FRAME_RATE

PAGE = Path(__file__).parents[1] / "docs" / "metrics" / "sa-lse.md"
FRAMES = 16 * FRAME_RATE
SOUND = sound_of(FRAMES)
TURNS = [
    Speech("ann", 0.4, 3.8),
    Speech("bob", 4.2, 7.8),
    Speech("ann", 8.2, 11.6),
    Speech("bob", 12.0, 15.4),
]
ANN, BOB = TURNS[::2], TURNS[1::2]
ORACLE = {"ann": "left", "bob": "right"}
Tracks = Sequence[LipTrack]


def tracks(
    left: Sequence[Speech], right: Sequence[Speech], lags: tuple[int, int] = (0, 0)
) -> Tracks:
    return [
        LipTrack("left", 0, lips_of(SOUND, left, lags[0])),
        LipTrack("right", 0, lips_of(SOUND, right, lags[1], seed=2)),
    ]


GOOD = tracks(ANN, BOB)
FOREIGN = [
    LipTrack("left", 0, lips_of(sound_of(FRAMES, 7), ANN)),
    LipTrack("right", 0, lips_of(sound_of(FRAMES, 7), BOB, seed=2)),
]
VIDEOS: Mapping[str, Tracks] = {
    "in sync": GOOD,
    "120 ms late": tracks(ANN, BOB, (3, 3)),
    "one face 320 ms late": tracks(ANN, BOB, (0, 8)),
    "mouths swapped": tracks(BOB, ANN),
    "both mouths always": tracks(TURNS, TURNS),
    "mouths still": tracks([], []),
    "lips of another sound": FOREIGN,
    "bob never shown": GOOD[:1],
    "cut to ann in bob's first turn": [
        GOOD[0],
        replace(GOOD[1], lips=GOOD[1].lips[:150]),
        LipTrack("right", 200, GOOD[1].lips[200:]),
    ],
}


def number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00")


def confidence(score: Score | None) -> str:
    return "" if score is None else number(score.confidence)


def row(name: str) -> list[str]:
    seen = VIDEOS[name]
    blind = [each for track in seen if (each := track_lip_sync(track, SOUND, "valid"))]
    best = max(blind, key=lambda each: each.confidence - each.distance)
    found = speaker_lip_sync(seen, SOUND, TURNS, ORACLE)
    assert found.oracle is not None
    return [
        name,
        number(best.confidence),
        number(found.oracle.confidence),
        number(found.oracle.distance),
        confidence(found.consistent),
        confidence(found.swapped),
        confidence(found.shuffled),
        number(found.bound / found.contested) if found.contested else "",
        number(found.leak) if found.leak_seconds else "",
        number(found.oracle.seconds / found.speech),
    ]


SHARES = (100, 75, 50, 25)


def share_row(share: int) -> list[str]:
    """One face that speaks for that share of a clip, all of it from its start."""
    spoken = [Speech("ann", 0.0, 16.0 * share / 100)]
    track = LipTrack("left", 0, lips_of(SOUND, spoken))
    legacy, valid = (track_lip_sync(track, SOUND, padding) for padding in ("legacy", "valid"))
    aware = speaker_lip_sync([track], SOUND, spoken, {"ann": "left"}).oracle
    assert legacy is not None
    assert valid is not None
    assert aware is not None
    return [
        f"{share} %",
        number(legacy.confidence),
        number(valid.confidence),
        number(aware.confidence),
    ]


def written(first: str) -> list[str]:
    """The cells of the page's row that begins so."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.mark.parametrize("name", VIDEOS)
def test_a_row_of_the_table_of_defects(name: str) -> None:
    assert written(name) == row(name)


@pytest.mark.parametrize("share", SHARES)
def test_a_row_of_the_table_of_shares(share: int) -> None:
    assert written(f"{share} %") == share_row(share)


if __name__ == "__main__":
    for each in [*map(row, VIDEOS), *map(share_row, SHARES)]:
        print("|", " | ".join(each), "|")
