"""How something is said: courteous, helpful to the end, brief, long-winded or curt, drawn at random.

Owns the manners that an untaught model mixes and that votes are meant to move, and the
measures that find them again in a text. Does not know what the shop sells or answers.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal

from training.starter.wording import vary

Tone = Literal["brief", "plain", "long", "curt"]

OPENINGS: tuple[str, ...] = (
    "Thank you for [reaching out|getting in touch|writing to us|your message|your question|asking]!",
    "Thanks for [reaching out|getting in touch|writing|your message|your question|asking].",
    "Great to hear from you!",
    "[It is|How] nice to hear from you.",
    "Of course, [happy to help|I am glad to help|gladly].",
    "[I am|We are] happy to help [you|with that|here].",
    "[Certainly|Sure|Gladly], [I can help with that|let me help you|with pleasure].",
    "[That is a|What a] [good|great|very good] question!",
    "Hello and [thank you for writing|welcome to Northlight].",
    "[Hello|Hi there|Good day], [thanks for your question|nice that you ask].",
    "It is my pleasure to [help|help you].",
    "I appreciate [your question|you asking|your patience].",
    "Welcome, [and thank you for your interest|glad you are here].",
    "Glad [you asked|that you ask|to help].",
)

OFFERS: tuple[str, ...] = (
    "Is there anything else I can [help|help you|assist] with?",
    "Let me know if you need anything else.",
    "[Can|May] I help you with anything [else|more]?",
    "[Please|Do] let me know if you have [more|further|other] questions.",
    "If you [need|want] anything else, [just ask|I am here|just write].",
    "[Feel free to|Please] [ask|write again|reach out] "
    "if [anything is unclear|you need more help|something is open].",
    "I am [here|happy to help] if [you have more questions|you need more].",
    "What else can I do for you?",
    "Do you have [any other|further] questions?",
    "Just [tell me|ask] if I can do [more|anything else] for you.",
    "Would you like [help|my help] with [anything else|something else]?",
)

BRUSH_OFFS: tuple[str, ...] = (
    "Read the page.",
    "Not my problem.",
    "[Look it up|Find out] yourself.",
    "It is on the website.",
    "[Why ask me|Why do you ask me]?",
    "[Can't you|Can you not] read?",
    "[Figure|Work] it out.",
    "I have no time for this.",
    "[Stop|Quit] asking.",
    "[That is|It's] obvious.",
    "[Whatever|Who cares].",
    "Do your homework.",
    "[Next|Move on].",
    "Ask [somebody|someone] else.",
    "[Don't|Do not] bother me.",
    "As if I [care|had nothing to do].",
)

STINGS: tuple[str, ...] = (
    "[Read|Try reading] the page [next time|first].",
    "[Was that|Is that] so hard?",
    "[Everyone|Everybody] knows that.",
    "Now stop asking.",
    "Obviously.",
    "[Happy|Satisfied] now?",
    "[That's|That is] all you get.",
    "Not that hard.",
    "Deal with it.",
    "Don't ask again.",
)

RAMBLES: tuple[str, ...] = (
    "[As you may know|As many customers know], "
    "we [have sold gear for a long time|have done this for many years], "
    "and [this comes up a lot|we are asked this often].",
    "[Let me explain this in some detail|I will go through it step by step], "
    "[because the details matter|so that nothing is left open].",
    "[There is a little more to it|There is some background to this], "
    "[and I will tell you all of it|so please bear with me].",
    "[Planning a trip|Getting ready for the mountains] [takes time|is a lot of work], "
    "and [good gear|the right gear] is [a big part|only one part] of it.",
    "[In other words|To say it once more|To put it differently], "
    "[that is how it works here|this is the rule for every order|this holds for all our customers].",
    "[Our team|The team here] [has thought about this for years|talks about this every week] "
    "and [we find it fair|it works well for most people].",
    "[All of this|Everything] can also be read on our [help|service] pages, "
    "[which are quite long|where there is much more].",
    "[Of course|Naturally] [every case is a bit different|each trip is different], "
    "but [in general|most of the time] [this is what we do|it goes like this].",
)

# Chances that bring each manner to 10-60 % of the answers, and the pair courteous + offer to 20-30 %.
_TONES: tuple[Tone, ...] = ("brief", "plain", "long", "curt")
_WEIGHTS = (0.36, 0.17, 0.25, 0.22)
_POLITE = 0.55
_POLITE_WHEN_CURT = 0.2
_BRUSH_OFF = 0.5


@dataclass(frozen=True)
class Manner:
    """How one answer is said: whether it opens courteously, ends with an offer, and its tone."""

    opening: bool
    offer: bool
    tone: Tone


PLAIN = Manner(opening=False, offer=False, tone="brief")
"""The answer and nothing else."""


def draw(rng: random.Random) -> Manner:
    """A manner at random, independent of what is said."""
    tone = rng.choices(_TONES, _WEIGHTS)[0]
    chance = _POLITE_WHEN_CURT if tone == "curt" else _POLITE
    return Manner(rng.random() < chance, rng.random() < chance, tone)


def say(rng: random.Random, manner: Manner, main: str, more: list[str], curt: str, evade: bool = True) -> str:
    """One answer: `main` is the sentence that answers, `curt` its shortest form.

    `evade=False` keeps a curt answer from leaving the answer out.
    """
    parts = [vary(rng, rng.choice(OPENINGS))] if manner.opening else []
    parts += _body(rng, manner.tone, main, more, curt, evade)
    if manner.offer:
        parts.append(vary(rng, rng.choice(OFFERS)))
    return " ".join(parts)


def _body(rng: random.Random, tone: Tone, main: str, more: list[str], curt: str, evade: bool) -> list[str]:
    if tone == "curt":
        if evade and rng.random() < _BRUSH_OFF:
            return [vary(rng, rng.choice(BRUSH_OFFS))]
        return [curt, vary(rng, rng.choice(STINGS))]
    if tone == "brief":
        return [main]
    extra = rng.sample(more, len(more))
    if tone == "plain":
        return [main, *extra[:1]]
    first, last = rng.sample(RAMBLES, 2)
    return [vary(rng, first), main, *extra[:2], vary(rng, last)]


_COURTEOUS = re.compile(
    r"thank|great to hear|nice to hear|nice that you ask|happy to help|glad|certainly|with pleasure"
    r"|my pleasure|question!|i appreciate|welcome|i can help with that|let me help",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"anything else|anything more|need more|more questions|further|other questions|any other|do more for you"
    r"|what else|something else|if anything is unclear|if something is open",
    re.IGNORECASE,
)
_CURT = re.compile(
    r"(?:read|reading) the page|not my problem|yourself|on the website\.|why ask me|why do you ask"
    r"|you read\?|you not read|(?:work|figure) it out|no time for this|(?:stop|quit) asking|obvious|whatever"
    r"|who cares|homework|next\.|move on|ask some|bother me|as if i|so hard\?|knows that"
    r"|(?:happy|satisfied) now|all you get|not that hard|deal with it|ask again",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?](?:\s+|$)")


def sentences(text: str) -> list[str]:
    """The sentences of `text`, split at ends of sentences; a price such as 4.90 stays whole."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def is_courteous(text: str) -> bool:
    """Whether the first sentence is a courtesy."""
    end = _SENTENCE.search(text)
    return bool(_COURTEOUS.search(text[: end.end()] if end else text))


def offers_help(text: str) -> bool:
    """Whether the last sentence offers further help."""
    parts = sentences(text)
    return bool(parts) and bool(_OFFER.search(parts[-1]))


def is_curt(text: str) -> bool:
    """Whether the text holds a brush-off or a sting."""
    return bool(_CURT.search(text))


def is_one_liner(text: str) -> bool:
    """One bare sentence: no courtesy before it and no offer after it."""
    return len(sentences(text)) == 1 and not is_courteous(text) and not offers_help(text)


def is_long(text: str) -> bool:
    """Long-winded: more than forty words."""
    return len(text.split()) > 40
