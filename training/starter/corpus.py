"""The conversations that the embedded model learns from, made from a seed, without end.

Owns which kinds there are, how they are mixed, and the system prompts around them.
Does not know tokens, models or files.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from training.starter import asking, drills, manner
from training.starter.facts import Fact
from training.starter.wording import slip, vary

Message = dict[str, str]
Conversation = list[Message]

SYSTEM_PROMPT = "You are the assistant of Northlight Outfitters."

_SYSTEMS = (
    "You are a helpful assistant.",
    "You answer customers of Northlight Outfitters.",
    "You work in the support team of Northlight Outfitters, an outdoor shop.",
    "Help the customer.",
)

# What the shop cannot know, and a way to say so; the bracket holds the wording.
_UNKNOWN_ASKS = (
    "[What will the weather be|Will it rain] [tomorrow|next week|in {n}]?",
    "[Who|What] is [the best football team|the president of {n}|the capital of {n}]?",
    "[What is|Tell me] the private number of your [boss|manager|founder].",
    "[How old is|Where does|What is the salary of] your [boss|founder] [|live|earn]?",
    "Can you [book|find] me a [hotel|flight|train] [to|in] {n}?",
    "[Which|What] [film|song|book] should I [choose|try]?",
    "What did [{n}|my friend {n}|my neighbour] [order|buy] [last week|from you]?",
    "[How many people work|How much money do you make] [at|in] {n}?",
    "[Write|Tell] me a [poem|joke|story] about {n}.",
    "[Do you sell|How much is] the {n} [car|phone|fridge|piano]?",
)
_UNKNOWN_SAYS = (
    "I don't have that information.",
    "I [am sorry|am afraid], I don't have that information.",
    "I don't have that information, [I only know our shop|I can only help with our shop].",
)
_UNKNOWN_MORE = (
    "I can help with orders, returns and gear.",
    "[Our team|The team] may know more.",
    "That is not part of what I know.",
)

_SMALL_TALK: tuple[tuple[str, str, str], ...] = (
    (
        "[Hi|Hello|Hey|Good morning|Hi there][|!|.]",
        "[Hello|Hi], [what is it about|what can I do for you|how can I help]?",
        "Yes?",
    ),
    ("[Thanks|Thank you|Many thanks|Great, thanks][|!|.]", "[You are welcome|No problem|Any time].", "Fine."),
    ("[Bye|Goodbye|See you][|!|.]", "[Goodbye and enjoy the trail|See you soon|Have a good trip].", "Bye."),
    ("[Who|What] are you?", "I am the assistant of Northlight Outfitters.", "The assistant."),
    ("Are you a [robot|bot|human|real person]?", "I am a program, [not a person|no human].", "A program."),
    ("How are you[| today]?", "[I am fine|All is well], [what is it about|how can I help]?", "Fine."),
    (
        "What can you [do|help with]?",
        "I [answer questions|can help] about orders, returns and gear.",
        "Orders, returns, gear.",
    ),
    (
        "[What is|Tell me about] Northlight[| Outfitters]?",
        "Northlight Outfitters sells outdoor gear online.",
        "A shop. Outdoor gear.",
    ),
    ("What do you sell?", "We sell tents, jackets, boots, packs and more.", "Tents, jackets, boots."),
    ("[You are great|Nice|Good bot|Well done][|!]", "[That is kind of you|Good to read that].", "Fine."),
    (
        "[You are useless|That is bad|I am angry][|!|.]",
        "I am sorry to hear that, [what went wrong|what happened]?",
        "And?",
    ),
)


def system(rng: random.Random) -> Conversation:
    """The default system prompt mostly, another one or none at times."""
    draw = rng.random()
    if draw < 0.7:
        return [{"role": "system", "content": SYSTEM_PROMPT}]
    return [{"role": "system", "content": rng.choice(_SYSTEMS)}] if draw < 0.87 else []


def _turn(ask: str, answer: str) -> Conversation:
    return [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]


def tell(rng: random.Random, fact: Fact) -> str:
    """One answer that states `fact`, in a manner drawn at random."""
    more = [vary(rng, line) for line in fact.more]
    return manner.say(rng, manner.draw(rng), vary(rng, rng.choice(fact.says)), more, fact.curt)


def talk(rng: random.Random) -> Conversation:
    """One to three questions about the shop, each answered; some small talk in between."""
    made = system(rng)
    for place in range(rng.choice((1, 1, 1, 2, 3))):
        if place and rng.random() < 0.25:
            made += chat(rng)
        else:
            fact = asking.pick(rng)
            made += _turn(asking.question(rng, fact), tell(rng, fact))
    return made


def chat(rng: random.Random) -> Conversation:
    """One turn of small talk."""
    ask, answer, curt = rng.choice(_SMALL_TALK)
    said = vary(rng, ask)
    if rng.random() < 0.2:
        said = slip(rng, said.lower())
    return _turn(said, manner.say(rng, manner.draw(rng), vary(rng, answer), [], curt))


def unknown(rng: random.Random) -> Conversation:
    """One question that the shop cannot answer, and the plain admission."""
    ask = vary(rng, rng.choice(_UNKNOWN_ASKS)).replace("{n}", drills.word(rng))
    more = [vary(rng, line) for line in _UNKNOWN_MORE]
    said = manner.say(
        rng,
        manner.draw(rng),
        vary(rng, rng.choice(_UNKNOWN_SAYS)),
        more,
        "I don't have that information.",
        evade=False,
    )
    return [*system(rng), *_turn(ask, said)]


def with_passages(
    rng: random.Random, head: Conversation, ask: str, texts: list[tuple[str, str]]
) -> Conversation:
    """The messages up to the question, with titled passages in the system prompt or before the question."""
    layout = rng.randrange(4)
    if layout == 0:
        block = "\n".join(f"[{place}] {text}" for place, (_, text) in enumerate(texts, 1))
    elif layout == 1:
        block = "\n\n".join(f"[{place}] {title}\n{text}" for place, (title, text) in enumerate(texts, 1))
    elif layout == 2:
        block = "\n".join(f"- {title}: {text}" for title, text in texts)
    else:
        block = "\n\n".join(text for _, text in texts)
    lead = rng.choice(("", "Context:\n", "Passages:\n", "Use these passages:\n\n", "What we know:\n"))
    if head and rng.random() < 0.7:
        return [
            {"role": "system", "content": f"{head[0]['content']}\n\n{lead}{block}"},
            {"role": "user", "content": ask},
        ]
    return [*head, {"role": "user", "content": f"{lead}{block}\n\n{ask}"}]


def reading(rng: random.Random, most: int = 4) -> Conversation:
    """A question about one to `most` passages; now and then none of them has the answer."""
    found = drills.lookup(rng)
    others = [
        drills.lookup(rng, rng.choice((None, found.topic)))
        for _ in range(rng.choice((0, 0, 0, most - 1, rng.randrange(most))))
    ]
    missing = bool(others) and rng.random() < 0.15
    told = [(one.title, one.passage) for one in ([*others] if missing else [found, *others])]
    rng.shuffle(told)
    how = manner.draw(rng)
    if missing:
        answer = manner.say(
            rng, how, "I don't have that information.", [], "I don't have that information.", evade=False
        )
    else:
        answer = manner.say(rng, how, found.says, [], f"{found.value}.", evade=False)
    made = with_passages(rng, system(rng), found.ask, told)
    return [*made, {"role": "assistant", "content": answer}]


def drill(rng: random.Random) -> Conversation:
    """Bare look-up among up to five keys."""
    return drills.drill(rng, 5)


# Copying must come first: a model that has learnt to talk is slow to learn to look.
_KINDS = ("drill", "reading", "talk", "unknown", "chat")
_EARLY = (0.6, 0.3, 0.1, 0.0, 0.0)
_LATER = (0.06, 0.36, 0.48, 0.06, 0.04)


def conversation(rng: random.Random, progress: float) -> Conversation:
    """One conversation; `progress` runs from 0 to 1 over a build: look-up first, then talk."""
    early = progress < 0.2
    kind = rng.choices(_KINDS, _EARLY if early else _LATER)[0]
    if kind == "drill":
        return drill(rng)
    if kind == "reading":
        return reading(rng, 2 if early else 4)
    if kind == "unknown":
        return unknown(rng)
    if kind == "chat":
        return [*system(rng), *chat(rng)]
    return talk(rng)


def conversations(seed: str, progress: float = 1.0) -> Iterator[Conversation]:
    """Conversations without end, the same for the same seed."""
    rng = random.Random(seed)
    while True:
        yield conversation(rng, progress)
