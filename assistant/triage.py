"""Keeps causes and gaps fresh beside the chat, in the process that owns the index; asks closed gaps again.

Nothing is remembered between steps that the rows do not say, so it may be killed anywhere. Decides nothing:
what a cause is stands in `causes.py`, what a gap is in `gaps.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread

from assistant import prompt
from assistant.accounts import Account, Accounts
from assistant.causes import Causes
from assistant.engine.client import AdapterRef, Engines
from assistant.errors import AssistantError, EngineRefused
from assistant.fitting import Fitting
from assistant.gaps import Answered, Gaps
from assistant.grounds import Grounds
from feedback.database import DatabaseUnavailable
from feedback.records import Message
from retrieval.records import EVERYBODY, RetrievalError
from training.registry import Registry

log = logging.getLogger(__name__)

_EVERY_SECONDS = 2.0


@dataclass
class Triage:
    """One step after the other, as long as it runs."""

    causes: Causes
    gaps: Gaps
    _seen: tuple[str, str] | None = None

    async def run(self, every: float = _EVERY_SECONDS) -> None:
        """Step until cancelled. What can't be done now is said once and tried again."""
        problem = ""
        while True:
            try:
                await self.step()
                problem = ""
            except (AssistantError, DatabaseUnavailable, RetrievalError) as error:
                if str(error) != problem:
                    problem = str(error)
                    log.warning("bad answers wait to be sorted: %s", problem)
            except Exception:
                log.exception("sorting bad answers met something unexpected")
            await asyncio.sleep(every)

    def nudge(self) -> None:
        """Look for new members of gaps in the next step, though no question is new: staff decided a cause."""
        self._seen = None

    async def step(self) -> None:
        """Sort what is new, put it into gaps, and close those whose document is there. Cheap when idle."""
        changed = bool(await self.causes.sort_new())
        newest = await to_thread.run_sync(self.gaps.newest)
        if changed or newest != self._seen:
            full = await self.gaps.look()
            # A turn that is being written may belong into a gap when it is done; more may be waiting.
            self._seen = None if full or newest[1] else newest
        await self.gaps.finish()


@dataclass(frozen=True, slots=True)
class Asking:
    """Answers a dialogue as a person would be answered now, and stores nothing."""

    engines: Engines
    registry: Registry
    accounts: Accounts
    grounds: Grounds
    system_prompt: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int = 512

    async def __call__(self, dialogue: Sequence[Message], person_id: str) -> Answered:
        """What an engine that is well refuses it would refuse every time: its reason is the answer then.

        Raises `EngineUnavailable`.
        """
        try:
            return await self._answered(dialogue, person_id)
        except EngineRefused as error:
            return Answered(f"It could not be asked again: {error}.")

    async def _answered(self, dialogue: Sequence[Message], person_id: str) -> Answered:
        person = await to_thread.run_sync(account_of, self.accounts, person_id)
        fitting = Fitting(self.engines, self.max_tokens)
        length = await self.engines.context_length()
        room = fitting.room(length)
        messages = prompt.with_system(dialogue, self.system_prompt)
        if prompt.most_tokens(messages) + room > length // 2:
            # The question alone: what is long ago is not why it was asked.
            messages = prompt.with_system(dialogue[-1:], self.system_prompt)
        ground = await self.grounds.ground(messages, person, room, True)
        messages, sampling = await fitting.fit(list(ground.messages), dict(self.sampling))
        body = {**sampling, "messages": [dict(message) for message in messages]}
        reply = await self.engines.chat(body, await self._adapter())
        return Answered(str(reply["choices"][0]["message"]["content"] or ""), ground.passages)

    async def _adapter(self) -> AdapterRef | None:
        """What is live, or the bare base model where the engine refuses it."""
        live = await to_thread.run_sync(self.registry.live)
        if live is None:
            return None
        adapter = AdapterRef(live.name, live.path)
        try:
            await self.engines.ensure(adapter)
        except EngineRefused as error:
            log.error("adapter %s can't be served and is passed over: %s", live.name, error)
            return None
        return adapter


def account_of(accounts: Accounts, person_id: str) -> Account:
    """The account of a person; of one that is gone somebody who may see what everybody may."""
    found = next((one for one in accounts.all() if one.id == person_id), None)
    return found or Account(person_id, "somebody", "user", True, datetime.now(UTC))


def audiences_of(accounts: Accounts, person_id: str) -> Collection[str]:
    """For whom a person may read."""
    return frozenset({EVERYBODY, *account_of(accounts, person_id).groups})
