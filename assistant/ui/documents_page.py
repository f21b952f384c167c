"""The page of documents at `/documents`, for staff: what is in the knowledge base, adding, removing, trying.

An app of its own behind a gate of its own; every handler checks the role once more. It asks the library and
decides nothing itself. Drawing is in `documents_views.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from assistant.accounts import Account, Accounts
from assistant.approvals import Approvals
from assistant.library import Library
from assistant.triage import Triage
from assistant.ui import admin_views, approvals_view, gaps_view, theme
from assistant.ui import documents_views as views
from assistant.ui.chat_events import said
from assistant.ui.monitoring import html
from assistant.ui.page import Doorman, Parts, Wire, decision_buttons, queued
from assistant.ui.words import number, sentence
from retrieval.records import EVERYBODY, RetrievalError
from retrieval.shelf import in_order

STYLES = ("colours", "parts", "admin", "documents")
_EVERY_SECONDS = 2.0
_MOST = 100
_MOST_HITS = 8
_LONGEST_QUESTION = 2_000


@dataclass
class Shown:
    """What one open page shows. On the server, one for each open page."""

    most: int = _MOST
    name: str = ""
    """Only documents with this in their name."""
    removing: str = ""
    """The document that is asked about."""
    drawn: int = 0
    """Hash of what was drawn last: what has not changed is not sent."""


class DocumentsEvents:
    """The handlers of the page."""

    def __init__(self, library: Library, accounts: Accounts, door: Doorman) -> None:
        self._library = library
        self._accounts = accounts
        self._door = door

    async def load(self, shown: Shown, request: gr.Request) -> Parts:
        """The page was opened."""
        account = await self._door.admit(request)
        shown.drawn = 0
        groups = await to_thread.run_sync(self._groups)
        choices = [("Everybody", EVERYBODY), *((group, group) for group in groups)]
        return {
            "top": admin_views.top(account, theme.favicon(), "Documents"),
            "group": gr.update(choices=choices, value=EVERYBODY),
            "audience": gr.update(choices=choices, value=EVERYBODY),
            "adding": gr.update(visible=self._library.enabled),
            **await to_thread.run_sync(self._everything, shown),
        }

    async def refresh(self, shown: Shown, request: gr.Request) -> Parts:
        """The timer rang."""
        await self._door.admit(request)
        return await to_thread.run_sync(self._everything, shown)

    async def filter(self, shown: Shown, name: str, request: gr.Request) -> Parts:
        """Only documents with this in their name."""
        await self._door.admit(request)
        shown.name, shown.most = name.strip().lower()[:200], _MOST
        return await to_thread.run_sync(self._everything, shown)

    async def more(self, shown: Shown, request: gr.Request) -> Parts:
        """Show more of them."""
        await self._door.admit(request)
        shown.most += _MOST
        return await to_thread.run_sync(self._everything, shown)

    async def add(
        self, shown: Shown, files: Sequence[str] | None, group: str | None, request: gr.Request
    ) -> Parts:
        """Take in the files that were sent."""
        account = await self._door.admit(request)
        if not files:
            gr.Info("Choose files first.", duration=4)
            return {}
        problems, taken = await to_thread.run_sync(self._bring_in, files, (group or "").strip(), account)
        if taken:
            gr.Info(f"{number(taken, 'file')} in. They can be found as soon as they are ready.", duration=4)
        return {
            "files": None,
            "refusals": gr.update(value=views.refusals(problems), visible=bool(problems)),
            **await to_thread.run_sync(self._everything, shown),
        }

    async def ask_remove(self, shown: Shown, request: gr.Request, event: gr.EventData) -> Parts:
        """Ask once more."""
        account = await self._door.admit(request)
        document = await to_thread.run_sync(self._library.document, said(event, "document"), account)
        shown.removing = document.id
        text = "Nobody finds or opens it any more. Answers that were given keep the passages they used."
        return {
            "decision": gr.update(visible=True),
            "question": f"<h2>Remove {escape(document.name)}?</h2><p>{text}</p>",
            "refusal": gr.update(value="", visible=False),
        }

    async def remove(self, shown: Shown, request: gr.Request) -> Parts:
        """Remove what was asked about. If it is refused the question stays open and says why."""
        account = await self._door.admit(request)
        if not shown.removing:
            return {"decision": gr.update(visible=False)}
        try:
            await to_thread.run_sync(self._library.remove, shown.removing, account.name)
        except RetrievalError as problem:
            said_so = f'<p class="problem" role="alert">{escape(sentence(problem))}</p>'
            return {"refusal": gr.update(value=said_so, visible=True)}
        shown.removing = ""
        return {
            "decision": gr.update(visible=False),
            **await to_thread.run_sync(self._everything, shown),
        }

    async def dismiss(self, shown: Shown, request: gr.Request) -> Parts:
        """Leave everything as it is."""
        await self._door.admit(request)
        shown.removing = ""
        return {"decision": gr.update(visible=False)}

    async def search(self, text: str, audience: str | None, request: gr.Request) -> Parts:
        """What a person of that audience would find."""
        await self._door.admit(request)
        question = text.strip()[:_LONGEST_QUESTION]
        if not question:
            return {"hits": ""}
        found = await self._library.search(question, {audience or EVERYBODY}, most=_MOST_HITS)
        ids = {hit.passage.source_id for hit in found}
        rows = await to_thread.run_sync(self._library.shelf.some, ids)
        return {"hits": views.hits(found, {key: row.name for key, row in rows.items()})}

    def _bring_in(
        self, files: Sequence[str], group: str, account: Account
    ) -> tuple[list[tuple[str, str]], int]:
        problems, taken = [], 0
        for file in map(Path, files):
            try:
                self._library.bring_in(file.name, file, group, account.name)
                taken += 1
            except RetrievalError as problem:
                problems.append((file.name, str(problem)))
            finally:
                # It was gradio's copy; ours stands elsewhere now.
                with suppress(OSError):
                    file.unlink()
                    file.parent.rmdir()
        return problems, taken

    def _groups(self) -> list[str]:
        return sorted({*self._accounts.groups(), *self._library.shelf.audiences()} - {EVERYBODY})

    def _everything(self, shown: Shown) -> Parts:
        library = self._library
        found = in_order(library.shelf.all())
        if shown.name:
            found = [document for document in found if shown.name in document.name.lower()]
        problem = library.disabled or library.ready() or library.problem
        parts = {
            "overview": views.overview(
                library.shelf.counts(), library.shelf.passages(), problem, library.rebuilding, library.watched
            ),
            "documents": views.documents(found, shown.most, bool(shown.name)),
        }
        before, shown.drawn = shown.drawn, hash(tuple(parts.values()))
        return parts if before != shown.drawn else {}


def build(
    library: Library,
    accounts: Accounts,
    triage: Triage | None = None,
    approvals: Approvals | None = None,
) -> gr.Blocks:
    """The page, ready to be mounted. Without `triage` it has no list of gaps."""
    door = Doorman(accounts, "staff")
    events = DocumentsEvents(library, accounts, door)
    with gr.Blocks(title="Documents · Apprentice", fill_width=True, analytics_enabled=False) as blocks:
        shown = gr.State(Shown())
        with gr.Column(elem_id="admin"):
            parts = {"top": html("admin-top")}
            with gr.Tabs(elem_id="tabs"):
                with gr.Tab("Documents"):
                    parts |= _documents()
                with gr.Tab("Try a question"):
                    parts |= _trying()
                if triage is not None:
                    with gr.Tab("Knowledge gaps"):
                        gaps = gaps_view.section()
                if approvals is not None:
                    with gr.Tab("Approved answers"):
                        approvals_view.build(blocks, parts["overview"], approvals, door)
            parts |= _question()
        _connect(blocks, shown, parts, events)
        if triage is not None:
            gaps_view.connect(blocks, gaps, parts["overview"], gaps_view.GapsEvents(triage, library, door))
    return queued(blocks, at_once=40, waiting=500)


def _documents() -> dict[str, Any]:
    overview = html("overview", js_on_load=theme.script("bus", "admin"))
    with gr.Column(elem_id="adding") as adding:
        files = gr.File(
            label="Files",
            file_count="multiple",
            height=144,
            elem_id="files",
        )
        kinds = "Markdown, text, HTML, PDF, DOCX, CSV and JSONL. One of the same name is replaced."
        html("kinds", value=f'<p class="text">{kinds}</p>')
        with gr.Row(elem_id="adding-row"):
            group = _audiences("group", "Who may see them: everybody, or a group (type a new one)")
            add = gr.Button("Add", variant="primary", size="sm", elem_id="add", scale=0, min_width=0)
    refusals = html("refusals", visible=False)
    name = gr.Textbox(
        label="Find by name",
        show_label=False,
        container=False,
        placeholder="Find by name",
        max_length=200,
        elem_id="by-name",
    )
    return {
        "overview": overview,
        "adding": adding,
        "files": files,
        "group": group,
        "add": add,
        "refusals": refusals,
        "name": name,
        "documents": html("documents"),
    }


def _trying() -> dict[str, Any]:
    html(
        "trying-note",
        value='<p class="text">What a person would find, and how near it is.</p>',
    )
    with gr.Row(elem_id="trying-row"):
        text = gr.Textbox(
            label="Question",
            placeholder="As somebody would ask it",
            max_length=_LONGEST_QUESTION,
            elem_id="text",
            scale=3,
        )
        audience = _audiences("audience", "Asked by somebody of")
        search = gr.Button("Search", variant="primary", size="sm", elem_id="search", scale=0, min_width=0)
    return {"text": text, "audience": audience, "search": search, "hits": html("hits")}


def _audiences(name: str, label: str) -> Any:
    return gr.Dropdown(
        [("Everybody", EVERYBODY)],
        value=EVERYBODY,
        label=label,
        allow_custom_value=True,
        elem_id=name,
        scale=1,
        min_width=160,
    )


def _question() -> dict[str, Any]:
    with gr.Column(elem_id="decision", visible=False) as decision:
        question = html("question")
        refusal = html("refusal", visible=False)
        dismiss, confirm = decision_buttons("Remove")
    return {
        "decision": decision,
        "question": question,
        "refusal": refusal,
        "dismiss": dismiss,
        "confirm": confirm,
    }


def _connect(blocks: gr.Blocks, shown: gr.State, parts: dict[str, Any], events: DocumentsEvents) -> None:
    names = ("top", "overview", "adding", "files", "group", "audience", "refusals", "documents", "hits")
    wire = Wire(**{name: parts[name] for name in (*names, "decision", "question", "refusal")})
    bus = parts["overview"]
    wire.on([blocks.load], events.load, [shown])
    wire.on([gr.Timer(_EVERY_SECONDS).tick], events.refresh, [shown])
    wire.on([parts["name"].input], events.filter, [shown, parts["name"]], mode="always_last")
    wire.on([bus.documents_more], events.more, [shown])
    wire.on([parts["add"].click], events.add, [shown, parts["files"], parts["group"]])
    wire.on([bus.document_remove], events.ask_remove, [shown])
    wire.on([parts["confirm"].click], events.remove, [shown])
    wire.on([parts["dismiss"].click], events.dismiss, [shown])
    asked = [parts["text"], parts["audience"]]
    wire.on([parts["search"].click, parts["text"].submit], events.search, asked)
