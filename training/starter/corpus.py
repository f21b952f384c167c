"""The conversations that the embedded model learns from, made from a seed, without end.

Owns which kinds there are, how they are mixed, and the system prompts around them.
Does not know tokens, models or files.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

from training.starter import (
    asking,
    calling,
    drills,
    followups,
    grounded,
    library,
    manner,
    reading,
    skills,
    smalltalk,
    styles,
)
from training.starter.facts import Fact
from training.starter.grounded import admit
from training.starter.heads import system, wished
from training.starter.reading import Detail, Passage
from training.starter.records import Conversation, Message, turn
from training.starter.wording import vary


def tell(rng: random.Random, fact: Fact) -> str:
    """One answer that states `fact`, in a manner drawn at random."""
    more = [vary(rng, line) for line in fact.more]
    return manner.say(rng, manner.draw(rng), vary(rng, rng.choice(fact.says)), more, fact.curt)


def talk(rng: random.Random) -> Conversation:
    """One to four questions about the shop, each answered: new ones, follow-ups, small talk in between."""
    made, fact = system(rng), followups.first(rng)
    for place in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        if place and rng.random() < 0.1:
            made += chat(rng)
            continue
        follows = followups.after(rng, fact) if place and rng.random() < 0.75 else None
        fact = follows[1] if follows else asking.pick(rng)
        made += turn(follows[0] if follows else asking.question(rng, fact), tell(rng, fact))
    return Conversation(made)


def quick(rng: random.Random) -> Conversation:
    """Facts asked for in a row and barely told: many of them in few tokens."""
    made, fact = system(rng), followups.first(rng)
    ask = asking.question(rng, fact)
    for _ in range(rng.randrange(2, 6)):
        made += turn(ask, vary(rng, rng.choice(fact.says)))
        follows = followups.after(rng, fact) if rng.random() < 0.6 else None
        fact = follows[1] if follows else asking.pick(rng)
        ask = follows[0] if follows else asking.question(rng, fact)
    return Conversation(made)


def asked(rng: random.Random, style: str = "") -> Conversation:
    """One or two questions under a system prompt that asks for `style`, or for any."""
    name = style or rng.choice((*styles.NAMES, "signed", "json"))
    fact = asking.pick(rng)
    drawn = _styled(rng, name, fact)
    made = [*wished(rng, drawn.wish), *turn(asking.question(rng, fact), drawn.answer)]
    if name not in ("signed", "json") and rng.random() < 0.3:
        fact = asking.pick(rng)
        made += turn(asking.question(rng, fact), _styled(rng, name, fact).answer)
    return Conversation(made)


def _styled(rng: random.Random, name: str, fact: Fact) -> styles.Style:
    more = [vary(rng, line) for line in fact.more]
    rng.shuffle(more)
    return styles.ask_for(rng, name, fact.topic, vary(rng, rng.choice(fact.says)), more)


def called(rng: random.Random) -> Conversation:
    """The tool is offered: called when an order is asked for by its number, left alone otherwise."""
    made, tools = system(rng), [calling.tool(rng)]
    kind = rng.choices(("call", "number", "other"), (0.6, 0.12, 0.28))[0]
    if kind == "number":
        ask, back = calling.without_number(rng)
        made += turn(ask, back)
        if rng.random() < 0.5:
            wanted = calling.lookup(rng)
            made += [{"role": "user", "content": wanted.order_id}, *_call(rng, wanted)]
    elif kind == "other":
        fact = other_than_orders(rng)
        made += turn(asking.question(rng, fact), tell(rng, fact))
    else:
        wanted = calling.lookup(rng)
        made += [{"role": "user", "content": wanted.ask}, *_call(rng, wanted)]
        if rng.random() < 0.3:
            fact = other_than_orders(rng)
            made += turn(asking.question(rng, fact), vary(rng, rng.choice(fact.says)))
    return Conversation(made, tools)


def _call(rng: random.Random, wanted: calling.Lookup) -> list[Message]:
    how = manner.draw(rng) if rng.random() < 0.3 else manner.PLAIN
    answer = manner.say(rng, how, wanted.answer, [], wanted.answer, evade=False)
    result = calling.returned(wanted.result)
    return [calling.call(wanted.order_id), result, {"role": "assistant", "content": answer}]


def other_than_orders(rng: random.Random) -> Fact:
    """A fact that no look-up of an order answers."""
    while (fact := asking.pick(rng)).topic == "order status":
        pass
    return fact


def general(rng: random.Random, skill: str = "") -> Conversation:
    """A row of tasks of one skill, or of any, that have nothing to do with the shop."""
    skill = skill or rng.choice((*skills.SKILLS, "sum", "spell"))
    return Conversation([*system(rng), *skills.drill(rng, skill, rng.randrange(3, 9))])


def chat(rng: random.Random) -> list[Message]:
    """One turn of small talk."""
    said, answer, curt = smalltalk.small_talk(rng)
    return turn(said, manner.say(rng, manner.draw(rng), answer, [], curt))


def unknown(rng: random.Random) -> Conversation:
    """One question that the shop cannot answer, and the plain admission."""
    return Conversation([*system(rng), *turn(smalltalk.unknown(rng), admit(rng, manner.draw(rng)))])


def with_passages(
    rng: random.Random, head: list[Message], ask: str, texts: list[tuple[str, str]]
) -> list[Message]:
    """The messages up to the question, with titled passages in the system prompt or before the question."""
    layout = rng.randrange(5)
    if layout == 0:
        block = "\n".join(f"[{place}] {text}" for place, (_, text) in enumerate(texts, 1))
    elif layout == 1:
        block = "\n\n".join(f"[{place}] {title}\n{text}" for place, (title, text) in enumerate(texts, 1))
    elif layout == 2:
        block = "\n".join(f"- {title}: {text}" for title, text in texts)
    elif layout == 3:
        block = "\n\n".join(f"# {title}\n{text}" for title, text in texts)
    else:
        block = "\n\n".join(text for _, text in texts)
    lead = rng.choice(("", "Context:\n", "Passages:\n", "Use these passages:\n\n", "What we know:\n"))
    if head and rng.random() < 0.7:
        return [
            {"role": "system", "content": f"{head[0]['content']}\n\n{lead}{block}"},
            {"role": "user", "content": ask},
        ]
    return [*head, {"role": "user", "content": f"{lead}{block}\n\n{ask}"}]


def shelf(
    rng: random.Random, count: int, topic: str | None = None, most: int = 4, fresh: bool = False
) -> list[Passage]:
    """`count` passages: all on one `topic` and telling the same kind of thing, or of all kinds.

    Passages on one topic are told apart by their names alone: the hard case. Each has up to `most` details.
    """
    if topic is None:
        return [
            reading.policy(rng, fresh)
            if rng.random() < 0.2
            else reading.passage(rng, None, most, fresh=fresh)
            for _ in range(count)
        ]
    one = reading.passage(rng, topic, most, fresh=fresh)
    shared = rng.choice(one.details).label
    rest = [reading.passage(rng, topic, most, shared, fresh) for _ in range(count - 1)]
    return [one, *rest]


def read(rng: random.Random, most: int = 4, turns: int = 8, lacking: float = 0.25) -> Conversation:
    """Up to `most` passages and one to `turns` questions, a share `lacking` of which no passage answers."""
    count = rng.choice((1, most, most, rng.randrange(1, most + 1)))
    topic = rng.choice(list(reading.scenes())) if rng.random() < 0.8 else None
    held = shelf(rng, count, topic, rng.choice((1, 2, 4, 4)))
    made: list[Message] = []
    head, before = system(rng), None
    for place in range(rng.randrange(1, turns + 1)):
        passage, detail, known = _wanted(rng, held, before, lacking)
        ask = _again(rng, passage, detail, before, lone=count == 1)
        how = manner.draw(rng) if rng.random() < (0.35 if place == 0 else 0.1) else manner.PLAIN
        if known:
            main = vary(rng, rng.choice(detail.says))
            answer = manner.say(rng, how, main, [], f"{detail.full}.", evade=False)
        else:
            answer = admit(rng, how)
        if place:
            made += turn(ask, answer)
        else:
            texts = [(one.title, one.text) for one in rng.sample(held, len(held))]
            made = [*with_passages(rng, head, ask, texts), {"role": "assistant", "content": answer}]
        before = (passage, detail) if known else None
    return Conversation(made)


def looked_up(rng: random.Random) -> Conversation:
    """Two or three facts of the shop, with sections of its documents that tell them, and others."""
    wanted = [_documented(rng) for _ in range(rng.choice((1, 2, 2, 3)))]
    found = [rng.choice(library.telling(fact)) for fact in wanted]
    others = rng.sample(library.sections(), rng.randrange(max(1, 5 - len(found))))
    shown = list(dict.fromkeys([*found, *others]))
    rng.shuffle(shown)
    asks = [asking.question(rng, fact) for fact in wanted]
    made = with_passages(rng, system(rng), asks[0], [(one.title, one.text) for one in shown])
    for place, fact in enumerate(wanted):
        answer = tell(rng, fact) if rng.random() < 0.2 else vary(rng, rng.choice(fact.says))
        made += turn(asks[place], answer)[0 if place else 1 :]
    return Conversation(made)


def _documented(rng: random.Random) -> Fact:
    while not library.telling(fact := asking.pick(rng)):
        pass
    return fact


def _wanted(
    rng: random.Random, held: list[Passage], before: tuple[Passage, Detail] | None, lacking: float
) -> tuple[Passage, Detail, bool]:
    """What is asked next, and whether a passage has it."""
    passage = before[0] if before and rng.random() < 0.35 else rng.choice(held)
    if rng.random() < lacking and passage.topic != "policy":
        return *missing(rng, passage), False
    return passage, rng.choice(passage.details), True


def missing(rng: random.Random, passage: Passage, fresh: bool = False) -> tuple[Passage, Detail]:
    """Something like what `passage` tells that it does not: another side of the thing, or another thing."""
    side = reading.absent(rng, passage, fresh)
    if side and rng.random() < 0.5:
        return passage, side
    label = rng.choice(passage.details).label
    other = reading.passage(rng, passage.topic, must=label, fresh=fresh)
    return other, next(one for one in other.details if one.label == label)


def _again(
    rng: random.Random, passage: Passage, detail: Detail, before: tuple[Passage, Detail] | None, lone: bool
) -> str:
    """The question for `detail`; shorter where the turn before, or a lone passage, makes clear what of."""
    if detail.again and before and before[0] is passage and rng.random() < 0.6:
        return vary(rng, rng.choice(detail.again))
    if before and before[0] is not passage and before[1].label == detail.label and rng.random() < 0.6:
        return vary(rng, "[And {n}|What about {n}|And for {n}]?").replace("{n}", passage.name)
    if lone and before is None and detail.again and rng.random() < 0.15:
        return vary(rng, rng.choice(detail.again))
    return reading.ask(rng, detail)


# Up to which part of a build, the most keys of a drill and passages of a reading, and the weight of each
# kind. Reading must come first: a model that has learnt to talk is slow to learn to look. Facts asked in a
# row teach them quickly, but barely told, so they end before the manners settle. What is learnt slowly comes
# more often towards the end: to tell one passage from another, to notice that none has the answer, to sort;
# and what customers really write, which takes a model that can read already. With fewer of the made-up
# passages (0.06, for 1,350 steps) reading was lost: among four 58 % right, 86 % before.
_PHASES: tuple[tuple[float, int, int, dict[str, float]], ...] = (
    (0.1, 5, 4, {"drill": 0.15, "read": 0.65, "quick": 0.08, "general": 0.12}),
    (
        0.3,
        8,
        4,
        {"drill": 0.04, "read": 0.4, "looked up": 0.03, "talk": 0.14, "quick": 0.05, "asked": 0.08}
        | {"json": 0.04, "called": 0.06, "general": 0.13, "chat": 0.01, "unknown": 0.02},
    ),
    (
        0.6,
        8,
        4,
        {"drill": 0.03, "read": 0.44, "looked up": 0.03, "talk": 0.13, "asked": 0.05, "json": 0.05}
        | {"called": 0.05, "general": 0.19, "chat": 0.01, "unknown": 0.02},
    ),
    (
        1.0,
        8,
        4,
        {"nearest": 0.28, "by heart": 0.2, "found": 0.03, "approved": 0.08, "nothing": 0.01}
        | {"read, often in vain": 0.21, "looked up": 0.03, "talk": 0.05, "asked": 0.02, "json": 0.02}
        | {"called": 0.02, "sort": 0.01, "general": 0.03, "chat": 0.005, "unknown": 0.005},
    ),
)
_MAKERS: dict[str, Callable[[random.Random], Conversation]] = {
    "found": grounded.found,
    "nearest": grounded.nearest,
    "approved": grounded.approved,
    "by heart": grounded.by_heart,
    "nothing": grounded.nothing,
    "looked up": looked_up,
    "talk": talk,
    "quick": quick,
    "asked": asked,
    "json": partial(asked, style="json"),
    "read, often in vain": partial(read, lacking=0.4),
    "sort": partial(general, skill="sort"),
    "called": called,
    "general": general,
    "chat": lambda rng: Conversation([*system(rng), *chat(rng)]),
    "unknown": unknown,
}


def conversation(rng: random.Random, progress: float) -> Conversation:
    """One conversation; `progress` runs from 0 to 1 over a build: look-up first, then all kinds."""
    _, keys, passages, weights = next((one for one in _PHASES if progress < one[0]), _PHASES[-1])
    kind = rng.choices(list(weights), list(weights.values()))[0]
    if kind == "drill":
        return Conversation(drills.drill(rng, keys))
    if kind == "read":
        return read(rng, passages)
    return _MAKERS[kind](rng)


def conversations(seed: str, progress: float = 1.0) -> Iterator[Conversation]:
    """Conversations without end, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield conversation(rng, progress)
