"""Draws the chat page from what the store says and what is being written: the page itself remembers no text.

Owns which picture a page gets. Asks nobody anything (`chat_events.py`) and stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account
from assistant.chat import Chat
from assistant.ui import consent, history, side_by_side, sources, transcript, tree
from assistant.ui.page import Page, Parts
from assistant.ui.streams import Running, Streams
from assistant.ui.transcript import Part
from feedback.offers import Offer, Offers
from feedback.past import Listed, Past
from feedback.records import Conversation, Turn
from feedback.searching import Found
from feedback.store import Verdict


@dataclass(frozen=True, slots=True)
class Reading:
    """What the store says about the branch that a page shows."""

    conversation: Conversation | None
    listed: Listed | Sequence[Found]
    """The person's list, or what was found in it."""
    rows: Sequence[tree.Shown]
    opinions: Mapping[str, Verdict]
    documents: bool
    """Whether there are documents that answers could stand on."""
    approves: bool
    beside: tuple[Turn, Turn] | None = None
    """Two answers that stand side by side in place of the last row, from left to right."""
    offer: Offer | None = None
    """They are there to be chosen from."""


class Screens:
    """Draws pages."""

    def __init__(
        self,
        chat: Chat,
        past: Past,
        offers: Offers,
        streams: Streams,
        examples: Sequence[str],
        approvable: Callable[[], bool],
    ) -> None:
        self._chat = chat
        self._store = chat.store
        self._past = past
        self._offers = offers
        self._streams = streams
        self._examples = examples
        self._approvable = approvable

    def writing(self, page: Page) -> list[Running]:
        """The answers that this page shows and that are being written."""
        found = (self._streams.get(turn_id) for turn_id in (page.leaf, page.beside))
        return [running for running in found if running is not None]

    async def whole(self, page: Page, account: Account) -> Parts:
        """Everything that the store says about this page, drawn; an answer in the making as far as it is."""
        # In this order: what is not being written any more has its end in the store already.
        writing = self.writing(page)
        # The page may turn to something else while the store is read.
        names, learned = page.together, page.before is not None
        reading = await to_thread.run_sync(self.read, page, account)
        rows, now, question = reading.rows, "", ""
        if writing and rows:
            parts_now = await self.watching(names)
            now, rows = growing(rows[-1].turn, parts_now(), learned), rows[:-1]
        if reading.rows:
            drawn = _rows(reading, rows, bool(writing))
        elif reading.conversation is not None:
            drawn, question = history.unanswered(), reading.conversation.opening
        else:
            drawn = history.empty(self._examples)
        parts = self.around(page, reading) | composer(taken=bool(writing))
        parts |= {"past": turns(page, drawn), "now": now}
        return parts | ({"box": question} if question else {})

    async def watching(self, names: Sequence[str]) -> Callable[[], Sequence[Part]]:
        """What these answers have come to, whenever one asks; reads the store once."""
        running = {name: self._streams.get(name) for name in names}
        ended = {
            name: (await to_thread.run_sync(self._store.turn, name)).answer
            for name, one in running.items()
            if one is None
        }

        def parts() -> Sequence[Part]:
            return [
                Part(one.text, one.steps, one.done) if one else Part(ended[name], (), True)
                for name, one in running.items()
            ]

        return parts

    async def settled(self, page: Page, account: Account) -> Parts:
        """The turns that are not being written, drawn anew: a vote has changed."""
        epoch, busy = page.epoch, bool(self.writing(page))
        reading = await to_thread.run_sync(self.read, page, account)
        rows = reading.rows[:-1] if busy else reading.rows
        drawn = turns(page, _rows(reading, rows, busy))
        # A page that shows something else by now draws that itself.
        return {"past": drawn} if page.epoch == epoch and busy == bool(self.writing(page)) else {}

    async def asked(self, page: Page, account: Account, question: str) -> Parts:
        """A question has been sent and is not with the engine yet."""
        reading = await to_thread.run_sync(self.read, page, account)
        return {
            **self.around(page, reading),
            **composer(taken=True),
            "past": turns(page, _rows(reading, reading.rows, True)),
            "now": transcript.asked(question),
        }

    async def side(self, page: Page, account: Account) -> Parts:
        """The list of conversations alone."""
        listed = await to_thread.run_sync(self._listed, page, account)
        return {"history": history.side(listed, page, datetime.now(UTC))}

    def around(self, page: Page, reading: Reading) -> Parts:
        """What stands around the conversation."""
        here = reading.conversation
        title, grounded = (here.title, here.grounded) if here else ("New chat", page.grounded)
        return {
            "documents": sources.switch(grounded) if reading.documents else "",
            "history": history.side(reading.listed, page, datetime.now(UTC)),
            "title": history.heading(title),
            "hint": consent.consent(here.learned_from if here else page.learned_from),
        }

    def read(self, page: Page, account: Account) -> Reading:
        """What the store says."""
        conversation, found = None, []
        if page.conversation_id is not None:
            conversation = self._store.conversation(page.conversation_id, account.id)
            found = self._store.turns(conversation.id)
        rows = tree.shown(found, page.leaf)
        offer = self._offers.open(rows[-1].answers) if rows else None
        beside = _beside(page, found, rows, offer)
        shown = [row.turn.id for row in rows] + [turn.id for turn in beside or ()]
        return Reading(
            conversation,
            self._listed(page, account),
            rows,
            self._store.opinion(shown, account.id),
            self._chat.has_documents(),
            account.may("staff") and self._approvable(),
            beside,
            offer if page.before is None else None,
        )

    def _listed(self, page: Page, account: Account) -> Listed | Sequence[Found]:
        if page.wanted:
            return self._past.search(account.id, page.wanted)
        return self._past.listed(account.id, page.listed)


def growing(turn: Turn, parts: Sequence[Part], learned: bool = False) -> str:
    """What is being written, as far as it is; beside what stood there before something was `learned`."""
    if len(parts) == 1:
        return transcript.running(turn, parts[0].text, parts[0].steps)
    names = side_by_side.BEFORE if learned else side_by_side.SIDES
    return side_by_side.running(turn.question, parts, names)


def _beside(
    page: Page, found: Sequence[Turn], rows: Sequence[tree.Shown], offer: Offer | None
) -> tuple[Turn, Turn] | None:
    """The two answers that stand side by side at the end of a branch, if two do."""
    if not rows:
        return None
    if page.before is not None and page.before in rows[-1].answers and page.before != rows[-1].turn.id:
        names = (page.before, rows[-1].turn.id)
    elif offer is not None and rows[-1].turn.id in offer.both:
        names = offer.both
    else:
        return None
    by_id = {turn.id: turn for turn in found}
    first, second = (by_id.get(name) for name in names)
    return None if first is None or second is None else (first, second)


def _rows(reading: Reading, rows: Sequence[tree.Shown], busy: bool) -> str:
    """The settled turns, the last one as a pair if two answers stand side by side."""
    beside = reading.beside
    at_end = bool(rows) and rows[-1] is reading.rows[-1]
    if beside is None or not at_end or not all(turn.answer for turn in beside):
        # Of two answers one of which never came there is nothing to choose.
        return transcript.transcript(rows, reading.opinions, busy, reading.approves)
    above = transcript.transcript(rows[:-1], reading.opinions, busy, reading.approves)
    if reading.offer is not None:
        return above + side_by_side.choice(reading.offer, beside)
    return above + side_by_side.learned(*beside, reading.opinions)


def composer(taken: bool) -> Parts:
    """The button beside the composer: send, or stop while an answer is being written."""
    return {"send": gr.update(visible=not taken), "stop": gr.update(visible=taken)}


def nothing_open() -> Parts:
    """Neither an edit nor a form."""
    return {name: gr.update(visible=False) for name in ("editing", "form", "approving")}


def turns(page: Page, html: str) -> str:
    """The settled part of the conversation, with the id that the browser puts into its address."""
    # A log: a screen reader says what is added at its end, which an answer is once it is complete.
    said_aloud = 'role="log" aria-label="Conversation"'
    return f'<div class="turns" {said_aloud} data-chat="{escape(page.conversation_id or "")}">{html}</div>'
