"""What a conversation looks like, as text."""

from __future__ import annotations

import re

import pytest

from assistant.errors import EngineUnavailable
from assistant.ui import transcript
from assistant.ui.tree import shown
from feedback.records import Turn
from feedback.store import Verdict
from tests.assistant.ui.turns import turn

BAD = '<img src=x onerror="alert(1)">'


def drawn(*turns: Turn, opinions: dict[str, Verdict] | None = None, busy: bool = False) -> str:
    return transcript.transcript(shown(turns, turns[-1].id), opinions or {}, busy)


def test_nothing_that_people_or_models_write_is_obeyed() -> None:
    html = drawn(turn("t1", question=BAD, answer=BAD, error=BAD, status="interrupted"))
    html += transcript.running(turn("t1", question=BAD), BAD)
    html += transcript.asked(BAD) + transcript.unsent(BAD, EngineUnavailable(BAD))
    assert "<img" not in html
    assert html.count("&lt;img") >= 6


def test_an_answer_says_who_gave_it_and_when() -> None:
    html = drawn(turn("t1", adapter="lora-0123456789ab"))
    assert ">lora-0123456789ab<" in html
    assert 'datetime="2026-11-20T12:00:00+00:00"' in html
    assert ">base<" in drawn(turn("t1"))


def test_copies_are_to_the_letter() -> None:
    html = drawn(turn("t1", question="a\n  b", answer='say "x" & <y>\n\tz'))
    assert 'data-text="a\n  b"' in html
    assert 'data-text="say &quot;x&quot; &amp; &lt;y&gt;\n\tz"' in html


def test_a_pressed_thumb_takes_the_vote_back() -> None:
    html = drawn(turn("t1"), opinions={"t1": Verdict("up")})
    up, down = re.findall(r'data-thumb="(\w*)" aria-pressed="(\w+)"', html)
    assert up == ("", "true")
    assert down == ("down", "false")
    assert "Tell us more" in html


def test_after_a_thumb_down_one_may_say_more() -> None:
    assert "Tell us more" in drawn(turn("t1"), opinions={"t1": Verdict("down")})
    assert "Your feedback" in drawn(turn("t1"), opinions={"t1": Verdict("down", ["tone"])})


def test_under_an_answer_that_chance_chose_a_vote_is_asked_for_until_it_is_given() -> None:
    sentence = "Was this answer good? Your vote on this one counts for all."
    assert sentence in drawn(turn("t1", asked=True))
    assert sentence in drawn(turn("t1", asked=True), opinions={"t1": Verdict(None)})
    assert sentence not in drawn(turn("t1", asked=True), opinions={"t1": Verdict("up")})
    assert sentence not in drawn(turn("t1"))
    assert sentence not in drawn(turn("t1", asked=True, answer="", status="failed"))
    assert sentence not in drawn(turn("t1", asked=True, status="pending"))


def test_pages_to_siblings_and_stops_at_the_ends() -> None:
    html = drawn(turn("t1"), turn("t2"), turn("t3"))
    assert "3/3" in html
    before, after = re.findall(r'<button[^>]*data-act="show_turn"[^>]*>', html)
    assert 'data-turn="t2"' in before
    assert " disabled" not in before
    assert " disabled" in after


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        ("stopped", "as far as", "stopped"),
        ("stopped", "", "You stopped it before the first word."),
        ("interrupted", "as far as", "The answer broke off. The engine went away."),
        ("failed", "", "No answer came. The engine went away."),
    ],
)
def test_an_answer_that_did_not_end_well_says_so(status: str, answer: str, said: str) -> None:
    html = drawn(turn("t1", answer=answer, status=status, error="the engine went away"))
    assert said in html
    assert "answer_again" in html


def test_an_answer_that_is_written_elsewhere_can_be_looked_at_again() -> None:
    html = drawn(turn("t1", answer="", status="pending"))
    assert "Look again" in html
    assert "data-thumb" not in html


def test_while_an_answer_is_written_only_votes_and_copies_work() -> None:
    html = drawn(turn("t1"), turn("t2"), opinions={}, busy=True)
    for act in ("show_turn", "answer_again", "edit_question"):
        assert all(" disabled" in found for found in re.findall(rf'<button[^>]*data-act="{act}"[^>]*>', html))
    assert not any(" disabled" in found for found in re.findall(r'<button[^>]*data-act="rate"[^>]*>', html))


def test_a_growing_answer_shows_that_it_grows() -> None:
    html = transcript.running(turn("t1", adapter="lora-0123456789ab"), "")
    assert 'aria-busy="true"' in html
    assert 'class="waiting"' in html
    assert "is answering" in html
    assert "<strong>so</strong>" in transcript.running(turn("t1"), "**so**")


def test_problems_are_sentences() -> None:
    problem = EngineUnavailable("no engine is ready")
    assert "No engine is ready. Your question is back in the box below." in transcript.unsent("q", problem)
    assert "No engine is ready." in transcript.unasked(problem)


def test_calls_of_tools_stand_above_the_answer_and_closed() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look<", "arguments": "{}"}}
    steps = (
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "found", "failed": False, "seconds": 0.1},
    )
    html = drawn(turn("t1", answer="It is there.", steps=steps))
    assert html.index("look&lt;") < html.index("It is there.")
    assert "<details open" not in html
    now = [
        {"id": "c1", "name": "look", "arguments": "{}", "status": "running", "result": None, "seconds": None}
    ]
    assert "Using <code>look</code>" in transcript.running(turn("t1"), "", now)
