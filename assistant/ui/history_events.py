"""What happens in the list of conversations: it is searched, goes on, its rows are renamed, pinned, deleted.

Like `chat_events.py` each handler checks who is asking. Whose a conversation is, `Past` knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account
from assistant.ui.chat_events import ChatEvents, said
from assistant.ui.history import heading
from assistant.ui.page import Doorman, Page, Parts
from assistant.ui.streams import Streams
from feedback.past import PAGE, Past
from feedback.store import Store
from retrieval.records import RetrievalError

log = logging.getLogger(__name__)

LONGEST_SEARCH = 200


class HistoryEvents:
    """The handlers of the list. `mend` brings right what else knows of deleted answers."""

    def __init__(
        self,
        events: ChatEvents,
        store: Store,
        door: Doorman,
        streams: Streams,
        mend: Callable[[], object] = lambda: None,
    ) -> None:
        self._events = events
        self._store = store
        self._past = Past(store.database)
        self._door = door
        self._streams = streams
        self._mend = mend

    async def search(self, page: Page, wanted: str, request: gr.Request) -> Parts:
        """Something was typed: list what it is found in, or everything."""
        account = await self._door.admit(request)
        wanted = wanted[:LONGEST_SEARCH].strip()
        if wanted != page.wanted:
            # The field tells twice of one change; the second must not close what was opened meanwhile.
            page.wanted, page.renaming, page.deleting = wanted, None, None
        return await self._events.side(page, account)

    async def older(self, page: Page, request: gr.Request) -> Parts:
        """One more page of the list."""
        account = await self._door.admit(request)
        page.listed += PAGE
        return await self._events.side(page, account)

    async def pin(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Put a conversation above the others, or back among them."""
        account = await self._door.admit(request)
        await to_thread.run_sync(self._past.pin, said(event, "chat"), account.id, said(event, "on") == "yes")
        return await self._events.side(page, account)

    async def rename(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Without a title, show the field for one; with it, the conversation has it."""
        account = await self._door.admit(request)
        name, title = said(event, "chat"), said(event, "title")
        if not title:
            page.renaming, page.deleting = name, None
            return await self._events.side(page, account)
        await to_thread.run_sync(self._past.rename, name, account.id, title)
        page.renaming = None
        return await self._redrawn(page, account, name)

    async def delete(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Ask whether it is meant; if it is said to be, delete the conversation."""
        account = await self._door.admit(request)
        name = said(event, "chat")
        if said(event, "sure") != "yes":
            page.deleting, page.renaming = name, None
            return await self._events.side(page, account)
        await to_thread.run_sync(self._store.conversation, name, account.id)
        for turn in await to_thread.run_sync(self._store.turns, name):
            await self._streams.stop(turn.id)
        await to_thread.run_sync(self._past.delete, name, account.id)
        try:
            await to_thread.run_sync(self._mend)
        except RetrievalError as problem:
            # The rows decide what is served; the index is brought in line at the next start.
            log.warning("the index still holds a deleted answer: %s", problem)
        page.deleting = None
        if page.conversation_id == name:
            return await self._events.leave(page, account)
        return await self._events.side(page, account)

    async def leave_row(self, page: Page, request: gr.Request) -> Parts:
        """Neither a title nor a deletion after all."""
        account = await self._door.admit(request)
        page.renaming = page.deleting = None
        return await self._events.side(page, account)

    async def _redrawn(self, page: Page, account: Account, name: str) -> Parts:
        parts = await self._events.side(page, account)
        if page.conversation_id == name:
            found = await to_thread.run_sync(self._store.conversation, name, account.id)
            parts["title"] = heading(found.title)
        return parts
