"""The canary: who is in it, what its votes come to, and how often it errs however often one looks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.records import Thumb, Vote
from training.canary import ERROR, Canary, Decision, Plan, Tally, arm, decide, running, tally
from training.records import CanaryAction, CanaryStep

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAME, LIVE = "lora-000000000001", "lora-000000000002"
PLAN = Plan()


def step(action: CanaryAction, share: float, after: float = 0.0, **more: Any) -> CanaryStep:
    """A row, so many hours after the start."""
    given = {"adapter": NAME, "against": LIVE, "actor": "ann", "reason": "why", "figures": {}} | more
    return CanaryStep(id=0, share=share, action=action, at=NOW + timedelta(hours=after), **given)


def started(share: float = 0.5) -> Canary:
    return Canary((step("start", share),))


def conversations(ours: bool, share: float = 0.5) -> list[str]:
    """Ids on one side of the hash."""
    return [name for number in range(400) if arm(name := f"conv-{number}", NAME, share) is ours]


def vote(conversation: str, adapter: str | None, thumb: Thumb = "up", after: float = 1.0) -> Vote:
    return Vote(conversation, adapter, NOW + timedelta(hours=after), thumb)


# -- rows ------------------------------------------------------------------------------------------


def test_a_canary_runs_from_its_start_until_a_row_ends_it() -> None:
    start, wider = step("start", 0.05), step("widen", 0.25, 2)
    assert running([]) is None
    assert running([start]) == Canary((start,))
    found = running([start, wider])
    assert found is not None
    assert (found.adapter, found.against, found.share, found.started_at) == (NAME, LIVE, 0.25, NOW)
    ends: tuple[CanaryAction, ...] = ("promote", "rollback", "stop")
    for end in ends:
        assert running([start, wider, step(end, 0.0, 3)]) is None
        assert running([start, step(end, 0.0, 1), wider]) is None, "a late step wakes nothing up"
    again = step("start", 0.05, 9)
    assert running([start, step("stop", 0.0, 1), again]) == Canary((again,))


def test_the_share_of_a_moment_is_that_of_the_step_before_it() -> None:
    found = Canary((step("start", 0.05), step("widen", 0.25, 2)))
    hours = (-1, 0, 1, 2, 3)
    assert [found.share_at(NOW + timedelta(hours=hour)) for hour in hours] == [0, 0.05, 0.05, 0.25, 0.25]


# -- arms ------------------------------------------------------------------------------------------


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_growing_share_never_moves_a_conversation_out(conversation: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert arm(conversation, NAME, small) <= arm(conversation, NAME, large)
    assert not arm(conversation, NAME, 0.0)
    assert arm(conversation, NAME, 1.0)


def test_the_share_is_kept_and_each_canary_draws_anew() -> None:
    names = [f"conv-{number}" for number in range(10_000)]
    mine = {name for name in names if arm(name, NAME, 0.05)}
    others = {name for name in names if arm(name, LIVE, 0.05)}
    assert 420 <= len(mine) <= 580
    assert len(mine & others) < 80


def test_the_hash_is_the_same_in_every_process_and_version() -> None:
    drawn = [arm(f"conv-{number}", NAME, 0.5) for number in range(8)]
    assert drawn == [False, True, False, False, True, True, False, False]


# -- votes -----------------------------------------------------------------------------------------


def test_the_first_thumb_of_a_conversation_counts_and_no_other() -> None:
    one, other = conversations(True)[0], conversations(False)[0]
    votes = [vote(one, NAME), *[vote(one, NAME, "down")] * 5, *[vote(other, LIVE, "down")] * 3]
    found = tally(started(), votes, 0.1)
    assert (found.ours.up, found.ours.count) == (1, 1)
    assert (found.theirs.up, found.theirs.count) == (0, 1)


def test_answers_of_somebody_else_than_the_hash_chose_count_on_neither_side() -> None:
    one, other = conversations(True)[0], conversations(False)[0]
    votes = [vote(one, LIVE), vote(one, None), vote(other, NAME), vote(other, "lora-000000000003")]
    votes += [vote(one, NAME, after=-1.0)]
    found = tally(started(), votes, 0.1)
    assert (found.ours.count, found.theirs.count) == (0, 0)


def test_against_the_base_the_base_s_answers_are_the_other_side() -> None:
    canary = Canary((step("start", 0.5, against=None),))
    found = tally(canary, [vote(conversations(False)[0], None)], 0.1)
    assert (found.ours.count, found.theirs.count) == (0, 1)


def test_a_conversation_that_a_wider_share_takes_in_may_count_once_on_each_side() -> None:
    canary = Canary((step("start", 0.05), step("widen", 0.5, 2)))
    late = next(name for name in conversations(True) if not arm(name, NAME, 0.05))
    votes = [vote(late, LIVE, after=1), vote(late, NAME, after=3), vote(late, LIVE, after=4)]
    found = tally(canary, votes, 0.1)
    assert (found.ours.count, found.theirs.count) == (1, 1)


# -- decisions -------------------------------------------------------------------------------------


def counted(ours: Sequence[bool], theirs: Sequence[bool], margin: float = 0.1) -> Tally:
    """A tally of votes that come in turn from one side and the other."""
    found = Tally(margin)
    for one, other in zip(ours, theirs, strict=True):
        found.add(True, one)
        found.add(False, other)
    return found


def decided(votes: Tally, share: float = 0.05, plan: Plan = PLAN, hours: float = 1.0) -> Decision:
    return decide(started(share), votes, plan, NOW + timedelta(hours=hours))


def test_without_votes_it_holds_until_its_time_is_over_and_then_ends() -> None:
    nothing = Tally(0.1)
    assert decided(nothing).action == "hold"
    assert "none of 0" in decided(nothing).reason
    over = decided(nothing, hours=14 * 24)
    assert (over.action, over.share) == ("stop", 0.0)
    assert over.reason.startswith("14 days went by without proof")


def test_good_votes_lead_from_step_to_step_and_at_last_to_promotion() -> None:
    votes = counted([True] * 30, [False, True] * 15)
    first = decided(votes)
    assert (first.action, first.share) == ("widen", 0.25)
    assert (
        first.reason
        == "it is not worse by 10 points: thumbs up in 100% of 30 conversations, against 50% of 30"
    )
    last = decided(votes, share=0.25)
    assert (last.action, last.share) == ("promote", 1.0)
    assert last.figures["canary"] == {"up": 30, "conversations": 30}
    assert last.figures["not_worse"] >= last.figures["needed"] == 20


def test_bad_votes_roll_it_back_at_any_step_also_when_its_time_is_over() -> None:
    votes = counted([False] * 30, [True] * 30)
    for share, hours in ((0.05, 1.0), (0.25, 1.0), (0.25, 1000.0)):
        found = decided(votes, share, hours=hours)
        assert (found.action, found.share) == ("rollback", 0.0)
        assert found.reason.startswith("its answers are liked less: thumbs up in 0% of 30")


def test_the_last_step_asks_for_all_the_proof_and_those_before_it_for_a_part() -> None:
    assert PLAN.needed(0.25) == pytest.approx(1 / ERROR)
    assert PLAN.needed(0.05) == pytest.approx((1 / ERROR) ** 0.5)
    assert Plan(steps=(0.5,)).needed(0.5) == pytest.approx(1 / ERROR)
    assert (PLAN.next(0.05), PLAN.next(0.25)) == (0.25, None)
    # The plan was changed while a canary ran: it goes on from where it is.
    assert PLAN.next(0.1) == 0.25
    assert PLAN.needed(0.5) == pytest.approx(1 / ERROR)


# -- how often it errs -----------------------------------------------------------------------------


def play(rng: random.Random, ours: float, theirs: float, most: int) -> tuple[str, int]:
    """A canary that is looked at after each vote: how it ends, and after how many votes on its side."""
    votes, share = Tally(PLAN.margin), PLAN.steps[0]
    for _ in range(most):
        side = rng.random() < share
        votes.add(side, rng.random() < (ours if side else theirs))
        found = decide(started(share), votes, PLAN, NOW)
        if found.action in ("promote", "rollback"):
            return found.action, votes.ours.count
        share = found.share
    return "hold", votes.ours.count


def played(seed: int, ours: float, theirs: float, runs: int, most: int) -> tuple[Counter[str], list[int]]:
    rng = random.Random(seed)
    ends = [play(rng, ours, theirs, most) for _ in range(runs)]
    return Counter(end for end, _ in ends), sorted(count for _, count in ends)


def test_one_that_is_equal_is_rolled_back_no_more_often_than_stated_and_mostly_promoted() -> None:
    ends, _ = played(1, 0.7, 0.7, runs=100, most=4000)
    assert ends["rollback"] <= 8  # 5 are allowed on average
    assert ends["promote"] >= 60


def test_one_that_is_worse_by_the_margin_is_promoted_no_more_often_than_stated() -> None:
    ends, _ = played(2, 0.6, 0.7, runs=100, most=4000)
    assert ends["promote"] <= 8  # 5 are allowed on average
    assert ends["rollback"] >= 50


def test_one_that_is_much_worse_is_rolled_back_soon() -> None:
    ends, counts = played(3, 0.3, 0.7, runs=200, most=4000)
    assert ends["rollback"] >= 190
    assert counts[189] <= 60, "votes on its side in the 190th quickest of 200"


def test_one_that_is_better_finishes() -> None:
    ends, counts = played(4, 0.85, 0.7, runs=100, most=4000)
    assert ends["promote"] >= 95
    assert counts[50] <= 60


@pytest.mark.parametrize(("less", "error"), [(0.0, "rollback"), (0.1, "promote")])
def test_people_of_different_minds_who_come_with_many_conversations_at_a_time_do_not_raise_the_error(
    less: float, error: str
) -> None:
    rng, ends = random.Random(7), Counter[str]()
    for _ in range(100):
        votes, share, end = Tally(PLAN.margin), PLAN.steps[0], "hold"
        person = 0.0
        for number in range(3000):
            person = rng.choice((0.3, 0.9)) if number % 20 == 0 else person
            side = rng.random() < share
            votes.add(side, rng.random() < person - less * side)
            found = decide(started(share), votes, PLAN, NOW)
            share = found.share
            if found.action in ("promote", "rollback"):
                end = found.action
                break
        ends[end] += 1
    assert ends[error] <= 8, ends  # 5 are allowed on average
