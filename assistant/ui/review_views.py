"""Draws the page for reviews: a case with its conversation, the verdict to be given, the list of tasks.

Pure: takes records, gives HTML with every text escaped. Knows no gradio and no database. How staff agree is
drawn in `agreement_view.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from assistant import grounding
from assistant.approvals import question_of
from assistant.reviewing import Case
from assistant.rounds import told
from assistant.ui import markdown, sources, tool_steps, tree
from assistant.ui.admin_views import badge, nothing
from assistant.ui.buttons import button
from assistant.ui.difference import difference
from assistant.ui.feedback_form import REASONS
from assistant.ui.words import number, sentence, when
from feedback.records import Correction, Rating, Review, Turn
from feedback.review_records import Draft, Filters, Kind, Listed, Progress

KINDS: Mapping[Kind, tuple[str, str]] = {
    "disputed": ("People disagree", "The same answer got thumbs up and thumbs down."),
    "unexplained": ("Thumb down, no reason", "Somebody did not like it and did not say why."),
    "novel": ("Unlike any rated", "No answer that was rated so far is like it."),
    "unsure": (
        "Signs of doubt",
        "It came out differently when asked again, or no near passage was found for it.",
    ),
    "random": ("Drawn by chance", "A random sample of what is answered."),
}
VERDICTS = (("1", "right", "Right"), ("2", "wrong", "Wrong"), ("3", "invalid", "Invalid vote"))
FAULTS = (
    ("4", "style", "Style"),
    ("5", "facts", "Facts"),
    ("6", "retrieval", "Retrieval"),
    ("7", "refusal", "Refusal"),
    ("8", "unsafe", "Unsafe"),
    ("9", "unanswerable", "Not answerable"),
)
WORDS = {value: label for _, value, label in (*VERDICTS, *FAULTS)}
STATES = {"open": ("plain", "open"), "draft": ("running", "draft"), "done": ("done", "done"),
          "skipped": ("plain", "skipped")}  # fmt: skip
_REASONS = {value: words for words, value in REASONS}
_MOST_BEFORE, _MOST_AFTER = 20, 6
_EXCERPT = 180
_KEYS = (
    ("1 2 3", "right, wrong, invalid vote"),
    ("4 … 9", "wrong, and what is wrong: style, facts, retrieval, refusal, unsafe, not answerable"),
    ("E", "edit the correction"),
    ("C", "write a comment"),
    ("I", "include in training, or exclude"),
    ("A", "approve as an example, or not"),
    ("N", "save and go on (Ctrl+Enter while writing)"),
    ("S", "skip"),
    ("U", "undo what you did last"),
    ("G", "guideline"),
    ("Esc", "leave a field"),
    ("?", "this help"),
)


def progress(found: Progress) -> str:
    """How far one is, and how far all are."""
    open_ones = found.all["open"] + found.all["draft"]
    total = open_ones + found.all["done"]
    mine = f"You: {found.mine['done']:,} done"
    mine += f", {number(found.mine['draft'], 'draft')}" if found.mine["draft"] else ""
    mine += f", {found.mine['skipped']:,} skipped" if found.mine["skipped"] else ""
    share = f"{found.all['done']:,} of {total:,} done"
    return (
        f'<div class="progress"><span>{mine}</span>'
        f'<progress max="{max(1, total)}" value="{found.all["done"]}" aria-label="all tasks"></progress>'
        f"<span>All: {share}</span></div>"
    )


def empty(found: Progress) -> str:
    """What stands where a case would be."""
    text = "New tasks come as people chat and vote."
    if found.waiting_for_others:
        text = f"{number(found.waiting_for_others, 'task')} can be done by somebody else only. " + text
    return nothing("Nothing to review now.", text)


def case(found: Case) -> str:
    """The conversation with the turn marked, what it stands on, and what was said of it."""
    turn = found.turn
    label, why = KINDS[found.task.kind]
    adapter = f'<span class="mono">{escape(turn.adapter or "base")}</span>'
    head = (
        f'<div class="head">{badge("waiting", label)}<span class="facts">{escape(why)}</span>'
        f'<span class="facts">{adapter} · {when(turn.created_at)}</span></div>'
    )
    if found.holder:
        done = found.task.state == "done"
        said = f"{found.holder} has done this." if done else f"{found.holder} has this in hand."
        head += f'<p class="notice" role="status"><span>{escape(said)}</span></p>'
    return f"{head}{_conversation(found)}{_passages(turn)}{_opinions(found)}"


def panel(found: Case, draft: Draft, approves: bool) -> str:
    """The verdict: what is chosen, and the buttons."""
    task = str(found.task.id)
    if not found.is_mine:
        return f'<div class="ways">{button("Go on with the queue", "review_next", look="small main")}</div>'

    def choice(key: str, label: str, pressed: bool, **data: str) -> str:
        named = "".join(f' data-{name}="{value}"' for name, value in data.items())
        return (
            f'<button type="button" class="choice" data-act="review_choose" data-task="{task}" '
            f'data-key="{key}"{named} aria-pressed="{str(pressed).lower()}" '
            f'aria-keyshortcuts="{key.upper()}"><kbd>{key.upper()}</kbd>{label}</button>'
        )

    verdicts = "".join(
        choice(key, label, draft.verdict == value, verdict=value) for key, value, label in VERDICTS
    )
    faults = "".join(
        choice(key, label, draft.verdict == "wrong" and draft.fault == value, fault=value)
        for key, value, label in FAULTS
    )
    ticks = choice("i", "Exclude from training", not draft.include, toggle="exclude")
    if approves:
        ticks += choice("a", "Approve as an example", draft.approve, toggle="approve")
    return (
        f'<div class="choices" role="group" aria-label="Verdict">{verdicts}</div>'
        f'<div class="choices faults" role="group" aria-label="What is wrong">{faults}</div>'
        f'<div class="choices ticks" role="group" aria-label="What follows">{ticks}</div>'
        f"{_example(found.turn) if approves else ''}"
        f"{_ways(found, draft)}"
    )


def _example(turn: Turn) -> str:
    """The question that an example would stand beside, where it holds more than was asked last."""
    asked = question_of(turn)
    if asked == turn.question:
        return ""
    return f'<p class="facts">An example is shown to others with this question: {escape(asked)}</p>'


def _ways(found: Case, draft: Draft) -> str:
    """The buttons that end a case. The one that saves carries what is chosen, see review.js."""
    task = found.task.id
    state = f'data-verdict="{draft.verdict or ""}" data-fault="{draft.fault or ""}" '
    state += (
        f'data-exclude="{"" if draft.include else "yes"}" data-approve="{"yes" if draft.approve else ""}"'
    )
    save = (
        '<button type="button" id="review-save" class="small main" data-act="review_save" '
        f'data-task="{task}" data-key="n" {state} aria-keyshortcuts="N"><kbd>N</kbd>Save and next</button>'
    )
    skip = "" if found.task.state == "done" else _way("s", "Skip", "review_skip", task)
    return f'<div class="ways">{save}{skip}{_way("u", "Undo", "review_undo", task)}</div>'


def _way(key: str, label: str, act: str, task: int) -> str:
    return (
        f'<button type="button" class="small" data-act="{act}" data-task="{task}" data-key="{key}" '
        f'aria-keyshortcuts="{key.upper()}"><kbd>{key.upper()}</kbd>{label}</button>'
    )


def problem(text: str) -> str:
    """Why a verdict was not taken."""
    return f'<p class="problem" role="alert">{escape(sentence(text))}</p>'


def what_changes(answer: str, correction: str) -> str:
    """What the correction changes, under a heading."""
    drawn = difference(answer.strip(), correction.strip())
    return f"<h3>What changes</h3>{drawn}" if drawn else ""


def guideline(text: str) -> str:
    """The text by which staff judge, folded."""
    return (
        '<details id="guideline"><summary><kbd>G</kbd>Guideline</summary>'
        f'<div class="said">{markdown.render(text)}</div></details>'
    )


def helping() -> str:
    """The keys, in a dialog that `?` opens."""
    rows = "".join(f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(text)}</dd>" for key, text in _KEYS)
    return (
        '<dialog id="review-help" aria-labelledby="review-help-title"><h2 id="review-help-title">Keys</h2>'
        f'<dl>{rows}</dl><form method="dialog"><button class="small">Close</button></form></dialog>'
    )


# -- the case


def _conversation(found: Case) -> str:
    rows = tree.shown(found.turns, tree.newest_leaf(found.turns, found.turn.id))
    turns = [row.turn for row in rows]
    place = next((at for at, turn in enumerate(turns) if turn.id == found.turn.id), 0)
    first, last = max(0, place - _MOST_BEFORE), place + 1 + _MOST_AFTER
    left = f'<p class="left">{number(first, "earlier turn")} not shown</p>' if first else ""
    after = len(turns) - last
    more = f'<p class="left">{number(after, "later turn")} not shown</p>' if after > 0 else ""
    drawn = "".join(_turn(turn, turn.id == found.turn.id) for turn in turns[first:last])
    return f'<div class="conversation" role="group" aria-label="Conversation">{left}{drawn}{more}</div>'


def _turn(turn: Turn, marked: bool) -> str:
    answer = tool_steps.drawn(told(turn.steps))
    if turn.answer:
        answer += f'<div class="said">{markdown.render_settled(turn.answer, sources.places(turn))}</div>'
    else:
        answer += '<p class="text">No answer came.</p>'
    label = '<p class="this">The answer in question</p>' if marked else ""
    current = ' aria-current="true"' if marked else ""
    return (
        f'<article class="turn{" marked" if marked else ""}"{current}>'
        f'<div class="question"><span class="unseen">Asked:</span>'
        f'<div class="bubble">{escape(turn.question)}</div></div>'
        f'<div class="answer">{label}{answer}</div></article>'
    )


def _passages(turn: Turn) -> str:
    if turn.searched is None:
        return ""
    if not turn.passages:
        return '<h3>Passages</h3><p class="text">Documents were looked through, and nothing was found.</p>'
    named = grounding.cited(turn.answer, turn.passages)
    rows = []
    for passage in turn.passages:
        title, link = escape(str(passage["title"])), grounding.link(passage)
        if link is not None:
            title = f'<a href="{escape(link)}" target="_blank" rel="noopener">{title}</a>'
        place = int(passage["number"])
        used = '<span class="tag">named in the answer</span>' if place in named else ""
        rows.append(
            f'<li value="{place}" id="source-{escape(turn.id)}-{place}" tabindex="-1"><b>{title}</b> '
            f'<span class="tag">score {float(passage["score"]):.2f}</span>{used}'
            f"<blockquote>{escape(str(passage['text']))}</blockquote></li>"
        )
    count = number(len(rows), "passage")
    return f'<details class="passages" open><summary>{count} used</summary><ol>{"".join(rows)}</ol></details>'


def _opinions(found: Case) -> str:
    said = [_rating(row, found.names) for row in found.ratings]
    said += [_correction(row, found) for row in found.corrections]
    seen = [_review(row, found) for row in found.others]
    drawn = "<h3>What people said</h3>"
    drawn += f'<ul class="opinions">{"".join(said)}</ul>' if said else '<p class="text">Nothing.</p>'
    if seen:
        drawn += f'<h3>What others of the staff found</h3><ul class="opinions">{"".join(seen)}</ul>'
    return drawn


def _who(person_id: str, names: Mapping[str, str]) -> str:
    """Who it was, once one's own verdict is in; before, it must not sway anybody."""
    if not names:
        return "Somebody"
    return escape(names.get(person_id, "Somebody who is gone"))


def _rating(row: Rating, names: Mapping[str, str]) -> str:
    thumb = badge(
        "passed" if row.thumb == "up" else "failed", "thumb up" if row.thumb == "up" else "thumb down"
    )
    reasons = ", ".join(_REASONS.get(reason, reason) for reason in row.reasons)
    told_so = f'<span class="facts">{escape(reasons)}</span>' if reasons else ""
    comment = f"<blockquote>{escape(row.comment)}</blockquote>" if row.comment.strip() else ""
    return f"<li>{_who(row.person_id, names)} {thumb} {told_so}{comment}</li>"


def _correction(row: Correction, found: Case) -> str:
    drawn = difference(found.turn.answer, row.text) or f"<blockquote>{escape(row.text)}</blockquote>"
    return f"<li>{_who(row.person_id, found.names)} corrected it:{drawn}</li>"


def _review(row: Review, found: Case) -> str:
    verdict = badge("passed" if row.verdict == "right" else "failed", _verdict(row.verdict, row.fault))
    out = '<span class="tag">excluded from training</span>' if not row.include else ""
    comment = f"<blockquote>{escape(row.comment)}</blockquote>" if row.comment.strip() else ""
    drawn = difference(found.turn.answer, row.correction) if row.correction else ""
    return f"<li>{_who(row.person_id, found.names)} {verdict} {out}{comment}{drawn}</li>"


def _verdict(verdict: str | None, fault: str | None) -> str:
    return WORDS.get(verdict or "", "") + (f": {WORDS.get(fault, fault).lower()}" if fault else "")


# -- the list


def tasks(found: Sequence[Listed], most: int, names: Mapping[str, str], filters: Filters) -> str:
    """Tasks, at most so many; each leads to its case."""
    if not found:
        if filters == Filters():
            return nothing("No task yet.", "They come as people chat and vote.")
        return nothing("No task is like that.", "Choose other filters to see more.")
    drawn = "".join(_task(one, names) for one in found[:most])
    more = f'<p class="more">{button("Show more", "review_more")}</p>' if len(found) > most else ""
    return f'<ol class="list">{drawn}</ol>{more}'


def _task(one: Listed, names: Mapping[str, str]) -> str:
    task = one.task
    kind, word = STATES[task.state]
    facts = [KINDS[task.kind][0], escape(task.adapter or "base")]
    facts += [escape(names.get(task.person_id, "somebody who is gone"))] if task.person_id else []
    facts += [when(task.updated_at)]
    verdict = f'<span class="tag">{escape(_verdict(one.verdict, one.fault))}</span>' if one.verdict else ""
    question = escape(_short(one.question)) or "(no words)"
    return (
        f'<li><div class="head">{badge(kind, word)}<a href="/review/?task={task.id}" data-act="review_open" '
        f'data-task="{task.id}"><b>{question}</b></a>{verdict}'
        f'<span class="facts">{" · ".join(facts)}</span></div>'
        f'<p class="text">{escape(_short(one.answer))}</p></li>'
    )


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _EXCERPT else plain[: _EXCERPT - 1].rstrip() + "…"
