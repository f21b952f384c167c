"""What is rehearsed beside the votes: the base's own right answers to what people did not vote on.

A taste for one manner spills over: taught by votes alone, the starter was courteous where JSON was asked for.
Knows the engine, and the form of probes; none of these is a probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training import probes
from training.probes import Probe
from training.records import Engine, Example, Message
from training.together import together

FOLDER = Path(__file__).resolve().parent / "anchor_sets"
_MOST_DRAWS = 4
_AT_ONCE = 8


async def rehearsed(engine: Engine, count: int, system: Sequence[Message] = ()) -> list[Example]:
    """`count` examples at most, of answers that the bare base gives and that are right.

    Both sides are the same text: the preference loss is then constant, and only the likelihood of the answer
    (`Recipe.sft_weight`) is trained. More than there are anchors are drawn with some chance in them.
    """
    anchors = [probe for file in sorted(FOLDER.glob("*.toml")) for probe in probes.read(file)]
    draws = min(_MOST_DRAWS, -(-count // len(anchors))) if count > 0 else 0

    async def answers(numbered: tuple[int, Probe]) -> list[Example]:
        number, anchor = numbered
        prompt = anchor.behind(system)
        found = await engine.answers(prompt, None, count=1, temperature=0.0, seed=0)
        if draws > 1:
            found += await engine.answers(
                prompt, None, count=draws - 1, temperature=0.7, seed=1_000 * (number + 1)
            )
        right = [text for text in dict.fromkeys(found) if anchor.is_right(text)]
        return [Example(tuple(prompt), text, text, "anchor", (), (), anchor.question) for text in right]

    found = await together(answers, list(enumerate(anchors)) if draws else [], _AT_ONCE)
    # The surest answer of each first, from all kinds alike.
    spread = [row[place] for place in range(_MOST_DRAWS) for row in found if place < len(row)]
    step = max(1.0, len(spread) / count) if count else 1.0
    return [spread[int(place * step)] for place in range(min(count, len(spread)))]
