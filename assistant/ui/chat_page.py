"""The chat page at `/`: what stands where, and which event goes to which handler.

Holds no behaviour (`chat_events.py`, `feedback_form.py`) and no data: the page is filled when it loads,
because gradio hands a page's constructor values to anybody who may see its configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from assistant.accounts import Accounts
from assistant.approvals import Approvals
from assistant.chat import Chat
from assistant.limits import Limits
from assistant.receipts import Receipts
from assistant.ui import approval_form, consent, theme
from assistant.ui.buttons import icon
from assistant.ui.chat_events import LONGEST_QUESTION, ChatEvents, Offering
from assistant.ui.choice_events import ChoiceEvents
from assistant.ui.drafts import Drafts
from assistant.ui.feedback_form import LIMITS, REASONS, FeedbackForm
from assistant.ui.history import EXAMPLES
from assistant.ui.history_events import LONGEST_SEARCH, HistoryEvents
from assistant.ui.page import Doorman, Page, Wire, queued
from assistant.ui.streams import Streams
from feedback.records import Role

MOST_AT_ONCE = 400
"""Events that may run at the same moment (gradio's own limit is 40): every answer that is watched is one."""
MOST_WAITING = 2_000
STYLES = ("colours", "parts", "chat")
TITLE = "Apprentice"

_TOP = f"""
<a class="brand" href="/" data-act="open_chat" data-chat=""><img src="{theme.favicon()}" alt="">Apprentice</a>
<a class="new" href="/" data-act="open_chat" data-chat="">{icon("plus")}New chat</a>
"""
_BAR = f"""
<button type="button" class="icon" data-toggle="side" aria-label="Show or hide the list of conversations"
 title="Conversations" aria-controls="side">{icon("menu")}</button>
"""


def build(
    chat: Chat,
    accounts: Accounts,
    examples: Sequence[str] = EXAMPLES,
    approvals: Approvals | None = None,
    offering: Offering | None = None,
    receipts: Receipts | None = None,
    role: Role = "user",
    limits: Limits | None = None,
) -> gr.Blocks:
    """The page, ready to be mounted. `examples` are offered before the first question.

    It is for `role` and those above it; `limits` bound how often somebody may ask.
    """
    with gr.Blocks(title=TITLE, fill_width=True, fill_height=True, analytics_enabled=False) as blocks:
        page = gr.State(Page())
        with gr.Row(elem_id="shell"):
            side = _side()
            with gr.Column(elem_id="main", scale=1, min_width=0):
                middle = _conversation()
                foot = _foot()
        parts = {**side, **middle, **foot}
        door = Doorman(accounts, role, limits)
        streams, approvable = Streams(chat), lambda: approvals is not None and approvals.enabled
        events = ChatEvents(chat, door, streams, examples, approvable, offering)
        form = FeedbackForm(events, chat.store, door, Drafts(), approvals)
        choices = ChoiceEvents(events, chat.store, door, receipts)
        wire = _connect_chat(blocks, page, parts, events, choices)
        mend = approvals.mend if approvals is not None else lambda: None
        _connect_history(page, parts, wire, HistoryEvents(events, chat.store, door, streams, mend))
        _connect_feedback(page, parts, form)
        if approvals is not None:
            approving = approval_form.ApprovalForm(chat.store, Doorman(accounts, "staff"), approvals)
            approval_form.connect(page, parts, approving)
    return queued(blocks, MOST_AT_ONCE, MOST_WAITING)


def _html(name: str, **options: Any) -> Any:
    return gr.HTML(elem_id=name, apply_default_css=False, padding=False, **options)


def _side() -> dict[str, Any]:
    with gr.Column(elem_id="side", scale=0, min_width=0):
        _html("top", value=_TOP, js_on_load=None)
        search = gr.Textbox(
            label="Search your conversations",
            placeholder="Search",
            show_label=False,
            container=False,
            max_length=LONGEST_SEARCH,
            elem_id="search",
        )
        past_chats = _html("history", js_on_load=None)
        person = _html("person", js_on_load=None)
    return {"search": search, "history": past_chats, "person": person}


def _conversation() -> dict[str, Any]:
    with gr.Row(elem_id="bar"):
        _html("toggle", value=_BAR, js_on_load=None)
        title = _html("title", js_on_load=None)
        documents = _html("documents", js_on_load=None)
    receipt = _html("receipt", js_on_load=None, visible=False)
    with gr.Column(elem_id="talk", scale=1, min_width=0):
        past = _html("past", js_on_load=theme.script("bus", "chat"))
        now = _html("now", js_on_load=None)
    return {"title": title, "documents": documents, "receipt": receipt, "past": past, "now": now}


def _foot() -> dict[str, Any]:
    with gr.Column(elem_id="foot", scale=0, min_width=0):
        form = {**_form(), **approval_form.build()}
        with gr.Row(elem_id="editing", visible=False) as editing:
            _html(
                "editing-note",
                value="<span>You are editing your message. The earlier version stays.</span>",
                js_on_load=None,
            )
            cancel = gr.Button("Cancel", size="sm", elem_id="cancel-edit", scale=0, min_width=0)
        with gr.Row(elem_id="composer"):
            box = gr.Textbox(
                placeholder="Ask a question",
                label="Your message",
                show_label=False,
                container=False,
                lines=1,
                max_lines=8,
                max_length=LONGEST_QUESTION,
                # The handler of the page's load opens it: before, nobody would hear what is sent.
                interactive=False,
                elem_id="box",
                scale=1,
                min_width=0,
            )
            send = gr.Button("Send", variant="primary", elem_id="send", scale=0, min_width=0)
            stop = gr.Button("Stop", elem_id="stop", visible=False, scale=0, min_width=0)
        hint = _html("hint", value=consent.consent(True), js_on_load=None)
    return {
        **form,
        "editing": editing,
        "cancel": cancel,
        "box": box,
        "send": send,
        "stop": stop,
        "hint": hint,
    }


def _form() -> dict[str, Any]:
    with gr.Column(elem_id="form", visible=False, min_width=0) as form:
        about = _html("about", js_on_load=None)
        reasons = gr.CheckboxGroup(
            list(REASONS), label="Reasons", show_label=False, container=False, elem_id="reasons"
        )
        comment = gr.Textbox(
            label="In your own words",
            placeholder="What should the team know?",
            lines=1,
            max_lines=4,
            max_length=LIMITS["comment"],
            elem_id="comment",
        )
        correction = gr.Textbox(
            label="What it should have said",
            placeholder="Change the answer into the one that you would have wanted",
            lines=2,
            max_lines=10,
            max_length=LIMITS["correction"],
            elem_id="correction",
        )
        changed = _html("difference", js_on_load=None)
        problem = _html("problem", js_on_load=None, visible=False)
        with gr.Row(elem_id="form-buttons"):
            # Ticked as it comes: it must be seen by whoever sends.
            approve = gr.Checkbox(
                label="Use for similar questions from now on",
                value=True,
                visible=False,
                container=False,
                elem_id="approve-correction",
                scale=0,
                min_width=0,
            )
            close = gr.Button("Close", size="sm", elem_id="close-form", scale=0)
            submit = gr.Button("Send feedback", variant="primary", size="sm", elem_id="send-form", scale=0)
    return {
        "form": form,
        "about": about,
        "reasons": reasons,
        "comment": comment,
        "correction": correction,
        "approve": approve,
        "problem": problem,
        "difference": changed,
        "close": close,
        "submit": submit,
    }


def _connect_chat(
    blocks: gr.Blocks, page: gr.State, parts: dict[str, Any], events: ChatEvents, choices: ChoiceEvents
) -> Wire:
    names = (
        "history",
        "person",
        "title",
        "documents",
        "past",
        "now",
        "editing",
        "form",
        "approving",
        "box",
        "send",
        "stop",
        "hint",
    )
    wire, now = Wire(**{name: parts[name] for name in names}), Wire(now=parts["now"])
    receipts = Wire(receipt=parts["receipt"], **wire.parts)
    switch = Wire(documents=parts["documents"], hint=parts["hint"])
    bus, box = parts["past"], parts["box"]
    begins = [
        wire.on([blocks.load], events.load, [page]),
        wire.on([bus.open_chat], events.open_chat, [page]),
        wire.on([bus.show_turn], events.show_turn, [page]),
        wire.on([box.submit, parts["send"].click], events.ask, [page, box]),
        wire.on([bus.ask_example], events.ask_example, [page]),
        wire.on([bus.answer_again], events.answer_again, [page]),
        receipts.on([bus.open_receipt], choices.open_receipt, [page]),
    ]
    for begun in begins:
        # Each of these may leave the page with an answer to wait for.
        followed = now.on([begun.success], events.follow, [page])
        wire.on([followed.success], events.settle, [page])
    wire.on([parts["stop"].click], events.stop, [page])
    switch.on([bus.switch_documents], events.switch_documents, [page])
    switch.on([bus.switch_learning], events.switch_learning, [page])
    wire.on([bus.choose], choices.choose, [page])
    receipts.on([blocks.load], choices.tell, [page])
    receipts.on([bus.close_receipt], choices.close_receipt, [page])
    wire.on([bus.edit_question], events.edit_question, [page, box])
    wire.on([parts["cancel"].click], events.cancel_edit, [page])
    return wire


def _connect_history(page: gr.State, parts: dict[str, Any], wire: Wire, events: HistoryEvents) -> None:
    bus, shown = parts["past"], Wire(history=parts["history"], title=parts["title"])
    # Only the newest of many keystrokes need be looked for.
    shown.on([parts["search"].input], events.search, [page, parts["search"]], mode="always_last")
    shown.on([bus.older_chats], events.older, [page])
    shown.on([bus.pin_chat], events.pin, [page])
    shown.on([bus.rename_chat], events.rename, [page])
    shown.on([bus.leave_row], events.leave_row, [page])
    wire.on([bus.delete_chat], events.delete, [page])


def _connect_feedback(page: gr.State, parts: dict[str, Any], form: FeedbackForm) -> None:
    names = ("past", "form", "about", "reasons", "comment", "correction", "difference", "approve", "problem")
    wire = Wire(**{name: parts[name] for name in names})
    bus = parts["past"]
    written = [parts["reasons"], parts["comment"], parts["correction"]]
    wire.on([bus.rate], form.rate, [page])
    wire.on([bus.say_more], form.say_more, [page])
    # Only the newest of many keystrokes need be kept.
    typed = [part.input for part in written]
    shown = Wire(difference=parts["difference"])
    shown.on(typed, form.keep, [page, *written], mode="always_last")
    wire.on([parts["submit"].click], form.send, [page, *written, parts["approve"]])
    wire.on([parts["close"].click], form.close, [page, *written])
