"""Judge clients against a service on this machine: throughput, and what each fault comes to.

The service runs in a thread of this process, takes 50 ms for an answer and speaks the real wire
formats to the real clients. The ideal is what 32 questions at once would take without any work.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmdia_eval.errors import StageStoppedError
from mmdia_eval.judges.client import JudgeError, Media, Question, Reply, connect
from mmdia_eval.judges.service import Service

if TYPE_CHECKING:
    from loopback_judge import Act, Script

QUESTIONS, FAULTY, SECONDS = 1000, 0.05, 0.05
JUDGES = "gemini:gemini-2.5-flash", "openai:gpt-audio"
SOUND = Media(bytes(32_000), "audio/wav")


def questions(count: int) -> list[Question]:
    """Questions told apart by their text."""
    return [Question(str(n), (f"rate {n}", SOUND), None, 0.0, 0, 100) for n in range(count)]


async def ask(judge: str, url: str, asked: list[Question]) -> list[Reply | BaseException]:
    """What each question came to."""
    client = connect(judge, base_url=url)
    try:
        return await asyncio.gather(*map(client.ask, asked), return_exceptions=True)
    finally:
        await client.close()


def throughput() -> None:
    """Print seconds and questions a second, without faults and with some."""
    from loopback_judge import LoopbackJudge, Refuse, Reset

    faults: list[Act] = [Refuse(429, "rate", (("Retry-After", "0.1"),)), Refuse(503), Reset()]
    ideal = QUESTIONS * SECONDS / Service.most
    print(f"judge: {QUESTIONS} questions, {Service.most} at once, {SECONDS * 1000:.0f} ms each")
    print(f"  {'ideal':32} {ideal:6.2f} s {QUESTIONS / ideal:6.0f}/s")
    for judge in JUDGES:
        for share in (0.0, FAULTY):
            with LoopbackJudge(some_of(faults, share), delay=SECONDS) as service:
                begin, cpu = time.perf_counter(), time.process_time()
                replies = asyncio.run(ask(judge, service.url, questions(QUESTIONS)))
                took, cpu = time.perf_counter() - begin, time.process_time() - cpu
            texts = [reply.text for reply in replies if isinstance(reply, Reply)]
            assert texts == [f"rate {n}" for n in range(QUESTIONS)]
            name = f"{judge.partition(':')[0]}, {share:.0%} faults"
            print(
                f"  {name:32} {took:6.2f} s {QUESTIONS / took:6.0f}/s  "
                f"{len(service.seen)} calls, {cpu / QUESTIONS * 1000:.1f} ms CPU a question"
            )


def some_of(faults: Sequence[Act], share: float) -> Script:
    """A script in which this share of the answers is one of the faults."""
    fates = random.Random(0)

    def act(text: str, _: int) -> Act:
        from loopback_judge import Say

        return fates.choice(faults) if fates.random() < share else Say(text)

    return act


def first(act: Act) -> Script:
    """A script in which this comes first, and a good reply afterwards."""
    from loopback_judge import Say

    return lambda _, before: Say() if before else act


def outcome(answer: Reply | BaseException) -> str:
    """In a few words."""
    if isinstance(answer, StageStoppedError):
        return "stops"
    if isinstance(answer, JudgeError):
        return "fails the file"
    assert isinstance(answer, Reply)
    if answer.refusal:
        return "no text"
    return f"answered, {answer.retries} retry" if answer.retries else "passed on as it came"


def fault_table() -> None:
    """Print what one question comes to when its first attempt meets each fault."""
    import loopback_judge as loopback

    Service.first_delay, Service.timeout = 0.05, 1.0
    tables = loopback.TRANSIENT, loopback.PERMANENT, loopback.UNWELCOME, loopback.REFUSED
    print(f"  {'first answer':32} " + "".join(f"{judge.partition(':')[0]:24}" for judge in JUDGES))
    for name, act in {name: act for table in tables for name, act in table.items()}.items():
        cells = []
        for judge in JUDGES:
            with loopback.LoopbackJudge(first(act)) as service:
                (answer,) = asyncio.run(ask(judge, service.url, questions(1)))
            cells.append(f"{outcome(answer):24}")
        print(f"  {name:32} " + "".join(cells))


def main() -> None:
    """Print both."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    os.environ["GEMINI_API_KEY"] = os.environ["OPENAI_API_KEY"] = "not-a-key"
    throughput()
    fault_table()


if __name__ == "__main__":
    main()
