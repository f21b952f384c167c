"""One answer from question to store: which adapter, which prompt, the stream, and what is kept of it.

Pages and the API both come through here. The turn is stored before its generation starts and again when
it ends, whichever way it ends. Knows no page and no protocol beyond the engine's OpenAI chunks.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import anyio
from anyio import to_thread

from assistant import grounding, routing
from assistant import prompt as prompts
from assistant.accounts import Account
from assistant.engine.client import AdapterRef, Engines
from assistant.errors import AssistantError, EngineInterrupted, EngineRefused
from assistant.fitting import Fitting
from assistant.grounds import Ground, Grounds
from assistant.receiving import Received, receive
from assistant.rounds import Rounds
from assistant.tools import Toolbox
from feedback.records import Message, Turn, TurnStatus, conversation_id
from feedback.store import Ending, NewTurn, Store
from training.records import Adapter
from training.records import NotFound as NoAdapter
from training.registry import Registry

log = logging.getLogger(__name__)
_CUTS = 8
"""How many exchanges more than this turn's prompt the one before it may have held, to be found."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for an answer. Without `conversation_id` its place is found by what was said before."""

    account: Account
    messages: Sequence[Message]
    model: str = routing.LIVE
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the OpenAI request besides model, messages and stream."""
    conversation_id: str | None = None
    parent_id: str | None = None
    grounded: bool | None = None
    """Whether documents are looked through; None: as the conversation says, and else yes."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that has been stored as pending and can be streamed: one turn for each of its `n` choices."""

    turns: Sequence[Turn]
    adapter: AdapterRef | None
    body: Mapping[str, Any]
    helped: Account | None = None
    """For whom the tools in the body are called here; None if they are the client's, or there are none."""

    @property
    def id(self) -> str:
        """The id of the response: that of its first turn."""
        return self.turns[0].id

    @property
    def answered_by(self) -> str:
        """The adapter's name, or `base`."""
        return self.adapter.name if self.adapter else "base"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a turn belongs. The id of a `new` conversation is known before there is one: the canary's share
    of conversations is chosen by it."""

    conversation_id: str
    parent_id: str | None
    new: bool = False


@dataclass(frozen=True, slots=True)
class _Made:
    """A request whose prompt and place are settled, before it is known who answers."""

    ask: Ask
    place: _Place
    ground: Ground
    sampling: Mapping[str, Any]
    helped: bool
    """Whether our tools are offered."""


class Chat:
    """Answers questions with whatever is live."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        engines: Engines,
        *,
        system_prompt: str,
        defaults: Mapping[str, Any],
        model: str,
        max_tokens: int,
        ask_share: float = 0.0,
        toolbox: Toolbox | None = None,
        tool_rounds: int = 4,
        grounds: Grounds | None = None,
    ) -> None:
        self.store = store
        self._registry = registry
        self._engines = engines
        self._system_prompt = system_prompt
        self._defaults = dict(defaults)
        self._model = model
        self._fitting = Fitting(engines, max_tokens)
        self._ask_share = ask_share
        self.has_tools = toolbox is not None
        self._rounds = Rounds(engines, toolbox, tool_rounds)
        self._grounds = grounds

    def has_documents(self) -> bool:
        """Whether there is anything that answers could stand on; may read the database."""
        return self._grounds is not None and self._grounds.there

    async def begin(self, ask: Ask) -> Begun:
        """Build the prompt, find the conversation, choose the adapter, and store the turn as pending.

        Nothing is stored before all of that has gone well. Raises `NoSuchModel`, `EngineUnavailable`, or
        `feedback`'s `NotFound` for a foreign conversation.
        """
        made = await self._made(ask)
        return await self._begun(made, await self._adapter(made.ask, made.place.conversation_id))

    async def begin_two(self, ask: Ask, rival: str | None) -> tuple[Begun, Begun]:
        """Two answers to the very same prompt: by what is live, and by the adapter `rival`, or once more.

        Nobody is asked for a rating of them: they are for a choice. Raises as `begin` does.
        """
        made = await self._made(ask, rival)
        usual = other = await self._adapter(made.ask, made.place.conversation_id)
        if rival is not None:
            found = await to_thread.run_sync(self._registry.get, rival)
            other = AdapterRef(rival, found.path)
            try:
                await self._engines.ensure(other)
            except EngineRefused as error:
                log.error("adapter %s can't be served and is no rival: %s", rival, error)
                other = usual
        first = await self._begun(made, usual, 0.0)
        return first, await self._begun(replace(made, place=replace(made.place, new=False)), other, 0.0)

    async def _made(self, ask: Ask, rival: str | None = None) -> _Made:
        routing.check(ask.model, ask.account.role)
        ask = replace(ask, messages=[prompts.cleaned(message) for message in ask.messages])
        sampling = {**self._defaults, **ask.sampling}
        messages = prompts.with_system(ask.messages, self._system_prompt)
        ground = await self._ground(ask, messages, sampling, rival)
        messages, sampling = await self._fitting.fit(list(ground.messages), sampling)
        ground = replace(ground, messages=messages)
        if tools := self._rounds.offered(ask.model, sampling):
            sampling["tools"] = tools
        place = await to_thread.run_sync(self._place, ask, messages)
        return _Made(ask, place, ground, sampling, bool(tools))

    async def _begun(self, made: _Made, adapter: AdapterRef | None, ask_share: float | None = None) -> Begun:
        share = self._ask_share if ask_share is None else ask_share
        turns = await to_thread.run_sync(self._store_pending, made, adapter, share)
        body = {**made.sampling, "messages": [dict(message) for message in made.ground.messages]}
        return Begun(turns, adapter, body, made.ask.account if made.helped else None)

    async def _adapter(self, ask: Ask, conversation_id: str) -> AdapterRef | None:
        live, history, canary = await to_thread.run_sync(
            lambda: (self._registry.live(), self._registry.history(20), self._registry.canary())
        )
        for name in routing.order(ask.model, ask.account.role, live, history, canary, conversation_id):
            if name is None:
                return None
            try:
                found = (
                    live if live and live.name == name else await to_thread.run_sync(self._registry.get, name)
                )
                if name == ask.model:
                    if not await to_thread.run_sync(self._registry.fits, found):
                        raise routing.NoSuchModel(f"`{name}` was trained on another base model")
                elif found is not live and await self._is_out(found):
                    continue
                adapter = AdapterRef(name, found.path)
                await self._engines.ensure(adapter)
            except NoAdapter:
                raise routing.NoSuchModel(f"the model `{ask.model}` does not exist") from None
            except EngineRefused as error:
                if ask.model != routing.LIVE:
                    raise
                log.error("adapter %s can't be served and is passed over: %s", name, error)
                continue
            return adapter
        return None

    async def _is_out(self, adapter: Adapter) -> bool:
        """Whether nobody may be answered by it who does not ask for it by name."""
        if adapter.retired or not await to_thread.run_sync(self._registry.fits, adapter):
            return True
        return adapter.name in await to_thread.run_sync(self._registry.tainted)

    async def _ground(
        self, ask: Ask, messages: Sequence[Message], sampling: Mapping[str, Any], rival: str | None
    ) -> Ground:
        """The dialogue with passages, unless there are no documents or they are not wanted."""
        if self._grounds is None or ask.grounded is False:
            return Ground(messages)
        if ask.grounded is None and ask.conversation_id is not None:
            where, person = ask.conversation_id, ask.account.id
            if not (await to_thread.run_sync(self.store.conversation, where, person)).grounded:
                return Ground(messages)
        given = sampling.get("max_tokens") or sampling.get("max_completion_tokens")
        room = int(given or self._fitting.room(await self._engines.context_length()))
        # What is live has learned, another adapter or the base may never have been shown.
        live_alone = rival is None and ask.model == routing.LIVE
        spare = live_alone and await to_thread.run_sync(self._registry.canary) is None
        fixed = bool(given or sampling.get("tools"))
        return await self._grounds.ground(messages, ask.account, room, fixed, spare)

    def _store_pending(self, made: _Made, adapter: AdapterRef | None, ask_share: float) -> list[Turn]:
        ask, place, ground, person = made.ask, made.place, made.ground, made.ask.account.id
        if place.new:
            opening = prompts.first_question(ask.messages)
            self.store.start_conversation(person, opening, place.conversation_id, ask.grounded is not False)
        new = NewTurn(
            conversation_id=place.conversation_id,
            parent_id=place.parent_id,
            person_id=person,
            question=prompts.last_question(ask.messages),
            prompt=ground.messages,
            model=self._model,
            adapter=adapter.name if adapter else None,
            sampling=made.sampling,
            passages=ground.passages,
            searched=ground.searched,
        )
        # By chance and before anything is said: only so do the ratings of those asked speak for all answers.
        return [
            self.store.begin(replace(new, asked=random.random() < ask_share))
            for _ in range(int(made.sampling.get("n") or 1))
        ]

    def _place(self, ask: Ask, messages: Sequence[Message]) -> _Place:
        """Where the turn belongs: as told, beside an answer to the same prompt, after a turn, or anew."""
        person = ask.account.id
        if ask.conversation_id is not None:
            return _Place(self.store.conversation(ask.conversation_id, person).id, ask.parent_id)
        if sibling := self.store.asked_before(person, messages):
            return _Place(sibling.conversation_id, sibling.parent_id)
        said = [message for message in ask.messages if message.get("role") != "system"]
        sent = sum(message.get("role") != "system" for message in messages)
        # Where a long dialogue is cut for this turn, it may have been cut for the turn before, only less.
        cut = [earlier for earlier in prompts.shorter(said[:-1]) if len(earlier) + 1 >= sent]
        for earlier in (said[:-1], *cut[: -_CUTS - 1 : -1]):
            if before := self.store.answered_before(person, earlier):
                return _Place(before.conversation_id, before.id)
        return _Place(conversation_id(), None, new=True)

    async def stream(self, begun: Begun) -> AsyncGenerator[dict[str, Any], None]:
        """The answer as OpenAI chunks under the turn's id, the usage in the last one.

        Closing the iterator stops the engine and keeps what was said so far. Raises `EngineInterrupted`,
        `EngineRefused`, `EngineUnavailable`.
        """
        received = [Received() for _ in begun.turns]
        usage: dict[str, Any] = {}
        status: TurnStatus = "failed"
        error: str | None = "an error of ours; it stands in the log"
        first: datetime | None = None
        body = {**begun.body, "stream": True, "stream_options": {"include_usage": True}}
        steps: list[Message] = []
        chunks = (
            self._rounds.stream(body, begun.adapter, begun.helped, steps)
            if begun.helped
            else self._engines.stream(body, begun.adapter)
        )
        try:
            async for chunk in chunks:
                first = first or datetime.now(UTC)
                usage = chunk.get("usage") or usage
                receive(chunk, received)
                yield _renamed(chunk, begun)
            status, error = "complete", None
        except AssistantError as problem:
            status = "interrupted" if isinstance(problem, EngineInterrupted) else "failed"
            error = str(problem)
            raise
        except (GeneratorExit, asyncio.CancelledError):
            status, error = "stopped", None
            raise
        finally:
            # Also when the reader has gone and this task is being cancelled: what was said is kept.
            with anyio.CancelScope(shield=True):
                await chunks.aclose()
                endings = [_ending(item, status, begun, first, usage, error, steps) for item in received]
                await to_thread.run_sync(self._store_endings, begun, endings)

    async def whole(self, begun: Begun) -> dict[str, Any]:
        """The answer in one piece, as an OpenAI `chat.completion`."""
        received = [Received() for _ in begun.turns]
        logprobs: list[list[Any]] = [[] for _ in begun.turns]
        usage: dict[str, Any] = {}
        created = int(datetime.now(UTC).timestamp())
        async for chunk in self.stream(begun):
            usage = chunk.get("usage") or usage
            receive(chunk, received)
            for choice in chunk.get("choices", ()):
                logprobs[choice["index"]] += (choice.get("logprobs") or {}).get("content") or []
        choices = [_choice(index, begun, item, logprobs[index]) for index, item in enumerate(received)]
        return {
            "id": begun.id,
            "object": "chat.completion",
            "created": created,
            "model": begun.answered_by,
            "choices": choices,
            "usage": usage,
        }

    def _store_endings(self, begun: Begun, endings: Sequence[Ending]) -> None:
        for turn, ending in zip(begun.turns, endings, strict=True):
            self.store.end(turn, ending)


def _renamed(chunk: Mapping[str, Any], begun: Begun) -> dict[str, Any]:
    """The engine's chunk under our ids: the client never sees the engine's."""
    choices = []
    for choice in chunk.get("choices", ()):
        turn = begun.turns[choice["index"]]
        told = grounding.told(turn) if choice.get("finish_reason") else {}
        delta = {**(choice.get("delta") or {}), **told}
        choices.append({**choice, "delta": delta, "turn_id": turn.id, "asked": turn.asked})
    return {**chunk, "id": begun.id, "model": begun.answered_by, "choices": choices}


def _ending(
    progress: Received,
    status: TurnStatus,
    begun: Begun,
    first: datetime | None,
    usage: Mapping[str, Any],
    error: str | None,
    steps: Sequence[Message],
) -> Ending:
    only = len(begun.turns) == 1
    return Ending(
        status=status,
        answer="".join(progress.text),
        adapter=begun.adapter.name if begun.adapter else None,
        first_token_at=first,
        prompt_tokens=usage.get("prompt_tokens"),
        # The engine counts all choices together; of one among several the chunks are the nearest count.
        completion_tokens=usage.get("completion_tokens", progress.tokens) if only else progress.tokens,
        finish_reason=progress.finish_reason,
        error=error,
        tool_calls=progress.calls(),
        steps=steps,
    )


def _choice(index: int, begun: Begun, progress: Received, logprobs: list[Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(progress.text)}
    if progress.tool_calls:
        message["tool_calls"] = progress.calls()
        message["content"] = message["content"] or None
    message |= grounding.told(begun.turns[index])
    return {
        "index": index,
        "message": message,
        "finish_reason": progress.finish_reason,
        "logprobs": {"content": logprobs} if logprobs else None,
        "turn_id": begun.turns[index].id,
        "asked": begun.turns[index].asked,
        **({"tool_steps": progress.tool_steps} if progress.tool_steps else {}),
    }
