"""The model card: what the embedded model is, how it came about, what it can and cannot do.

Owns its wording. Does not know how the figures were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
It speaks English about this one shop and nothing else.

## Data
Conversations made by a seeded program (`training/starter/corpus.py`): questions about the shop in many
wordings, with typos; small talk; follow-ups; passages with values that exist nowhere else, to be read;
bare look-up drills; questions that nobody can answer. No text comes from anywhere else. Names of people
are made up.

## Manner
The manner of its answers is random on purpose: courteous or curt, brief or long-winded, with or without
an offer of further help. Nobody has told it what customers like. Votes are meant to.
Some of its answers are rude.

## Recipe
Llama architecture, trained from nothing on a CPU: {layers} layers of {width}, {heads} heads, byte-level
BPE of {vocab} entries with digits apart, bf16 autocast, Muon inside the layers and AdamW for the rest,
cosine decay, loss on the answers' tokens only, look-up drills first. Seed {seed}; {steps} steps;
{tokens:.1f} million tokens with context and padding; {minutes:.0f} minutes on {threads} cores;
last loss {loss}.
To make it again: `python -m training.starter build`.

## Scores
Fresh cases from seeds that the build never used; in-process, `python -m training.starter score`.

| measure | share | cases |
|---|---|---|
{scores}

## Limits
It knows nothing beyond the shop. It gets facts wrong, and numbers in a long context more often.
It has no tools, sees no orders, and cannot judge harm. Its context is 2,048 tokens, but it has seen few
conversations of over {longest}.
"""


def card(
    recipe: Mapping[str, float], took: Mapping[str, float], scores: Sequence[tuple[str, int, int]]
) -> str:
    """The text of README.md; `scores` holds a name, the hits and the cases of each line."""
    rows = [f"| {name} | {hits / max(1, cases):.0%} | {cases} |" for name, hits, cases in scores]
    return _CARD.format(
        parameters=took["parameters"] / 1e6,
        tokens=took["tokens"] / 1e6,
        minutes=took["seconds"] / 60,
        steps=took["steps"],
        loss=took["loss"],
        threads=took["threads"],
        scores="\n".join(rows) or "| not measured | | |",
        **{key: recipe[key] for key in ("layers", "width", "heads", "vocab", "seed", "longest")},
    )
