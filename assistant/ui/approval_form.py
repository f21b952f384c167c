"""The form in which staff approve an answer: question and answer as people will see them, both to be edited.

What is approved is found by similar questions before the form closes. Who may is asked once more here. Knows
no rule of approving (`approvals.py`).
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.approvals import Approvals, question_of
from assistant.errors import AssistantError
from assistant.ui.chat_events import said
from assistant.ui.page import Doorman, Page, Parts, Wire, spoken
from feedback.approved import LONGEST_ANSWER, LONGEST_QUESTION
from feedback.records import FeedbackError
from feedback.store import Store
from retrieval.records import RetrievalError

_ABOUT = """<h2>Approve this answer</h2><p>From now on it stands as an example beside similar questions, of
everybody who asks. Take out what is personal.</p>"""


class ApprovalForm:
    """The handlers of the form."""

    def __init__(self, store: Store, door: Doorman, approvals: Approvals) -> None:
        self._store = store
        self._door = door
        self._approvals = approvals

    async def open(self, page: Page, request: gr.Request, event: gr.EventData) -> Parts:
        """Show question and answer as they are."""
        account = await self._door.admit(request)
        turn = await to_thread.run_sync(self._store.turn, said(event, "turn"), account.id)
        page.approving = turn.id
        return {
            "approving": gr.update(visible=True),
            "approved_question": question_of(turn),
            "approved_answer": turn.answer,
            "approving_problem": gr.update(value="", visible=False),
        }

    async def approve(self, page: Page, question: str, answer: str, request: gr.Request) -> Parts:
        """Approve what stands there. If that is refused, the form stays open and says why."""
        account = await self._door.admit(request)
        if page.approving is None:
            return self._closed(page)
        if not question.strip() or not answer.strip():
            return _problem("An approval needs a question and an answer.")
        try:
            await to_thread.run_sync(self._approvals.approve, page.approving, account, answer, question)
        except (AssistantError, FeedbackError, RetrievalError) as problem:
            return _problem(spoken(problem))
        gr.Success("Approved. Similar questions have it as an example from now on.", duration=4)
        return self._closed(page)

    async def close(self, page: Page, request: gr.Request) -> Parts:
        """Leave everything as it is."""
        await self._door.admit(request)
        return self._closed(page)

    def _closed(self, page: Page) -> Parts:
        page.approving = None
        return {"approving": gr.update(visible=False)}


def _problem(text: str) -> Parts:
    return {"approving_problem": gr.update(value=f'<p class="problem" role="alert">{text}</p>', visible=True)}


def build() -> dict[str, Any]:
    """The form, not to be seen before it is opened."""
    with gr.Column(elem_id="approving", visible=False, min_width=0) as form:
        _html("approving-about", value=_ABOUT)
        question = gr.Textbox(
            label="Question", lines=1, max_lines=4, max_length=LONGEST_QUESTION, elem_id="approved-question"
        )
        answer = gr.Textbox(
            label="Answer", lines=3, max_lines=10, max_length=LONGEST_ANSWER, elem_id="approved-answer"
        )
        problem = _html("approving-problem", visible=False)
        with gr.Row(elem_id="approving-buttons"):
            close = gr.Button("Cancel", size="sm", elem_id="close-approving", scale=0)
            submit = gr.Button("Approve", variant="primary", size="sm", elem_id="send-approving", scale=0)
    return {
        "approving": form,
        "approved_question": question,
        "approved_answer": answer,
        "approving_problem": problem,
        "approving_close": close,
        "approving_submit": submit,
    }


def connect(page: gr.State, parts: dict[str, Any], form: ApprovalForm) -> None:
    """Which event goes to which handler."""
    names = ("approving", "approved_question", "approved_answer", "approving_problem")
    wire = Wire(**{name: parts[name] for name in names})
    written = [parts["approved_question"], parts["approved_answer"]]
    wire.on([parts["past"].approve_answer], form.open, [page])
    wire.on([parts["approving_submit"].click], form.approve, [page, *written])
    wire.on([parts["approving_close"].click], form.close, [page])


def _html(name: str, **options: Any) -> Any:
    return gr.HTML(elem_id=name, apply_default_css=False, padding=False, js_on_load=None, **options)
