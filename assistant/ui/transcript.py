"""Draws a conversation as HTML: questions, answers, and the buttons under them.

Pure: takes turns and opinions, gives text. Nothing that a person or a model wrote gets into the page
unescaped. Knows no gradio and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from assistant.rounds import told
from assistant.ui import markdown, sources, tool_steps
from assistant.ui.buttons import button, copier, drawn, icon, thumb
from assistant.ui.difference import difference
from assistant.ui.tree import Shown
from assistant.ui.words import sentence, when
from feedback.records import Turn
from feedback.store import Verdict


def transcript(
    rows: Sequence[Shown], opinions: Mapping[str, Verdict], busy: bool = False, approves: bool = False
) -> str:
    """The settled turns of a branch. While an answer is being written (`busy`) one may only vote and copy.

    `approves`: this is staff, who may make an answer an example for similar questions.
    """
    return "".join(_turn(row, opinions.get(row.turn.id), busy, approves) for row in rows)


@dataclass(frozen=True, slots=True)
class Part:
    """One of several answers that are shown together, as far as it is."""

    text: str
    steps: Sequence[Mapping[str, Any]] = ()
    ended: bool = False


WAITING = '<p class="waiting"><i></i><i></i><i></i><span class="unseen">The answer is on its way.</span></p>'


def asked(question: str) -> str:
    """A question that has just been sent, before it is known who will answer."""
    return (
        f'<article class="turn running" aria-busy="true">{bubble(question)}'
        f'<div class="answer">{WAITING}</div></article>'
    )


def running(turn: Turn, text: str, steps: Sequence[Mapping[str, Any]] = ()) -> str:
    """The turn that is being answered now, with what has been said, and done by tools, so far."""
    said = markdown.render(text) if text else WAITING
    return (
        f'<article class="turn running" aria-busy="true">{bubble(turn.question)}'
        f'<div class="answer">{tool_steps.drawn(steps, busy=True)}<div class="said">{said}</div>'
        f'<div class="foot"><span class="meta">{_adapter(turn)} is answering</span></div></div></article>'
    )


def unsent(question: str, problem: Exception, typed: bool = True) -> str:
    """A question that could not even be put to the engine. What was typed stands in the composer again."""
    said, again = escape(sentence(problem)), button("Try again", "ask_example", text=question)
    if typed:
        said += " Your question is back in the box below."
        again = '<button type="button" class="small" data-click="#send">Try again</button>'
    return (
        f'<article class="turn">{bubble(question)}<div class="answer">{notice(said, again)}</div></article>'
    )


def unasked(problem: Exception) -> str:
    """The same for a further answer to a question that stands above."""
    return f'<article class="turn"><div class="answer">{notice(escape(sentence(problem)))}</div></article>'


def notice(html: str, offer: str = "") -> str:
    """A remark of the house inside a conversation; `html` is escaped already, `offer` a button."""
    return f'<div class="notice" role="status">{icon("alert")}<span>{html}</span>{offer}</div>'


def _turn(row: Shown, opinion: Verdict | None, busy: bool, approves: bool) -> str:
    turn = row.turn
    said = tool_steps.drawn(told(turn.steps))
    if turn.answer:
        said += f'<div class="said">{markdown.render_settled(turn.answer, sources.places(turn))}</div>'
    return (
        f'<article class="turn" data-turn="{escape(turn.id)}">'
        f'{bubble(turn.question, _question_foot(row, busy))}<div class="answer">'
        f"{said}{_how_it_ended(turn, busy)}{sources.listed(turn)}{_corrected(turn, opinion)}"
        f"{_answer_foot(row, opinion, busy, approves)}"
        "</div></article>"
    )


def _corrected(turn: Turn, opinion: Verdict | None) -> str:
    if opinion is None or not opinion.correction:
        return ""
    return (
        '<details class="corrected"><summary>Your correction</summary>'
        f"{difference(turn.answer, opinion.correction)}</details>"
    )


def bubble(text: str, foot: str = "") -> str:
    """What somebody asked, as a bubble."""
    return (
        '<div class="question"><span class="unseen">You asked:</span>'
        f'<div class="bubble">{escape(text)}</div>{foot}</div>'
    )


def _question_foot(row: Shown, busy: bool) -> str:
    turn = row.turn
    parts = [
        _pager("version of your message", row.questions, row.question, busy),
        copier(turn.question, "Copy your message"),
        drawn("edit", "Edit your message", "edit_question", off=busy, turn=turn.id),
    ]
    return f'<div class="foot">{"".join(parts)}</div>'


def _answer_foot(row: Shown, opinion: Verdict | None, busy: bool, approves: bool) -> str:
    turn = row.turn
    parts = [_pager("answer", row.answers, row.answer, busy)]
    if turn.answer:
        parts.append(copier(turn.answer, "Copy the answer"))
    if turn.answer and turn.status in ("complete", "stopped"):
        # After the others a notice offers to try again.
        parts.append(drawn("again", "Answer again", "answer_again", off=busy, turn=turn.id))
    if turn.answer and turn.status != "pending":
        parts += thumbs(turn, opinion)
        parts += [button("Approve", "approve_answer", look="quiet", turn=turn.id)] if approves else []
    parts.append(_meta(turn))
    return f'<div class="foot">{"".join(parts)}</div>'


def thumbs(turn: Turn, opinion: Verdict | None) -> list[str]:
    """The two thumbs under an answer, and what goes with a vote."""
    given = opinion.thumb if opinion else None
    parts = [
        thumb(turn.id, "up", "Good answer", given == "up"),
        thumb(turn.id, "down", "Bad answer", given == "down"),
    ]
    if turn.asked and given is None:
        # Beside the thumbs of answers that chance has chosen: from these what all people think is estimated.
        parts.append('<span class="ask">Was this answer good? Your vote on this one counts for all.</span>')
    if given is not None:
        told = opinion is not None and bool(opinion.reasons or opinion.comment or opinion.correction)
        label = "Your feedback" if told else "Tell us more"
        parts.append(button(label, "say_more", look="quiet", turn=turn.id))
    return parts


def _pager(what: str, ids: Sequence[str], place: int, busy: bool) -> str:
    if len(ids) < 2:
        return ""
    before = ids[place - 1] if place > 0 else ""
    after = ids[place + 1] if place + 1 < len(ids) else ""
    return (
        f'<span class="pager" role="group" aria-label="{what} {place + 1} of {len(ids)}">'
        f"{drawn('previous', f'Earlier {what}', 'show_turn', off=busy or not before, turn=before)}"
        f"<span>{place + 1}/{len(ids)}</span>"
        f"{drawn('next', f'Later {what}', 'show_turn', off=busy or not after, turn=after)}</span>"
    )


def _meta(turn: Turn) -> str:
    stopped = '<span class="tag">stopped</span>' if turn.status == "stopped" else ""
    return f'<span class="meta">{stopped}{_adapter(turn)} · {when(turn.created_at)}</span>'


def _adapter(turn: Turn) -> str:
    name = turn.adapter or "base"
    told = f"the adapter {name}" if turn.adapter else "the base model, without an adapter"
    return f'<span class="adapter" title="Answered by {escape(told)}">{escape(name)}</span>'


def _how_it_ended(turn: Turn, busy: bool) -> str:
    if turn.status == "pending":
        look = button("Look again", "show_turn", turn=turn.id)
        return notice("This answer is being written elsewhere, or its server stopped in the middle.", look)
    again = button("Try again", "answer_again", off=busy, turn=turn.id)
    if turn.status == "stopped" and not turn.answer:
        return notice("You stopped it before the first word.", again)
    if turn.status == "interrupted":
        return notice(f"The answer broke off. {escape(sentence(turn.error))}", again)
    if turn.status == "failed":
        return notice(f"No answer came. {escape(sentence(turn.error))}", again)
    return ""
