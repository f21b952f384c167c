"""What a built model can do, measured on fresh cases: a few lines of shares, each with its count.

Owns the measures and their seeds, which no build uses. Does not know how the model was made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.starter import asking, corpus, drills, manner
from training.starter.facts import Fact

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

SEED = "score"
MOST_TOKENS = 128
DONT_KNOW = "don't have that information"


@dataclass(frozen=True)
class Line:
    """One measured share: `hits` of `count` cases."""

    name: str
    hits: int
    count: int

    def __str__(self) -> str:
        return f"{self.name:<52} {self.hits / max(1, self.count):6.1%}  n={self.count}"


@dataclass(frozen=True)
class Answer:
    """A generated text, its length in tokens, and whether it ended by itself."""

    text: str
    tokens: int
    ended: bool


class Speaker:
    """A model folder, loaded, that answers many conversations at once."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoTokenizer, LlamaForCausalLM

        self.tok: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder)
        self.model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model.eval()

    def answers(
        self, prompts: Sequence[corpus.Conversation], temperature: float = 0.0, seed: int = 0, batch: int = 64
    ) -> list[Answer]:
        """One answer a prompt, greedy at temperature 0, else drawn from the whole distribution."""
        import torch

        torch.manual_seed(seed)
        made: list[Answer] = []
        how = (
            {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
            if temperature
            else {"do_sample": False}
        )
        for start in range(0, len(prompts), batch):
            texts = [
                self.tok.apply_chat_template(one, tokenize=False, add_generation_prompt=True)
                for one in prompts[start : start + batch]
            ]
            fed = self.tok(
                texts, return_tensors="pt", padding=True, padding_side="left", return_token_type_ids=False
            )
            with torch.no_grad():
                out = self.model.generate(**fed, **how, max_new_tokens=MOST_TOKENS)
            made += [self._answer(row.tolist()) for row in out[:, fed["input_ids"].shape[1] :]]
        return made

    def _answer(self, ids: list[int]) -> Answer:
        ended = self.tok.eos_token_id in ids
        kept = ids[: ids.index(self.tok.eos_token_id)] if ended else ids
        return Answer(self.tok.decode(kept), len(kept) + ended, ended)


def loops(text: str) -> bool:
    """Whether any four words come three times."""
    words = text.split()
    fours = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    return any(fours.count(one) > 2 for one in fours)


def well_formed(answer: Answer) -> bool:
    """Ends by itself after 3 to 120 tokens, its end included, without a loop."""
    return answer.ended and 3 <= answer.tokens <= 120 and not loops(answer.text)


def opening(question: str) -> corpus.Conversation:
    """A conversation that starts with `question` under the default system prompt."""
    return [{"role": "system", "content": corpus.SYSTEM_PROMPT}, {"role": "user", "content": question}]


def has_value(text: str, value: str) -> bool:
    """Whether `value` stands in `text` by itself, not as a part of a longer number or word."""
    at = text.find(value)
    while at >= 0:
        before, after = text[at - 1 : at], text[at + len(value) : at + len(value) + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        at = text.find(value, at + 1)
    return False


def manners(answers: Sequence[Answer]) -> list[Line]:
    """How often each manner shows up, and the pair that a first taste may ask for."""
    said = [one.text for one in answers]
    tests: list[tuple[str, Callable[[str], bool]]] = [
        ("manner: courteous opening", manner.is_courteous),
        ("manner: ends with an offer of help", manner.offers_help),
        ("manner: courteous and offer", lambda text: manner.is_courteous(text) and manner.offers_help(text)),
        ("manner: bare one-liner", manner.is_one_liner),
        ("manner: long-winded (over 40 words)", manner.is_long),
        ("manner: curt or dismissive", manner.is_curt),
    ]
    return [Line(name, sum(map(test, said)), len(said)) for name, test in tests]


def _talk_lines(speaker: Speaker, cases: int) -> list[Line]:
    asked = asking.questions(2 * cases, seed=990_001)
    free = speaker.answers([opening(one) for one in asked], temperature=0.8, seed=1)
    return [
        Line("ends by itself, 3 to 120 tokens, no loop (t=0.8)", sum(map(well_formed, free)), len(free)),
        *manners(free),
    ]


def _fact_line(speaker: Speaker, cases: int) -> Line:
    rng = random.Random(f"{SEED} facts")
    drawn: list[Fact] = [asking.pick(rng) for _ in range(cases)]
    said = speaker.answers([opening(asking.question(rng, fact)) for fact in drawn])
    right = [
        any(has_value(one.text.lower(), key.lower()) for key in fact.keys)
        for fact, one in zip(drawn, said, strict=True)
    ]
    return Line("knows the fixed facts of the shop (greedy)", sum(right), cases)


def _reading_line(speaker: Speaker, cases: int, passages: int) -> Line:
    rng = random.Random(f"{SEED} reading {passages}")
    prompts, values = [], []
    head = opening("")[:1]
    for _ in range(cases):
        found = drills.lookup(rng)
        told = [found, *(drills.lookup(rng, found.topic) for _ in range(passages - 1))]
        rng.shuffle(told)
        prompts.append(corpus.with_passages(rng, head, found.ask, [(one.title, one.passage) for one in told]))
        values.append(found.value)
    said = speaker.answers(prompts)
    name = (
        "reads a value from one passage (greedy)"
        if passages == 1
        else f"reads among {passages} of the same topic (greedy)"
    )
    return Line(name, sum(has_value(one.text, value) for one, value in zip(said, values, strict=True)), cases)


def _missing_line(speaker: Speaker, cases: int) -> Line:
    rng = random.Random(f"{SEED} missing")
    prompts = []
    for _ in range(cases):
        asked = drills.lookup(rng)
        told = [drills.lookup(rng, asked.topic) for _ in range(2)]
        prompts.append(
            corpus.with_passages(rng, opening("")[:1], asked.ask, [(one.title, one.passage) for one in told])
        )
    said = speaker.answers(prompts)
    return Line("says so when no passage has it (greedy)", sum(DONT_KNOW in one.text for one in said), cases)


def score(folder: Path, cases: int = 128) -> list[Line]:
    """Every line for the model in `folder`; `cases` a line, twice as many for the manners."""
    speaker = Speaker(folder)
    return [
        *_talk_lines(speaker, cases),
        _fact_line(speaker, cases),
        _reading_line(speaker, cases, 1),
        _reading_line(speaker, cases, 4),
        _missing_line(speaker, cases),
    ]
