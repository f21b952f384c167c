"""The page for reviews at `/review`, for staff: one case after the other, the list of all, how they agree.

An app of its own behind a gate of its own; every handler checks the role once more. It asks the desk and
decides nothing itself. Drawing is in `review_views.py`, what only the browser can do in `review.js`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, cast

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account, Accounts
from assistant.reviewing import Case, ReviewDesk
from assistant.ui import admin_views, agreement_view, theme
from assistant.ui import review_views as views
from assistant.ui.chat_events import said
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire, queued, spoken
from assistant.ui.review_form import typed, whole, with_chosen
from feedback.agreement import agreement
from feedback.records import FeedbackError, NotFound
from feedback.review_records import KINDS, STATES, Draft, Filters
from feedback.reviews import Taken
from feedback.store import LONGEST_COMMENT, LONGEST_CORRECTION

STYLES = ("colours", "parts", "admin", "review")
_MOST = 50


@dataclass
class Shown:
    """What one open page shows. On the server, one for each open page."""

    case: Case | None = None
    draft: Draft = field(default_factory=Draft)
    """What is chosen and typed."""
    most: int = _MOST
    filters: Filters = field(default_factory=Filters)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock, compare=False)
    """One handler at a time changes the case: what is typed and what is pressed come as they please."""


def _in_turn(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler, waiting for those before it on the same page. Who may not come in never waits."""
    signature = inspect.signature(handler)

    @wraps(handler)
    async def waiting(self: ReviewEvents, shown: Shown, *arguments: Any, **named: Any) -> Parts:
        await self._door.admit(signature.bind(self, shown, *arguments, **named).arguments["request"])
        async with shown.turn:
            return cast(Parts, await handler(self, shown, *arguments, **named))

    return waiting


class ReviewEvents:
    """The handlers of the page. `which` is the task that the browser shows: what it sends may come late."""

    def __init__(self, desk: ReviewDesk, accounts: Accounts, door: Doorman) -> None:
        self._desk = desk
        self._accounts = accounts
        self._door = door

    @_in_turn
    async def load(self, shown: Shown, request: gr.Request) -> Parts:
        """The page was opened, on a task that its address names or on the next one."""
        account = await self._door.admit(request)
        text = await to_thread.run_sync(self._desk.guideline)
        parts: Parts = {
            "top": admin_views.top(account, theme.favicon(), "Review"),
            "guideline": views.guideline(text),
        }
        named = dict(request.query_params or {}).get("task", "")
        if named.isdecimal():
            try:
                return parts | await self._opened(shown, account, int(named[:18]))
            except NotFound:
                gr.Warning("There is no such task.")
        return parts | await self._next(shown, account)

    # -- the case

    @_in_turn
    async def choose(
        self,
        shown: Shown,
        which: str,
        correction: str,
        comment: str,
        request: gr.Request,
        event: gr.EventData,
    ) -> Parts:
        """A verdict, a fault or a tick was chosen. The browser shows it already, and what came after."""
        account = await self._door.admit(request)
        case = _current(shown, which)
        if case is None or not case.is_mine:
            return {}
        shown.draft = with_chosen(typed(shown.draft, case.turn.answer, correction, comment), event)
        await to_thread.run_sync(self._desk.reviews.keep, case.task.id, account.id, shown.draft)
        return _no_trouble()

    @_in_turn
    async def keep(
        self, shown: Shown, which: str, correction: str, comment: str, request: gr.Request
    ) -> Parts:
        """Something was typed: remember it, and show what it changes."""
        account = await self._door.admit(request)
        case = _current(shown, which)
        if case is None or not case.is_mine:
            return {}
        draft = typed(shown.draft, case.turn.answer, correction, comment)
        if draft != shown.draft:
            shown.draft = draft
            await to_thread.run_sync(self._desk.reviews.keep, case.task.id, account.id, draft)
        return {"diff": views.what_changes(case.turn.answer, correction)}

    @_in_turn
    async def save(
        self,
        shown: Shown,
        which: str,
        correction: str,
        comment: str,
        request: gr.Request,
        event: gr.EventData,
    ) -> Parts:
        """Store the verdict and go on. What is refused stays on the page, with the reason."""
        account = await self._door.admit(request)
        case = _current(shown, which)
        if case is None and said(event, "again"):
            # Saved before, but the page never heard of it; or the server has started anew meanwhile.
            return await (self._as_it_is(shown, account) if shown.case else self._next(shown, account))
        if case is None or not case.is_mine:
            return {}
        draft = typed(whole(event), case.turn.answer, correction, comment)
        if case.review is not None and Draft.of(case.review) == draft:
            return await self._next(shown, account)
        try:
            problem = await self._desk.finish(case.task.id, account, draft)
        except Taken as refused:
            gr.Warning(spoken(refused))
            return await self._next(shown, account)
        except FeedbackError as refused:
            return {"trouble": gr.update(value=views.problem(str(refused)), visible=True)}
        if problem:
            gr.Warning(f"Saved, but it is no example for similar questions: {spoken(problem)}")
        return await self._next(shown, account)

    @_in_turn
    async def skip(self, shown: Shown, which: str, request: gr.Request) -> Parts:
        """Leave it undecided and go on."""
        account = await self._door.admit(request)
        case = _current(shown, which)
        if case is not None and case.is_mine:
            await to_thread.run_sync(self._desk.reviews.skip, case.task.id, account.id)
        return await self._next(shown, account)

    @_in_turn
    async def undo(self, shown: Shown, request: gr.Request) -> Parts:
        """Take back what this person did last."""
        account = await self._door.admit(request)
        task = await to_thread.run_sync(self._desk.reviews.undo, account.id, account.role)
        if task is None:
            gr.Info("There is nothing to undo.", duration=3)
            return {}
        await self._leave(shown, account)
        return await self._show(shown, account, await to_thread.run_sync(self._desk.case, task, account))

    @_in_turn
    async def open(self, shown: Shown, request: gr.Request, event: gr.EventData) -> Parts:
        """A task was chosen in the list."""
        account = await self._door.admit(request)
        named = said(event, "task")
        await self._leave(shown, account)
        parts = await self._opened(shown, account, int(named[:18]) if named.isdecimal() else 0)
        return {**parts, "tabs": gr.update(selected="case")}

    @_in_turn
    async def go_on(self, shown: Shown, request: gr.Request) -> Parts:
        """Back to the queue."""
        return await self._next(shown, await self._door.admit(request))

    # -- all of them

    async def list(
        self,
        shown: Shown,
        state: str | None,
        kind: str | None,
        adapter: str | None,
        mine: bool,
        request: gr.Request,
    ) -> Parts:
        """Tasks that are so."""
        account = await self._door.admit(request)
        shown.filters = Filters(
            state if state in STATES else "",
            kind if kind in KINDS else "",
            (adapter or "")[:40],
            bool(mine),
        )
        shown.most = _MOST
        return await to_thread.run_sync(self._tasks, shown, account)

    async def more(self, shown: Shown, request: gr.Request) -> Parts:
        """Show more of them."""
        account = await self._door.admit(request)
        shown.most += _MOST
        return await to_thread.run_sync(self._tasks, shown, account)

    async def agree(self, request: gr.Request) -> Parts:
        """How staff agree."""
        await self._door.admit(request)

        def drawn() -> str:
            found = agreement(self._desk.reader.looks())
            return agreement_view.agreement(found, self._names(), self._desk.settings.double_share)

        return {"agreement": await to_thread.run_sync(drawn)}

    # -- inside

    async def _next(self, shown: Shown, account: Account) -> Parts:
        task = await to_thread.run_sync(self._desk.next, account)
        case = await to_thread.run_sync(self._desk.case, task, account) if task else None
        return await self._show(shown, account, case)

    async def _opened(self, shown: Shown, account: Account, task_id: int) -> Parts:
        task = await to_thread.run_sync(self._desk.reviews.open, task_id, account.id)
        return await self._show(shown, account, await to_thread.run_sync(self._desk.case, task, account))

    async def _leave(self, shown: Shown, account: Account) -> None:
        """Nobody has to wait for a task that was only looked at."""
        if shown.case is not None and shown.case.is_mine:
            await to_thread.run_sync(self._desk.reviews.put_back, shown.case.task.id, account.id)

    async def _show(self, shown: Shown, account: Account, case: Case | None) -> Parts:
        shown.case = case
        shown.draft = case.draft if case else Draft()
        return await self._as_it_is(shown, account)

    async def _as_it_is(self, shown: Shown, account: Account) -> Parts:
        case = shown.case
        how_far = await to_thread.run_sync(self._desk.reader.progress, account.id)
        parts: Parts = {"progress": views.progress(how_far), **_no_trouble()}
        if case is None:
            return parts | {
                "which": "",
                "case": views.empty(how_far),
                "panel": "",
                "writing": gr.update(visible=False),
                "diff": "",
            }
        correction = shown.draft.correction or case.turn.answer
        return parts | {
            "which": str(case.task.id),
            "case": views.case(case),
            "panel": self._panel(case, shown.draft),
            "writing": gr.update(visible=case.is_mine),
            "correction": correction,
            "comment": shown.draft.comment,
            "diff": views.what_changes(case.turn.answer, correction),
        }

    def _panel(self, case: Case, draft: Draft) -> str:
        return views.panel(case, draft, self._desk.approves)

    def _tasks(self, shown: Shown, account: Account) -> Parts:
        found = self._desk.reader.listed(account.id, shown.filters, shown.most + 1)
        names = [name or "base" for name in self._desk.reader.adapters()]
        return {
            "tasks": views.tasks(found, shown.most, self._names(), shown.filters),
            "adapter": gr.update(choices=[("Any adapter", ""), *((name, name) for name in names)]),
        }

    def _names(self) -> dict[str, str]:
        return {one.id: one.name for one in self._accounts.all()}


def _current(shown: Shown, which: str) -> Case | None:
    """The case on the page, if the browser speaks of the same one."""
    case = shown.case
    return case if case is not None and which == str(case.task.id) else None


def _no_trouble() -> Parts:
    return {"trouble": gr.update(value="", visible=False)}


def build(desk: ReviewDesk, accounts: Accounts) -> gr.Blocks:
    """The page, ready to be mounted."""
    events = ReviewEvents(desk, accounts, Doorman(accounts, "staff"))
    with gr.Blocks(title="Review · Apprentice", fill_width=True, analytics_enabled=False) as blocks:
        shown = gr.State(Shown())
        with gr.Column(elem_id="admin"):
            parts: dict[str, Any] = {"top": html("admin-top")}
            with gr.Tabs(elem_id="tabs") as tabs:
                parts["tabs"] = tabs
                with gr.Tab("Review", id="case") as parts["case_tab"]:
                    parts |= _case()
                with gr.Tab("All tasks", id="list") as parts["list_tab"]:
                    parts |= _list()
                with gr.Tab("Agreement", id="agreement") as parts["agreement_tab"]:
                    parts["agreement"] = html("agreement")
            html("review-helping", value=views.helping())
        _connect(blocks, shown, parts, events)
    return queued(blocks, at_once=40, waiting=500)


def _case() -> dict[str, Any]:
    parts: dict[str, Any] = {"progress": html("review-progress", js_on_load=theme.script("bus", "review"))}
    parts["which"] = gr.Textbox(visible=False)
    with gr.Row(elem_id="review-row"):
        with gr.Column(elem_id="review-left", scale=5, min_width=300):
            parts["case"] = html("review-case")
        with gr.Column(elem_id="review-right", scale=4, min_width=300):
            parts["panel"] = html("review-panel")
            parts["trouble"] = html("review-trouble", visible=False)
            with gr.Column(elem_id="review-writing", visible=False) as parts["writing"]:
                parts["correction"] = gr.Textbox(
                    label="Correction (E): what it should have said",
                    lines=4,
                    max_lines=14,
                    max_length=LONGEST_CORRECTION,
                    elem_id="review-correction",
                )
                parts["diff"] = html("review-diff")
                parts["comment"] = gr.Textbox(
                    label="Comment (C): for your colleagues",
                    lines=1,
                    max_lines=6,
                    max_length=LONGEST_COMMENT,
                    elem_id="review-comment",
                )
            parts["guideline"] = html("review-guideline")
    return parts


def _list() -> dict[str, Any]:
    with gr.Row(elem_id="review-filters"):
        state = _dropdown("State", "Any state", [(views.STATES[one][1], one) for one in STATES])
        kind = _dropdown("Kind", "Any kind", [(views.KINDS[one][0], one) for one in KINDS])
        adapter = _dropdown("Adapter", "Any adapter", [])
        mine = gr.Checkbox(label="Mine only", elem_id="by-mine", container=False, min_width=120)
    return {"state": state, "kind": kind, "adapter": adapter, "mine": mine, "tasks": html("review-tasks")}


def _dropdown(label: str, everything: str, choices: list[tuple[str, str]]) -> Any:
    return gr.Dropdown(
        [(everything, ""), *choices], value="", label=label, elem_id=f"by-{label.lower()}", min_width=140
    )


def _connect(blocks: gr.Blocks, shown: gr.State, parts: dict[str, Any], events: ReviewEvents) -> None:
    case = ("progress", "which", "case", "panel", "trouble", "writing", "correction", "diff", "comment")
    around = ("top", "tabs", "guideline", "adapter", "tasks", "agreement")
    wire, bus = Wire(**{name: parts[name] for name in (*case, *around)}), parts["progress"]
    which, written = parts["which"], [parts["correction"], parts["comment"]]
    filters = [parts[name] for name in ("state", "kind", "adapter", "mine")]
    wire.on([blocks.load], events.load, [shown])
    wire.on([bus.review_choose], events.choose, [shown, which, *written])
    for field_ in written:
        wire.on([field_.input], events.keep, [shown, which, *written], mode="always_last")
    wire.on([bus.review_save], events.save, [shown, which, *written])
    wire.on([bus.review_skip], events.skip, [shown, which])
    wire.on([bus.review_undo], events.undo, [shown])
    wire.on([bus.review_open], events.open, [shown])
    wire.on([bus.review_next], events.go_on, [shown])
    wire.on([bus.review_more], events.more, [shown])
    for filter_ in filters:
        wire.on([filter_.input], events.list, [shown, *filters], mode="always_last")
    wire.on([parts["list_tab"].select], events.list, [shown, *filters])
    wire.on([parts["agreement_tab"].select], events.agree, [])
