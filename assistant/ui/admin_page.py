"""The admin page at `/admin`: what answers, what is being learned, and the levers with their reasons.

An app of its own behind a gate of its own; every handler checks the role once more. It asks the ledger and
the registry, and decides nothing itself. Drawing is in `admin_views.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account, Accounts
from assistant.people import People
from assistant.ui import admin_views as views
from assistant.ui import canary_view, comparison_view, monitoring, people_view, theme
from assistant.ui.chat_events import said
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire, decision_buttons, queued
from assistant.ui.words import sentence
from training.canaries import Canaries
from training.comparison import Comparison
from training.monitor import Monitor
from training.records import TrainingError
from training.registry import BASE, Registry
from training.runs import Runs

STYLES = ("colours", "parts", "admin", "comparison", "monitor", "people")
_EVERY_SECONDS = 2.0
_MOST_RUNS = 20
_MOST_ADAPTERS = 20
_MOST_PROMOTIONS = 50
_MOST_STEPS = 20


@dataclass
class Decision:
    """What an admin is about to do, while they write down why. One for each open page, on the server."""

    act: str = ""
    adapter: str = ""


class AdminEvents:
    """The handlers of the admin page."""

    def __init__(
        self,
        runs: Runs,
        registry: Registry,
        canaries: Canaries,
        monitor: Monitor,
        door: Doorman,
        ready: Callable[[], str | None],
        comparison: Callable[[], Comparison | None] = lambda: None,
    ) -> None:
        self._runs = runs
        self._registry = registry
        self._canaries = canaries
        self._monitor = monitor
        self._door = door
        self._ready = ready
        self._comparison = comparison

    async def load(self, request: gr.Request) -> Parts:
        """The page was opened."""
        account = await self._door.admit(request)
        return {"top": views.top(account, theme.favicon()), **await to_thread.run_sync(self._everything)}

    async def refresh(self, request: gr.Request) -> Parts:
        """The timer rang."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._everything)

    async def train(self, request: gr.Request) -> Parts:
        """Queue a run, unless one is waiting already."""
        account = await self._door.admit(request)
        run = await to_thread.run_sync(self._runs.queue, "dpo", f"by hand: {account.name}")
        if run.due_by == f"by hand: {account.name}":
            gr.Info("The run is in the queue. It starts as soon as a worker is free.", duration=4)
        else:
            gr.Info("A run is waiting already; it will read the newest votes.", duration=4)
        return await to_thread.run_sync(self._everything)

    async def cancel(self, request: gr.Request, event: gr.EventData) -> Parts:
        """End a run: at once if it waits, at its next beat if it runs."""
        await self._door.admit(request)
        await to_thread.run_sync(self._runs.cancel, said(event, "run"))
        return await to_thread.run_sync(self._everything)

    async def ask_promote(self, decision: Decision, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the question for the reason of a promotion."""
        await self._door.admit(request)
        adapter = await to_thread.run_sync(self._registry.get, said(event, "name"))
        text = "It answers from the next question on. Answers that are being written end as they began."
        return self._opened(decision, "promote", adapter.name, f"Promote {adapter.name}", text)

    async def ask_rollback(self, decision: Decision, request: gr.Request) -> Parts:
        """Open the question for the reason of a rollback."""
        await self._door.admit(request)
        text = "What was live before answers again, from the next question on."
        return self._opened(decision, "rollback", "", "Roll back", text)

    async def ask_base(self, decision: Decision, request: gr.Request) -> Parts:
        """Open the question for the reason of going back to the bare base model."""
        await self._door.admit(request)
        text = "From the next question on the base model answers, as it was before any training."
        return self._opened(decision, "promote", BASE, "Back to the base model", text)

    async def ask_canary(self, decision: Decision, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the question for the reason of a canary."""
        await self._door.admit(request)
        adapter = await to_thread.run_sync(self._registry.get, said(event, "name"))
        share = f"{self._canaries.plan.steps[0]:.0%}"
        text = f"It answers {share} of conversations. Their votes widen that, promote it, or roll it back."
        return self._opened(decision, "canary", adapter.name, f"Try {adapter.name}", text)

    async def ask_stop(self, decision: Decision, request: gr.Request) -> Parts:
        """Open the question for the reason of a veto."""
        await self._door.admit(request)
        text = "What is live answers all conversations again, from the next question on."
        return self._opened(decision, "stop", "", "Stop the canary", text)

    async def decide(self, decision: Decision, reason: str, request: gr.Request) -> Parts:
        """Do what was asked for. If it is refused the question stays open and says why."""
        account = await self._door.admit(request)
        if not decision.act:
            return self._closed(decision)
        try:
            await to_thread.run_sync(self._act, decision, account, reason[:1_000])
        except TrainingError as problem:
            said_so = f'<p class="problem" role="alert">{escape(sentence(problem))}</p>'
            return {"refusal": gr.update(value=said_so, visible=True)}
        return {**self._closed(decision), **await to_thread.run_sync(self._everything)}

    async def dismiss(self, decision: Decision, request: gr.Request) -> Parts:
        """Leave everything as it is."""
        await self._door.admit(request)
        return self._closed(decision)

    def _act(self, decision: Decision, account: Account, reason: str) -> None:
        actor = account.name
        match decision.act:
            case "promote":
                self._registry.promote(decision.adapter, actor=actor, reason=reason)
            case "canary":
                self._canaries.start(decision.adapter, actor=actor, reason=reason)
            case "stop":
                self._canaries.stop(actor=actor, reason=reason)
            case _:
                self._registry.rollback(actor=actor, reason=reason)

    def _everything(self) -> Parts:
        live, history = self._registry.live(), self._registry.history(_MOST_PROMOTIONS)
        adapters = self._registry.all()[:_MOST_ADAPTERS]
        trying = self._canaries.look()
        judged = {item.name: self._registry.evaluation(item.name) for item in adapters}
        return {
            "overview": views.overview(
                self._ready(), live, history[0] if history else None, self._monitor.days.total()
            ),
            "runs": views.runs(self._runs.all(_MOST_RUNS)),
            "canary": canary_view.canary(trying, self._canaries.history(_MOST_STEPS)),
            "adapters": views.adapters(
                adapters, live.name if live else None, judged, trying[0] if trying else None
            ),
            "promotions": views.promotions(history),
            "comparison": comparison_view.draw(self._comparison()),
        }

    def _opened(self, decision: Decision, act: str, adapter: str, title: str, text: str) -> Parts:
        decision.act, decision.adapter = act, adapter
        return {
            "decision": gr.update(visible=True),
            "question": f"<h2>{escape(title)}</h2><p>{escape(text)}</p>",
            "reason": "",
            "refusal": gr.update(value="", visible=False),
        }

    def _closed(self, decision: Decision) -> Parts:
        decision.act = decision.adapter = ""
        return {"decision": gr.update(visible=False)}


def build(
    runs: Runs,
    registry: Registry,
    canaries: Canaries,
    monitor: Monitor,
    accounts: Accounts,
    chat_ready: Callable[[], str | None],
    comparison: Callable[[], Comparison | None] = lambda: None,
    cost_per_hour: float = 0.0,
    people: People | None = None,
) -> gr.Blocks:
    """The page, ready to be mounted. `chat_ready` says what keeps the engine from answering, or None.

    `comparison` gives the newest comparison, if there is one.
    """
    door = Doorman(accounts, "admin")
    events = AdminEvents(runs, registry, canaries, monitor, door, chat_ready, comparison)
    with gr.Blocks(title="Admin · Apprentice", fill_width=True, analytics_enabled=False) as blocks:
        decision = gr.State(Decision())
        with gr.Column(elem_id="admin"):
            parts = _above()
            with gr.Tabs(elem_id="tabs"):
                with gr.Tab("Learning"):
                    parts |= _sections()
                with gr.Tab("Monitoring"):
                    watched = monitoring.section()
                if people is not None:
                    with gr.Tab("People"):
                        people_view.build(blocks, parts["overview"], people, door)
        parts |= _question()
        _connect(blocks, decision, parts, events)
        watching = monitoring.MonitoringEvents(monitor, registry, door, cost_per_hour)
        monitoring.connect(blocks, {"alerts": parts["alerts"], **watched}, parts["overview"], watching)
    return queued(blocks, at_once=40, waiting=500)


def _above() -> dict[str, Any]:
    """What stands above the tabs."""
    top, alerts = html("admin-top"), html("alerts")
    return {
        "top": top,
        "alerts": alerts,
        "overview": html("overview", js_on_load=theme.script("bus", "admin")),
    }


def _sections() -> dict[str, Any]:
    html("runs-head", value=views.heading("Runs", ("run_train", "Train now", True)))
    runs = html("runs")
    html("canary-head", value=views.heading("Canary"))
    canary = html("canary")
    levers = (("adapter_rollback", "Roll back…", False), ("adapter_base", "Back to base…", False))
    html("adapters-head", value=views.heading("Adapters", *levers))
    adapters = html("adapters")
    html("promotions-head", value=views.heading("Promotions"))
    promotions = html("promotions")
    html("comparison-head", value=views.heading("Prompt, retrieval or fine-tuning?"))
    parts = {"runs": runs, "canary": canary, "adapters": adapters, "promotions": promotions}
    return parts | {"comparison": html("comparison")}


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


def _connect(blocks: gr.Blocks, decision: gr.State, parts: dict[str, Any], events: AdminEvents) -> None:
    sections = ("top", "overview", "runs", "canary", "adapters", "promotions", "comparison")
    dialog = ("decision", "question", "reason", "refusal")
    wire = Wire(**{name: parts[name] for name in (*sections, *dialog)})
    bus = parts["overview"]
    wire.on([blocks.load], events.load, [])
    wire.on([gr.Timer(_EVERY_SECONDS).tick], events.refresh, [])
    wire.on([bus.run_train], events.train, [])
    wire.on([bus.run_cancel], events.cancel, [])
    wire.on([bus.adapter_promote], events.ask_promote, [decision])
    wire.on([bus.canary_start], events.ask_canary, [decision])
    wire.on([bus.canary_stop], events.ask_stop, [decision])
    wire.on([bus.adapter_rollback], events.ask_rollback, [decision])
    wire.on([bus.adapter_base], events.ask_base, [decision])
    wire.on([parts["confirm"].click, parts["reason"].submit], events.decide, [decision, parts["reason"]])
    wire.on([parts["dismiss"].click], events.dismiss, [decision])
