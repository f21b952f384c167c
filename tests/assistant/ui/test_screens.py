"""Which picture a page gets."""

from __future__ import annotations

from assistant.ui import screens
from assistant.ui.page import Page
from assistant.ui.transcript import Part
from tests.assistant.ui.turns import turn


def test_one_answer_grows_alone_and_two_side_by_side() -> None:
    assert "Answer A" not in screens.growing(turn("t1"), [Part("one")])
    assert "Answer A" in screens.growing(turn("t1"), [Part("one"), Part("two")])
    assert ">Now<" in screens.growing(turn("t1"), [Part("one"), Part("two")], learned=True)


def test_the_conversation_is_named_for_the_browser() -> None:
    html = screens.turns(Page(conversation_id='c"1'), "x")
    assert 'data-chat="c&quot;1"' in html


def test_the_button_is_send_or_stop() -> None:
    assert screens.composer(True)["stop"]["visible"]
    assert screens.composer(False)["send"]["visible"]
    assert not screens.nothing_open()["form"]["visible"]
