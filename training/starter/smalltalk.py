"""What customers say besides questions about the shop: small talk, and what nobody there can know.

Owns these lines and the plain admission. Does not know manners, facts or passages.
"""

from __future__ import annotations

import random

from training.starter.values import word
from training.starter.wording import slip, vary

DONT_KNOW = "I don't have that information."
_ADMISSIONS = (
    "I don't have that information.",
    "I don't have that information.",
    "I am sorry, I don't have that information.",
    "I am afraid I don't have that information.",
)
_MORE = (
    "I can help with orders, returns and gear.",
    "[Our team|The team] may know more.",
    "That is not part of what I know.",
)
_UNKNOWN = (
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


def unknown(rng: random.Random) -> str:
    """A question that the shop cannot answer."""
    return vary(rng, rng.choice(_UNKNOWN)).replace("{n}", word(rng))


def admission(rng: random.Random) -> str:
    """The plain admission; every one of them holds the same words."""
    return rng.choice(_ADMISSIONS)


def admits(text: str) -> bool:
    """Whether `text` says that it does not know."""
    return DONT_KNOW[2:-1] in text


def elsewhere(rng: random.Random) -> list[str]:
    """What may be added to an admission."""
    return [vary(rng, line) for line in _MORE]


def small_talk(rng: random.Random) -> tuple[str, str, str]:
    """Something said in passing, an answer, and its curt form."""
    said, answer, curt = rng.choice(_SMALL_TALK)
    line = vary(rng, said)
    return (slip(rng, line.lower()) if rng.random() < 0.2 else line), vary(rng, answer), curt
