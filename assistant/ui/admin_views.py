"""Draws the admin page: what answers now, feedback in figures, runs, adapters, and who changed what.

Pure: takes records, gives HTML with every text escaped. Knows no gradio and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any, cast

from assistant.accounts import Account
from assistant.ui.buttons import button, icon, sign_out
from assistant.ui.run_view import DROPPED, SOURCES
from assistant.ui.words import number, seconds, sentence, when
from feedback.figures import Figures
from feedback.records import Role
from training.canary import Canary
from training.records import Adapter, Evaluation, Promotion, Run

_OPEN = ("queued", "running")
_TONES = {
    "running": "busy",
    "done": "good",
    "failed": "bad",
    "parked": "bad",
    "passed": "good",
    "rejected": "bad",
    "not_enough_evidence": "warn",
}
_STAGES = {
    "gather": "gathering examples",
    "train": "training",
    "publish": "publishing",
    "evaluate": "evaluating",
}


def overview(
    problem: str | None,
    live: Adapter | None,
    newest: Promotion | None,
    figures: Figures,
    stranded: Adapter | None = None,
) -> str:
    """Three cards: the engine, who answers, and the feedback so far.

    `stranded` would be live, had it not been trained on another base model than the one that is served.
    """
    engine = (
        _card("Engine", '<span class="dot good"></span>Ready', "Questions are being answered.")
        if problem is None
        else _card("Engine", '<span class="dot bad"></span>Not ready', escape(sentence(problem)))
    )
    name = f'<span class="mono">{escape(live.name)}</span>' if live else '<span class="mono">base</span>'
    since = (
        f"Since {when(newest.at)}, by {escape(newest.actor)}: {escape(newest.reason)}"
        if newest
        else "Nothing has been promoted yet: the bare base model answers."
    )
    if stranded is not None:
        since = (
            f'<span class="mono">{escape(stranded.name)}</span> was trained on another base model. '
            "Train anew, or set the model back."
        )
    return f'<div class="cards">{engine}{_card("Live adapter", name, since)}{_feedback(figures)}</div>'


def runs(found: Sequence[Run]) -> str:
    """The runs, the newest first."""
    if not found:
        return nothing(
            "No run yet.", "A run becomes due when there is enough new feedback, or when you start one."
        )
    return f'<ol class="list">{"".join(_run(run) for run in found)}</ol>'


def adapters(
    found: Sequence[Adapter],
    live: str | None,
    judged: Mapping[str, Evaluation | None],
    canary: Canary | None = None,
    barred: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The adapters, the newest first, each with the outcome of its newest evaluation.

    `barred` are those that may answer nobody, each with the reason.
    """
    if not found:
        return nothing("No adapter yet.", "Every run that ends well leaves a candidate here.")
    drawn = (
        _adapter(item, item.name == live, judged.get(item.name), canary, barred.get(item.name))
        for item in found
    )
    return f'<ol class="list">{"".join(drawn)}</ol>'


def promotions(found: Sequence[Promotion]) -> str:
    """Who made what live, when and why, the newest first."""
    if not found:
        return nothing(
            "Nothing has been promoted yet.", "Each promotion and rollback is kept here with its reason."
        )
    rows = "".join(
        f"<tr><td>{when(item.at)}</td><td>{'Promoted' if item.action == 'promote' else 'Rolled back to'}</td>"
        f'<td class="mono">{escape(item.adapter or "base")}</td><td>{escape(item.actor)}</td>'
        f"<td>{escape(item.reason)}</td></tr>"
        for item in found
    )
    heads = "".join(f"<th>{name}</th>" for name in ("When", "What", "Adapter", "By", "Reason"))
    return (
        f'<div class="table" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _card(title: str, value: str, text: str) -> str:
    said = f'<p class="value">{value}</p><p class="text">{text}</p>'
    return f'<section class="card"><h2>{title}</h2>{said}</section>'


def _feedback(figures: Figures) -> str:
    shown = (
        (figures.ups + figures.asked_ups, "up"),
        (figures.downs + figures.asked_downs, "down"),
        (figures.corrections, "corrected"),
        (figures.answers, "answers"),
    )
    drawn = "".join(f'<div><dd class="value">{count:,}</dd><dt>{label}</dt></div>' for count, label in shown)
    return f'<section class="card"><h2>Feedback</h2><dl>{drawn}</dl></section>'


def nothing(title: str, text: str) -> str:
    """What stands where a list would be empty."""
    return f'<div class="nothing"><b>{title}</b><span>{text}</span></div>'


def badge(word: str, label: str = "") -> str:
    """A word with its colour."""
    return f'<span class="badge {_TONES.get(word, "plain")}">{escape(label or word.replace("_", " "))}</span>'


def _run(run: Run) -> str:
    state = badge(run.state, "cancelling" if run.cancel_requested and run.state == "running" else "")
    may_cancel = run.state in _OPEN and not run.cancel_requested
    levers = [button("Cancel…", "run_cancel", run=run.id)] if may_cancel else []
    levers.append(button("Look", "run_watch", run=run.id))
    spent = sum(run.seconds.values()) if run.seconds else 0.0
    facts = [f"{escape(run.method.upper())}, {escape(run.due_by)}", when(run.created_at)]
    facts += [seconds(spent)] if spent else []
    facts += [f'made <span class="mono">{escape(run.adapter)}</span>'] if run.adapter else []
    return (
        f'<li><div class="head">{state}<b class="mono">{escape(_short(run.id))}</b>'
        f'<span class="facts">{" · ".join(facts)}</span>{_levers(levers)}</div>'
        f"{_progress(run)}{_examples(run.counts)}{_reason(run)}</li>"
    )


def _short(run_id: str) -> str:
    # The ids begin with the time, which is the same for runs of one day: the end tells them apart.
    return f"run …{run_id[-8:]}"


def _progress(run: Run) -> str:
    if run.state != "running":
        return ""
    stage, share = escape(_STAGES.get(run.stage, run.stage or "starting")), round(100 * run.progress)
    bar = f'<progress max="100" value="{share}" aria-label="{stage}"></progress>'
    return f'<div class="progress"><span>{stage}</span>{bar}<span>{share} %</span></div>'


def _examples(counts: Mapping[str, Any]) -> str:
    """How many examples came from where, and what was dropped and why."""
    sources, dropped = counts.get("examples"), counts.get("dropped")
    parts = []
    if isinstance(sources, Mapping):
        known = [(str(name), count) for name, count in sources.items() if name != "held_out"]
        total = sum(int(count) for _, count in known)
        told = ", ".join(f"{count} {SOURCES.get(name, escape(name))}" for name, count in known)
        parts.append(number(total, "example") + (f": {told}" if told else ""))
        if sources.get("held_out"):
            parts.append(f"{sources['held_out']} held out")
    if isinstance(dropped, Mapping) and dropped:
        told = ", ".join(
            f"{count} {DROPPED.get(str(name), escape(str(name).replace('_', ' ')))}"
            for name, count in dropped.items()
        )
        parts.append(f"dropped: {told}")
    return f'<p class="text">{" · ".join(parts)}</p>' if parts else ""


def _reason(run: Run) -> str:
    if not run.reason:
        return ""
    kind = "problem" if run.state in ("failed", "parked") else "text"
    return f'<p class="{kind}">{escape(sentence(run.reason))}</p>'


def _adapter(
    item: Adapter, live: bool, evaluation: Evaluation | None, canary: Canary | None, barred: str | None
) -> str:
    badges = ['<span class="badge live">live</span>'] if live else []
    if canary is not None and canary.adapter == item.name:
        badges.append(badge("running", f"canary {canary.share:.0%}"))
    badges += [badge("retired")] if item.retired else []
    badges += [badge("tainted", barred)] if barred else []
    badges.append(badge(evaluation.outcome) if evaluation else badge("not evaluated"))
    passed = evaluation is not None and evaluation.outcome == "passed"
    may_promote = passed and not live and not item.retired and not barred
    tried = canary is not None and canary.adapter == item.name
    levers = [button("Look", "adapter_show", name=item.name)]
    if not live and not tried and not item.retired:
        levers.append(button("Retire…", "adapter_retire", name=item.name))
    levers += [button("Canary…", "canary_start", name=item.name)] if may_promote and not canary else []
    levers += [button("Promote…", "adapter_promote", name=item.name)] if may_promote else []
    facts = [when(item.created_at), f"rank {item.rank}"]
    facts += [escape(_short(item.run_id))] if item.run_id else []
    return (
        f'<li><div class="head"><b class="mono">{escape(item.name)}</b>{"".join(badges)}'
        f'<span class="facts">{" · ".join(facts)}</span>{_levers(levers)}</div>{_checks(evaluation)}</li>'
    )


def _levers(buttons: Sequence[str]) -> str:
    return f'<span class="levers">{"".join(buttons)}</span>' if buttons else ""


def _checks(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return '<p class="text">It has not been evaluated, so it can\'t be promoted.</p>'
    marks = {True: ("good", "passed", "✓"), False: ("bad", "failed", "✕"), None: ("warn", "not decided", "?")}
    rows = ""
    for check in evaluation.checks:
        tone, word, mark = marks[check.passed]
        rows += (
            f'<li><span class="mark {tone}" role="img" aria-label="{word}">{mark}</span>'
            f"<b>{escape(check.name)}</b><span>{escape(check.detail)}</span></li>"
        )
    against = f"Evaluated {when(evaluation.created_at)} against {escape(evaluation.against or 'base')}"
    is_open = "" if evaluation.outcome == "passed" else " open"
    whole = f'<p class="text"><a href="/admin/reports/{escape(evaluation.adapter)}">The whole report</a></p>'
    return f'<details{is_open}><summary>{against}</summary><ul class="checks">{rows}</ul>{whole}</details>'


def heading(title: str, *buttons: tuple[str, str, bool]) -> str:
    """A section's title with its buttons: (act, label, whether it is the main one)."""
    drawn = "".join(
        button(label, act, look="small main" if main else "small") for act, label, main in buttons
    )
    return f'<div class="heading"><h2>{title}</h2>{drawn}</div>'


def top(account: Account, mark: str, here: str = "Admin") -> str:
    """The bar above a page: where one is, and the ways out. `mark` is the address of our picture."""
    ways = (
        ("Admin", "/admin", "gear", "admin"),
        ("Documents", "/documents", "book", "staff"),
        ("Review", "/review", "check", "staff"),
    )
    links = "".join(
        f'<a href="{path}">{icon(drawing)}{title}</a>'
        for title, path, drawing, role in ways
        if title != here and account.may(cast(Role, role))
    )
    return (
        f'<header><a class="brand" href="/"><img src="{mark}" alt="">Apprentice</a>'
        f'<h1>{here}</h1><nav aria-label="Pages">'
        f'<a href="/">{icon("chat")}Chat</a>{links}<span>{escape(account.name)}</span>{sign_out()}'
        "</nav></header>"
    )
