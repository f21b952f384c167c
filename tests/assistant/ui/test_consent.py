"""The line that says what votes are used for."""

from __future__ import annotations

from assistant.ui.consent import consent, thanks


def test_it_says_what_is_done_and_offers_the_other_thing() -> None:
    on, off = consent(True), consent(False)
    assert "train its next version" in on
    assert "Do not learn from this chat" in on
    assert 'data-on=""' in on
    assert "Nothing is trained on this chat" in off
    assert 'data-on="yes"' in off


def test_nobody_is_thanked_for_what_is_not_learned() -> None:
    assert "will learn" in thanks(True)
    assert "will learn" not in thanks(False)
