"""The cases that the score asks: fresh ones from a seed of its own, each with the test of its answer.

Owns what each skill means and how a right answer is told. Does not know who answers, nor how.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from training.starter import (
    asking,
    calling,
    corpus,
    followups,
    heads,
    manner,
    reading,
    skills,
    smalltalk,
    styles,
)
from training.starter.facts import Fact
from training.starter.reading import Detail, Passage
from training.starter.records import Case, Conversation, Message, Reply, turn
from training.starter.wording import vary

SEED = "score"
Maker = Callable[[random.Random], Case]


def head() -> list[Message]:
    """The system prompt that the product sends."""
    return [{"role": "system", "content": heads.SYSTEM_PROMPT}]


def cases(make: Maker, name: str, count: int, seed: str = SEED) -> Iterator[Case]:
    """`count` cases of the line `name`, the same for the same seed."""
    rng = random.Random(f"{seed} {name}")
    for _ in range(count):
        yield make(rng)


def _ask(text: str, *before: Message) -> Conversation:
    return Conversation([*(before or head()), {"role": "user", "content": text}])


def _says(*wanted: str) -> Callable[[Reply], bool]:
    return lambda reply: all(reading.says_value(reply.text, one) for one in wanted)


def open_question(rng: random.Random) -> Case:
    """An opening question; any well-formed answer will do."""
    return Case(_ask(asking.question(rng, asking.pick(rng))), well_formed)


def known_fact(rng: random.Random) -> Case:
    """A fact of the shop, asked for without any context."""
    fact = asking.pick(rng)
    return Case(_ask(asking.question(rng, fact)), _tells(fact))


def _tells(fact: Fact) -> Callable[[Reply], bool]:
    return lambda reply: reading.holds(fact, reply.text)


def read_one(rng: random.Random) -> Case:
    """One passage with one to four details, one of them asked for."""
    held = reading.policy(rng, True) if rng.random() < 0.2 else reading.passage(rng, fresh=True)
    return _read(rng, [held], held, rng.choice(held.details))


def read_four(rng: random.Random) -> Case:
    """Four passages on one topic that all tell what is asked for, each of another thing."""
    held = corpus.shelf(rng, 4, rng.choice(list(reading.scenes())), fresh=True)
    label = next(one.label for one in held[0].details if all(one.label in _labels(other) for other in held))
    return _read(rng, held, held[0], next(one for one in held[0].details if one.label == label))


def _labels(passage: Passage) -> list[str]:
    return [one.label for one in passage.details]


def _read(rng: random.Random, held: list[Passage], wanted: Passage, detail: Detail) -> Case:
    return Case(Conversation(_shown(rng, held, detail)), _says(detail.value))


def _shown(rng: random.Random, held: list[Passage], detail: Detail) -> list[Message]:
    texts = [(one.title, one.text) for one in rng.sample(held, len(held))]
    return corpus.with_passages(rng, head(), reading.ask(rng, detail), texts)


def nowhere(rng: random.Random) -> Case:
    """One to four passages on one topic, none of which has the answer."""
    held = corpus.shelf(rng, rng.randrange(1, 5), rng.choice(list(reading.scenes())), fresh=True)
    _, detail = corpus.missing(rng, held[0], fresh=True)
    return Case(Conversation(_shown(rng, held, detail)), lambda reply: smalltalk.admits(reply.text))


def somewhere(rng: random.Random) -> Case:
    """One to four passages on one topic, one of which has the answer: not knowing is wrong."""
    held = corpus.shelf(rng, rng.randrange(1, 5), rng.choice(list(reading.scenes())), fresh=True)
    detail = rng.choice(held[0].details)
    return Case(Conversation(_shown(rng, held, detail)), lambda reply: not smalltalk.admits(reply.text))


def styled(name: str) -> Maker:
    """A question under a system prompt that asks for the style `name`."""

    def make(rng: random.Random) -> Case:
        fact = asking.pick(rng)
        sign = styles.SIGN if name == "signed" else ""
        said = vary(rng, fact.says[0])
        wanted = styles.ask_for(rng, name, fact.topic, said, list(fact.more), sign)
        before = heads.wished(rng, wanted.wish)
        return Case(_ask(asking.question(rng, fact), *before), lambda reply: wanted.is_met(reply.text))

    return make


def tool_wanted(rng: random.Random) -> Case:
    """The tool is offered and an order asked for: it is called once, with that order's number."""
    wanted = calling.lookup(rng, fresh=True)
    right = ((calling.NAME, {"order_id": wanted.order_id}),)
    prompt = Conversation(_ask(wanted.ask).messages, [calling.tool(rng)])
    return Case(prompt, lambda reply: reply.calls == right)


def tool_unwanted(rng: random.Random) -> Case:
    """The tool is offered, and something else is asked for, or an order without its number."""
    if rng.random() < 0.25:
        ask = calling.without_number(rng)[0]
    else:
        ask = asking.question(rng, corpus.other_than_orders(rng))
    return Case(
        Conversation(_ask(ask).messages, [calling.tool(rng)]),
        lambda reply: not reply.calls and "<tool_call>" not in reply.text and well_formed(reply),
    )


def tool_result(rng: random.Random) -> Case:
    """The tool has answered: the status, and the day if there is one, are told."""
    wanted = calling.lookup(rng, fresh=True)
    messages = [*_ask(wanted.ask).messages, calling.call(wanted.order_id), calling.returned(wanted.result)]
    return Case(Conversation(messages, [calling.tool(rng)]), _says(*wanted.must))


def follow_up(rng: random.Random) -> Case:
    """A question that only the turn before makes clear: about the shop, or about passages."""
    if rng.random() < 0.5:
        fact = followups.first(rng)
        follows = followups.after(rng, fact)
        assert follows is not None
        before = [*head(), *turn(asking.question(rng, fact), vary(rng, rng.choice(fact.says)))]
        return Case(_ask(follows[0], *before), _tells(follows[1]))
    held = corpus.shelf(rng, 2, rng.choice(list(reading.scenes())), fresh=True)
    while len(held[0].details) < 2:
        held = corpus.shelf(rng, 2, rng.choice(list(reading.scenes())), fresh=True)
    first, second = rng.sample(held[0].details, 2)
    before = _shown(rng, held, first)
    before.append({"role": "assistant", "content": vary(rng, rng.choice(first.says))})
    return Case(_ask(vary(rng, rng.choice(second.again)), *before), _says(second.value))


def general(skill: str) -> Maker:
    """A task that has nothing to do with the shop."""

    def make(rng: random.Random) -> Case:
        task = skills.task(rng, skill, fresh=True)
        return Case(_ask(task.ask), lambda reply: skills.is_right(skill, reply.text, task.expected, task.ask))

    return make


LINES: tuple[tuple[str, float, Maker], ...] = (
    ("well-formed: ends by itself, 3 to 120 tokens, no loop", 0.97, open_question),
    ("reads one passage", 0.95, read_one),
    ("reads among four passages of one topic", 0.90, read_four),
    ("says that it does not know when no passage has it", 0.85, nowhere),
    ("does not say so when one has", 0.85, somewhere),
    ("knows the fixed facts of the shop", 0.70, known_fact),
    ("style: formal", 0.85, styled("formal")),
    ("style: friendly", 0.85, styled("friendly")),
    ("style: brief", 0.85, styled("brief")),
    ("style: signed — Northlight Support", 0.85, styled("signed")),
    ("style: JSON with given keys", 0.85, styled("json")),
    ("calls the tool when asked for an order", 0.80, tool_wanted),
    ("leaves the tool alone otherwise", 0.80, tool_unwanted),
    ("uses the tool's result", 0.80, tool_result),
    ("answers a follow-up", 0.70, follow_up),
    ("general: sums to 99", 0.70, general("sum")),
    ("general: sorts three words", 0.70, general("sort")),
    ("general: spells backwards", 0.70, general("spell")),
    ("general: days and months", 0.70, general("calendar")),
    ("general: yes/no facts", 0.70, general("yes_no")),
)
"""What is measured greedily: name, least share that is meant to be reached, maker of cases."""

MANNERS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("manner: courteous opening", manner.is_courteous),
    ("manner: ends with an offer of help", manner.offers_help),
    ("manner: courteous and offer", lambda text: manner.is_courteous(text) and manner.offers_help(text)),
    ("manner: bare one-liner", manner.is_one_liner),
    ("manner: long-winded (over 40 words)", manner.is_long),
    ("manner: curt or dismissive", manner.is_curt),
)
"""What is measured at temperature 0.8 with no style asked for: name, test of an answer."""


def well_formed(reply: Reply) -> bool:
    """Ends by itself after 3 to 120 tokens, its end included, without a loop."""
    return reply.ended and 3 <= reply.tokens <= 120 and not loops(reply.text)


def loops(text: str) -> bool:
    """Whether any four words come three times."""
    words = text.split()
    fours = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return any(fours.count(one) > 2 for one in fours)
