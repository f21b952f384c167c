"""Rounds against a service that learns: what is asked, voted, trained, promoted, measured, and what fails."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from training import questions, starter
from training.outcomes import Base, Round
from training.questions import Prompt
from training.raters import Rater, people
from training.simulate import ADMIN, Answer, Plan, RequestFailed, Simulation, Thumb

POLITE = Rater("polite", lambda messages, answer: 0.95 if "please" in answer else 0.05)
RUDE = Rater("rude", lambda messages, answer: 0.0)


@dataclass
class Service:
    """Stands for the whole application: the more ups it has, the politer the next adapter."""

    manner: dict[str, float] = field(default_factory=lambda: {"base": 0.3})
    live: str = "base"
    auto: bool = False
    outcome: str = "passed"
    ends_as: str = "done"
    fail_every: int = 0
    deaf: bool = False
    """Promotions are acknowledged and never seen."""
    idle: bool = False
    """No worker."""
    calls: int = 0
    asked: list[tuple[str, str, str, float | None]] = field(default_factory=list)
    turns: dict[str, tuple[str, str]] = field(default_factory=dict)
    votes: list[tuple[str, str, Thumb]] = field(default_factory=list)
    promotions: list[tuple[str, str]] = field(default_factory=list)
    queue: list[dict[str, Any]] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    async def _door(self) -> None:
        await asyncio.sleep(0)
        self.calls += 1
        if self.fail_every and self.calls % self.fail_every == 0:
            raise RequestFailed("503: the engine starts")

    async def ask(self, name: str, prompt: Prompt, model: str, temperature: float | None) -> Answer:
        await self._door()
        who = self.live if model == "apprentice" else "base"
        question = questions.opening(prompt)
        self.asked.append((name, question, model, temperature))
        number = f"t{len(self.turns)}"
        self.turns[number] = (name, question)
        polite = self.rng.random() < self.manner[who]
        return Answer(number, f"please {number}" if polite else f"rude {number}", who)

    async def vote(self, name: str, answer_id: str, thumb: Thumb) -> Mapping[str, Any]:
        await self._door()
        assert self.turns[answer_id][0] == name, "people vote on their own turns only"
        self.votes.append((name, self.turns[answer_id][1], thumb))
        return {}

    async def queue_run(self) -> Mapping[str, Any]:
        await self._door()
        run = {"id": f"run-{len(self.queue)}", "state": "queued", "stage": "", "progress": 0.0}
        self.queue.append(run)
        return dict(run)

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        await self._door()
        run = self.queue[-1]
        if not self.idle and run["state"] == "queued":
            run |= {"state": "running", "stage": "train", "progress": 0.5}
        elif run["state"] == "running":
            self._finish(run)
        return [dict(row) for row in reversed(self.queue)]

    def _finish(self, run: dict[str, Any]) -> None:
        run |= {"state": self.ends_as, "reason": "why it ended"}
        if self.ends_as == "done":
            name = f"lora-{len(self.queue):012x}"
            self.manner[name] = 0.9 if self.outcome == "passed" else 0.1
            run |= {"adapter": name, "seconds": {"gather": 1.0, "train": 2.0}, "counts": {"training": 40}}
            if self.auto and self.outcome == "passed":
                self.live = name

    async def adapters(self) -> Sequence[Mapping[str, Any]]:
        await self._door()
        return [
            {"name": name, "live": name == self.live, "outcome": self.outcome, "reasons": ["because"]}
            for name in self.manner
            if name != "base"
        ]

    async def promote(self, name: str, reason: str) -> Mapping[str, Any]:
        await self._door()
        self.promotions.append((name, reason))
        if not self.deaf:
            self.live = name
        return {}


def plan(votes: int = 24, raters: Sequence[Rater] = (POLITE,), count: int = 300) -> Plan:
    training, held_out = questions.split(questions.as_prompts(starter.questions(count, seed=5)))
    players = people(raters, [4] * len(raters), seed=3)
    return Plan(
        players, training, held_out, votes, 3, poll_seconds=0.001, retry_seconds=0.0, patience_seconds=0.1
    )


async def play(service: Service, plan: Plan, rounds: int = 1) -> tuple[Base, list[Round], Simulation]:
    simulation = Simulation(service, plan)
    base = await simulation.base()
    return base, [await simulation.round(number) for number in range(1, rounds + 1)], simulation


async def test_a_round_learns_and_is_measured() -> None:
    service, given = Service(), plan()
    base, [first, second], simulation = await play(service, given, 2)
    assert base.heldout_score is not None
    assert base.heldout_score == pytest.approx(0.3 * 0.95 + 0.7 * 0.05, abs=0.12)
    assert base.failed_requests == 0
    assert (first.adapter, first.promoted, first.verdict) == ("lora-000000000001", True, "passed")
    assert first.reasons == ["because"]
    assert (first.votes, first.examples, first.train_seconds) == (24, 40, 2.0)
    assert first.heldout_low is not None
    assert base.heldout_high is not None
    assert first.heldout_low > base.heldout_high
    assert first.vote_to_live_seconds is not None
    assert set(first.parts) == {"queue", "gather", "train", "promote", "answer", "other"}
    assert first.forgetting == 0.0
    assert (first.failed_requests, first.failed, simulation.complaints) == (0, False, [])
    assert second.adapter == "lora-000000000002"
    assert [name for name, _ in service.promotions] == [first.adapter, second.adapter]


async def test_the_json_has_the_words_of_the_contract() -> None:
    _, [first], _ = await play(Service(), plan())
    assert list(first.as_dict()) == [
        "round", "adapter", "promoted", "verdict", "reasons", "votes", "examples", "train_seconds",
        "vote_to_live_seconds", "heldout_score", "heldout_low", "heldout_high", "forgetting",
        "failed_requests", "parts",
    ]  # fmt: skip


async def test_nobody_votes_on_what_is_held_out() -> None:
    service, given = Service(), plan()
    await play(service, given, 2)
    held_out = {questions.opening(prompt) for prompt in given.held_out}
    assert not held_out & {question for _, question, _ in service.votes}
    assert not held_out & {question for name, question, _, _ in service.asked if name != ADMIN}
    measured = Counter(question for name, question, model, _ in service.asked if name == ADMIN)
    draws = questions.SAMPLES // len(held_out)
    assert all(measured[question] == 3 * draws for question in held_out)


async def test_after_a_thumbs_down_the_same_is_asked_once_more() -> None:
    service, given = Service(), plan(votes=25)
    await play(service, given)
    assert len(service.votes) == 25
    assert Counter(name for name, _, _ in service.votes) == {
        "sim-3-1": 7, "sim-3-2": 6, "sim-3-3": 6, "sim-3-4": 6,
    }  # fmt: skip
    for name in {name for name, _, _ in service.votes}:
        mine = [(question, thumb) for person, question, thumb in service.votes if person == name]
        for number, (question, thumb) in enumerate(mine[1:], 1):
            first = number == 1 or mine[number - 2][0] != mine[number - 1][0]
            again = first and mine[number - 1][1] == "down"
            assert (question == mine[number - 1][0]) == again, (mine, thumb)


async def test_no_question_comes_twice_while_there_are_enough() -> None:
    service = Service(manner={"base": 1.0})
    await play(service, plan(votes=40, raters=(Rater("all", lambda messages, answer: 1.0),)), 3)
    asked = Counter(question for _, question, _ in service.votes)
    assert len(asked) == 120
    assert set(asked.values()) == {1}


async def test_votes_follow_the_seed() -> None:
    always = Rater("even", lambda messages, answer: 0.5)
    found = []
    for seed in (3, 3, 4):
        service = Service()
        await play(service, replace(plan(raters=(always,)), seed=seed))
        found.append(sorted(service.votes))
    assert found[0] == found[1] != found[2]


async def test_each_votes_by_its_own_taste_and_the_first_one_is_the_score() -> None:
    service = Service(manner={"base": 1.0})
    base, _, _ = await play(service, plan(votes=80, raters=(POLITE, RUDE)))
    ups = Counter(name for name, _, thumb in service.votes if thumb == "up")
    assert set(ups) == {"sim-3-1", "sim-3-2", "sim-3-3", "sim-3-4"}
    assert base.heldout_score == pytest.approx(0.95)


async def test_forgetting_is_the_change_of_the_general_probe() -> None:
    class Scholar(Service):
        async def ask(self, name: str, prompt: Prompt, model: str, temperature: float | None) -> Answer:
            answer = await super().ask(name, prompt, model, temperature)
            right = dict(questions.GENERAL).get(questions.opening(prompt), "")
            if answer.adapter == "base" and right in ("yes", "no"):
                return replace(answer, text=right)
            return answer

    base, [first], _ = await play(Scholar(), plan())
    assert base.general == 25
    assert first.forgetting == -25


async def test_models_and_temperatures() -> None:
    service = Service()
    await play(service, plan())
    probes = {question for question, _ in questions.GENERAL}
    for name, question, model, temperature in service.asked:
        assert temperature == (0.0 if question in probes else None)
        assert model == "apprentice" or name == ADMIN
    assert {model for _, question, model, _ in service.asked if question in probes} == {
        "apprentice",
        "apprentice-base",
    }


async def test_what_is_promoted_by_itself_is_not_promoted_again() -> None:
    service = Service(auto=True)
    _, [first], _ = await play(service, plan())
    assert first.promoted
    assert first.vote_to_live_seconds is not None
    assert service.promotions == []


@pytest.mark.parametrize("outcome", ["rejected", "not_enough_evidence"])
async def test_what_the_gate_refuses_is_not_promoted_and_no_failure(outcome: str) -> None:
    service = Service(outcome=outcome)
    _, [first], _ = await play(service, plan())
    assert (first.verdict, first.promoted, first.vote_to_live_seconds) == (outcome, False, None)
    assert (first.adapter, first.parts, first.failed) == ("lora-000000000001", {}, False)
    assert first.heldout_score is not None
    assert service.promotions == []


@pytest.mark.parametrize("state", ["failed", "parked", "cancelled"])
async def test_a_run_that_failed_fails_its_round_and_the_next_one_is_played(state: str) -> None:
    service = Service(ends_as=state)
    simulation = Simulation(service, plan())
    await simulation.base()
    first = await simulation.round(1)
    assert first.failed
    assert (first.adapter, first.verdict, first.examples, first.promoted) == (None, None, None, False)
    assert first.reasons == [f"the run ended as {state}: why it ended"]
    assert first.heldout_score is not None
    service.ends_as = "done"
    assert not (await simulation.round(2)).failed


async def test_without_a_worker_the_round_ends_in_words() -> None:
    _, [first], _ = await play(Service(idle=True), plan())
    assert first.failed
    assert first.reasons == ["no worker took the run within 0.1 s"]


async def test_a_run_that_was_given_back_and_lies_there_says_why() -> None:
    service = Service(idle=True)

    async def queue_run() -> Mapping[str, Any]:
        service.queue.append(
            {"id": "run-0", "state": "queued", "reason": "the engine is down", "attempts": 1}
        )
        return service.queue[0]

    service.queue_run = queue_run  # type: ignore[method-assign]
    _, [first], _ = await play(service, plan())
    assert first.reasons == ["the run failed (the engine is down), and no worker took it again within 0.1 s"]


async def test_an_adapter_that_never_answers_fails_the_round() -> None:
    _, [first], _ = await play(Service(deaf=True), plan())
    assert first.failed
    assert (first.verdict, first.vote_to_live_seconds) == ("passed", None)
    assert "did not answer" in first.reasons[-1]


async def test_failed_requests_are_counted_and_end_nothing() -> None:
    base, [first], simulation = await play(Service(fail_every=10), plan())
    assert first.votes == 24
    assert not first.failed
    assert first.failed_requests > 5
    assert base.failed_requests + first.failed_requests == len(simulation.complaints)
    assert simulation.complaints[0] == "503: the engine starts"


async def test_a_service_that_is_gone_ends_the_round_soon() -> None:
    _, [first], _ = await play(Service(fail_every=1), plan())
    assert first.failed
    assert first.votes == 0
    assert first.reasons == ["no vote could be given: 503: the engine starts"]
    assert (first.heldout_score, first.heldout_low, first.forgetting) == (None, None, None)


async def test_a_rater_that_breaks_on_some_answers_is_counted() -> None:
    def picky(messages: list[dict[str, Any]], answer: str) -> float:
        return 1.0 if int(answer.rpartition("t")[2]) % 5 else float("nan")

    base, [first], simulation = await play(Service(), plan(raters=(Rater("picky", picky),)))
    assert (base.heldout_score, first.heldout_score, first.votes) == (1.0, 1.0, 24)
    assert first.failed_requests > 0
    assert simulation.complaints[0] == "picky returned nan, expected a probability from 0 to 1"


async def test_progress_is_told() -> None:
    told: list[tuple[str, float]] = []
    simulation = Simulation(Service(), plan(), lambda what, share: told.append((what, share)))
    await simulation.base()
    await simulation.round(1)
    assert list(dict.fromkeys(what for what, _ in told)) == [
        "base: held-out score",
        "base: general probe",
        "round 1: votes",
        "round 1: waits for a worker",
        "round 1: train",
        "round 1: first answer",
        "round 1: held-out score",
        "round 1: general probe",
    ]
    assert all(0 <= share <= 1 for _, share in told)
