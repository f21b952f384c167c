"""What people said about held-out questions: opinions that a candidate is measured by and never learns from.

The judge of fresh answers learns from these alone, and what ranks fresh answers for training from the others:
so no candidate is graded by what it was trained to please. Reads the store; knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feedback.reading import Reader
from feedback.records import Judged, Message
from training import vote_model
from training.pairs import in_turns
from training.screening import held_out, known, screen
from training.settling import on_their_sides, settle, settle_choices, settle_corrections
from training.vote_model import JUDGES_FROM

MOST_OPINIONS, MOST_PROMPTS = 200, 48
"""The newest ones of each person in turn: each costs a request, or four answers, by base, live and
candidate."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """An answer that people found good (`up`) or bad."""

    prompt: Sequence[Message]
    answer: str
    up: bool
    person: str
    question: str


@dataclass(frozen=True, slots=True)
class KeptBack:
    """The held-out opinions, the prompts that they are about, and the judge that they make."""

    opinions: Sequence[Opinion] = ()
    prompts: Sequence[tuple[Sequence[Message], str]] = ()
    """Each prompt once, the newest first, with the person who asked it."""
    judge: vote_model.VoteModel | None = None
    """None: the votes are too few to make one."""

    @property
    def trusted(self) -> bool:
        """Whether the judge can tell ups from downs well enough to be heard."""
        return self.judge is not None and self.judge.auc_low >= JUDGES_FROM

    @property
    def why_not(self) -> str:
        """Why the judge abstains, in words."""
        if self.judge is None:
            ups = sum(opinion.up for opinion in self.opinions)
            few = f"{ups} ups and {len(self.opinions) - ups} downs"
            return f"the judge abstains: {few} on held-out questions are too few to learn from"
        return (
            f"the judge abstains: it tells {self.judge.auc:.0%} of held-out ups from downs, which may be "
            f"{self.judge.auc_low:.0%} (at least {JUDGES_FROM:.0%})"
        )


def read(store: Reader) -> KeptBack:
    """The held-out opinions so far, of people who live with the answers: none that a file brought along."""
    choices = known(store.choices())
    # Asked in a training conversation as well, a question may have been learned.
    judged, compared, _ = on_their_sides(screen(store.judged())[0], store.compared(choices))
    judged = [item for item in judged if _counts(item)]
    compared = {name: item for name, item in compared.items() if _counts(item)}
    found = [(one.turn.id, one.item, one.turn.answer, one.up, one.people[0]) for one in settle(judged)[0]]
    for item, row in settle_corrections(judged):
        found.append((item.turn.id, item, row.text.strip(), True, row.person_id))
        found.append((item.turn.id, item, item.turn.answer, False, row.person_id))
    for one in settle_choices(choices, compared)[0]:
        person = one.choices[0].person_id
        found.append((one.winner.turn.id, one.winner, one.winner.turn.answer, True, person))
        found.append((one.loser.turn.id, one.loser, one.loser.turn.answer, False, person))
    found.sort(key=lambda entry: entry[0], reverse=True)
    opinions = [
        Opinion(item.turn.prompt, answer, up, person, item.turn.prompt_key)
        for _, item, answer, up, person in found
    ]
    # A bad answer that was voted down and corrected too is one bad answer.
    distinct = {(one.question, one.answer, one.up): one for one in reversed(opinions)}
    # Person by person, so that who votes most is not all that is asked.
    newest = in_turns(reversed(distinct.values()), lambda one: one.person)[:MOST_OPINIONS]
    prompts = in_turns(_prompts(judged), lambda one: one[1])[:MOST_PROMPTS]
    return KeptBack(newest, prompts, vote_model.fit(judged))


def _counts(item: Judged) -> bool:
    return held_out(item.opening) and not item.turn.origin


def _prompts(judged: Sequence[Judged]) -> list[tuple[Sequence[Message], str]]:
    newest = sorted(judged, key=lambda item: item.turn.id, reverse=True)
    return list({item.turn.prompt_key: (item.turn.prompt, item.turn.person_id) for item in newest}.values())
