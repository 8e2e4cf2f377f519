from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval.artifacts import Artifacts, MosPrediction, TurnScores
from mmdia_eval.metrics.mos import PREDICTORS, Mos, MosSettings, Score
from mmdia_eval.types import Dialogue, Turn

MOS = Mos(MosSettings())
DIALOGUE = Dialogue("d", tuple(Turn("ab"[i % 2], "good morning") for i in range(4)))


def scores(ovrl: float, p808: float = 3.5, sig: float = 4.0, bak: float = 2.0) -> dict[str, float]:
    return {"ovrl": ovrl, "p808": p808, "sig": sig, "bak": bak}


def artifacts(ovrl: float, turns: dict[int, float] | None = None) -> Artifacts:
    heard = tuple(TurnScores(index, {"p808": value}) for index, value in (turns or {}).items())
    return Artifacts({MosPrediction: MosPrediction(scores(ovrl), heard)})


def test_whole_file_scores_and_turns() -> None:
    rows = [
        MOS.measure(DIALOGUE, artifacts(3.0, {0: 2.0, 1: 3.0, 2: 4.0, 3: 3.5})),
        MOS.measure(DIALOGUE, artifacts(2.0, {0: 2.5, 3: 1.5})),
    ]
    total = {key: rows[0][key] + rows[1][key] for key in MOS.fields}
    assert MOS.reduce(total) == 2.5
    assert MOS.components(rows) == {
        "p808": 3.5,
        "sig": 4.0,
        "bak": 2.0,
        "turn_p808": pytest.approx((12.5 + 4.0 + 2 * 1.0) / 8),
        "turns_scored": 6 / 8,
    }


@pytest.mark.parametrize("score", PREDICTORS[0])
def test_setting_names_the_score_that_is_the_value(score: Score) -> None:
    chosen = Mos(MosSettings(score=score))
    counts = chosen.measure(DIALOGUE, artifacts(3.0))
    assert chosen.reduce(counts) == scores(3.0)[score]
    assert score not in chosen.components([counts])


def test_a_name_that_is_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="score"):
        MosSettings.model_validate({"score": "nisqa"})


def test_scores_of_two_predictors_are_refused() -> None:
    with pytest.raises(ValueError, match="'utmos' and turn_score 'p808' are of two predictors"):
        MosSettings(score="utmos")


def test_another_predictor_has_its_own_counts_and_components() -> None:
    chosen = Mos(MosSettings(score="utmos", turn_score="utmos"))
    heard = MosPrediction({"utmos": 2.5}, (TurnScores(0, {"utmos": 0.4}),))
    counts = chosen.measure(DIALOGUE, Artifacts({MosPrediction: heard}))
    assert counts == {
        "utmos": 2.5,
        "dialogues": 1.0,
        "turn_score": 4.0,
        "turns_scored": 1.0,
        "turns": 4.0,
    }
    assert set(counts) == set(chosen.fields) == set(chosen.worst(DIALOGUE))
    assert chosen.reduce(counts) == 2.5
    assert chosen.components([counts]) == {"turn_utmos": 1.0, "turns_scored": 0.25}


def test_a_predictor_without_the_score_is_named() -> None:
    chosen = Mos(MosSettings(score="utmos", turn_score="utmos"))
    with pytest.raises(ValueError, match="gave ovrl, p808, sig, bak and not utmos"):
        chosen.measure(DIALOGUE, artifacts(3.0))


@given(st.floats(-10, 10))
def test_leaving_a_file_out_never_helps(raw: float) -> None:
    found = MOS.reduce(MOS.measure(DIALOGUE, artifacts(raw)))
    assert MOS.reduce(MOS.worst(DIALOGUE)) == 1 <= found <= 5
    assert found == raw or not 1 <= raw <= 5


def test_missing_output_is_at_the_foot_of_every_scale() -> None:
    assert MOS.components([MOS.worst(DIALOGUE)]) == {
        "p808": 1.0,
        "sig": 1.0,
        "bak": 1.0,
        "turn_p808": 1.0,
        "turns_scored": 0.0,
    }
