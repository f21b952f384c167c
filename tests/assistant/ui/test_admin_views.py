"""What the admin page looks like, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assistant.accounts import Account
from assistant.ui import admin_views as views
from feedback.figures import Figures
from tests.assistant.ui.turns import NOON
from training.records import Adapter, Check, Evaluation, Promotion, Run

BAD = "<script>alert(1)</script>"


def run(**values: Any) -> Run:
    return Run(
        **{"id": "run-0123456789abcdef", "state": "queued", "method": "dpo", "due_by": "by hand"} | values,
        created_at=NOON,
    )


def adapter(name: str = "lora-0123456789ab", **values: Any) -> Adapter:
    return Adapter(name, Path("/x"), "starter", "hash", "run-0123456789abcdef", 16, NOON, **values)


def evaluation(outcome: Any = "passed", *checks: Check) -> Evaluation:
    return Evaluation("lora-0123456789ab", None, outcome, checks, {}, NOON)


def test_everything_is_text() -> None:
    html = views.runs(
        [run(due_by=BAD, reason=BAD, stage=BAD, state="running", adapter=BAD, counts={"dropped": {BAD: 1}})]
    )
    html += views.adapters([adapter(BAD)], None, {BAD: evaluation("rejected", Check(BAD, False, BAD))})
    html += views.promotions([Promotion(1, BAD, "promote", BAD, BAD, NOON)])
    html += views.overview(BAD, adapter(BAD), Promotion(1, BAD, "promote", BAD, BAD, NOON), Figures())
    html += views.top(Account("person-1", BAD, "admin", False, NOON), "data:,")
    assert "<script>" not in html


def test_the_overview_says_what_answers_and_why_not() -> None:
    html = views.overview(None, None, None, Figures(ups=1100, asked_ups=100))
    assert "Ready" in html
    assert "the bare base model answers" in html
    assert "1,200" in html
    html = views.overview(
        "it is starting", adapter(), Promotion(1, "x", "promote", "ana", "better", NOON), Figures()
    )
    assert "Not ready" in html
    assert "It is starting." in html
    assert "by ana: better" in html
    html = views.overview(
        None, None, Promotion(1, "x", "promote", "ana", "better", NOON), Figures(), adapter()
    )
    assert "was trained on another base model" in html


def test_a_run_says_how_far_it_is_and_what_it_learns_from() -> None:
    counts = {"examples": {"correction": 2, "ranked": 3, "held_out": 1}, "dropped": {"too_long": 4}}
    html = views.runs(
        [run(state="running", stage="train", progress=0.42, counts=counts, seconds={"gather": 70.0})]
    )
    assert 'value="42"' in html
    assert "5 examples: 2 from corrections, 3 ranked" in html
    assert "1 held out" in html
    assert "dropped: 4 too long" in html
    assert "1 min 10 s" in html
    assert "run_cancel" in html


@pytest.mark.parametrize("state", ["done", "failed", "parked", "cancelled"])
def test_an_ended_run_can_not_be_cancelled(state: Any) -> None:
    html = views.runs([run(state=state, reason="only 3 examples")])
    assert "run_cancel" not in html
    assert "Only 3 examples." in html


def test_a_run_that_is_being_cancelled_says_so() -> None:
    html = views.runs([run(state="running", cancel_requested=True)])
    assert ">cancelling<" in html
    assert "run_cancel" not in html


def test_only_what_passed_and_is_not_live_can_be_promoted() -> None:
    one = adapter()
    assert "adapter_promote" in views.adapters([one], None, {one.name: evaluation()})
    assert "adapter_promote" not in views.adapters([one], one.name, {one.name: evaluation()})
    assert ">live<" in views.adapters([one], one.name, {one.name: evaluation()})
    assert "adapter_promote" not in views.adapters([one], None, {one.name: evaluation("rejected")})
    assert "adapter_promote" not in views.adapters([one], None, {one.name: None})
    retired = adapter(retired=True)
    assert "adapter_promote" not in views.adapters([retired], None, {one.name: evaluation()})
    html = views.adapters([one], None, {one.name: evaluation()}, None, {one.name: "of another base model"})
    assert "of another base model" in html
    assert "adapter_promote" not in html


def test_an_evaluation_shows_its_reasons_and_opens_by_itself_when_it_failed() -> None:
    checks = (
        Check("loads", True, "yes"),
        Check("length", False, "2.7 times"),
        Check("pairs", None, "only 4"),
    )
    html = views.adapters(
        [adapter()], None, {"lora-0123456789ab": evaluation("not_enough_evidence", *checks)}
    )
    assert "<details open>" in html
    assert ">not enough evidence<" in html
    for word in ("passed", "failed", "not decided", "2.7 times", "only 4"):
        assert word in html
    assert "<details open>" not in views.adapters([adapter()], None, {"lora-0123456789ab": evaluation()})


def test_empty_lists_say_what_will_be_there() -> None:
    assert "No run yet." in views.runs([])
    assert "No adapter yet." in views.adapters([], None, {})
    assert "Nothing has been promoted yet." in views.promotions([])


def test_the_audit_names_the_base_model() -> None:
    html = views.promotions([Promotion(1, None, "rollback", "ana", "too curt", NOON)])
    assert "Rolled back to" in html
    assert ">base<" in html


def test_headings_have_their_buttons() -> None:
    html = views.heading("Runs", ("run_train", "Train now", True), ("other", "Other", False))
    assert 'data-act="run_train"' in html
    assert html.count("<button") == 2
