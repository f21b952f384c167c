"""Tests of the registry, on both databases: what may become live, and the way back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select

from feedback.database import Database
from training import registry as module
from training.records import Adapter, Check, Evaluation, LostLease, NotFound, Outcome, Promotion, Refused
from training.registry import Registry, lineage
from training.runs import Runs
from training.schema import promotions

A, B, C = (f"lora-{letter * 12}" for letter in "abc")
WHY = {"actor": "ann", "reason": "better answers"}


@pytest.fixture
def tampered(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Folders whose files are not what they were; how that is found out is the business of `adapters`."""
    found: set[Path] = set()

    def verify(path: Path) -> None:
        if path in found:
            raise Refused(f"{path.name}: adapter_model.safetensors is not what was published")

    monkeypatch.setattr(module.files, "verify", verify)
    return found


@pytest.fixture
def registry(database: Database, tmp_path: Path, tampered: set[Path]) -> Registry:
    return Registry(database, tmp_path / "adapters")


def adapter(registry: Registry, name: str, **more: object) -> Adapter:
    found = Adapter(
        name=name,
        path=registry.folder / name,
        base="/models/starter",
        base_hash="0" * 64,
        run_id=None,
        rank=8,
        created_at=datetime.now(UTC),
        manifest={"run": "run-1"},
    )
    return replace(found, **more)  # type: ignore[arg-type]


def verdict(name: str, outcome: Outcome = "passed", *checks: Check) -> Evaluation:
    return Evaluation(name, None, outcome, checks, {"pairs": 10}, datetime.now(UTC))


def candidates(registry: Registry, *names: str) -> None:
    for name in names:
        registry.add(adapter(registry, name))
        registry.record(verdict(name))


def live(registry: Registry) -> str | None:
    found = registry.live()
    return found.name if found else None


# -- candidates ------------------------------------------------------------------------------------


def test_a_candidate_is_kept_as_it_was_entered(registry: Registry) -> None:
    entered = registry.add(adapter(registry, A))
    assert registry.get(A) == entered
    assert isinstance(registry.get(A).path, Path)
    assert registry.all() == [entered]
    assert live(registry) is None, "a candidate answers nobody"
    with pytest.raises(NotFound, match=B):
        registry.get(B)


def test_entering_the_same_content_again_changes_nothing(registry: Registry) -> None:
    first = registry.add(adapter(registry, A))
    again = registry.add(adapter(registry, A, rank=16, created_at=datetime(2020, 1, 1, tzinfo=UTC)))
    assert again == first == registry.get(A)
    assert len(registry.all()) == 1


def test_only_the_holder_of_the_run_enters_and_promotes(registry: Registry, database: Database) -> None:
    ledger = Runs(database)
    ledger.queue("dpo", "test")
    holder = ledger.claim("w")
    assert holder is not None
    zombie = replace(holder, token=0)

    def fence(run: object) -> Callable[[Connection], None]:
        return lambda connection: ledger.fence(connection, run)  # type: ignore[arg-type]

    with pytest.raises(LostLease):
        registry.add(adapter(registry, A, run_id=holder.id), fence(zombie))
    assert registry.all() == []
    registry.add(adapter(registry, A, run_id=holder.id), fence(holder))
    registry.record(verdict(A))
    with pytest.raises(LostLease):
        registry.promote(A, **WHY, fence=fence(zombie))
    assert registry.history() == []
    registry.promote(A, **WHY, fence=fence(holder))
    assert live(registry) == A


# -- promotion -------------------------------------------------------------------------------------


def test_a_promotion_is_a_row_that_says_who_and_why(registry: Registry) -> None:
    candidates(registry, A)
    row = registry.promote(A, actor="ann", reason="  kinder \n")
    assert (row.adapter, row.action, row.actor, row.reason) == (A, "promote", "ann", "kinder")
    assert live(registry) == A
    assert registry.history() == [row]
    assert row.at.tzinfo is not None


def test_what_nobody_evaluated_is_not_promoted(registry: Registry) -> None:
    registry.add(adapter(registry, A))
    with pytest.raises(Refused, match=f"has not been evaluated; run `apprentice evaluate {A}`"):
        registry.promote(A, **WHY)
    assert registry.history() == []


@pytest.mark.parametrize(
    ("outcome", "checks", "said"),
    [
        ("rejected", [Check("loads", True, "yes"), Check("length", False, "3 times as long")], "3 times as"),
        ("not_enough_evidence", [Check("held-out preference", None, "only 2 examples")], "only 2 examples"),
        ("rejected", [], "rejected"),
    ],
)
def test_what_did_not_pass_is_refused_with_the_reason(
    registry: Registry, outcome: Outcome, checks: list[Check], said: str
) -> None:
    registry.add(adapter(registry, A))
    registry.record(verdict(A, outcome, *checks))
    with pytest.raises(Refused, match=said):
        registry.promote(A, **WHY)
    assert live(registry) is None


def test_the_newest_evaluation_counts(registry: Registry) -> None:
    registry.add(adapter(registry, A))
    registry.record(verdict(A, "rejected"))
    registry.record(verdict(A, "passed"))
    registry.promote(A, **WHY)
    registry.record(verdict(A, "rejected", Check("length", False, "too long")))
    found = registry.evaluation(A)
    assert found is not None
    assert found.checks == (Check("length", False, "too long"),)
    with pytest.raises(Refused, match="too long"):
        registry.promote(A, **WHY)
    assert live(registry) == A, "a bad evaluation takes nothing away from what answers"


def test_files_that_changed_since_they_were_published_are_refused(
    registry: Registry, tampered: set[Path]
) -> None:
    candidates(registry, A, B)
    registry.promote(A, **WHY)
    tampered.add(registry.get(B).path)
    with pytest.raises(Refused, match=r"adapter_model.safetensors is not what was published"):
        registry.promote(B, **WHY)
    assert live(registry) == A


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_reason_must_be_given(registry: Registry, reason: str) -> None:
    candidates(registry, A)
    for act in (lambda: registry.promote(A, actor="ann", reason=reason),
                lambda: registry.rollback(actor="ann", reason=reason)):  # fmt: skip
        with pytest.raises(Refused, match="needs a reason"):
            act()
    assert registry.history() == []


def test_an_unknown_name_is_not_found(registry: Registry) -> None:
    for act in (lambda: registry.promote(A, **WHY), lambda: registry.retire(A)):
        with pytest.raises(NotFound, match=A):
            act()


def test_base_takes_every_adapter_away_and_needs_no_evaluation(registry: Registry) -> None:
    candidates(registry, A)
    registry.promote(A, **WHY)
    row = registry.promote("base", **WHY)
    assert (row.adapter, live(registry)) == (None, None)
    assert registry.rollback(**WHY).adapter == A


# -- retiring --------------------------------------------------------------------------------------


def test_a_retired_adapter_is_not_promoted_any_more(registry: Registry) -> None:
    candidates(registry, A)
    assert registry.retire(A).retired
    with pytest.raises(Refused, match="is retired"):
        registry.promote(A, **WHY)


def test_the_live_adapter_can_not_be_retired(registry: Registry) -> None:
    candidates(registry, A, B)
    registry.promote(A, **WHY)
    with pytest.raises(Refused, match="is live"):
        registry.retire(A)
    assert not registry.get(A).retired
    registry.promote(B, **WHY)
    assert registry.retire(A).retired


def test_retired_in_the_middle_of_its_promotion_it_is_not_both(
    registry: Registry, database: Database
) -> None:
    candidates(registry, A)

    def retire() -> None:
        with suppress(Refused):
            registry.retire(A)

    retiring = threading.Thread(target=retire)

    def before_the_row(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        """It has been seen to be in service, and is about to become live."""
        if statement.startswith("INSERT INTO promotions"):
            retiring.start()
            retiring.join(0.2)

    event.listen(database._engine, "before_cursor_execute", before_the_row)
    registry.promote(A, **WHY)
    event.remove(database._engine, "before_cursor_execute", before_the_row)
    retiring.join(10)
    assert (live(registry), registry.get(A).retired) == (A, False)


# -- the way back ----------------------------------------------------------------------------------


def test_rolling_back_goes_through_the_versions_and_does_not_swing(registry: Registry) -> None:
    candidates(registry, A, B, C)
    for name in (A, B, C):
        registry.promote(name, **WHY)
    went = [registry.rollback(**WHY).adapter for _ in range(3)]
    assert went == [B, A, None]
    with pytest.raises(Refused, match="nothing to go back to"):
        registry.rollback(**WHY)
    assert live(registry) is None
    assert [row.action for row in registry.history()] == ["rollback"] * 3 + ["promote"] * 3


def test_a_promotion_after_a_rollback_starts_from_where_that_led(registry: Registry) -> None:
    candidates(registry, A, B, C)
    registry.promote(A, **WHY)
    registry.promote(B, **WHY)
    registry.rollback(**WHY)
    registry.promote(C, **WHY)
    assert [registry.rollback(**WHY).adapter for _ in range(2)] == [A, None], "B was taken back for good"


def test_what_was_rolled_back_may_be_promoted_again(registry: Registry) -> None:
    candidates(registry, A, B)
    registry.promote(A, **WHY)
    registry.promote(B, **WHY)
    registry.rollback(**WHY)
    registry.promote(B, **WHY)
    assert live(registry) == B
    assert registry.rollback(**WHY).adapter == A


def test_promoting_what_is_live_adds_no_step_to_the_way_back(registry: Registry) -> None:
    candidates(registry, A, B)
    for name in (A, B, B):
        registry.promote(name, **WHY)
    assert registry.rollback(**WHY).adapter == A


def test_the_way_back_passes_over_what_is_retired(registry: Registry) -> None:
    candidates(registry, A, B, C)
    for name in (A, B, C):
        registry.promote(name, **WHY)
    registry.retire(B)
    assert registry.rollback(**WHY).adapter == A


def test_the_way_back_never_leads_to_what_is_live(registry: Registry) -> None:
    candidates(registry, A, B)
    for name in (A, B, A):
        registry.promote(name, **WHY)
    registry.retire(B)
    assert registry.rollback(**WHY).adapter is None


def test_the_way_back_does_not_lead_to_files_that_changed(registry: Registry, tampered: set[Path]) -> None:
    candidates(registry, A, B)
    registry.promote(A, **WHY)
    registry.promote(B, **WHY)
    tampered.add(registry.get(A).path)
    with pytest.raises(Refused, match="not what was published"):
        registry.rollback(**WHY)
    assert live(registry) == B
    registry.retire(A)
    assert registry.rollback(**WHY).adapter is None


def test_an_adapter_of_another_base_answers_nobody_until_that_base_is_back(registry: Registry) -> None:
    candidates(registry, A, B)
    registry.promote(A, **WHY)
    registry.promote(B, **WHY)
    registry.fits = lambda adapter: adapter.name != B
    assert live(registry) is None
    assert (stranded := registry.stranded()) is not None
    assert stranded.name == B
    with pytest.raises(Refused, match="another base model"):
        registry.promote(B, **WHY)
    with pytest.raises(Refused, match="meanwhile base"):
        registry.promote(A, **WHY, fence=registry.still_live(B))
    registry.fits = lambda _: True
    assert live(registry) == B
    assert registry.stranded() is None


def test_there_is_no_way_back_to_the_base_that_answers_already(registry: Registry) -> None:
    candidates(registry, A)
    registry.promote(A, **WHY)
    registry.fits = lambda _: False
    with pytest.raises(Refused, match="nothing to go back to"):
        registry.rollback(**WHY)
    with pytest.raises(Refused, match="would be live on its own base"):
        registry.retire(A)
    registry.fits = lambda _: True
    assert live(registry) == A


def test_the_way_back_passes_over_what_is_of_another_base(registry: Registry) -> None:
    candidates(registry, A, B, C)
    for name in (A, B, C):
        registry.promote(name, **WHY)
    registry.fits = lambda adapter: adapter.name != B
    assert registry.rollback(**WHY).adapter == A


def test_with_another_base_an_admin_promotes_over_the_base(registry: Registry) -> None:
    candidates(registry, A, B)
    registry.promote(A, **WHY)
    registry.fits = lambda adapter: adapter.name != A
    registry.promote(B, **WHY, fence=registry.still_live(None))
    assert live(registry) == B


def test_a_rollback_needs_no_new_evaluation(registry: Registry) -> None:
    candidates(registry, A, B)
    registry.promote(A, **WHY)
    registry.promote(B, **WHY)
    registry.record(verdict(A, "rejected"))
    assert registry.rollback(**WHY).adapter == A


def test_no_row_of_the_audit_is_ever_changed(registry: Registry, database: Database) -> None:
    candidates(registry, A, B)
    seen: list[tuple[object, ...]] = []
    acts: Sequence[Callable[[], object]] = (
        lambda: registry.promote(A, **WHY),
        lambda: registry.promote(B, **WHY),
        lambda: registry.rollback(**WHY),
        lambda: registry.retire(B),
        lambda: registry.rollback(**WHY),
    )
    for act in acts:
        act()
        with database.read() as connection:
            rows = [tuple(row) for row in connection.execute(select(promotions).order_by(promotions.c.id))]
        assert rows[: len(seen)] == seen
        seen = rows
    assert len(seen) == 4
    assert len(registry.history(limit=2)) == 2


def test_many_who_promote_at_once_leave_one_live_and_a_row_each(registry: Registry) -> None:
    names = [f"lora-{number:012x}" for number in range(6)]
    candidates(registry, *names)
    at_once(*(lambda n=name: registry.promote(n, **WHY) for name in names))  # type: ignore[misc]
    history = registry.history()
    assert sorted(row.adapter or "" for row in history) == names
    assert live(registry) == history[0].adapter


# -- lineage ---------------------------------------------------------------------------------------


def rows(acts: list[str | None]) -> list[Promotion]:
    """The audit, newest first, of promotions (a name) and rollbacks (None) as the registry writes them."""
    found: list[Promotion] = []
    stack: list[str | None] = [None]
    for number, name in enumerate(acts):
        if name is None:
            if len(stack) > 1:
                stack.pop()
            action, now = "rollback", stack[-1]
        else:
            if stack[-1] != name:
                stack.append(name)
            action, now = "promote", name
        found.append(Promotion(number, now, action, "ann", "why", datetime.now(UTC)))  # type: ignore[arg-type]
    return found[::-1]


@given(st.lists(st.sampled_from([A, B, C, None]), max_size=12))
def test_lineage_is_a_stack_of_promotions_from_which_rollbacks_take(acts: list[str | None]) -> None:
    history = rows(acts)
    stood = lineage(history)
    assert stood[0] is None
    assert stood[-1] == (history[0].adapter if history else None), "its end is what is live"
    assert all(one != other for one, other in pairwise(stood))
    if len(stood) > 1:
        back = Promotion(99, stood[-2], "rollback", "ann", "why", datetime.now(UTC))
        assert lineage([back, *history]) == stood[:-1]


def at_once(*acts: Callable[[], object]) -> None:
    """All at the same moment; that one is refused is part of the game."""
    barrier = threading.Barrier(len(acts))

    def one(act: Callable[[], object]) -> None:
        barrier.wait(10)
        with suppress(Refused):
            act()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(one, acts))
