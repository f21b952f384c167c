"""Drafts as they are kept and read again, and who holds a task."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from feedback.records import Review
from feedback.review_records import Draft, Task

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_draft_is_read_as_it_was_kept_and_unknown_names_are_passed_over() -> None:
    draft = Draft("wrong", "style", "Better.", False, True, "why")
    assert Draft.of(draft.as_json()) == draft
    assert Draft.of({"verdict": "right", "of a later version": 1}) == Draft("right")


def test_a_verdict_that_is_looked_at_again_is_a_draft() -> None:
    review = Review(1, "t", "sam", "staff", "wrong", "facts", "42", False, True, "hm", NOW)
    assert Draft.of(review) == Draft("wrong", "facts", "42", False, True, "hm")


def test_a_task_is_held_until_its_lease_ends_or_it_is_done() -> None:
    task = Task(1, "t", 0, "random", None, "open", "sam", NOW + timedelta(minutes=1), False, NOW, NOW)
    assert task.is_held(NOW)
    assert not task.is_held(NOW + timedelta(minutes=2))
    assert not replace(task, state="done").is_held(NOW)
