"""The part of the admin page that shows how it goes: alerts, figures by adapter, plots over a chosen time.

Reads days that are kept anyway, so it costs the same with a thousand answers and with millions. Every handler
checks the role. Drawing is in `monitor_views.py`, what the figures mean in `feedback/figures.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.ui import monitor_views as views
from assistant.ui.chat_events import said
from assistant.ui.page import Doorman, Parts, Wire
from training.monitor import Monitor
from training.registry import Registry

_EVERY_SECONDS = 15.0


@dataclass
class Shown:
    """What one open page shows. On the server, one for each open page."""

    days: int = 30
    drawn: int = 0
    """Hash of what was drawn last: what has not changed is not sent, and keeps its place under the reader."""


class MonitoringEvents:
    """The handlers of the part."""

    def __init__(self, monitor: Monitor, registry: Registry, door: Doorman, cost_per_hour: float) -> None:
        self._monitor = monitor
        self._registry = registry
        self._door = door
        self._cost_per_hour = cost_per_hour

    async def load(self, shown: Shown, request: gr.Request) -> Parts:
        """The page was opened."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._everything, shown)

    async def refresh(self, shown: Shown, request: gr.Request) -> Parts:
        """The timer rang. The table stays as it is, so that nobody loses their place in it."""
        await self._door.admit(request)
        before, parts = shown.drawn, await to_thread.run_sync(self._everything, shown)
        return {} if shown.drawn == before else {name: parts[name] for name in ("alerts", "figures")}

    async def show_days(self, shown: Shown, request: gr.Request, event: gr.EventData) -> Parts:
        """Another time was chosen."""
        await self._door.admit(request)
        chosen = said(event, "days")
        if chosen in {str(days) for days in views.RANGES}:
            shown.days = int(chosen)
        return await to_thread.run_sync(self._everything, shown)

    def _everything(self, shown: Shown) -> Parts:
        today, live = _today(), self._registry.live()
        first = today - timedelta(days=shown.days - 1)
        found = self._monitor.days.between(first, today)
        moved = self._monitor.changes(today)
        parts = {
            "alerts": views.alerts(self._monitor.alerts.open()),
            "range": views.heading(shown.days),
            "figures": views.body(
                found, today, shown.days, live.name if live else None, moved, self._cost_per_hour
            ),
            "table": views.table(found),
        }
        shown.drawn = hash((parts["alerts"], parts["figures"]))
        return parts


def html(name: str, **options: Any) -> Any:
    """A part of ours without gradio's frame."""
    options.setdefault("js_on_load", None)
    return gr.HTML(elem_id=name, apply_default_css=False, padding=False, **options)


def section() -> dict[str, Any]:
    """The parts, where they are called; the alerts stand at the top of the page and are made there."""
    names = {"range": "monitoring-head", "figures": "monitoring", "table": "monitoring-table"}
    return {name: html(elem_id) for name, elem_id in names.items()}


def connect(blocks: gr.Blocks, parts: dict[str, Any], bus: Any, events: MonitoringEvents) -> None:
    """Bind the handlers to `parts`; `bus` is the page's component that names what was clicked."""
    shown = gr.State(Shown())
    wire = Wire(**parts)
    wire.on([blocks.load], events.load, [shown])
    wire.on([gr.Timer(_EVERY_SECONDS).tick], events.refresh, [shown])
    wire.on([bus.show_days], events.show_days, [shown])


def _today() -> date:
    return datetime.now(UTC).date()
