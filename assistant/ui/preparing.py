"""The form on the admin page in which a run is prepared: what it would learn from, its recipe, and the start.

Every handler checks the role. The preview is made when it is asked for, never while a page is painted; what
may be chosen is decided by `training/recipes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.ui import run_view
from assistant.ui.desk import Desk
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire
from assistant.ui.words import sentence
from training import recipes
from training.preview import Preview
from training.records import Recipe, TrainingError

LABELS = {
    "method": "Method",
    "epochs": "Passes",
    "learning_rate": "Learning rate",
    "rank": "Rank",
    "batch_size": "Pairs a step",
    "beta": "Beta",
    "sft_weight": "Weight of the chosen answer",
    "label_smoothing": "Share of wrong votes",
}


@dataclass
class Prepared:
    """The recipe that the form was filled with. On the server, one for each open page."""

    recipe: Recipe | None = None


class PreparingEvents:
    """The handlers of the form."""

    def __init__(self, desk: Desk, door: Doorman) -> None:
        self._desk = desk
        self._door = door

    async def prepare(self, prepared: Prepared, request: gr.Request) -> Parts:
        """Open the form: read the votes, and fill in the recipe that they would get."""
        await self._door.admit(request)
        found: Preview = await to_thread.run_sync(self._desk.previews.make)
        prepared.recipe = found.recipe
        values = {name: _text(getattr(found.recipe, name)) for name in recipes.CHOOSABLE}
        return {
            "preparation": gr.update(visible=True),
            "preview": run_view.preview(found),
            "why": run_view.recipe(found.recipe, found.training),
            "unfit": "",
            **values,
        }

    async def queue(self, prepared: Prepared, request: gr.Request, *texts: Any) -> Parts:
        """Queue a run with what the form wants. If that can't be trained, the form stays and says why.

        `texts` are those of `recipes.CHOOSABLE` in their order.
        """
        account = await self._door.admit(request)
        if prepared.recipe is None:
            return {"preparation": gr.update(visible=False)}
        named = dict(zip(recipes.CHOOSABLE, (str(text or "")[:40] for text in texts), strict=True))
        try:
            wishes = recipes.wanted(named, prepared.recipe)
        except TrainingError as problem:
            return {"unfit": f'<p class="problem" role="alert">{escape(sentence(problem))}</p>'}
        method, due_by = str(wishes.get("method", prepared.recipe.method)), f"by hand: {account.name}"
        put = partial(self._desk.runs.queue, method, due_by, actor=account.name, wishes=wishes)
        run = await to_thread.run_sync(put)
        if run.due_by == due_by and dict(run.wishes) == wishes:
            gr.Info("The run is in the queue. It starts as soon as a worker is free.", duration=4)
        else:
            gr.Warning(
                "Another run is waiting already, with a recipe of its own; cancel it first.", duration=8
            )
        return {"preparation": gr.update(visible=False), "unfit": ""}

    async def leave(self, request: gr.Request) -> Parts:
        """Close the form and queue nothing."""
        await self._door.admit(request)
        return {"preparation": gr.update(visible=False), "unfit": ""}


def section() -> dict[str, Any]:
    """The parts, where they are called."""
    with gr.Column(elem_id="preparation", visible=False) as preparation:
        preview = html("preview")
        html("recipe-head", value="<h3>Recipe</h3>")
        why = html("why")
        with gr.Row(elem_id="recipe"):
            fields = {name: _field(name) for name in recipes.CHOOSABLE}
        unfit = html("unfit")
        with gr.Row(elem_id="preparation-buttons"):
            small = {"size": "sm", "scale": 0, "min_width": 0}
            leave = gr.Button("Cancel", elem_id="prepare-leave", **small)
            queue = gr.Button("Queue this run", variant="primary", elem_id="prepare-queue", **small)
    parts = {"preparation": preparation, "preview": preview, "why": why, "unfit": unfit}
    return {**parts, **fields, "leave": leave, "queue": queue}


def _field(name: str) -> Any:
    label, hint = LABELS[name], recipes.bounds(name)
    if name in ("method", "rank"):
        choices = list(recipes.METHODS) if name == "method" else [str(rank) for rank in recipes.RANKS]
        return gr.Dropdown(choices, label=label, info=hint, elem_id=f"recipe-{name}", min_width=150)
    return gr.Textbox(label=label, info=hint, elem_id=f"recipe-{name}", max_length=40, min_width=150)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def connect(parts: dict[str, Any], bus: Any, events: PreparingEvents) -> None:
    """Bind the handlers to `parts`; `bus` is the page's component that names what was clicked."""
    prepared = gr.State(Prepared())
    shown = {name: part for name, part in parts.items() if name not in ("leave", "queue")}
    wire = Wire(**shown)
    wire.on([bus.run_prepare], events.prepare, [prepared])
    texts = [parts[name] for name in recipes.CHOOSABLE]
    wire.on([parts["queue"].click], events.queue, [prepared, *texts])
    wire.on([parts["leave"].click], events.leave, [])
