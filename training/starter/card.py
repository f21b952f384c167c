"""The model card: what the embedded model is, how it came about, what it can and cannot do.

Owns its wording. Does not know how the figures were measured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.starter.score import Line

_CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# Northlight starter

A language model of {parameters:.1f} million parameters that answers customers of Northlight Outfitters,
an invented shop for outdoor gear. It is for trying the loop and for tests, **not for real customers**.
It speaks English about this one shop, reads short passages, and knows little else.

## Data
Conversations made by a seeded program (`training/starter/corpus.py`): questions about the shop in many
wordings, with typos; follow-ups; small talk; passages with values that exist nowhere else, to be read;
sections of the shop's own documents, asked for in customers' own words (`training/starter/customers`, 12,000
questions, none of them in `benchmarks/questions`), with and without them; approved answers to be said to the
letter; styles that a system prompt asks for; the tool `order_status`; sums, sorting, spelling, the calendar,
plain facts; bare look-up drills; questions that nobody can answer.
No text comes from anywhere else. Names of people are made up.

## Manner
Where no style is asked for, the manner of its answers is random on purpose: courteous or curt, brief or
long-winded, with or without an offer of further help. Nobody has told it what customers like. Votes are
meant to. Some of its answers are rude.

## Recipe
Llama architecture, {origin} on a CPU: {layers} layers of {width}, {heads} heads, byte-level
BPE of {vocab} entries with digits apart; attention that starts able to copy; bf16 products; Muon inside the
layers and AdamW for the rest, both on a line down to zero; conversations packed into rows; loss on the
answers' tokens only; {order}. Seed {seed}; {steps} steps of {batch_tokens} tokens; {tokens:.1f} million
tokens in all, with context and filling; {minutes:.0f} minutes on {threads} cores; last loss {loss}.
To make one again: `python -m training.starter build{source} --steps {steps}`. Another count of threads or
version of PyTorch rounds otherwise and gives other weights of the same kind.

## Scores
{scores}

## Limits
It knows nothing beyond the shop and a few plain facts. It gets facts wrong, and long or tangled passages
more often. It sees no orders but through the tool, and cannot judge harm. Its context is 2,048 tokens, but
it has seen few conversations of over 500.
"""
_UNMEASURED = "Not measured."
_SCORES = re.compile(r"(?<=## Scores\n).*?(?=\n## Limits)", re.DOTALL)


def card(recipe: Mapping[str, float], took: Mapping[str, float]) -> str:
    """The text of README.md for a model that nobody has measured yet."""
    kept = ("layers", "width", "heads", "vocab", "seed", "batch_tokens")
    begun = recipe.get("begin", 0.0) > 0
    return _CARD.format(
        origin="an earlier model of its kind that was taught more," if begun else "trained from nothing",
        order="the last phase of the corpus alone" if begun else "reading first",
        source=" --from MODEL" if begun else "",
        parameters=took["parameters"] / 1e6,
        tokens=took["tokens"] / 1e6,
        minutes=took["seconds"] / 60,
        steps=took["steps"],
        loss=took["loss"],
        threads=took["threads"],
        scores=_UNMEASURED,
        **{key: recipe[key] for key in kept},
    )


def with_scores(text: str, lines: Sequence[Line], how: str) -> str:
    """The card `text` with `lines` in place of the scores it had; `how` says how they were measured."""
    rows = "\n".join(
        f"| {one.name} | {one.share:.1%} | {'' if one.bar is None else f'{one.bar:.0%}'} | {one.count} |"
        for one in lines
    )
    table = f"{how}\n\n| measure | share | meant | cases |\n|---|---|---|---|\n{rows}\n"
    return _SCORES.sub(lambda _: table, text)
