"""What happens on the chat page: each handler takes the page's state and says which parts look how.

Everything that comes from the browser is checked against the store, which knows whose turn it is. Knows no
layout (`chat_page.py`) and draws nothing itself (`transcript.py`, `history.py`).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant import prompt
from assistant.accounts import Account
from assistant.chat import Ask, Chat
from assistant.errors import AssistantError
from assistant.ui import consent, history, sources, transcript, tree
from assistant.ui.page import Doorman, Page, Parts
from assistant.ui.screens import Screens, growing, nothing_open, turns
from assistant.ui.streams import Running, Streams
from feedback.offers import Offer, Offers
from feedback.past import Past
from feedback.records import Conversation, FeedbackError, NotFound

LONGEST_QUESTION = 20_000


@dataclass(frozen=True, slots=True)
class Offering:
    """How often a question gets two answers to choose from, and who is put beside what is live."""

    share: float = 0.0
    rival: Callable[[], str | None] = lambda: None


class ChatEvents:
    """The handlers of the chat page."""

    def __init__(
        self,
        chat: Chat,
        door: Doorman,
        streams: Streams,
        examples: Sequence[str],
        approvable: Callable[[], bool] = lambda: False,
        offering: Offering | None = None,
    ) -> None:
        self._chat = chat
        self._store = chat.store
        self._door = door
        self._streams = streams
        self._offering = offering or Offering()
        self._past, self._offers = Past(chat.store.database), Offers(chat.store.database)
        self._screens = Screens(chat, self._past, self._offers, streams, examples, approvable)

    # -- what is shown -----------------------------------------------------------------------------

    async def load(self, page: Page, request: gr.Request) -> Parts:
        """The page was opened: show the conversation that its address names, else the empty page."""
        account = await self._door.admit(request)
        # Until now the box took nothing: what is sent before a page listens would be lost.
        who: Parts = {"person": history.person(account), "box": gr.update(interactive=True)}
        if page.placed:
            # Gradio asks for the page once more after a lost connection.
            return who
        parts = await self._open(page, account, _named(request))
        if isinstance(parts.get("box"), str):
            parts["box"] = gr.update(value=parts["box"], interactive=True)
        return who | parts

    async def open_chat(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Another conversation was chosen, or a new one."""
        account = await self._door.admit(request)
        return await self._open(page, account, said(event, "chat") or None)

    async def show_turn(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Page to a sibling: its branch is shown to its newest end."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        found = await to_thread.run_sync(self._store.turns, turn.conversation_id)
        leaf = tree.newest_leaf(found, turn.id)
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
        offer = await to_thread.run_sync(self._offers.open, [leaf]) if leaf else None
        here = None
        if conversation_id is not None:
            here = await to_thread.run_sync(self._store.conversation, conversation_id, account.id)
        await page.alone()
        if page.epoch != epoch:
            return {}
        page.conversation_id, page.placed = conversation_id, True
        page.grounded, page.learned_from = (here.grounded, here.learned_from) if here else (True, True)
        page.editing = page.judging = page.approving = page.before = None
        page.leaf, page.beside = offer.both if offer else (leaf, None)
        await self._resolve(page)
        if page.epoch != epoch:
            return {}
        page.awaited = page.leaf if self.busy(page) else None
        parts = await self.screen(page, account)
        return {**parts, **nothing_open()} if page.epoch == epoch else {}

    async def screen(self, page: Page, account: Account) -> Parts:
        """Everything that the store says about this page, drawn; an answer in the making as far as it is."""
        return await self._screens.whole(page, account)

    async def settled(self, page: Page, account: Account) -> Parts:
        """The turns that are not being written, drawn anew: a vote has changed."""
        return await self._screens.settled(page, account)

    async def side(self, page: Page, account: Account) -> Parts:
        """The list of conversations, drawn anew."""
        return await self._screens.side(page, account)

    async def leave(self, page: Page, account: Account) -> Parts:
        """What the page shows is there no more: show the empty page."""
        return await self._open(page, account, None)

    def busy(self, page: Page) -> bool:
        """Whether an answer that this page shows is being written."""
        return bool(self._screens.writing(page))

    # -- asking ------------------------------------------------------------------------------------

    async def ask(self, page: Page, text: str, request: gr.Request) -> AsyncIterator[Parts]:
        """The composer was sent: a new question, or another version of an earlier one."""
        async for parts in self._ask(page, text, request, typed=True):
            yield parts

    async def ask_example(self, page: Page, request: gr.Request, event: gr.EventData) -> AsyncIterator[Parts]:
        """One of the offered questions was chosen; what is being typed stays."""
        async for parts in self._ask(page, said(event, "text"), request, typed=False):
            yield parts

    async def _ask(self, page: Page, text: str, request: gr.Request, typed: bool) -> AsyncIterator[Parts]:
        account = await self._door.admit(request)
        if not text.strip() or self._not_now(page):
            return
        # Claimed before anything is waited for: a second Enter would else ask the same once more.
        with page.claimed() as asked:
            page.before = None
            if not page.placed:
                # Quicker than the page could load, or long since forgotten: the address says where we are.
                asked.conversation_id, asked.leaf = await self._find(account, _named(request))
                if page.epoch == asked.epoch:
                    page.conversation_id, page.placed = asked.conversation_id, True
            if asked.beside is not None and asked.leaf is not None and asked.editing is None:
                # Whoever goes on has not chosen, and goes on behind the one on the left, which is by chance.
                await to_thread.run_sync(self._offers.end, Offer(asked.leaf, asked.beside))
            parent = asked.leaf
            if asked.editing is not None:
                edited = await to_thread.run_sync(self._store.turn, asked.editing, account.id)
                parent = edited.parent_id
            async for parts in self._answer(page, asked, account, parent, text[:LONGEST_QUESTION], typed):
                yield parts

    async def answer_again(
        self, page: Page, request: gr.Request, event: gr.EventData
    ) -> AsyncIterator[Parts]:
        """Answer a question once more; the older answer stays as a sibling."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        if self._not_now(page):
            return
        page.conversation_id, page.placed, page.before = turn.conversation_id, True, None
        with page.claimed() as asked:
            async for parts in self._answer(page, asked, account, turn.parent_id, turn.question, again=True):
                yield parts

    async def compare(self, page: Page, account: Account, turn_id: str) -> AsyncIterator[Parts]:
        """Answer a question once more and show the answer that it had beside the new one."""
        turn = await to_thread.run_sync(self._store.turn, turn_id, account.id)
        if self._not_now(page):
            return
        page.conversation_id, page.placed, page.before = turn.conversation_id, True, turn.id
        with page.claimed() as asked:
            async for parts in self._answer(page, asked, account, turn.parent_id, turn.question, again=True):
                yield parts

    async def follow(self, page: Page, request: gr.Request) -> AsyncIterator[Parts]:
        """Draw the answer that the page waits for while it grows.

        An event of its own with one output: for each output, named or not, gradio builds a component at
        every picture, and ten of them were nine tenths of the cost of streaming.
        """
        account, epoch = await self._door.admit(request), page.epoch
        writing = self._screens.writing(page)
        if page.awaited is None or not writing or page.followers:
            return
        names, learned = page.together, page.before is not None
        with page.following():
            turn = await to_thread.run_sync(self._store.turn, writing[0].turn_id, account.id)
            parts = await self._screens.watching(names)
            async for _ in self._streams.watch(writing, lambda: page.epoch == epoch):
                yield {"now": growing(turn, parts(), learned)}

    async def settle(self, page: Page, request: gr.Request) -> Parts:
        """The answer that the page waited for has ended: show it as the store has it.

        As often as it is asked to: two events may wait for one answer, and the picture of the one that is
        shown last must be the settled one.
        """
        account, epoch = await self._door.admit(request), page.epoch
        if page.awaited is None or self.busy(page):
            return {}
        await self._resolve(page)
        parts = await self.screen(page, account)
        return parts if page.epoch == epoch else {}

    async def _resolve(self, page: Page) -> None:
        """Of two answers that have ended one may be missing or broken off: then nothing is to be chosen."""
        if page.beside is None or page.leaf is None or self.busy(page):
            return
        epoch, offer = page.epoch, Offer(page.leaf, page.beside)
        both = [await to_thread.run_sync(self._store.turn, name) for name in offer.both]
        if not all(turn.answer and turn.status == "complete" for turn in both):
            await to_thread.run_sync(self._offers.end, offer)
            if page.epoch == epoch:
                page.leaf, page.beside = max(both, key=lambda turn: len(turn.answer)).id, None

    async def stop(self, page: Page, request: gr.Request) -> Parts:
        """End the answer that is being written; what it said so far stays."""
        account = await self._door.admit(request)
        page.stopped = page.epoch
        for running in self._screens.writing(page):
            turn = await to_thread.run_sync(self._store.turn, running.turn_id, account.id)
            await self._streams.stop(turn.id)
        await self._resolve(page)
        if page.asking == page.epoch:
            # It is being put to the engine, and will be stopped as soon as that has happened.
            return {}
        return await self.screen(page, account)

    async def _answer(
        self,
        page: Page,
        asked: Page,
        account: Account,
        parent: str | None,
        question: str,
        typed: bool = False,
        again: bool = False,
    ) -> AsyncIterator[Parts]:
        """Put a question behind the turn `parent`, and let the page wait for its answer."""
        epoch = asked.epoch
        if page.epoch == epoch:
            page.leaf, page.beside = parent, None
        await page.alone()
        try:
            # What was asked is seen at once; the engine may take a moment before the first word.
            seen = {**await self._screens.asked(page, account, question), **nothing_open()}
            if page.epoch == epoch:
                # What had been typed before an edit comes back.
                rest = asked.set_aside if asked.editing is not None else ""
                yield seen | {"box": rest} if typed else seen
            running = await self._begin(page, asked, account, parent, question, again)
        except (AssistantError, FeedbackError) as problem:
            if page.epoch == epoch:
                page.leaf, page.before = asked.leaf, None
                yield await self._not_begun(page, account, question, problem, typed, again)
            return
        if page.epoch != epoch:
            return
        page.leaf, page.beside = running[0].turn_id, running[1].turn_id if len(running) > 1 else None
        page.editing, page.judging = None, None
        page.awaited = page.leaf
        if page.stopped == epoch:
            for one in running:
                await self._streams.stop(one.turn_id)
            await self._resolve(page)
        yield await self.screen(page, account)

    async def _begin(
        self, page: Page, asked: Page, account: Account, parent: str | None, question: str, again: bool
    ) -> list[Running]:
        self._door.pace(account)
        if page.epoch == asked.epoch:
            # They may have been switched since.
            asked.grounded, asked.learned_from = page.grounded, page.learned_from
        conversation_id = await to_thread.run_sync(self._conversation, asked, account, question)
        if page.epoch == asked.epoch:
            page.conversation_id = conversation_id
        found = await to_thread.run_sync(self._store.turns, conversation_id)
        messages = prompt.dialogue(prompt.branch({turn.id: turn for turn in found}, parent), question)
        ask = Ask(account, messages, conversation_id=conversation_id, parent_id=parent)
        # What a tool does for a question must not be done twice.
        if again or self._chat.has_tools or random.random() >= self._offering.share:
            return [self._streams.start(await self._chat.begin(ask))]
        rival = await to_thread.run_sync(self._offering.rival)
        two = [self._streams.start(begun) for begun in await self._chat.begin_two(ask, rival)]
        random.shuffle(two)
        await to_thread.run_sync(self._offers.add, two[0].turn_id, two[1].turn_id)
        return two

    def _conversation(self, asked: Page, account: Account, question: str) -> str:
        """The conversation to ask in: the one asked in, or a new one.

        It is named to `Chat`, which would else go on in an older one that opened with the same words.
        One whose first question never reached the engine is used again for that question only, because
        a conversation is known by what it opened with. What was switched off there stays so.
        """
        here: Page | Conversation = asked
        if asked.conversation_id is not None:
            here = self._store.conversation(asked.conversation_id, account.id)
            if question == here.opening or self._store.turns(here.id):
                return here.id
        return self._store.start_conversation(
            account.id, question, grounded=here.grounded, learned_from=here.learned_from
        ).id

    async def _not_begun(
        self, page: Page, account: Account, question: str, problem: Exception, typed: bool, again: bool
    ) -> Parts:
        parts = await self.screen(page, account)
        if again:
            return parts | {"now": transcript.unasked(problem)}
        if page.leaf is None:
            parts["past"] = turns(page, "")
        parts["now"] = transcript.unsent(question, problem, typed)
        if not typed:
            return {name: parts[name] for name in parts if name != "box"}
        # An edit stays an edit until it has been asked.
        return parts | {"box": question, "editing": gr.update(visible=page.editing is not None)}

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

    async def switch_learning(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Nothing is to be learned from this conversation from now on, or it is again."""
        account = await self._door.admit(request)
        wanted = said(event, "on") == "yes"
        if page.conversation_id is not None:
            await to_thread.run_sync(self._past.learn, page.conversation_id, account.id, wanted)
        page.learned_from = wanted
        return {"hint": consent.consent(wanted)}

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


def said(event: gr.EventData, name: str) -> str:
    """A text that the browser sent along with an event; whatever else it sent counts as nothing."""
    data: Any = event._data
    value = data.get(name, "") if isinstance(data, dict) else ""
    return value[:LONGEST_QUESTION] if isinstance(value, str) else ""


def _named(request: gr.Request) -> str | None:
    """The conversation that the page's address names."""
    return str(request.query_params.get("chat") or "") or None
