"""Two answers side by side, as they are drawn."""

from __future__ import annotations

from assistant.ui import side_by_side
from assistant.ui.transcript import Part
from feedback.offers import Offer
from feedback.store import Verdict
from tests.assistant.ui.turns import turn

OFFER = Offer("t1", "t2")


def test_a_choice_tells_nothing_of_who_wrote_what() -> None:
    both = [
        turn("t1", answer="**one**", adapter="lora-aaaaaaaaaaaa"),
        turn("t2", answer="<b>two</b>", adapter=None),
    ]
    html = side_by_side.choice(OFFER, both)
    assert html.index("Answer A") < html.index("<strong>one</strong>") < html.index("Answer B")
    assert "<b>two</b>" not in html
    for secret in ("lora-", "base", "<time", "adapter"):
        assert secret not in html
    for preference in ("first", "second", "tie", "both_bad", ""):
        assert f'data-preference="{preference}"' in html


def test_two_that_grow_are_named_alike() -> None:
    html = side_by_side.running("q & a", [Part("one"), Part("")])
    assert 'aria-busy="true"' in html
    assert "q &amp; a" in html
    assert html.count("waiting") == 1
    assert "waiting" not in side_by_side.running("q", [Part("", (), True), Part("", (), True)])


def test_what_was_learned_is_shown_beside_what_was_said_before() -> None:
    before, after = turn("t1", answer="old"), turn("t2", answer="new", adapter="lora-aaaaaaaaaaaa")
    html = side_by_side.learned(before, after, {"t1": Verdict("down"), "t2": Verdict("up")})
    assert html.index(">Before<") < html.index("old") < html.index(">Now<") < html.index("new")
    assert 'data-turn="t2" data-thumb=""' in html
    assert 'data-turn="t1"' not in html
    assert "lora-aaaaaaaaaaaa" in html
