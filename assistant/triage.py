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
from assistant.errors import AssistantError
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
        """Raises `EngineUnavailable`."""
        person = await to_thread.run_sync(account_of, self.accounts, person_id)
        length = await self.engines.context_length()
        room = max(1, min(self.max_tokens, length // 4))
        messages = prompt.with_system(dialogue, self.system_prompt)
        if prompt.most_tokens(messages) + room > length // 2:
            # The question alone: what is long ago is not why it was asked.
            messages = prompt.with_system(dialogue[-1:], self.system_prompt)
        ground = await self.grounds.ground(messages, person, room, True)
        body = {
            **self.sampling,
            "messages": [dict(message) for message in ground.messages],
            "max_tokens": room,
        }
        live = await to_thread.run_sync(self.registry.live)
        adapter = AdapterRef(live.name, live.path) if live else None
        if adapter is not None:
            await self.engines.ensure(adapter)
        reply = await self.engines.chat(body, adapter)
        return Answered(str(reply["choices"][0]["message"]["content"] or ""), ground.passages)


def account_of(accounts: Accounts, person_id: str) -> Account:
    """The account of a person; of one that is gone somebody who may see what everybody may."""
    found = next((one for one in accounts.all() if one.id == person_id), None)
    return found or Account(person_id, "somebody", "user", True, datetime.now(UTC))


def audiences_of(accounts: Accounts, person_id: str) -> Collection[str]:
    """For whom a person may read."""
    return frozenset({EVERYBODY, *account_of(accounts, person_id).groups})
