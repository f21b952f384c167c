"""What the browser sends of a review, as a draft: what is typed, what is chosen, and all of it at once.

Pure, but for the name of gradio's event. What the browser sends may be anything; only what is known counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast, get_args

import gradio as gr

from assistant.ui.chat_events import said
from feedback.records import Fault, Ruling
from feedback.review_records import Draft


def typed(draft: Draft, answer: str, correction: str, comment: str) -> Draft:
    """With what stands in the fields; the answer as it was is no correction."""
    text = correction.strip()
    same = text == answer.strip()
    return replace(draft, correction="" if same else text, comment=comment.strip())


def with_chosen(draft: Draft, event: gr.EventData) -> Draft:
    """With what was chosen: a verdict, a fault (which makes it wrong), or a tick turned over."""
    verdict, fault, toggle = said(event, "verdict"), said(event, "fault"), said(event, "toggle")
    if fault in get_args(Fault):
        return replace(draft, verdict="wrong", fault=cast(Fault, fault))
    if verdict in get_args(Ruling):
        kept = draft.fault if verdict == "wrong" else None
        return replace(draft, verdict=cast(Ruling, verdict), fault=kept)
    if toggle == "exclude":
        return replace(draft, include=not draft.include)
    return replace(draft, approve=not draft.approve) if toggle == "approve" else draft


def whole(event: gr.EventData) -> Draft:
    """All that is chosen, as the button that saves carries it."""
    verdict, fault = said(event, "verdict"), said(event, "fault")
    return Draft(
        cast(Ruling, verdict) if verdict in get_args(Ruling) else None,
        cast(Fault, fault) if verdict == "wrong" and fault in get_args(Fault) else None,
        include=not said(event, "exclude"),
        approve=bool(said(event, "approve")),
    )
