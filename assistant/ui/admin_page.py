"""The admin page at `/admin`: what answers, what is being learned, and the levers with their reasons.

An app of its own behind a gate of its own; every handler checks the role once more. It asks the ledger and
the registry, and decides nothing itself. Each tab's own handlers and drawing stand in files of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account, Accounts
from assistant.people import People
from assistant.ui import admin_views as views
from assistant.ui import (
    audit_view,
    canary_view,
    comparison_view,
    curve_view,
    lineage_view,
    monitoring,
    notices_view,
    people_view,
    preparing,
    run_view,
    settings_view,
    theme,
)
from assistant.ui.chat_events import said
from assistant.ui.deciding import DecidingEvents, Decision
from assistant.ui.desk import Desk
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire, decision_buttons, queued
from training import curves, lineage
from training.records import Adapter, NotFound, Run

STYLES = ("colours", "parts", "admin", "comparison", "monitor", "desk", "people")
_EVERY_SECONDS = 2.0
_AHEAD_SECONDS = 5.0
_MOST_RUNS = 20
_MOST_ADAPTERS = 20
_MOST_PROMOTIONS = 50
_MOST_STEPS = 20
_MOST_NOTICES = 20


@dataclass
class Shown:
    """What one open page shows. On the server, one for each open page."""

    run: str = ""
    adapter: str = ""
    drawn: dict[str, int] = field(default_factory=dict)
    """Hashes of what was drawn last: what has not changed is not sent, and keeps its place for the reader."""

    def changed(self, parts: Mapping[str, Any]) -> Parts:
        """Those of the parts that look otherwise than before."""
        new = {name: text for name, text in parts.items() if self.drawn.get(name) != hash(text)}
        self.drawn |= {name: hash(text) for name, text in new.items()}
        return new


class AdminEvents:
    """The handlers of the page: what is shown, and what is looked at closer."""

    def __init__(self, desk: Desk, door: Doorman) -> None:
        self._desk = desk
        self._door = door

    async def load(self, shown: Shown, request: gr.Request) -> Parts:
        """The page was opened, maybe at a run or an adapter that its address names."""
        account = await self._door.admit(request)
        shown.drawn.clear()
        shown.run, shown.adapter = (str(request.query_params.get(name) or "") for name in ("run", "adapter"))
        parts = {
            "top": views.top(account, theme.favicon()),
            "settings": settings_view.draw(self._desk.settings),
        }
        if tab := "runs" if shown.run else "adapters" if shown.adapter else "":
            parts["tabs"] = gr.update(selected=tab)
        return {**parts, **await to_thread.run_sync(self._news, shown, account)}

    async def refresh(self, shown: Shown, request: gr.Request) -> Parts:
        """The timer rang."""
        account = await self._door.admit(request)
        return await to_thread.run_sync(self._news, shown, account)

    async def ahead(self, request: gr.Request) -> Parts:
        """How far the next run is. An event of its own: where much was said, counting it takes a while."""
        await self._door.admit(request)
        return {"due": run_view.due(await to_thread.run_sync(self._desk.outlook.look))}

    async def train(self, shown: Shown, request: gr.Request) -> Parts:
        """Queue a run as it would be chosen, unless one is waiting already."""
        account = await self._door.admit(request)
        due_by = f"by hand: {account.name}"
        queue = self._desk.runs.queue
        run = await to_thread.run_sync(lambda: queue("dpo", due_by, actor=account.name))
        if run.due_by == due_by:
            gr.Info("The run is in the queue. It starts as soon as a worker is free.", duration=4)
        else:
            gr.Info("A run is waiting already; it will read the newest votes.", duration=4)
        return await to_thread.run_sync(self._news, shown, account)

    async def watch(self, shown: Shown, request: gr.Request, event: gr.EventData) -> Parts:
        """Look at one run closer."""
        account = await self._door.admit(request)
        shown.run = said(event, "run")
        await to_thread.run_sync(self._desk.runs.get, shown.run)
        return await to_thread.run_sync(self._news, shown, account)

    async def leave_run(self, shown: Shown, request: gr.Request) -> Parts:
        """Look at no run any more, not even at the one that trains."""
        account = await self._door.admit(request)
        shown.run = "-"
        return await to_thread.run_sync(self._news, shown, account)

    async def show_adapter(self, shown: Shown, request: gr.Request, event: gr.EventData) -> Parts:
        """Look at one adapter closer."""
        account = await self._door.admit(request)
        shown.adapter = said(event, "name")
        await to_thread.run_sync(self._desk.registry.get, shown.adapter)
        return await to_thread.run_sync(self._news, shown, account)

    async def leave_adapter(self, shown: Shown, request: gr.Request) -> Parts:
        """Look at no adapter any more."""
        account = await self._door.admit(request)
        shown.adapter = ""
        return await to_thread.run_sync(self._news, shown, account)

    async def show_notices(self, request: gr.Request) -> Parts:
        """Turn to the notices."""
        await self._door.admit(request)
        return {"tabs": gr.update(selected="overview")}

    async def see_notices(self, shown: Shown, request: gr.Request) -> Parts:
        """This person has seen what stands there."""
        account = await self._door.admit(request)
        await to_thread.run_sync(self._see, account)
        return await to_thread.run_sync(self._news, shown, account)

    def _see(self, account: Account) -> None:
        newest = self._desk.notices.newest(account.id, 1)
        if newest:
            self._desk.notices.see(account.id, newest[0].at)

    def _news(self, shown: Shown, account: Account) -> Parts:
        found = {**self.everything(), **self._closer(shown), **self._noticed(account)}
        return shown.changed(found)

    def everything(self) -> Parts:
        """What every admin sees."""
        desk = self._desk
        live, history = desk.registry.live(), desk.registry.history(_MOST_PROMOTIONS)
        adapters, trying = desk.registry.newest(_MOST_ADAPTERS), desk.canaries.look()
        judged = desk.registry.judged([item.name for item in adapters])
        total = desk.monitor.days.total()
        return {
            "overview": views.overview(
                desk.ready(), live, history[0] if history else None, total, desk.registry.stranded()
            ),
            "runs": views.runs(desk.runs.all(_MOST_RUNS)),
            "canary": canary_view.canary(trying, desk.canaries.history(_MOST_STEPS)),
            "adapters": views.adapters(
                adapters,
                live.name if live else None,
                judged,
                trying[0] if trying else None,
                self._barred(adapters),
            ),
            "promotions": views.promotions(history),
            "comparison": comparison_view.draw(desk.comparison()),
        }

    def _barred(self, adapters: Sequence[Adapter]) -> dict[str, str]:
        """The adapters that may answer nobody, with the reason."""
        fits = self._desk.registry.fits
        barred = {item.name: "of another base model" for item in adapters if not fits(item)}
        return barred | dict.fromkeys(self._desk.registry.tainted(), "learned from deleted data")

    def _noticed(self, account: Account) -> Parts:
        return {
            "notices": notices_view.draw(self._desk.notices.newest(account.id, _MOST_NOTICES)),
            "pill": notices_view.pill(self._desk.notices.unseen(account.id)),
        }

    def _closer(self, shown: Shown) -> Parts:
        """The run and the adapter that are looked at; without a choice the run that trains."""
        run, parts = self._watched(shown), {"watched": "", "log": "", "adapter": ""}
        if run is not None:
            folder = self._desk.folder(run.id)
            drawn = curve_view.draw(curves.read(folder), run.state)
            parts["watched"] = f"{run_view.facts(run)}{drawn}"
            parts["log"] = curve_view.log(curves.tail(folder))
        if shown.adapter:
            parts["adapter"] = self._adapter(shown)
        return parts

    def _watched(self, shown: Shown) -> Run | None:
        if shown.run:
            try:
                return self._desk.runs.get(shown.run)
            except NotFound:
                return None
        return next((run for run in self._desk.runs.all(_MOST_RUNS) if run.state == "running"), None)

    def _adapter(self, shown: Shown) -> str:
        registry, name = self._desk.registry, shown.adapter
        adapter = self._known(name)
        if adapter is None:
            return ""
        return lineage_view.draw(
            adapter,
            lineage.of(adapter),
            lineage.parents(adapter, self._known),
            registry.evaluation(name),
            [row for row in registry.history(_MOST_PROMOTIONS) if row.adapter == name],
            [step for step in self._desk.canaries.history(_MOST_STEPS) if step.adapter == name],
        )

    def _known(self, name: str) -> Adapter | None:
        try:
            return self._desk.registry.get(name)
        except NotFound:
            return None


def build(desk: Desk, accounts: Accounts, people: People) -> gr.Blocks:
    """The page, ready to be mounted."""
    door = Doorman(accounts, "admin")
    events = AdminEvents(desk, door)
    with gr.Blocks(title="Admin · Apprentice", fill_width=True, analytics_enabled=False) as blocks:
        with gr.Column(elem_id="admin"):
            parts = _above()
            with gr.Tabs(elem_id="tabs") as tabs:
                with gr.Tab("Overview", id="overview"):
                    parts |= _overview()
                with gr.Tab("Runs", id="runs"):
                    _runs_head()
                    form = preparing.section()
                    parts |= {name: html(name) for name in ("watched", "log", "runs")}
                with gr.Tab("Adapters", id="adapters"):
                    parts |= _adapters()
                with gr.Tab("Monitoring", id="monitoring"):
                    watched = monitoring.section()
                with gr.Tab("People", id="people"):
                    people_view.build(blocks, parts["top"], people, door)
                with gr.Tab("Settings", id="settings"):
                    parts["settings"] = html("settings")
                with gr.Tab("Audit", id="audit") as audit:
                    audited = audit_view.section()
            parts |= {"tabs": tabs, **_question()}
        bus = parts["top"]
        _connect(blocks, parts, events, DecidingEvents(desk, door, events.everything))
        preparing.connect(form, bus, preparing.PreparingEvents(desk, door))
        audit_view.connect(audit, audited, bus, audit_view.AuditEvents(desk.audit, door))
        watching = monitoring.MonitoringEvents(desk.monitor, desk.registry, door, desk.cost_per_hour)
        monitoring.connect(blocks, {"alerts": parts["alerts"], **watched}, bus, watching)
    return queued(blocks, at_once=40, waiting=500)


def _above() -> dict[str, Any]:
    """What stands above the tabs."""
    top = html("admin-top", js_on_load=theme.script("bus", "admin"))
    return {"top": top, "alerts": html("alerts"), "pill": html("notices-pill")}


def _overview() -> dict[str, Any]:
    parts = {"overview": html("overview"), "due": html("due"), "notices": html("notices")}
    html("comparison-head", value=views.heading("Prompt, retrieval or fine-tuning?"))
    return parts | {"comparison": html("comparison")}


def _runs_head() -> None:
    levers = (("run_prepare", "Preview and recipe…", False), ("run_train", "Train now", True))
    html("runs-head", value=views.heading("Runs", *levers))


def _adapters() -> dict[str, Any]:
    html("canary-head", value=views.heading("Canary"))
    canary = html("canary")
    levers = (("adapter_rollback", "Roll back…", False), ("adapter_base", "Back to base…", False))
    html("adapters-head", value=views.heading("Adapters", *levers))
    closer, adapters = html("adapter"), html("adapters")
    html("promotions-head", value=views.heading("Promotions"))
    parts = {"canary": canary, "adapter": closer, "adapters": adapters}
    return parts | {"promotions": html("promotions")}


def _question() -> dict[str, Any]:
    with gr.Column(elem_id="decision", visible=False) as decision:
        question = html("question")
        reason = gr.Textbox(
            label="Why?",
            placeholder="One sentence for whoever reads the history",
            max_length=1_000,
            elem_id="reason",
        )
        refusal = html("refusal", visible=False)
        dismiss, confirm = decision_buttons("Confirm")
    return {
        "decision": decision,
        "question": question,
        "reason": reason,
        "refusal": refusal,
        "dismiss": dismiss,
        "confirm": confirm,
    }


def _connect(blocks: gr.Blocks, parts: dict[str, Any], events: AdminEvents, deciding: DecidingEvents) -> None:
    shown, decision, bus = gr.State(Shown()), gr.State(Decision()), parts["top"]
    wire = Wire(
        **{name: part for name, part in parts.items() if name not in ("dismiss", "confirm", "alerts")}
    )
    wire.on([blocks.load], events.load, [shown])
    wire.on([gr.Timer(_EVERY_SECONDS).tick], events.refresh, [shown])
    wire.on([blocks.load], events.ahead, [])
    wire.on([gr.Timer(_AHEAD_SECONDS).tick], events.ahead, [])
    wire.on([bus.run_train], events.train, [shown])
    wire.on([bus.run_watch], events.watch, [shown])
    wire.on([bus.run_leave], events.leave_run, [shown])
    wire.on([bus.adapter_show], events.show_adapter, [shown])
    wire.on([bus.adapter_leave], events.leave_adapter, [shown])
    wire.on([bus.notices_show], events.show_notices, [])
    wire.on([bus.notices_see], events.see_notices, [shown])
    wire.on([bus.run_cancel], deciding.ask_cancel, [decision])
    wire.on([bus.adapter_promote], deciding.ask_promote, [decision])
    wire.on([bus.adapter_retire], deciding.ask_retire, [decision])
    wire.on([bus.canary_start], deciding.ask_canary, [decision])
    wire.on([bus.canary_stop], deciding.ask_stop, [decision])
    wire.on([bus.adapter_rollback], deciding.ask_rollback, [decision])
    wire.on([bus.adapter_base], deciding.ask_base, [decision])
    wire.on([parts["confirm"].click, parts["reason"].submit], deciding.decide, [decision, parts["reason"]])
    wire.on([parts["dismiss"].click], deciding.dismiss, [decision])
