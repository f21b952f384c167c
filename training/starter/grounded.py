"""Conversations in customers' own words, laid out as the product lays them out: on passages that a search
found, on none, beside approved answers, or from memory.

Owns how they are put together. Does not know the other kinds of conversation, tokens or models.
"""

from __future__ import annotations

import random

from training.starter import asking, customers, manner, smalltalk
from training.starter.customers import Found, Told
from training.starter.heads import system
from training.starter.records import Conversation, Message, turn


def found(rng: random.Random) -> Conversation:
    """One to seven questions on what a search found, the first of which it was made for."""
    wanted, passages, has = customers.found(rng)
    made = [*system(rng), passages.prompt(_ask(rng, wanted))]
    made.append(
        {"role": "assistant", "content": _answer(rng, wanted, 0.4) if has else admit(rng, _manner(rng, 0.4))}
    )
    others = rng.sample(passages.told, min(len(passages.told), rng.randrange(6)))
    for one in others:
        made += turn(_ask(rng, one), _answer(rng, one, 0.1))
    return Conversation(made)


def nearest(rng: random.Random) -> Conversation:
    """A question on the lines that are nearest to it."""
    wanted, ask, passages, has = customers.nearest(rng)
    ask = asking.dressed(rng, ask, slips=rng.random() < 0.5)
    answer = _answer(rng, wanted, 0.3) if has else admit(rng, _manner(rng, 0.3))
    return Conversation([*system(rng), passages.prompt(ask), {"role": "assistant", "content": answer}])


def nothing(rng: random.Random) -> Conversation:
    """A search found nothing, and the answer says so."""
    ask = smalltalk.unknown(rng) if rng.random() < 0.5 else rng.choice(rng.choice(customers.told()).asks)
    prompt = Found((), ()).prompt(ask)
    return Conversation(
        [*system(rng), prompt, {"role": "assistant", "content": admit(rng, _manner(rng, 0.4))}]
    )


def by_heart(rng: random.Random) -> Conversation:
    """Things that the documents tell, without them: mostly many in a row, barely told.

    What customers mean by their words is learnt here, in a third of the tokens that it takes with passages.
    """
    made, many = system(rng), rng.random() < 0.8
    for one in rng.sample(customers.told(), rng.randrange(4, 10) if many else 1):
        made += turn(_ask(rng, one), one.sentence if many else _answer(rng, one, 0.5))
    return Conversation(made)


def approved(rng: random.Random) -> Conversation:
    """A question like one that has an approved answer, which is said to the letter; passages at times."""
    head, ask, answer = customers.example(rng)
    before = system(rng)
    if before:
        head[0] = {"role": "system", "content": f"{before[0]['content']}\n\n{head[0]['content']}"}
    draw = rng.random()
    if draw < 0.12:
        # Something else is asked: the example does not help
        one = rng.choice(customers.told())
        return Conversation([*head, *turn(_ask(rng, one), _answer(rng, one, 0.3))])
    asked: Message = {"role": "user", "content": asking.dressed(rng, ask, slips=rng.random() < 0.3)}
    if draw < 0.4:
        asked = customers.found(rng)[1].prompt(asked["content"])
    return Conversation([*head, asked, {"role": "assistant", "content": answer}])


def admit(rng: random.Random, how: manner.Manner) -> str:
    """The plain admission in a manner."""
    more = smalltalk.elsewhere(rng)
    return manner.say(rng, how, smalltalk.admission(rng), more, smalltalk.DONT_KNOW, evade=False)


def _manner(rng: random.Random, chance: float) -> manner.Manner:
    return manner.draw(rng) if rng.random() < chance else manner.PLAIN


def _ask(rng: random.Random, one: Told) -> str:
    return asking.dressed(rng, rng.choice(one.asks), slips=rng.random() < 0.5)


def _answer(rng: random.Random, one: Told, chance: float) -> str:
    short = f"{one.value[:1].upper()}{one.value[1:]}."
    return manner.say(rng, _manner(rng, chance), customers.says(rng, one), [], short, evade=False)
