"""What one open browser page shows, and the edge where its handlers meet gradio.

A `Page` lives on the server, one for each open page; the browser never sends it. `Wire` turns handlers that
speak of parts by name into what gradio calls, and every error into one sentence.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from html import escape
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account, AccountError, Accounts
from assistant.audit import DOOR
from assistant.errors import AssistantError
from assistant.limits import Limits
from assistant.ui.words import sentence
from feedback.past import PAGE
from feedback.records import FeedbackError, Role
from retrieval.records import RetrievalError
from training.records import TrainingError

log = logging.getLogger(__name__)

Parts = dict[str, Any]
"""New values for parts of a page, by the part's name."""


@dataclass
class Page:
    """The state of one chat page."""

    conversation_id: str | None = None
    leaf: str | None = None
    """The last turn of the branch that is shown."""
    editing: str | None = None
    """The turn whose question stands in the composer to be asked differently."""
    set_aside: str = ""
    """What stood in the composer when an edit began."""
    grounded: bool = True
    """Whether documents are to be looked through in the conversation that begins with the next question."""
    learned_from: bool = True
    """Whether anything may be learned from the conversation that begins with the next question."""
    listed: int = PAGE
    """How many conversations the list shows below those that are pinned."""
    wanted: str = ""
    """What the list is searched for; empty: it is not."""
    renaming: str | None = None
    """The conversation in the list whose title is being changed."""
    deleting: str | None = None
    """The conversation in the list that will be deleted if they say so."""
    beside: str | None = None
    """The turn that is answered beside `leaf`, to be chosen from."""
    before: str | None = None
    """The turn whose answer stands beside that of `leaf`, which came after something was learned."""
    placed: bool = False
    """Whether it is known which conversation this page shows, be it a new one."""
    awaited: str | None = None
    """The turn whose answer was asked for last in this epoch."""
    judging: str | None = None
    """The turn that the open feedback form is about."""
    approving: str | None = None
    """The turn whose answer staff are about to approve."""
    epoch: int = 0
    """Grows whenever the page turns to something else: what follows an older epoch must not draw any more."""
    asking: int = -1
    """The epoch in which a question is being put to the engine."""
    stopped: int = -1
    """The epoch in which the stop button was last pressed."""
    followers: int = 0
    """How many handlers are drawing a growing answer on this page."""

    @property
    def together(self) -> tuple[str, ...]:
        """The turns whose answers are shown at the end of the branch, from left to right: one, or two."""
        names = (self.before, self.leaf, self.beside)
        return tuple(name for name in names if name is not None)

    def turn_away(self) -> int:
        """Begin a new epoch; returns it."""
        self.epoch += 1
        self.awaited = None
        return self.epoch

    @contextmanager
    def claimed(self) -> Iterator[Page]:
        """A new epoch, in which a question is being put to the engine while this lasts.

        Gives a copy of the page as it is: where the question was asked, wherever the page turns meanwhile.
        """
        epoch = self.asking = self.turn_away()
        try:
            yield replace(self)
        finally:
            if self.asking == epoch:
                self.asking = -1

    async def alone(self) -> None:
        """Wait until nobody draws for an older epoch, so that the next picture is the last one."""
        for _ in range(50):
            if not self.followers:
                return
            await asyncio.sleep(0.02)
        # The browser has gone in the middle of an answer: gradio never closed the one that drew for it.
        self.followers = 0

    @contextmanager
    def following(self) -> Iterator[None]:
        """While it lasts, somebody draws."""
        self.followers += 1
        try:
            yield
        finally:
            self.followers = max(0, self.followers - 1)


MOST_OPEN = 2_000
"""Open pages whose state is kept, each with some 100 KB; gradio would keep 10,000, open or not."""


def decision_buttons(confirm: str) -> tuple[gr.Button, gr.Button]:
    """The way back and the way on, under a question that a page asks before it acts."""
    with gr.Row(elem_id="decision-buttons"):
        return (
            gr.Button("Cancel", size="sm", elem_id="dismiss", scale=0, min_width=0),
            gr.Button(confirm, variant="primary", size="sm", elem_id="confirm", scale=0, min_width=0),
        )


def queued(blocks: gr.Blocks, at_once: int, waiting: int) -> gr.Blocks:
    """Let `at_once` events of a page run at the same moment; none is limited by itself (`Wire.on`)."""
    blocks.state_session_capacity = MOST_OPEN
    # Else gradio makes a table of its last ten thousand events after each one, for a page we don't have.
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
    blocks.max_threads = at_once
    return blocks.queue(default_concurrency_limit=None, max_size=waiting, api_open=False)


class Doorman:
    """Tells a handler who is asking, and turns away who may not."""

    def __init__(self, accounts: Accounts, role: Role, limits: Limits | None = None) -> None:
        self._accounts = accounts
        self._role = role
        self._limits = limits

    async def admit(self, request: gr.Request) -> Account:
        """The account behind the request. Raises `AccountError` if it is gone, locked or may not."""
        name = str(request.username or "")
        try:
            account = await to_thread.run_sync(self._accounts.get, name)
        except AccountError:
            raise AccountError("you are signed out; reload the page to sign in") from None
        if not account.may(self._role):
            raise AccountError(f"this needs the role {self._role}")
        DOOR.set("page")
        return account

    def pace(self, account: Account) -> None:
        """Count a question of this person. Raises `TooMany`."""
        if self._limits is not None:
            self._limits.chat(account)


class Wire:
    """Binds handlers to the components of one page."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    @property
    def outputs(self) -> list[Any]:
        """Every component that a handler may name."""
        return list(self.parts.values())

    def __call__(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """The handler as gradio wants it: values by component, errors as a message on the page."""
        if inspect.isasyncgenfunction(handler):

            @wraps(handler)
            async def stream(*arguments: Any) -> AsyncIterator[dict[Any, Any] | None]:
                drawn = False
                with _in_words():
                    async with aclosing(handler(*arguments)) as pictures:
                        async for parts in pictures:
                            drawn = True
                            yield self._by_component(parts)
                if not drawn:
                    # Of a stream without a picture gradio makes empty values for every part.
                    yield self._by_component({})

            return _as_it_is(stream, handler)

        @wraps(handler)
        async def once(*arguments: Any) -> dict[Any, Any] | None:
            with _in_words():
                return self._by_component(await handler(*arguments))

        return _as_it_is(once, handler)

    def on(
        self, triggers: list[Any], handler: Callable[..., Any], inputs: list[Any], mode: str = "multiple"
    ) -> Any:
        """Bind an event. None is limited in number, none is listed in the API, none shows a spinner.

        Returns what gradio calls a dependency: the event's end, to bind the next one to.
        """
        options = {
            "inputs": inputs,
            "outputs": self.outputs,
            "concurrency_limit": None,
            "show_progress": "hidden",
            "trigger_mode": mode,
            "api_visibility": "private",
        }
        if len(triggers) == 1:
            # Events that an HTML component names itself can be bound in this way only.
            return triggers[0](self(handler), **options)
        return gr.on(triggers, self(handler), **options)

    def _by_component(self, parts: Mapping[str, Any]) -> dict[Any, Any] | None:
        if not self.parts:
            return None
        # Gradio takes an empty dictionary for a value, so that nothing new has to be said aloud.
        named = {self.parts[name]: value for name, value in parts.items()}
        return named or {self.outputs[0]: gr.skip()}


def _as_it_is(made: Callable[..., Any], handler: Callable[..., Any]) -> Callable[..., Any]:
    """With the signature of a handler, by which gradio knows where the request goes.

    Of a method that is decorated itself it would else find the one with `self`.
    """
    made.__signature__ = inspect.signature(handler)  # type: ignore[attr-defined]
    return made


@contextmanager
def _in_words() -> Iterator[None]:
    """The edge of every event: what a person can understand is shown, the rest goes to the log."""
    try:
        yield
    except (AssistantError, FeedbackError, RetrievalError, TrainingError) as problem:
        raise gr.Error(spoken(problem), duration=8, print_exception=False) from None
    except gr.Error:
        raise
    except Exception:
        log.exception("an event of a page failed")
        raise gr.Error(
            "Something went wrong on our side; the log of the server says what.", print_exception=False
        ) from None


def spoken(problem: Exception | str) -> str:
    """An error as a sentence, escaped: gradio's messages are HTML, and so are our pages."""
    return escape(sentence(problem) or "Something went wrong.")
