"""What is typed and chosen becomes a draft, whatever the browser sends."""

from __future__ import annotations

import pytest

from assistant.ui.review_form import typed, whole, with_chosen
from feedback.review_records import Draft
from tests.assistant.ui.scripted import event


def test_the_answer_as_it_was_is_no_correction() -> None:
    assert typed(Draft("wrong", "style"), "No.", " No. ", " hm ") == Draft("wrong", "style", comment="hm")
    assert typed(Draft(), "No.", "Yes.", "").correction == "Yes."


@pytest.mark.parametrize(
    ("sent", "before", "after"),
    [
        ({"verdict": "right"}, Draft("wrong", "style"), Draft("right")),
        ({"verdict": "wrong"}, Draft("wrong", "style"), Draft("wrong", "style")),
        ({"fault": "facts"}, Draft("right"), Draft("wrong", "facts")),
        ({"toggle": "exclude"}, Draft(), Draft(include=False)),
        ({"toggle": "approve"}, Draft(approve=True), Draft()),
        ({"verdict": "<b>", "fault": 7, "toggle": "rm"}, Draft("right"), Draft("right")),
        ({}, Draft("right"), Draft("right")),
    ],
)
def test_what_is_chosen_replaces_what_was(sent: dict[str, object], before: Draft, after: Draft) -> None:
    assert with_chosen(before, event(**sent)) == after


def test_the_button_that_saves_carries_all() -> None:
    sent = event(verdict="wrong", fault="style", exclude="yes", approve="yes")
    assert whole(sent) == Draft("wrong", "style", include=False, approve=True)
    assert whole(event(verdict="right", fault="style")) == Draft("right")
    assert whole(event(verdict="nonsense")) == Draft()
