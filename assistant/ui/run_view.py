"""Draws what there is to know of the next run and of one run: due or not, the preview of its examples, facts.

Pure: takes records, gives HTML with every text escaped. Knows no gradio and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from assistant.ui.buttons import button
from assistant.ui.words import number, percent, seconds, when
from training import recipes
from training.due import Due
from training.preview import Preview
from training.records import Example, Recipe, Run

SOURCES = {
    "correction": "from corrections",
    "choice": "from choices",
    "siblings": "from siblings",
    "same_question": "from the same question asked twice",
    "ranked": "ranked",
    "anchor": "rehearsed",
}
DROPPED = {
    "unfinished": "answers that broke off",
    "restricted": "stand on a group's documents",
    "tool_calls": "tools were called",
    "not_text": "hold pictures or other parts",
    "no_question": "no question at the end",
    "empty": "empty answers",
    "too_long": "too long",
    "missing": "the documents do not say it",
    "unretrieved": "the document was not found",
    "not_sorted_yet": "why it was bad is not known yet",
    "no_opinion": "no opinion left",
    "cut_off": "cut off",
    "echo": "repeat what the person wrote",
    "cancelled": "opinions cancel each other",
    "on_both_sides": "the question is held out elsewhere",
    "person_full": "the person has enough examples",
    "question_full": "the question has enough examples",
    "withheld": "their person wants nothing learned from the chat",
    "excluded": "staff keep them from training",
    "invalid_vote": "staff called the vote invalid",
    "knowledge": "a matter of the documents, staff say",
}
_LONGEST = 600
"""Characters of a text that are shown of an example."""


def due(found: Due) -> str:
    """Whether a run is due and why, in a card."""
    share = min(100, round(100 * found.votes / max(1, found.needed)))
    votes = f"{found.votes:,} of {number(found.needed, 'new usable vote')}"
    if found.active:
        said = "A run waits or trains; what was said since is for the next one."
    elif found.reached:
        said = "A run is due: there are votes enough. The worker queues it at its next look."
    else:
        said = f"Due with {number(found.needed - found.votes, 'more vote')}"
        said += ", or when you start one." if found.next_tick is None else ", on schedule, or by hand."
    tick = "" if found.next_tick is None else f" The schedule looks at {when(found.next_tick)}."
    bar = f'<progress max="100" value="{share}" aria-label="new votes"></progress>'
    return (
        f'<section class="card due"><h2>Next run</h2><div class="progress"><span>{votes}</span>{bar}</div>'
        f'<p class="text">{said}{tick}</p></section>'
    )


def preview(found: Preview) -> str:
    """What a run queued now would learn from, some examples to read, and what the run will add."""
    told = f"{number(found.training, 'example')} from {number(found.judged, 'judged answer')}"
    told += f", and {found.held_out:,} more held out for the gate" if found.held_out else ""
    rows = [(SOURCES.get(name, name), count) for name, count in found.sources.items()]
    lost = [(DROPPED.get(name, name.replace("_", " ")), count) for name, count in found.dropped.items()]
    return (
        f'<p class="value">{told}</p>{_enough(found)}<div class="columns">'
        f"{_counts('Learned from', rows, 'Nothing yet.')}{_counts('Left out', lost, 'Nothing.')}"
        f"{_added(found)}</div>{_examples(found.examples)}"
    )


def recipe(found: Recipe, examples: int) -> str:
    """Why the recipe is as it is, and about how long it trains."""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in found.reasons)
    steps = recipes.steps_of(found, examples)
    return f'<ul class="points">{reasons}</ul><p class="text">About {number(steps, "step")} as it stands.</p>'


def facts(run: Run) -> str:
    """Everything that the row says of a run that is being looked at."""
    shown = [
        ("State", escape(run.state)),
        ("Queued", f"{when(run.created_at)}, {escape(run.due_by)}"),
        ("Worker", escape(run.worker or "")),
        ("Attempts", str(run.attempts)),
        ("Chosen by hand", escape(", ".join(f"{name} {value}" for name, value in run.wishes.items()))),
        ("Judged answers", f"{int(run.counts['judged_turns']):,}" if "judged_turns" in run.counts else ""),
        ("Model of the votes", _trust(run.counts.get("vote_model_auc"))),
        ("Time", " · ".join(f"{escape(name)} {seconds(spent)}" for name, spent in run.seconds.items())),
    ]
    rows = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in shown if value)
    close = button("Close", "run_leave")
    return (
        f'<div class="head"><h3 class="mono">{escape(run.id)}</h3><span class="levers">{close}</span></div>'
        f'<dl class="facts-list">{rows}</dl>'
    )


def _trust(auc: object) -> str:
    return f"tells good from bad in {percent(auc)} of pairs" if isinstance(auc, float) else ""


def _enough(found: Preview) -> str:
    if found.enough:
        return ""
    said = "That is too few to train on"
    said += "; it depends on the fresh answers." if found.to_draw else ": the run would fail."
    return f'<p class="problem">{said}</p>'


def _counts(title: str, rows: Sequence[tuple[str, int]], empty: str) -> str:
    drawn = "".join(f"<tr><td>{count:,}</td><td>{escape(name)}</td></tr>" for name, count in rows)
    body = f"<table>{drawn}</table>" if drawn else f'<p class="text">{empty}</p>'
    return f"<section><h3>{title}</h3>{body}</section>"


def _added(found: Preview) -> str:
    said = []
    if found.to_draw:
        asked = f"{number(found.to_draw, 'question')}, {number(found.draws, 'fresh answer')} each"
        said.append(f"{asked}: pairs that a model of the votes is sure of")
    if found.anchors:
        said.append(f"about {number(found.anchors, 'right answer')} of the base, rehearsed")
    rows = "".join(f"<li>{one}</li>" for one in said) or "<li>nothing</li>"
    return f'<section><h3>The run will add</h3><ul class="points">{rows}</ul></section>'


def _examples(found: Sequence[Example]) -> str:
    if not found:
        return ""
    drawn = "".join(_example(one) for one in found)
    return (
        f'<details class="reading"><summary>Read {number(len(found), "example")}</summary>{drawn}</details>'
    )


def _example(found: Example) -> str:
    said = [SOURCES.get(found.source, found.source), number(len(found.votes), "vote")]
    said += [number(len(found.people), "person", "people"), f"weight {found.weight:g}"]
    return (
        f'<article><p class="text">{" · ".join(said)}</p><p class="asked">{_cut(_question(found))}</p>'
        f"{sides([('Better', found.chosen), ('Worse', found.rejected)])}</article>"
    )


def sides(found: Sequence[tuple[str, str]]) -> str:
    """Texts side by side, each under its name."""
    drawn = "".join(
        f'<div><h4>{escape(name)}</h4><p class="answer">{_cut(text) or "<i>nothing</i>"}</p></div>'
        for name, text in found
    )
    return f'<div class="sides">{drawn}</div>'


def _question(found: Example) -> str:
    last: Mapping[str, object] = found.prompt[-1] if found.prompt else {}
    return str(last.get("content") or found.question)


def _cut(text: str) -> str:
    text = text.strip()
    return escape(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
