"""What happens on the chat page: each handler takes the page's state and says which parts look how.

Everything that comes from the browser is checked against the store, which knows whose turn it is. Knows no
layout (`chat_page.py`) and draws nothing itself (`transcript.py`, `history.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant import prompt
from assistant.accounts import Account
from assistant.chat import Ask, Chat
from assistant.errors import AssistantError
from assistant.ui import history, sources, transcript, tree
from assistant.ui.page import Doorman, Page, Parts
from assistant.ui.streams import Running, Streams
from feedback.records import Conversation, FeedbackError, NotFound
from feedback.store import Verdict

LONGEST_QUESTION = 20_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What the store says about the branch that a page shows."""

    conversation: Conversation | None
    conversations: Sequence[Conversation]
    rows: Sequence[tree.Shown]
    opinions: Mapping[str, Verdict]
    documents: bool
    approves: bool
    """Whether there are documents that answers could stand on."""


class ChatEvents:
    """The handlers of the chat page."""

    def __init__(
        self,
        chat: Chat,
        door: Doorman,
        streams: Streams,
        examples: Sequence[str],
        approvable: Callable[[], bool] = lambda: False,
    ) -> None:
        self._approvable = approvable
        self._chat = chat
        self._store = chat.store
        self._door = door
        self._streams = streams
        self._examples = examples

    # -- what is shown -----------------------------------------------------------------------------

    async def load(self, page: Page, request: gr.Request) -> Parts:
        """The page was opened: show the conversation that its address names, else the empty page."""
        account = await self._door.admit(request)
        who: Parts = {"person": history.person(account)}
        if page.placed:
            # Somebody was quicker than the page: their question is what it shows.
            return who
        return who | await self._open(page, account, _named(request))

    async def open_chat(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Another conversation was chosen, or a new one."""
        account = await self._door.admit(request)
        return await self._open(page, account, said(event, "chat") or None)

    async def show_turn(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Page to a sibling: its branch is shown to its newest end."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        turns = await to_thread.run_sync(self._store.turns, turn.conversation_id)
        leaf = tree.newest_leaf(turns, turn.id)
        return await self._show(page, page.turn_away(), account, turn.conversation_id, leaf)

    async def _open(self, page: Page, account: Account, chat_id: str | None) -> Parts:
        epoch = page.turn_away()
        conversation_id, leaf = await self._find(account, chat_id)
        return await self._show(page, epoch, account, conversation_id, leaf)

    async def _find(self, account: Account, chat_id: str | None) -> tuple[str | None, str | None]:
        """The conversation of that name and the end of its newest branch; none if it is not theirs."""
        if chat_id:
            try:
                await to_thread.run_sync(self._store.conversation, chat_id, account.id)
                return chat_id, tree.newest_leaf(await to_thread.run_sync(self._store.turns, chat_id))
            except NotFound:
                gr.Warning("There is no such conversation.")
        return None, None

    async def _show(
        self, page: Page, epoch: int, account: Account, conversation_id: str | None, leaf: str | None
    ) -> Parts:
        await page.alone()
        if page.epoch != epoch:
            return {}
        page.conversation_id, page.leaf, page.placed = conversation_id, leaf, True
        page.grounded = True
        page.editing = page.judging = page.approving = None
        page.awaited = leaf if self.busy(page) else None
        parts = await self.screen(page, account)
        return {**parts, **nothing_open()} if page.epoch == epoch else {}

    async def screen(self, page: Page, account: Account) -> Parts:
        """Everything that the store says about this page, drawn; an answer in the making as far as it is."""
        # In this order: what is not being written any more has its end in the store already.
        running = self._streams.get(page.leaf)
        reading = await to_thread.run_sync(self._read, page, account)
        rows, now, question = reading.rows, "", ""
        if running is not None and rows:
            now, rows = transcript.running(rows[-1].turn, running.text, running.steps), rows[:-1]
        if reading.rows:
            drawn = transcript.transcript(rows, reading.opinions, running is not None, reading.approves)
        elif reading.conversation is not None:
            drawn, question = history.unanswered(), reading.conversation.title
        else:
            drawn = history.empty(self._examples)
        parts = self._around(page, reading) | composer(taken=running is not None)
        parts |= {"past": _turns(page, drawn), "now": now}
        return parts | ({"box": question} if question else {})

    async def settled(self, page: Page, account: Account) -> Parts:
        """The turns that are not being written, drawn anew: a vote has changed."""
        epoch, busy = page.epoch, self.busy(page)
        reading = await to_thread.run_sync(self._read, page, account)
        rows = reading.rows[:-1] if busy else reading.rows
        drawn = _turns(page, transcript.transcript(rows, reading.opinions, busy, reading.approves))
        # A page that shows something else by now draws that itself.
        return {"past": drawn} if page.epoch == epoch and busy == self.busy(page) else {}

    def busy(self, page: Page) -> bool:
        """Whether the answer that this page shows is being written."""
        return self._streams.get(page.leaf) is not None

    def _around(self, page: Page, reading: Reading) -> Parts:
        title = reading.conversation.title if reading.conversation else "New chat"
        grounded = reading.conversation.grounded if reading.conversation else page.grounded
        return {
            "documents": sources.switch(grounded) if reading.documents else "",
            "history": history.history(reading.conversations, page.conversation_id, datetime.now(UTC)),
            "title": f"<h1>{escape(title)}</h1>",
        }

    def _read(self, page: Page, account: Account) -> Reading:
        conversation, turns = None, []
        if page.conversation_id is not None:
            conversation = self._store.conversation(page.conversation_id, account.id)
            turns = self._store.turns(conversation.id)
        rows = tree.shown(turns, page.leaf)
        opinions = self._store.opinion([row.turn.id for row in rows], account.id)
        return Reading(
            conversation,
            self._store.conversations(account.id),
            rows,
            opinions,
            self._chat.has_documents(),
            account.may("staff") and self._approvable(),
        )

    # -- asking ------------------------------------------------------------------------------------

    async def ask(self, page: Page, text: str, request: gr.Request) -> AsyncIterator[Parts]:
        """The composer was sent: a new question, or another version of an earlier one."""
        account = await self._door.admit(request)
        if not text.strip() or self._not_now(page):
            return
        # Claimed before anything is waited for: a second Enter would else ask the same once more.
        with page.claimed() as epoch:
            if not page.placed:
                # Quicker than the page could load, or long since forgotten: the address says where we are.
                page.conversation_id, page.leaf = await self._find(account, _named(request))
                page.placed = True
            parent = page.leaf
            if page.editing is not None:
                edited = await to_thread.run_sync(self._store.turn, page.editing, account.id)
                parent = edited.parent_id
            async for parts in self._answer(page, epoch, account, parent, text[:LONGEST_QUESTION]):
                yield parts

    async def ask_example(self, page: Page, request: gr.Request, event: gr.EventData) -> AsyncIterator[Parts]:
        """One of the offered questions was chosen."""
        async for parts in self.ask(page, said(event, "text"), request):
            yield parts

    async def answer_again(
        self, page: Page, request: gr.Request, event: gr.EventData
    ) -> AsyncIterator[Parts]:
        """Answer a question once more; the older answer stays as a sibling."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        if self._not_now(page):
            return
        page.conversation_id, page.placed = turn.conversation_id, True
        with page.claimed() as epoch:
            async for parts in self._answer(page, epoch, account, turn.parent_id, turn.question, again=True):
                yield parts

    async def follow(self, page: Page, request: gr.Request) -> AsyncIterator[Parts]:
        """Draw the answer that the page waits for while it grows.

        An event of its own with one output: for each output, named or not, gradio builds a component at
        every picture, and ten of them were nine tenths of the cost of streaming.
        """
        account, epoch = await self._door.admit(request), page.epoch
        running = self._streams.get(page.awaited)
        if running is None or page.followers:
            return
        with page.following():
            turn = await to_thread.run_sync(self._store.turn, running.turn_id, account.id)
            async for text in self._streams.follow(running, lambda: page.epoch == epoch):
                yield {"now": transcript.running(turn, text, running.steps)}

    async def settle(self, page: Page, request: gr.Request) -> Parts:
        """The answer that the page waited for has ended: show it as the store has it.

        As often as it is asked to: two events may wait for one answer, and the picture of the one that is
        shown last must be the settled one.
        """
        account, epoch = await self._door.admit(request), page.epoch
        if page.awaited is None or self.busy(page):
            return {}
        parts = await self.screen(page, account)
        return parts if page.epoch == epoch else {}

    async def stop(self, page: Page, request: gr.Request) -> Parts:
        """End the answer that is being written; what it said so far stays."""
        account = await self._door.admit(request)
        page.stopped = page.epoch
        if self.busy(page) and page.leaf is not None:
            turn = await to_thread.run_sync(self._store.turn, page.leaf, account.id)
            await self._streams.stop(turn.id)
        if page.asking == page.epoch:
            # It is being put to the engine, and will be stopped as soon as that has happened.
            return {}
        return await self.screen(page, account)

    async def _answer(
        self,
        page: Page,
        epoch: int,
        account: Account,
        parent: str | None,
        question: str,
        again: bool = False,
    ) -> AsyncIterator[Parts]:
        """Put a question behind the turn `parent`, and let the page wait for its answer."""
        before, page.leaf = page.leaf, parent
        await page.alone()
        try:
            # What was asked is seen at once; the engine may take a moment before the first word.
            asked = {**await self._asked(page, account, question), **nothing_open()}
            if page.epoch == epoch:
                yield asked if again else asked | {"box": ""}
            running = await self._begin(page, account, parent, question, epoch)
        except (AssistantError, FeedbackError) as problem:
            if page.epoch == epoch:
                page.leaf = before
                yield await self._not_begun(page, account, question, problem, again)
            return
        if page.epoch != epoch:
            return
        page.leaf, page.editing, page.judging = running.turn_id, None, None
        page.awaited = running.turn_id
        if page.stopped == epoch:
            await self._streams.stop(running.turn_id)
        yield await self.screen(page, account)

    async def _begin(
        self, page: Page, account: Account, parent: str | None, question: str, epoch: int
    ) -> Running:
        self._door.pace(account)
        conversation_id = await to_thread.run_sync(self._conversation, page, account, question)
        if page.epoch == epoch:
            page.conversation_id = conversation_id
        turns = await to_thread.run_sync(self._store.turns, conversation_id)
        messages = prompt.dialogue(prompt.branch({turn.id: turn for turn in turns}, parent), question)
        ask = Ask(account, messages, conversation_id=conversation_id, parent_id=parent)
        return self._streams.start(await self._chat.begin(ask))

    def _conversation(self, page: Page, account: Account, question: str) -> str:
        """The conversation to ask in: the page's, or a new one.

        It is named to `Chat`, which would else go on in an older one that opened with the same words.
        One whose first question never reached the engine is used again for that question only, because
        a conversation is known by what it opened with.
        """
        if page.conversation_id is not None:
            found = self._store.conversation(page.conversation_id, account.id)
            opening = " ".join(question.split())
            if opening.startswith(found.title.removesuffix("…")) or self._store.turns(found.id):
                return found.id
        return self._store.start_conversation(account.id, question, grounded=page.grounded).id

    async def _asked(self, page: Page, account: Account, question: str) -> Parts:
        reading = await to_thread.run_sync(self._read, page, account)
        return {
            **self._around(page, reading),
            **composer(taken=True),
            "past": _turns(
                page, transcript.transcript(reading.rows, reading.opinions, True, reading.approves)
            ),
            "now": transcript.asked(question),
        }

    async def _not_begun(
        self, page: Page, account: Account, question: str, problem: Exception, again: bool
    ) -> Parts:
        parts = await self.screen(page, account)
        if again:
            return parts | {"now": transcript.unasked(problem)}
        if page.leaf is None:
            parts["past"] = _turns(page, "")
        # An edit stays an edit until it has been asked.
        return parts | {
            "now": transcript.unsent(question, problem),
            "box": question,
            "editing": gr.update(visible=page.editing is not None),
        }

    def _not_now(self, page: Page) -> bool:
        if self.busy(page) or page.asking == page.epoch:
            gr.Info("The answer above is still being written. Stop it, or wait for its end.")
            return True
        return False

    async def switch_documents(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Documents are to be looked through for the answers of this conversation from now on, or not."""
        account = await self._door.admit(request)
        grounded = said(event, "on") == "yes"
        if page.conversation_id is not None:
            await to_thread.run_sync(self._store.ground, page.conversation_id, account.id, grounded)
        page.grounded = grounded
        return {"documents": sources.switch(grounded)}

    # -- editing -----------------------------------------------------------------------------------

    async def edit_question(self, page: Page, text: str, request: gr.Request, event: gr.EventData) -> Parts:
        """Put an earlier question into the composer, to be asked differently."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        if self._not_now(page):
            return {}
        if page.editing is None:
            page.set_aside = text
        page.editing = turn.id
        return {"box": turn.question, "editing": gr.update(visible=True)}

    async def cancel_edit(self, page: Page, request: gr.Request) -> Parts:
        """Leave everything as it was; what had been typed before comes back."""
        await self._door.admit(request)
        page.editing = None
        return {"box": page.set_aside, "editing": gr.update(visible=False)}


def composer(taken: bool) -> Parts:
    """The button beside the composer: send, or stop while an answer is being written."""
    return {"send": gr.update(visible=not taken), "stop": gr.update(visible=taken)}


def nothing_open() -> Parts:
    """Neither an edit nor a form."""
    return {name: gr.update(visible=False) for name in ("editing", "form", "approving")}


def said(event: gr.EventData, name: str) -> str:
    """A text that the browser sent along with an event; whatever else it sent counts as nothing."""
    data: Any = event._data
    value = data.get(name, "") if isinstance(data, dict) else ""
    return value[:LONGEST_QUESTION] if isinstance(value, str) else ""


def _named(request: gr.Request) -> str | None:
    """The conversation that the page's address names."""
    return str(request.query_params.get("chat") or "") or None


def _turns(page: Page, html: str) -> str:
    """The settled part of the conversation, with the id that the browser puts into its address."""
    # A log: a screen reader says what is added at its end, which an answer is once it is complete.
    said_aloud = 'role="log" aria-label="Conversation"'
    return f'<div class="turns" {said_aloud} data-chat="{escape(page.conversation_id or "")}">{html}</div>'
