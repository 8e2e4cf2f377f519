"""The judges of a run: their controls, what their replies took, and the replies themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from mmdia_eval.artifacts import Artifact, Draw
from mmdia_eval.background import Background
from mmdia_eval.judges.asking import REFUSED, JudgeExtractor
from mmdia_eval.judges.controls import Audit, Left, left, run_audit
from mmdia_eval.judges.replay import RecordedReply, read_replies
from mmdia_eval.judges.rubric_judge import RubricJudge, RubricSettings
from mmdia_eval.judges.usage import account_of
from mmdia_eval.measure import Target
from mmdia_eval.plan import Plan, Stage
from mmdia_eval.progress import Reporter, Silent
from mmdia_eval.results import ControlRecord, ControlsRecord, JudgeRecord
from mmdia_eval.store import Store, digest, unfinished

logger = logging.getLogger(__name__)

CONTROLS = "judge controls"
"""What the controls are called where stages are listed."""
REPLAYED = "recorded replies are not put through controls"
NO_SCORES = "controls are for scores, which this judge is not asked for"
NOTHING_ASKED = "there was nothing to judge, so that no controls were asked"


@dataclass(frozen=True)
class Answered:
    """What a judge said of one output; `done` is False where it left the output unfinished."""

    dialogue: str
    key: str
    draws: tuple[Draw, ...]
    done: bool


@dataclass(frozen=True)
class Judged:
    """A judge's stage in a run. `audit` is its controls, or why there are none."""

    role: str
    metrics: tuple[str, ...]
    extractor: JudgeExtractor[Any]
    prompt_sha256: str | None
    answers: tuple[Answered, ...]
    audit: Audit | str


class Controls:
    """The controls of every judge of a plan: each asked once, whatever number of stages it has."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._judges = judge_stages(stages)
        self._started: dict[str, Future[Audit]] = {}

    def start(self, store: Store, background: Background, reporter: Reporter) -> None:
        """Begin to ask, beside whatever else is done."""

        async def ask(settings: RubricSettings) -> Audit:
            judge = RubricJudge(settings, ())
            todo, of, _ = await asyncio.to_thread(left, judge, store)
            with (reporter if todo else Silent()).stage(CONTROLS, todo, of - todo) as line:
                return await run_audit(judge, store, line.advance)

        for settings in self.settings():
            self._started[_name(settings)] = background.start(ask(settings))

    def settings(self) -> list[RubricSettings]:
        """Those under which controls are asked: of a judge that scores its own, each once."""
        found = map(self._of, self._judges.values())
        asked = [settings for settings in found if isinstance(settings, RubricSettings)]
        return list({_name(settings): settings for settings in asked}.values())

    def left(self, store: Store) -> list[Left]:
        """What they still take."""
        return [left(RubricJudge(settings, ()), store) for settings in self.settings()]

    def result(self, extractor: JudgeExtractor[Any]) -> Audit | str:
        """How those of a stage's judge ended, waiting for it; or why there are none."""
        settings = self._of(extractor)
        if isinstance(settings, str):
            return settings
        started = self._started.get(_name(settings))
        if started is None:
            return NOTHING_ASKED
        try:
            return started.result()
        except Exception as error:
            logger.debug("the controls failed", exc_info=error)
            return f"controls could not be asked: {type(error).__name__}"

    def _of(self, extractor: JudgeExtractor[Any]) -> RubricSettings | str:
        """A stage that does not score shares the controls of one that does, of the same judge."""
        if extractor.settings.replies is not None:
            return REPLAYED
        own = extractor.controls()
        if own is None:
            return NO_SCORES
        if isinstance(extractor, RubricJudge):
            return own
        scoring = (one.settings for one in self._judges.values() if isinstance(one, RubricJudge))
        same = (s for s in scoring if (s.judge, s.base_url) == (own.judge, own.base_url))
        return next(same, own)


def _name(settings: RubricSettings) -> str:
    return digest(settings.model_dump(mode="json"))


def judge_stages(stages: Iterable[Stage]) -> dict[str, JudgeExtractor[Any]]:
    """The extractors that ask a judge, by role."""
    return {s.role: s.extractor for s in stages if isinstance(s.extractor, JudgeExtractor)}


def judged(
    plan: Plan, store: Store, keys: Mapping[tuple[Target, str], str], controls: Controls
) -> tuple[Judged, ...]:
    """What each judge of a run said, from the artifacts of these keys."""
    return tuple(
        Judged(
            role,
            tuple(plan.metrics_from(role)),
            extractor,
            _prompt(extractor),
            tuple(_answers(role, extractor, store, keys)),
            controls.result(extractor),
        )
        for role, extractor in judge_stages(plan.stages).items()
    )


def _prompt(extractor: JudgeExtractor[Any]) -> str | None:
    """The version of the question that was answered; a recording has its own."""
    recorded = extractor.settings.replies
    if recorded is None:
        return extractor.prompt_sha256
    replies = read_replies(recorded).values()
    return next((one.prompt_sha256 for one in replies if one.kind == extractor.kind), None)


def _answers(
    role: str,
    extractor: JudgeExtractor[Any],
    store: Store,
    keys: Mapping[tuple[Target, str], str],
) -> Iterable[Answered]:
    for ((side, dialogue), made_in), key in keys.items():
        if (side, made_in) != ("output", role):
            continue
        made: Artifact | None = store.read(extractor.makes, key)
        found = made or store.read(extractor.makes, unfinished(key))
        if found is not None:
            draws = tuple(extractor.draws_of(found))
            yield Answered(dialogue, key, draws, made is not None)


def judge_records(judges: Sequence[Judged]) -> list[JudgeRecord]:
    """Who judged, whether the controls allow to trust it, and what it took."""
    return [_record(one) for one in judges]


def _record(one: Judged) -> JudgeRecord:
    settings = one.extractor.settings
    by_key = {answer.key: answer.draws for answer in one.answers}
    draws = [draw for of_file in by_key.values() for draw in of_file]
    account = account_of(draws, settings.judge.partition(":")[2])
    audit = one.audit
    return JudgeRecord(
        role=one.role,
        metrics=list(one.metrics),
        judge=settings.judge,
        returned_models=sorted(account.models),
        prompt_sha256=one.prompt_sha256,
        calls=account.calls,
        input_tokens=sum(draw.input_tokens for draw in draws),
        audio_tokens=sum(draw.audio_tokens for draw in draws),
        output_tokens=sum(draw.output_tokens for draw in draws),
        cost=account.cost,
        retries=sum(draw.retries for draw in draws),
        draws=len(draws),
        draws_unread=sum(draw.problem is not None for draw in draws),
        reliable=audit.reliable if isinstance(audit, Audit) else None,
        reason=audit.reason if isinstance(audit, Audit) else audit,
        controls=_controls(audit) if isinstance(audit, Audit) else None,
    )


def _controls(audit: Audit) -> ControlsRecord:
    return ControlsRecord(
        mode=audit.mode,
        condition=audit.condition,
        version=audit.version,
        controls=[ControlRecord(**asdict(one), passed=one.passed) for one in audit.controls],
        calls=audit.calls,
        input_tokens=audit.input_tokens,
        output_tokens=audit.output_tokens,
        cost=audit.cost,
    )


def recorded_replies(judges: Sequence[Judged]) -> tuple[list[RecordedReply], list[str]]:
    """Every reply behind a finished artifact, for `replay:FILE`; and the roles left out.

    A role is left out when another asked the same questions otherwise (other draws, say), so that
    one name would stand for two replies.
    """
    found: dict[str, RecordedReply] = {}
    left_out = []
    for one in judges:
        replies = {reply.name: reply for reply in _replies(one)}
        if any(found.get(name, reply) != reply for name, reply in replies.items()):
            left_out.append(one.role)
        else:
            found |= replies
    return list(found.values()), left_out


def _replies(one: Judged) -> Iterable[RecordedReply]:
    for answer in one.answers:
        if not answer.done:
            continue
        for number, draw in enumerate(answer.draws):
            refused = draw.problem is not None and draw.problem.startswith(REFUSED)
            yield RecordedReply(
                name=f"{one.extractor.question(answer.dialogue)}/{number}",
                reply=draw.reply,
                model=draw.model,
                input_tokens=draw.input_tokens,
                output_tokens=draw.output_tokens,
                audio_tokens=draw.audio_tokens,
                retries=draw.retries,
                refusal=(draw.problem or "").removeprefix(REFUSED) if refused else None,
                prompt_sha256=one.prompt_sha256 or "",
                nonce=draw.nonce,
                clip=draw.clip,
                clips=draw.clips,
            )
