"""What an admin decides with a reason: promote, roll back, try as a canary, stop it, retire, cancel a run.

First a question that names what will happen, then the deed. What was live when the question was asked must
still be live when it is answered. Every handler checks the role.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import gradio as gr
from anyio import to_thread

from assistant.ui.chat_events import said
from assistant.ui.desk import Desk
from assistant.ui.page import Doorman, Parts
from assistant.ui.words import sentence
from training.records import Adapter, Refused, TrainingError
from training.registry import BASE


@dataclass
class Decision:
    """What an admin is about to do, while they write down why. One for each open page, on the server."""

    act: str = ""
    subject: str = ""
    """The adapter or run that it is about; of a rollback where it goes, of a stop whose canary ends."""
    live: str | None = None
    """What was live when the question was asked."""


class DecidingEvents:
    """The handlers of the question."""

    def __init__(self, desk: Desk, door: Doorman, drawn: Callable[[], Parts]) -> None:
        self._desk = desk
        self._door = door
        self._drawn = drawn

    async def ask_promote(self, decision: Decision, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the question for the reason of a promotion."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._promoting, decision, said(event, "name"))

    async def ask_rollback(self, decision: Decision, request: gr.Request) -> Parts:
        """Open the question for the reason of a rollback. Raises `Refused` if there is nothing to go to."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._rolling, decision)

    async def ask_base(self, decision: Decision, request: gr.Request) -> Parts:
        """Open the question for the reason of going back to the bare base model."""
        await self._door.admit(request)
        text = "From the next question on the base model answers, as it was before any training"
        live = await to_thread.run_sync(self._live)
        text += f", in place of {live}." if live else "; it does so already."
        return self._opened(decision, "promote", BASE, live, "Back to the base model", text)

    async def ask_canary(self, decision: Decision, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the question for the reason of a canary."""
        await self._door.admit(request)
        adapter: Adapter = await to_thread.run_sync(self._desk.registry.get, said(event, "name"))
        share, live = f"{self._desk.canaries.plan.steps[0]:.0%}", await to_thread.run_sync(self._live)
        text = f"It answers {share} of conversations, and {live or 'the base model'} the others. "
        text += "Their votes widen that, promote it, or roll it back."
        return self._opened(decision, "canary", adapter.name, live, f"Try {adapter.name}", text)

    async def ask_stop(self, decision: Decision, request: gr.Request) -> Parts:
        """Open the question for the reason of a veto."""
        await self._door.admit(request)
        canary = await to_thread.run_sync(self._desk.canaries.now)
        who = await to_thread.run_sync(self._live) or "the base model"
        text = f"{sentence(who)[:-1]} answers all conversations again, from the next question on."
        subject = canary.adapter if canary else ""
        title = f"Stop the canary of {subject}" if canary else "Stop the canary"
        return self._opened(decision, "stop", subject, None, title, text)

    async def ask_retire(self, decision: Decision, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the question for the reason of a retirement."""
        await self._door.admit(request)
        adapter: Adapter = await to_thread.run_sync(self._desk.registry.get, said(event, "name"))
        text = "It can never be promoted, tried or rolled back to again. Its files and its history stay."
        return self._opened(decision, "retire", adapter.name, None, f"Retire {adapter.name}", text)

    async def ask_cancel(self, decision: Decision, request: gr.Request, event: gr.EventData) -> Parts:
        """Open the question for the reason of the end of a run."""
        await self._door.admit(request)
        run = await to_thread.run_sync(self._desk.runs.get, said(event, "run"))
        text = (
            "It is taken out of the queue." if run.state == "queued" else "It ends within seconds, and what "
        )
        text += "" if run.state == "queued" else "it made so far is lost."
        text += " The votes stay, and the next run reads them again."
        return self._opened(decision, "cancel", run.id, None, f"Cancel run …{run.id[-8:]}", text)

    async def decide(self, decision: Decision, reason: str, request: gr.Request) -> Parts:
        """Do what was asked for. If it is refused the question stays open and says why."""
        account = await self._door.admit(request)
        if not decision.act:
            # The server was started again meanwhile, or somebody clicked twice.
            gr.Warning("This question is closed. If what you wanted has not happened, ask again.")
            return self._closed(decision)
        try:
            await to_thread.run_sync(self._act, decision, account.name, reason[:1_000])
        except TrainingError as problem:
            said_so = f'<p class="problem" role="alert">{escape(sentence(problem))}</p>'
            return {"refusal": gr.update(value=said_so, visible=True)}
        return {**self._closed(decision), **await to_thread.run_sync(self._drawn)}

    async def dismiss(self, decision: Decision, request: gr.Request) -> Parts:
        """Leave everything as it is."""
        await self._door.admit(request)
        return self._closed(decision)

    def _promoting(self, decision: Decision, name: str) -> Parts:
        adapter, live = self._desk.registry.get(name), self._live()
        canary = self._desk.canaries.now()
        text = "It answers all conversations from the next question on, in place of "
        text += f"{live or 'the base model'}. "
        if canary is not None:
            text += f"The canary of {canary.adapter} ends with that. "
        text += "Answers that are being written end as they began."
        if (found := self._desk.registry.evaluation(name)) is not None and found.against != live:
            text += (
                f" Its evaluation compared it with {found.against or 'the base model'}, "
                f"not with what is live: `apprentice evaluate {name}` compares anew."
            )
        return self._opened(decision, "promote", adapter.name, live, f"Promote {adapter.name}", text)

    def _rolling(self, decision: Decision) -> Parts:
        earlier, live = self._desk.registry.earlier(), self._live()
        subject, goal = (earlier.name,) * 2 if earlier else (BASE, "the base model")
        text = f"{sentence(goal)[:-1]} answers all conversations again from the next question on"
        text += f", in place of {live}." if live else "."
        return self._opened(decision, "rollback", subject, live, f"Roll back to {goal}", text)

    def _live(self) -> str | None:
        live = self._desk.registry.live()
        return live.name if live else None

    def _act(self, decision: Decision, actor: str, reason: str) -> None:
        registry, subject = self._desk.registry, decision.subject
        unmoved = registry.still_live(decision.live)
        match decision.act:
            case "promote":
                registry.promote(subject, actor=actor, reason=reason, fence=unmoved)
            case "canary":
                self._desk.canaries.start(subject, actor=actor, reason=reason, fence=unmoved)
            case "stop":
                self._desk.canaries.stop(actor=actor, reason=reason, name=subject)
            case "retire":
                registry.retire(subject, actor=actor, reason=reason)
            case "cancel":
                self._desk.runs.cancel(subject, actor=actor, reason=reason)
            case "rollback":
                registry.rollback(actor=actor, reason=reason, fence=unmoved, goal=subject)
            case _:
                raise Refused("this question has been answered; ask again")

    def _opened(
        self, decision: Decision, act: str, subject: str, live: str | None, title: str, text: str
    ) -> Parts:
        decision.act, decision.subject, decision.live = act, subject, live
        return {
            "decision": gr.update(visible=True),
            "question": f"<h2>{escape(title)}</h2><p>{escape(text)}</p>",
            "reason": "",
            "refusal": gr.update(value="", visible=False),
        }

    def _closed(self, decision: Decision) -> Parts:
        decision.act = decision.subject = ""
        decision.live = None
        return {"decision": gr.update(visible=False)}
