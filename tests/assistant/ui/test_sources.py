"""What an answer stands on, as it is drawn; and the switch, over a real store."""

from __future__ import annotations

from typing import Any

from assistant.ui import sources, transcript
from assistant.ui.chat_events import ChatEvents
from assistant.ui.page import Page
from assistant.ui.tree import shown
from feedback.records import Turn
from tests.assistant.test_grounding import passage
from tests.assistant.test_grounds import hit
from tests.assistant.ui.playing import last
from tests.assistant.ui.scripted import House, event, request
from tests.assistant.ui.turns import turn

BAD = '<img src=x onerror="alert(1)">'


def grounded(answer: str = "It takes 3 days [1].", *passages: dict[str, Any], **more: Any) -> Turn:
    return turn("t1", answer=answer, passages=passages, searched="How long?", **more)


def drawn(one: Turn) -> str:
    return transcript.transcript(shown([one], one.id), {})


def test_a_mark_in_the_answer_leads_to_its_source() -> None:
    html = drawn(grounded("It takes 3 days [1], not 4 [2]. Code: `a[1]`", passage(1)))
    assert 'href="#source-t1-1" data-cite="source-t1-1" aria-label="Source 1">[1]</a>' in html
    assert '<li id="source-t1-1"' in html
    # What was not there can not be cited.
    assert "not 4 [2]" in html
    assert "<code>a[1]</code>" in html


def test_a_source_says_what_it_is_and_where_it_is_opened() -> None:
    found = [passage(1, page=7), passage(2, "Three days.", kind="answer", title="How long?")]
    html = sources.listed(grounded("It takes 3 days [2].", *found))
    document, answer = html.split("</li>")[:2]
    assert 'href="/documents/doc-1"' in document
    assert "page 7" in document
    assert "score 0.70" in document
    assert "holds the answer&#x27;s figures" in document
    assert "approved answer" in answer
    assert "named in the answer" in answer
    assert "href" not in answer
    assert "<summary>2 sources</summary>" in html


def test_nothing_of_a_document_is_obeyed() -> None:
    html = drawn(grounded("a", passage(1, BAD, title=BAD, source=BAD)))
    assert "<img" not in html
    assert html.count("&lt;img") >= 2


def test_a_long_passage_is_shown_by_its_beginning() -> None:
    html = sources.listed(grounded("a", passage(1, "word " * 300)))
    assert "word…</blockquote>" in html
    assert len(html) < 1_000


def test_that_nothing_was_found_is_said_only_where_something_was_looked_for() -> None:
    assert "No document was found for this." in drawn(grounded("a"))
    assert "No document" not in drawn(turn("t1"))
    assert "source" not in drawn(turn("t1"))


def test_the_switch_says_how_it_stands() -> None:
    on, off = sources.switch(True), sources.switch(False)
    assert 'role="switch" aria-checked="true" aria-label="Documents"' in on
    assert 'aria-checked="false"' in off
    assert 'data-on=""' in on
    assert 'data-on="yes"' in off


# -- on the page ---------------------------------------------------------------------------------------


async def test_without_documents_there_is_no_switch(events: ChatEvents) -> None:
    page = Page()
    seen = await last(events, page, events.ask(page, "How long does it take?", request()))
    assert seen["documents"] == ""
    assert "sources" not in seen["past"]


async def test_the_switch_holds_for_the_conversation_that_is_shown(house: House, events: ChatEvents) -> None:
    house.shelf.empty, house.shelf.hits = False, [hit(1)]
    page = Page()
    seen = await last(events, page, events.ask(page, "How long does it take?", request()))
    assert 'aria-checked="true"' in seen["documents"]
    assert "1 source<" in seen["past"]
    assert page.conversation_id is not None
    uwe = house.accounts.get("uwe").id

    seen = await events.switch_documents(page, request(), event(on=""))
    assert 'aria-checked="false"' in seen["documents"]
    assert not house.store.conversation(page.conversation_id, uwe).grounded
    seen = await last(events, page, events.ask(page, "How long to Norway?", request()))
    assert seen["past"].count("1 source<") == 1
    seen = await last(events, Page(), events.load(Page(), request(chat=page.conversation_id)))
    assert 'aria-checked="false"' in seen["documents"]


async def test_the_switch_of_a_new_chat_goes_into_its_conversation(house: House, events: ChatEvents) -> None:
    house.shelf.empty, house.shelf.hits = False, [hit(1)]
    page = Page()
    await last(events, page, events.load(page, request()))
    await events.switch_documents(page, request(), event(on=""))
    seen = await last(events, page, events.ask(page, "How long does it take?", request()))
    assert 'aria-checked="false"' in seen["documents"]
    assert "source" not in seen["past"]
    # The next one begins as all do.
    seen = await last(events, page, events.open_chat(page, request(), event(chat="")))
    assert 'aria-checked="true"' in seen["documents"]
