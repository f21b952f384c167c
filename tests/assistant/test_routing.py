"""Tests of who answers: the one that is asked for, the one that is live, and who stands in for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from assistant.routing import NoSuchModel, order
from feedback.records import Role
from training.canary import Canary, arm
from training.records import Adapter, CanaryStep, Promotion

A, B, C, D = (f"lora-{letter * 12}" for letter in "abcd")
NOW = datetime.now(UTC)


def adapter(name: str) -> Adapter:
    return Adapter(name, Path("/adapters") / name, "starter", "0" * 64, None, 8, NOW)


def audit(*rows: tuple[Literal["promote", "rollback"], str | None]) -> list[Promotion]:
    """These rows, oldest first, as the registry gives them."""
    found = [Promotion(number, name, act, "ann", "why", NOW) for number, (act, name) in enumerate(rows)]
    return found[::-1]


def canary(against: str | None, share: float = 0.5) -> Canary:
    return Canary((CanaryStep(1, D, against, share, "start", "ann", "why", {}, NOW),))


def test_without_a_live_adapter_the_base_answers() -> None:
    assert order("apprentice", "user", None, []) == [None]


def test_the_base_can_be_asked_for_by_everybody() -> None:
    assert order("apprentice-base", "user", adapter(A), audit(("promote", A))) == [None]


def test_the_live_one_answers_then_the_one_before_it_then_the_base() -> None:
    history = audit(("promote", A), ("promote", B), ("promote", C))
    assert order("apprentice", "user", adapter(C), history) == [C, B, None]


def test_what_was_rolled_back_from_does_not_come_back_as_a_stand_in() -> None:
    history = audit(("promote", A), ("promote", B), ("promote", C), ("rollback", B))
    assert order("apprentice", "user", adapter(B), history) == [B, A, None]


def test_before_an_adapter_that_followed_on_the_base_stands_the_base() -> None:
    history = audit(("promote", A), ("promote", None), ("promote", B))
    assert order("apprentice", "user", adapter(B), history) == [B, None]


def test_a_live_adapter_that_the_history_does_not_show_any_more_still_answers() -> None:
    assert order("apprentice", "user", adapter(D), [])[0] == D


@pytest.mark.parametrize("role", ["staff", "admin"])
def test_staff_may_ask_for_an_adapter_by_name_and_nobody_stands_in_for_it(role: Role) -> None:
    assert order(A, role, adapter(B), audit(("promote", B))) == [A]


@pytest.mark.parametrize("role", ["user", "staff", "admin"])
@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "", "base", "Apprentice", "../../etc/passwd", "/adapters/x", "http://host/v1", "lora-",
     "lora-x",
     "lora-aaaaaaaaaaaa\x00", "lora-aaaaaaaaaaaa/..", f"{A}\n", "LORA-aaaaaaaaaaaa"],
)  # fmt: skip
def test_no_other_name_is_a_model(model: str, role: Role) -> None:
    with pytest.raises(NoSuchModel, match=r"does not exist; there are `apprentice` and `apprentice-base`"):
        order(model, role, None, [])


def test_people_do_not_choose_adapters() -> None:
    with pytest.raises(NoSuchModel):
        order(A, "user", adapter(A), audit(("promote", A)))


def test_a_canary_answers_first_in_its_conversations_and_in_no_others() -> None:
    history = audit(("promote", A), ("promote", B))
    for number in range(40):
        found = order("apprentice", "user", adapter(B), history, canary(B), f"conv-{number}")
        assert found == ([D, B, A, None] if arm(f"conv-{number}", D, 0.5) else [B, A, None])
    assert order("apprentice", "user", None, [], canary(None, 1.0), "conv-1") == [D, None]


def test_a_canary_is_not_tried_beside_something_else_than_was_live_at_its_start() -> None:
    assert order("apprentice", "user", adapter(B), audit(("promote", B)), canary(A, 1.0), "c") == [B, None]
    assert order("apprentice", "user", None, [], canary(A, 1.0), "c") == [None]
    assert order("apprentice", "user", adapter(B), audit(("promote", B)), canary(None, 1.0), "c") == [B, None]


def test_who_asks_for_a_model_by_name_is_in_no_canary() -> None:
    assert order("apprentice-base", "user", None, [], canary(None, 1.0), "c") == [None]
    assert order(A, "staff", adapter(B), audit(("promote", B)), canary(B, 1.0), "c") == [A]
