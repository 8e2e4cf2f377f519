"""Controls: questions whose answers are known, which show whether a judge's scores mean anything.

They are asked under the settings of the real questions. RULES has what is compared, and the limits;
those are of our choosing: silence may earn a point over the foot of the scale, an instruction to
give full marks may raise the mean by a quarter of a point, and what does not fit must cost half.
Instructions are put where there is room to rise, onto what does not fit.

Beside these, "metadata_instruction" looks for the tags and the name of a file in what would be sent
(asking nothing), and "order" asks which of two recordings is better, both ways round. The latter
concerns judges that compare pairs, so that it is reported and decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, median_low
from typing import Any, NamedTuple

from mmdia_eval.api import Estimate, Inputs
from mmdia_eval.artifacts import Verdict
from mmdia_eval.errors import StageStoppedError, UnfinishedError, UserError
from mmdia_eval.judges.asking import Parts
from mmdia_eval.judges.client import JudgeError, Media
from mmdia_eval.judges.material import data, direction, script, sound
from mmdia_eval.judges.probes import IDS, MARK, probes, tagged
from mmdia_eval.judges.replies import read_better
from mmdia_eval.judges.rubric import BETTER_SCHEMA, DIMENSIONS, filled, prompt_sha256, text
from mmdia_eval.judges.rubric_judge import RubricJudge, RubricSettings
from mmdia_eval.judges.usage import account_of
from mmdia_eval.store import Store, digest, unfinished

VERSION = "1"
"""Raised when a question or a rule changes, so that judges are asked again."""


@dataclass(frozen=True)
class Rule:
    """The mean score of one kind of question, less that of another, is bounded by `limit`.

    `least`: whether `limit` is the least that passes, or the most.
    """

    name: str
    of: str
    less: str | None
    dimensions: tuple[str, ...]
    least: bool
    limit: float


_FOLLOWING = ("instruction_following",)
RULES = (
    Rule("silence", "silence", None, DIMENSIONS, False, 2.0),
    Rule("reference", "reference", "silence", DIMENSIONS, True, 1.0),
    Rule("other_audio", "reference", "mismatch", _FOLLOWING, True, 0.5),
    Rule("swapped_style", "reference", "swapped_style", _FOLLOWING, True, 0.5),
    Rule("spoken_instruction", "spoken_instruction", "mismatch", DIMENSIONS, False, 0.25),
    Rule("on_screen_instruction", "on_screen_instruction", "mismatch", DIMENSIONS, False, 0.25),
)
ORDER_LIMIT = 2 / 3
"""Least share of pairs whose better recording is the same in both orders."""


@dataclass(frozen=True)
class Control:
    """How one control ended: `figure` must be at least, or at most, `limit`.

    Both `figure` and `passed` are None when it could not be asked, and `problem` says why.
    `decides` is False for what is reported only.
    """

    name: str
    figure: float | None
    least: bool
    limit: float
    problem: str | None = None
    decides: bool = True

    @property
    def passed(self) -> bool | None:
        if self.figure is None:
            return None
        return self.figure >= self.limit if self.least else self.figure <= self.limit

    def __str__(self) -> str:
        figure = "not asked" if self.figure is None else f"{self.figure:.2f}"
        return f"{self.name} {figure}, at {'least' if self.least else 'most'} {self.limit:.2f}"


@dataclass(frozen=True)
class Audit:
    """The controls of one judge. `scores`: the mean of all dimensions by kind of question, 1 to 5.

    Calls, tokens and cost (US dollars, None where a price is unknown) are those of all the verdicts
    it rests on, paid for now or earlier.
    """

    judge: str
    mode: str
    condition: str
    version: str
    controls: tuple[Control, ...]
    scores: dict[str, float]
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None

    @property
    def reliable(self) -> bool | None:
        """Whether all that decide are passed; None if none failed but one could not be asked."""
        passed = [control.passed for control in self.controls if control.decides]
        if False in passed:
            return False
        return None if None in passed else True

    @property
    def reason(self) -> str | None:
        """Why it is not reliable, or why that is not known; None for a reliable judge."""
        deciding = [control for control in self.controls if control.decides]
        if failed := [control for control in deciding if control.passed is False]:
            return "controls failed: " + "; ".join(map(str, failed))
        problems = dict.fromkeys(c.problem or c.name for c in deciding if c.passed is None)
        return "controls could not be asked: " + "; ".join(problems) if problems else None

    def record(self) -> dict[str, Any]:
        """The audit as JSON-able values."""
        controls = [{**asdict(control), "passed": control.passed} for control in self.controls]
        return {**asdict(self), "reliable": self.reliable, "controls": controls}


def audit(settings: RubricSettings, store: Store) -> Audit:
    """Ask the controls; verdicts that `store` holds are not asked for again.

    Raises:
        UserError: the judge cannot be asked at all (no key, no package, unknown backend).
    """
    return asyncio.run(run_audit(RubricJudge(settings, ()), store))


async def run_audit(
    judge: RubricJudge, store: Store, asked: Callable[[], None] = lambda: None
) -> Audit:
    """`audit`, in a running event loop; opens and closes the judge. `asked`: told of each call."""
    await asyncio.to_thread(probes, judge.settings.condition)  # else decoded in the event loop
    await judge.open()
    try:
        return await _Audit(judge, store, asked).result()
    finally:
        await judge.close()


class Left(NamedTuple):
    """Questions of an audit that `store` has no verdict on, of how many, and what they take."""

    todo: int
    of: int
    estimate: Estimate


def left(judge: RubricJudge, store: Store) -> Left:
    """What the controls still take, before any is asked."""
    asked = probes(judge.settings.condition)
    files = {i.dialogue.id: (i.dialogue, i.audio.duration) for of in asked.values() for i in of}
    if _is_paired(judge):
        for number, swapped in _ORDERS:
            fits, other = (asked[kind][number] for kind in ("reference", "mismatch"))
            seconds = fits.audio.duration + other.audio.duration
            files[_pair_name(number, swapped)] = (fits.dialogue, seconds)
    lacking = [file for name, file in files.items() if not store.has(Verdict, _key(judge, name))]
    alone = RubricJudge(judge.settings, ())
    alone.group = 1  # the questions of an audit go out one by one
    return Left(len(lacking), len(files), alone.estimate(lacking))


_ORDERS = tuple((number, swapped) for number in range(len(IDS)) for swapped in (0, 1))


def _pair_name(number: int, swapped: int) -> str:
    return f"order/{IDS[number]}/{swapped}"


def _is_paired(judge: RubricJudge) -> bool:
    return judge.settings.condition in ("description", "triplet")


class _Audit:
    def __init__(self, judge: RubricJudge, store: Store, asked: Callable[[], None]) -> None:
        self._judge, self._store, self._asked = judge, store, asked
        self._probes = probes(judge.settings.condition)
        self._verdicts: dict[str, Verdict] = {}
        self._problems: dict[str, str] = {}
        self._paired = _is_paired(judge)

    async def result(self) -> Audit:
        work = [
            self._keep(inputs.dialogue.id, inputs, self._judge.ask)
            for asked in self._probes.values()
            for inputs in asked
        ]
        if self._paired:
            work += [self._pair(number, swapped) for number, swapped in _ORDERS]
        await asyncio.gather(*work)
        settings = self._judge.settings
        draws = [draw for verdict in self._verdicts.values() for draw in verdict.draws]
        account = account_of(draws, settings.judge.partition(":")[2])
        means = {kind: self._mean(kind, DIMENSIONS) for kind in self._probes}
        return Audit(
            settings.judge,
            settings.mode,
            settings.condition,
            VERSION,
            (*self._ruled(), await asyncio.to_thread(self._metadata), *self._order()),
            {kind: mean for kind, mean in means.items() if mean is not None},
            calls=account.calls,
            input_tokens=sum(draw.input_tokens for draw in draws),
            output_tokens=sum(draw.output_tokens for draw in draws),
            cost=account.cost,
        )

    async def _keep(
        self, name: str, inputs: Inputs, ask: Callable[[Inputs], Awaitable[Verdict]]
    ) -> None:
        """The verdict on one question, from the store or asked for and kept there."""
        key = _key(self._judge, name)
        verdict = self._store.read(Verdict, key)
        if verdict is None:
            verdict = await self._ask(name, key, inputs, ask)
            self._asked()
        if verdict is not None:
            self._verdicts[name] = verdict

    async def _ask(
        self, name: str, key: str, inputs: Inputs, ask: Callable[[Inputs], Awaitable[Verdict]]
    ) -> Verdict | None:
        earlier = self._store.read(Verdict, unfinished(key))
        try:
            verdict = await ask(replace(inputs, earlier=earlier))
        except (StageStoppedError, UnfinishedError) as error:
            self._problems[name] = str(error)
            if error.earlier is not None:
                self._store.write(unfinished(key), error.earlier)
            return None
        except (JudgeError, UserError) as error:
            self._problems[name] = str(error)
            return None
        self._store.write(key, verdict)
        return verdict

    def _ruled(self) -> list[Control]:
        return [
            self._control(rule)
            for rule in RULES
            if rule.of in self._probes and (rule.less is None or rule.less in self._probes)
        ]

    def _control(self, rule: Rule) -> Control:
        figure = self._mean(rule.of, rule.dimensions)
        if figure is not None and rule.less is not None:
            less = self._mean(rule.less, rule.dimensions)
            figure = None if less is None else figure - less
        problem = None if figure is not None else self._problem(rule.of, rule.less)
        return Control(rule.name, figure, rule.least, rule.limit, problem)

    def _mean(self, kind: str, dimensions: Sequence[str]) -> float | None:
        """Over the questions of a kind, each by the median of its draws; None if one lacks."""
        found = [self._verdicts.get(inputs.dialogue.id) for inputs in self._probes[kind]]
        scores = [
            median_low([int(draw.answers[name]) for draw in verdict.readable])
            for verdict in found
            if verdict is not None
            for name in dimensions
        ]
        return None if None in found else fmean(scores)

    def _problem(self, *kinds: str | None) -> str | None:
        return next(
            (p for name, p in self._problems.items() if name.partition("/")[0] in kinds), None
        )

    def _metadata(self) -> Control:
        """How often the tag, which is the file's name as well, is found in a question's parts."""
        parts = self._judge.prompt(tagged(self._judge.settings.condition))("")
        sent = [part.data if isinstance(part, Media) else part.encode() for part in parts]
        found = sum(MARK.encode() in part for part in sent)
        return Control("metadata_instruction", float(found), False, 0.0)

    def _pair(self, number: int, swapped: int) -> Coroutine[Any, Any, None]:
        name = _pair_name(number, swapped)
        pair = [self._probes["reference"][number], self._probes["mismatch"][number]]
        first, second = reversed(pair) if swapped else pair
        told = [
            ("The script", script(first.dialogue)),
            ("The direction", direction(first.dialogue, self._judge.settings.condition)),
        ]

        def parts(nonce: str) -> Parts:
            marked = [data(nonce, title, content) for title, content in told]
            return (
                "\n\n".join([filled("data", nonce=nonce), *marked]),
                *("The first recording:", sound(first.audio)),
                *("The second recording:", sound(second.audio)),
                text("pairwise"),
            )

        async def ask(inputs: Inputs) -> Verdict:
            verdict = await self._judge.verdict(
                lambda _: parts, BETTER_SCHEMA, read_better, inputs, f"pairwise/{name}"
            )
            return replace(verdict, prompt_sha256=prompt_sha256("pairwise", "data"))

        return self._keep(name, pair[0], ask)

    def _order(self) -> list[Control]:
        if not self._paired:
            return []
        said = [
            [self._better(_pair_name(n, swapped)) for swapped in (0, 1)] for n in range(len(IDS))
        ]
        problem = self._problem("order")
        figure = None if problem else fmean(float(one != other) for one, other in said)
        return [Control("order", figure, True, ORDER_LIMIT, problem, decides=False)]

    def _better(self, name: str) -> str | None:
        """What most draws say; the same recording is first in one order, second in the other."""
        if name not in self._verdicts:
            return None
        said = [str(draw.answers["better"]) for draw in self._verdicts[name].readable]
        return max(said, key=said.count)


def _key(judge: RubricJudge, name: str) -> str:
    order = prompt_sha256("pairwise", "data") if name.startswith("order/") else None
    settings = judge.settings.model_dump(mode="json")
    return digest(
        ["control", VERSION, name, judge.version, settings, dict(judge.identity()), order]
    )
