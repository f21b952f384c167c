"""What happens where two answers stand side by side: one is chosen, or a receipt of learning is opened.

Like `chat_events.py` each handler checks who is asking, and whose the answers are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import escape
from typing import get_args

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account
from assistant.receipts import Receipt, Receipts
from assistant.ui.buttons import button
from assistant.ui.chat_events import ChatEvents, said
from assistant.ui.consent import thanks
from assistant.ui.page import Doorman, Page, Parts
from assistant.ui.words import number
from feedback.offers import Offers
from feedback.records import Preference
from feedback.store import Store
from feedback.titles import cut


class ChoiceEvents:
    """The handlers of choices and receipts."""

    def __init__(
        self, events: ChatEvents, store: Store, door: Doorman, receipts: Receipts | None = None
    ) -> None:
        self._events = events
        self._store = store
        self._door = door
        self._offers = Offers(store.database)
        self._receipts = receipts

    async def choose(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Store which of two answers is better, and go on behind it; without a preference store nothing."""
        epoch = page.epoch
        account = await self._door.admit(request)
        first = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        offer = await to_thread.run_sync(self._offers.open, [first.id])
        if offer is None or self._events.busy(page):
            return await self._events.screen(page, account)
        given = said(event, "preference")
        preference: Preference | None = next((one for one in get_args(Preference) if one == given), None)
        if preference is not None:
            await to_thread.run_sync(self._store.choose, *offer.both, account.id, account.role, preference)
            chat = await to_thread.run_sync(self._store.conversation, first.conversation_id, account.id)
            gr.Success(thanks(chat.learned_from), duration=4)
        await to_thread.run_sync(self._offers.end, offer)
        if page.epoch != epoch:
            return {}
        page.leaf, page.beside = offer.both[1 if preference == "second" else 0], None
        return await self._events.screen(page, account)

    # -- learning receipts ---------------------------------------------------------------------------

    async def tell(self, page: Page, request: gr.Request) -> Parts:
        """The page was opened: say that something was learned from this person, if that is news."""
        account = await self._door.admit(request)
        receipt = await self._waiting(account)
        return {"receipt": gr.update(value=drawn(receipt) if receipt else "", visible=receipt is not None)}

    async def close_receipt(self, page: Page, request: gr.Request) -> Parts:
        """They do not want to see it."""
        account = await self._door.admit(request)
        await self._note(await self._waiting(account), account, looked=False)
        return _gone()

    async def open_receipt(self, page: Page, request: gr.Request) -> AsyncIterator[Parts]:
        """Ask the question once more, now that it was learned from, and show both answers."""
        account = await self._door.admit(request)
        receipt = await self._waiting(account)
        if receipt is None:
            yield _gone()
            return
        async for parts in self._events.compare(page, account, receipt.turn_id):
            yield parts
        if page.before == receipt.turn_id:
            # Not while the engine can't answer: then there was nothing to see.
            await self._note(receipt, account, looked=True)
            yield _gone()

    async def _waiting(self, account: Account) -> Receipt | None:
        if self._receipts is None:
            return None
        return await to_thread.run_sync(self._receipts.waiting, account.id)

    async def _note(self, receipt: Receipt | None, account: Account, looked: bool) -> None:
        if receipt is not None and self._receipts is not None:
            turn_id = receipt.turn_id if looked else None
            await to_thread.run_sync(self._receipts.told, account.id, receipt.adapter, turn_id)


def drawn(receipt: Receipt) -> str:
    """What is said to somebody who was learned from."""
    buttons = button("Show me", "open_receipt") + button("Close", "close_receipt", look="quiet")
    return (
        f'<div class="receipt" role="status"><p><b>It learned from you.</b> The assistant answers with '
        f"<code>{escape(receipt.adapter)}</code> now, which was trained on "
        f"{number(receipt.votes, 'vote')} of yours, one of them on “{escape(cut(receipt.question, 80))}”. "
        f"See the old and the new answer?</p><span>{buttons}</span></div>"
    )


def _gone() -> Parts:
    return {"receipt": gr.update(value="", visible=False)}
