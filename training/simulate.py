"""The loop with simulated people: they ask, vote and ask again; then a run, the gate, a promotion, a score.

Owns the rounds and what is measured in them. What it needs of the service it declares (`Doors`), and the
application hands it in. Knows no HTTP, no accounts, no screen and no file.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, Literal, Protocol, TypeVar

from training import questions
from training.outcomes import Base, Round, Score, examples_of, parts_of, score
from training.questions import Prompt
from training.raters import BadRater, Person
from training.records import TrainingError

log = logging.getLogger(__name__)

T = TypeVar("T")
Thumb = Literal["up", "down"]
Tell = Callable[[str, float], None]
"""Hears what is being done and how much of it is done, 0 to 1."""

LIVE, BASE = "apprentice", "apprentice-base"
ADMIN = "sim-admin"
"""The account that queues runs, promotes, and asks what is only measured."""

_AT_ONCE = 16
# Prompts in a row without a vote after which a person leaves the round: service gone, or rater broken.
_MISSES = 3


class RequestFailed(TrainingError):
    """The service did not do what was asked; the message says why."""


class _Ended(TrainingError):
    """The round can't go on to a promoted candidate; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a question. `adapter` is the name of who answered, `base` for the bare model."""

    id: str
    text: str
    adapter: str


class Doors(Protocol):
    """The service as seen from outside. Everything may raise `RequestFailed`; rows are those of `/v1`."""

    async def ask(self, name: str, prompt: Prompt, model: str, temperature: float | None) -> Answer:
        """An answer for the account `name`; without a temperature, at the service's own."""

    async def vote(self, name: str, answer_id: str, thumb: Thumb) -> Mapping[str, Any]:
        """A thumb by the account `name`."""

    async def queue_run(self) -> Mapping[str, Any]:
        """Queue a training run."""

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        """The newest runs."""

    async def adapters(self) -> Sequence[Mapping[str, Any]]:
        """Every adapter."""

    async def promote(self, name: str, reason: str) -> Mapping[str, Any]:
        """Make an adapter live."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who asks what. The score is the taste of the first person's rater."""

    people: Sequence[Person]
    training: Sequence[Prompt]
    held_out: Sequence[Prompt]
    votes: int
    """A round."""
    seed: int
    poll_seconds: float = 0.5
    retry_seconds: float = 1.0
    patience_seconds: float = 300.0
    """How long a run may wait for a worker, the service be silent, and a promoted adapter not answer."""


@dataclass(slots=True)
class _Course:
    """How far a round came, noted on the way, so that it can be told wherever it ends."""

    votes: int = 0
    failed: int = 0
    last_vote: float = 0.0
    run: Mapping[str, Any] = field(default_factory=dict)
    verdict: str | None = None
    reasons: Sequence[str] = ()
    promoted: bool = False
    vote_to_live: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


class Simulation:
    """Plays rounds against a service. Failed requests are counted, and end nothing."""

    def __init__(self, doors: Doors, plan: Plan, tell: Tell = lambda what, share: None) -> None:
        self._doors, self._plan, self._tell = doors, plan, tell
        self._room = asyncio.Semaphore(_AT_ONCE)
        own = questions.deal(plan.training, len(plan.people), plan.seed)
        self._next: list[Iterator[Prompt]] = [cycle(prompts) for prompts in own]
        self._course = _Course()
        self._general_before: float | None = None
        self.complaints: list[str] = []
        """Each request or rating that failed, in words, in order."""

    async def base(self) -> Base:
        """Measure the bare base model; before the first round, or there is nothing to compare with."""
        self._course = _Course()
        found = await self._held_out(BASE, "base")
        mean, low, high = found or (None, None, None)
        self._general_before = await self._general(BASE, "base")
        return Base(mean, low, high, self._general_before, self._course.failed)

    async def round(self, number: int) -> Round:
        """People vote, a run trains, the gate decides, and what is live after that is measured."""
        course = self._course = _Course()
        try:
            await self._voting(number)
            await self._training(number)
            await self._promotion(number)
        except _Ended as error:
            course.reasons = [*course.reasons, str(error)]
        found = await self._held_out(LIVE, f"round {number}")
        general, before = await self._general(LIVE, f"round {number}"), self._general_before
        mean, low, high = found or (None, None, None)
        return Round(
            round=number,
            adapter=course.run.get("adapter"),
            promoted=course.promoted,
            verdict=course.verdict,
            reasons=list(course.reasons),
            votes=course.votes,
            examples=examples_of(course.run),
            train_seconds=(course.run.get("seconds") or {}).get("train"),
            vote_to_live_seconds=course.vote_to_live,
            heldout_score=mean,
            heldout_low=low,
            heldout_high=high,
            forgetting=None if general is None or before is None else round(general - before, 2),
            failed_requests=course.failed,
            parts=course.parts,
        )

    async def _voting(self, number: int) -> None:
        """Everybody asks and votes at their own pace, one thing at a time, until all votes are given."""
        plan = self._plan
        each, more = divmod(plan.votes, len(plan.people))
        self._tell(f"round {number}: votes", 0.0)
        await asyncio.gather(
            *(self._person(index, each + (index < more), number) for index in range(len(plan.people)))
        )
        if not self._course.votes:
            raise _Ended(f"no vote could be given: {self.complaints[-1]}")

    async def _person(self, index: int, quota: int, number: int) -> None:
        """One person's round: a new question a time; after a thumbs-down the same again, once."""
        given, misses = 0, 0
        while given < quota and misses < _MISSES:
            prompt = next(self._next[index])
            for _ in range(2):
                draw = random.Random(f"{self._plan.seed} {number} {index} {given}").random()
                thumb = await self._ask_and_vote(self._plan.people[index], prompt, draw)
                if thumb is None:
                    misses += 1
                    break
                given, misses = given + 1, 0
                if thumb == "up" or given == quota:
                    break
            self._tell(f"round {number}: votes", self._course.votes / self._plan.votes)

    async def _ask_and_vote(self, person: Person, prompt: Prompt, draw: float) -> Thumb | None:
        answer = await self._try(lambda: self._doors.ask(person.name, prompt, LIVE, None))
        rate = None if answer is None else self._rate(person, prompt, answer)
        if answer is None or rate is None:
            return None
        thumb: Thumb = "up" if draw < rate else "down"
        if await self._try(lambda: self._doors.vote(person.name, answer.id, thumb)) is None:
            return None
        self._course.votes += 1
        self._course.last_vote = time.monotonic()
        return thumb

    def _rate(self, person: Person, prompt: Prompt, answer: Answer) -> float | None:
        try:
            return person.rater(prompt, answer.text)
        except BadRater as error:
            self._complain(error)
            return None

    async def _training(self, number: int) -> None:
        """Queue a run and watch it to its end. Raises `_Ended` if that is not a candidate."""
        queued = await self._try(self._doors.queue_run)
        if queued is None:
            raise _Ended(f"no run could be queued: {self.complaints[-1]}")
        run, moved = queued, time.monotonic()
        while run["state"] in ("queued", "running"):
            stage = run.get("stage") or "waits for a worker"
            self._tell(f"round {number}: {stage}", run.get("progress") or 0.0)
            await asyncio.sleep(self._plan.poll_seconds)
            found = await self._try(self._doors.runs) or ()
            seen = next((row for row in found if row["id"] == queued["id"]), None)
            # A run may train for hours; what nobody works on is not waited for without end.
            if seen is not None and seen["state"] != "queued":
                moved = time.monotonic()
            elif time.monotonic() - moved > self._plan.patience_seconds:
                raise _Ended(f"{_silence(seen)} within {self._plan.patience_seconds:g} s")
            run = seen or run
        self._course.run = run
        if run["state"] != "done" or not run.get("adapter"):
            raise _Ended(f"the run ended as {run['state']}: {run.get('reason') or 'no reason given'}")

    async def _promotion(self, number: int) -> None:
        """Read the gate's verdict; promote what passed, and wait for its first answer."""
        course, ended = self._course, time.monotonic()
        name = course.run["adapter"]
        rows = await self._try(self._doors.adapters) or ()
        found = next((row for row in rows if row["name"] == name), None)
        if found is None or not found.get("outcome"):
            raise _Ended(f"nothing is known about {name}")
        course.verdict, course.reasons = found["outcome"], found.get("reasons") or ()
        # With `promotion.mode=auto` the worker has promoted it by now.
        course.promoted = bool(found.get("live"))
        if course.verdict != "passed":
            return
        if not course.promoted:
            why = f"simulate, round {number}: passed the gate"
            if await self._try(lambda: self._doors.promote(name, why)) is None:
                raise _Ended(f"{name} could not be promoted: {self.complaints[-1]}")
            course.promoted = True
        promoted = time.monotonic()
        await self._first_answer(number, name)
        now = time.monotonic()
        course.vote_to_live = round(now - course.last_vote, 2)
        course.parts = parts_of(course.run, promoted - ended, now - promoted, course.vote_to_live)

    async def _first_answer(self, number: int, name: str) -> None:
        started, prompt = time.monotonic(), self._plan.training[0]
        self._tell(f"round {number}: first answer", 0.0)
        while True:
            answer = await self._try(lambda: self._doors.ask(ADMIN, prompt, LIVE, None))
            if answer is not None and answer.adapter == name:
                return
            if time.monotonic() - started > self._plan.patience_seconds:
                raise _Ended(f"{name} was promoted, but did not answer in {self._plan.patience_seconds:g} s")
            await asyncio.sleep(self._plan.poll_seconds / 5)

    async def _held_out(self, model: str, label: str) -> Score | None:
        """The first rater's mean rate over fresh answers to the held-out prompts."""
        prompts, judge = self._plan.held_out, self._plan.people[0]
        draws = max(1, questions.SAMPLES // len(prompts))
        answers = await self._ask_all(
            [prompt for prompt in prompts for _ in range(draws)], model, None, f"{label}: held-out score"
        )
        rates: list[list[float]] = [[] for _ in prompts]
        for number, answer in enumerate(answers):
            if answer is not None:
                rate = self._rate(judge, prompts[number // draws], answer)
                rates[number // draws] += [] if rate is None else [rate]
        return score(rates, self._plan.seed)

    async def _general(self, model: str, label: str) -> float | None:
        """Percent right of the general questions, asked without sampling."""
        prompts = questions.as_prompts([question for question, _ in questions.GENERAL])
        answers = await self._ask_all(prompts, model, 0.0, f"{label}: general probe")
        return questions.percent_right([answer.text if answer else None for answer in answers])

    async def _ask_all(
        self, prompts: Sequence[Prompt], model: str, temperature: float | None, label: str
    ) -> list[Answer | None]:
        done = 0

        async def one(prompt: Prompt) -> Answer | None:
            nonlocal done
            answer = await self._try(lambda: self._doors.ask(ADMIN, prompt, model, temperature))
            done += 1
            self._tell(label, done / len(prompts))
            return answer

        self._tell(label, 0.0)
        return list(await asyncio.gather(*(one(prompt) for prompt in prompts)))

    async def _try(self, act: Callable[[], Awaitable[T]]) -> T | None:
        """What a request gives; one that failed is tried once more. Each failure counts."""
        for last in (False, True):
            try:
                async with self._room:
                    return await act()
            except RequestFailed as error:
                self._complain(error)
            if not last:
                await asyncio.sleep(self._plan.retry_seconds)
        return None

    def _complain(self, error: TrainingError) -> None:
        self._course.failed += 1
        self.complaints.append(str(error))
        log.debug("%s", error)


def _silence(run: Mapping[str, Any] | None) -> str:
    """Why a run that nobody works on is given up."""
    if run is None:
        return "the service had nothing to say about the run"
    if run.get("reason"):
        return f"the run failed ({run['reason']}), and no worker took it again"
    return "no worker took the run"
