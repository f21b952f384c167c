"""The rows of canaries, on both databases: who may begin one, what ends it, and that no step is half."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import Connection

from feedback.database import Database
from feedback.records import Thumb
from feedback.store import Ending, NewTurn, Store, Verdict
from training import canaries as module
from training import registry as registry_module
from training.canaries import Canaries, Overtaken
from training.canary import Plan, arm
from training.records import Adapter, Evaluation, LostLease, NotFound, Outcome, Refused, TrainingError
from training.registry import Registry
from training.runs import Runs

A, B, C = (f"lora-{letter * 12}" for letter in "abc")
WHY = {"actor": "ann", "reason": "better answers"}
PLAN = Plan(steps=(0.25, 0.5))


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Adapters whose files are not what they were; how that is found out is the business of `adapters`."""
    found: set[str] = set()

    def verify(path: Path) -> None:
        if path.name in found:
            raise Refused(f"{path.name}: adapter_model.safetensors is not what was published")

    monkeypatch.setattr(registry_module.files, "verify", verify)
    return found


@pytest.fixture
def registry(database: Database, tmp_path: Path, tampered: set[str]) -> Registry:
    found = Registry(database, tmp_path / "adapters")
    for name in (A, B, C):
        candidate(found, name)
    return found


@pytest.fixture
def canaries(database: Database, registry: Registry) -> Canaries:
    return Canaries(database, registry, PLAN)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def candidate(registry: Registry, name: str, outcome: Outcome | None = "passed") -> None:
    now = datetime.now(UTC)
    with suppress(NotFound):
        registry.get(name)
        registry.record(Evaluation(name, None, outcome or "rejected", (), {}, now))
        return
    registry.add(Adapter(name, registry.folder / name, "starter", "0" * 64, None, 8, now))
    if outcome is not None:
        registry.record(Evaluation(name, None, outcome, (), {}, now))


def vote(store: Store, canaries: Canaries, ours: Thumb, theirs: Thumb, each: int = 30) -> None:
    """So many conversations on each side of the running canary, each with one vote."""
    canary = canaries.now()
    sides: tuple[list[str], list[str]] = ([], [])
    assert canary is not None
    while min(map(len, sides)) < each:
        conversation = store.start_conversation("ann", "Hi").id
        sides[arm(conversation, canary.adapter, canary.share)].append(conversation)
    prompt = [{"role": "user", "content": "Hi"}]
    # In turn: a vote waits for one of the other side before it is bet on.
    for pair in islice(zip(*sides, strict=False), each):
        for conversation, adapter, thumb in zip(
            pair, (canary.against, canary.adapter), (theirs, ours), strict=True
        ):
            turn = store.begin(NewTurn(conversation, None, "ann", "Hi", prompt, "m", adapter, {}))
            store.end(turn, Ending("complete", "Hello."))
            store.judge(turn.id, "ann", "user", Verdict(thumb))


def actions(canaries: Canaries) -> list[str]:
    return [step.action for step in reversed(canaries.history())]


# -- beginning -------------------------------------------------------------------------------------


def test_it_begins_with_the_first_share_of_the_plan_against_what_is_live(
    registry: Registry, canaries: Canaries
) -> None:
    assert canaries.now() is None
    assert canaries.look() is None
    registry.promote(B, **WHY)
    begun = canaries.start(A, actor="ann", reason="  kinder \n")
    assert canaries.now() == begun
    assert (begun.adapter, begun.against, begun.share) == (A, B, 0.25)
    (row,) = canaries.history()
    assert (row.action, row.actor, row.reason) == ("start", "ann", "kinder")
    live = registry.live()
    assert live is not None
    assert live.name == B


def test_only_what_may_be_promoted_may_begin(
    registry: Registry, canaries: Canaries, tampered: set[str]
) -> None:
    d, e = "lora-dddddddddddd", "lora-eeeeeeeeeeee"
    candidate(registry, d, "rejected")
    candidate(registry, e, None)
    registry.retire(C)
    registry.promote(B, **WHY)
    tampered.add(A)
    for name, why in {
        d: "did not pass the gate",
        e: "has not been evaluated",
        C: "is retired",
        B: "is live already",
        A: "is not what was published",
        "base": "needs no canary",
    }.items():
        with pytest.raises(Refused, match=why):
            canaries.start(name, **WHY)
    with pytest.raises(NotFound):
        canaries.start("lora-ffffffffffff", **WHY)
    tampered.clear()
    with pytest.raises(Refused, match="needs a reason"):
        canaries.start(A, actor="ann", reason=" ")
    assert canaries.history() == []


def test_there_is_one_at_a_time_and_two_that_begin_at_once_are_one(
    registry: Registry, canaries: Canaries
) -> None:
    ready = threading.Barrier(4)

    def start(name: str) -> str | None:
        ready.wait()
        with suppress(Refused):
            return canaries.start(name, **WHY).adapter
        return None

    with ThreadPoolExecutor(4) as pool:
        begun = [name for name in pool.map(start, (A, B, A, C)) if name]
    assert len(begun) == 1
    assert actions(canaries) == ["start"]
    with pytest.raises(Refused, match=f"a canary of {begun[0]} is running"):
        canaries.start(B, **WHY)


def test_a_worker_that_lost_its_run_begins_nothing(database: Database, canaries: Canaries) -> None:
    runs = Runs(database, timedelta(seconds=-1))
    runs.queue("dpo", "test")
    zombie, _ = runs.claim("one"), runs.claim("two")
    assert zombie is not None

    def fence(connection: Connection) -> None:
        runs.fence(connection, zombie)

    with pytest.raises(LostLease):
        canaries.start(A, **WHY, fence=fence)
    assert canaries.now() is None


# -- ends that people make -------------------------------------------------------------------------


def test_a_veto_ends_it_with_its_reason(canaries: Canaries) -> None:
    canaries.start(A, **WHY)
    with pytest.raises(Refused, match="needs a reason"):
        canaries.stop(actor="eve", reason="")
    row = canaries.stop(actor="eve", reason="it flatters")
    assert (row.action, row.share, row.actor, row.reason) == ("stop", 0.0, "eve", "it flatters")
    assert canaries.now() is None
    with pytest.raises(Refused, match="no canary is running"):
        canaries.stop(actor="eve", reason="again")
    assert canaries.start(A, **WHY).share == 0.25


@pytest.mark.parametrize(
    ("name", "action", "share"), [("base", "stop", 0.0), (C, "stop", 0.0), (A, "promote", 1.0)]
)
def test_a_promotion_of_whatever_by_hand_ends_it_in_the_same_breath(
    registry: Registry, canaries: Canaries, name: str, action: str, share: float
) -> None:
    registry.promote(B, **WHY)
    canaries.start(A, **WHY)
    registry.promote(name, actor="eve", reason="now")
    assert canaries.now() is None
    row = canaries.history()[0]
    assert (row.action, row.share, row.actor, row.reason) == (
        action,
        share,
        "eve",
        f"{name} was made live: now",
    )


def test_a_rollback_ends_it(registry: Registry, canaries: Canaries) -> None:
    registry.promote(B, **WHY)
    canaries.start(A, **WHY)
    registry.rollback(actor="eve", reason="worse")
    assert canaries.now() is None
    assert actions(canaries) == ["start", "stop"]


def test_a_promotion_that_is_refused_leaves_it_as_it_is(registry: Registry, canaries: Canaries) -> None:
    begun = canaries.start(A, **WHY)
    candidate(registry, C, "rejected")
    with pytest.raises(Refused):
        registry.promote(C, **WHY)
    assert canaries.now() == begun


def test_it_can_not_be_retired_while_it_runs(registry: Registry, canaries: Canaries) -> None:
    canaries.start(A, **WHY)
    with pytest.raises(Refused, match="is the canary; stop it first"):
        registry.retire(A)
    assert not registry.get(A).retired
    canaries.stop(**WHY)
    assert registry.retire(A).retired


# -- steps that it takes by itself -----------------------------------------------------------------


def test_good_votes_widen_it_and_promote_it_at_last(
    registry: Registry, canaries: Canaries, store: Store
) -> None:
    canaries.start(A, **WHY)
    assert canaries.advance() is None
    vote(store, canaries, "up", "down")
    wider = canaries.advance()
    assert wider is not None
    assert (wider.action, wider.share) == ("widen", 0.5)
    now = canaries.now()
    assert now is not None
    assert now.share == 0.5
    last = canaries.advance()
    assert last is not None
    assert last.action == "promote"
    assert canaries.now() is None
    assert actions(canaries) == ["start", "widen", "promote"]
    promotion, live, row = registry.history()[0], registry.live(), canaries.history()[0]
    assert live is not None
    assert live.name == A
    assert (promotion.actor, promotion.reason) == ("canary", row.reason)
    assert row.share == 1.0
    assert row.figures["canary"] == {"up": 30, "conversations": 30}
    assert canaries.advance() is None


def test_bad_votes_roll_it_back_and_what_is_live_stays(
    registry: Registry, canaries: Canaries, store: Store
) -> None:
    registry.promote(B, **WHY)
    canaries.start(A, **WHY)
    vote(store, canaries, "down", "up")
    done = canaries.advance()
    assert done is not None
    assert done.action == "rollback"
    assert canaries.now() is None
    live = registry.live()
    assert live is not None
    assert (live.name, len(registry.history())) == (B, 1)


def test_votes_of_before_and_of_an_earlier_canary_do_not_count(canaries: Canaries, store: Store) -> None:
    canaries.start(A, **WHY)
    vote(store, canaries, "down", "up")
    canaries.stop(**WHY)
    canaries.start(A, **WHY)
    found = canaries.look()
    assert found is not None
    assert found[1].figures["canary"]["conversations"] == 0


def test_without_proof_it_ends_after_its_time(canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    canaries.start(A, **WHY)
    later = datetime.now(UTC) + timedelta(days=15)
    monkeypatch.setattr(module, "_now", lambda: later)
    done = canaries.advance()
    assert done is not None
    assert (done.action, canaries.now()) == ("stop", None)


def test_what_can_not_be_promoted_any_more_is_stopped_and_says_why(
    registry: Registry, canaries: Canaries, store: Store, tampered: set[str]
) -> None:
    canaries.start(A, **WHY)
    vote(store, canaries, "up", "down")
    canaries.advance()
    tampered.add(A)
    done = canaries.advance()
    assert done is not None
    assert (done.action, done.reason.partition(":")[0]) == ("stop", "it can't be promoted")
    assert canaries.now() is None
    assert registry.live() is None


def test_it_ends_when_another_base_is_served(registry: Registry, canaries: Canaries) -> None:
    canaries.start(A, **WHY)
    registry.fits = lambda _: False
    decision = canaries.advance()
    assert decision is not None
    assert (decision.action, canaries.now()) == ("stop", None)
    assert "another base model" in canaries.history(1)[0].reason
    with pytest.raises(Refused, match="another base model"):
        canaries.start(A, **WHY)


def test_two_workers_take_each_step_once(
    database: Database, registry: Registry, canaries: Canaries, store: Store
) -> None:
    canaries.start(A, **WHY)
    vote(store, canaries, "up", "down")
    others = [Canaries(database, registry, PLAN) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: [one.advance() for _ in range(3)], others))
    assert actions(canaries) == ["start", "widen", "promote"]
    assert len(registry.history()) == 1


def test_a_step_that_was_decided_before_a_veto_is_not_taken_after_it(
    registry: Registry, canaries: Canaries, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries.start(A, **WHY)
    vote(store, canaries, "up", "down")
    for _ in range(2):
        found = canaries.look()
        assert found is not None
        canaries.advance()
    assert found[1].action == "promote"
    registry.promote("base", actor="eve", reason="no")
    monkeypatch.setattr(canaries, "look", lambda: found)
    assert canaries.advance() is None
    assert registry.live() is None


def test_a_kill_between_the_two_rows_of_a_promotion_leaves_neither(
    registry: Registry, canaries: Canaries, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries.start(A, **WHY)
    vote(store, canaries, "up", "down")
    canaries.advance()
    real = module._next

    def dies(*given: object) -> None:
        real(*given)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_next", dies)
    with pytest.raises(KeyboardInterrupt):
        canaries.advance()
    assert actions(canaries) == ["start", "widen"]
    assert registry.live() is None


def test_what_goes_wrong_with_a_canary_is_told_apart() -> None:
    kinds: Sequence[type[Exception]] = (Overtaken, Refused)
    assert all(issubclass(kind, TrainingError) for kind in kinds)
    assert not issubclass(Overtaken, Refused)
