"""How often the starter says what staff approved, asked again in other words and not trained on it.

Twenty corrections that tell a fact, twenty that are free wording, each asked again three times through the
product's own routes at the temperature of the chat: the first time as the very next answer, with no other
approval in between, the others when all are approved. The wording counts as used when four fifths of the
approved words stand in the answer in their order, and all its numbers. The baseline is what is wanted. Free
wording is beyond the starter, which copies values and not sentences that it never saw the like of.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from assistant import app, settings
from benchmarks import Row
from benchmarks.bench_lora import serving
from feedback.records import normalise
from training import starter

CASES = Path(__file__).parents[1] / "examples" / "approved_answers.jsonl"
ENOUGH = 0.8
"""The share of the approved words that must be there, in their order."""
BAR = 0.8
WANTED = "at least 0.80"


@dataclass(frozen=True)
class Case:
    """A question that was answered wrongly, what staff make of it, and other words for the question."""

    kind: str
    question: str
    answer: str
    again: Sequence[str]


@dataclass(frozen=True)
class Said:
    """An answer to a question in other words. `found`: the approved answer stood in its prompt."""

    case: Case
    question: str
    answer: str
    found: bool
    first: bool

    @property
    def used(self) -> bool:
        """Whether it says what was approved."""
        return is_used(self.case.answer, self.answer)


def cases() -> list[Case]:
    """Every case of the file."""
    return [Case(**json.loads(line)) for line in CASES.read_text(encoding="utf-8").splitlines()]


def is_used(approved: str, answer: str) -> bool:
    """Whether it has the approved wording: enough of its words in their order, and all its numbers."""
    wanted, said = normalise(approved).split(), normalise(answer).split()
    numbers = set(re.findall(r"\d+(?:[.,:-]\d+)*", approved))
    there = set(re.findall(r"\d+(?:[.,:-]\d+)*", answer))
    return in_order(wanted, said) >= ENOUGH * len(wanted) and numbers <= there


def in_order(wanted: Sequence[str], said: Sequence[str]) -> int:
    """The length of the longest row of words that stand in both, in this order."""
    row = [0] * (len(said) + 1)
    for word in wanted:
        before = 0
        for place, other in enumerate(said, 1):
            above = row[place]
            row[place] = before + 1 if word == other else max(above, row[place - 1])
            before = above
    return row[-1]


def run() -> list[Row]:
    """The shares, for facts and for wordings."""
    with tempfile.TemporaryDirectory(prefix="apprentice-bench-") as scratch:
        home = Path(scratch) / "home"
        with serving(home, starter.path()), opened(home) as (ann, stella):
            before, after = asked(ann, stella, cases())
    if os.environ.get("APPRENTICE_BENCH_SHOW"):
        for one in after:
            print(one.used, one.found, one.case.kind, one.question, "->", one.answer)
    rows = []
    for kind in ("facts", "wordings"):
        mine = [one for one in after if one.case.kind == kind]
        earlier = [one for one in before if one.case.kind == kind]
        raw = f"{sum(one.used for one in earlier)} of {len(earlier)} answers before any approval"
        first = [one for one in mine if one.first]
        rows += [
            Row(f"{kind}: said, the next answer", share(first), BAR, "of answers", WANTED, raw),
            Row(f"{kind}: said, all of them", share(mine), BAR, "of answers", WANTED, raw),
            Row(f"{kind}: in the prompt", sum(one.found for one in mine) / len(mine), 1.0, "of prompts"),
        ]
    return rows


def share(said: Sequence[Said]) -> float:
    """Of answers that have the approved wording."""
    return sum(one.used for one in said) / len(said)


@contextmanager
def opened(home: Path) -> Iterator[tuple[TestClient, TestClient]]:
    """The product in this home, as ann, a user, and as stella, of its staff."""
    house = app.open_house(settings.read(home=home, model=settings.STARTER))
    web = app.web(house)
    clients = []
    try:
        with TestClient(web) as running:
            for name in ("ann", "stella"):
                house.accounts.add(name, "staff" if name == "stella" else "user")
                key = house.accounts.new_key(name)
                one = TestClient(web, headers={"authorization": f"Bearer {key}"})
                one.portal = running.portal
                clients.append(one)
            yield clients[0], clients[1]
    finally:
        house.close()


def asked(ann: TestClient, stella: TestClient, found: Sequence[Case]) -> tuple[list[Said], list[Said]]:
    """Every question in other words before anything is approved, and after."""
    before = [_say(ann, case, question, 0) for case in found for question in case.again]
    after = []
    for number, case in enumerate(found):
        turn = _ask(ann, case.question, number)["id"]
        body = {"completion_id": turn, "answer": case.answer}
        stella.post("/v1/approvals", json=body).raise_for_status()
        after.append(_say(ann, case, case.again[0], number, first=True))
    for number, case in enumerate(found):
        after += [_say(ann, case, question, 100 + number) for question in case.again[1:]]
    return before, after


def _say(ann: TestClient, case: Case, question: str, seed: int, first: bool = False) -> Said:
    said = _ask(ann, question, seed)["choices"][0]["message"]
    shown: Sequence[Mapping[str, Any]] = said.get("passages") or ()
    found = any(one["kind"] == "answer" and one["title"] == case.question for one in shown)
    return Said(case, question, said["content"], found, first)


def _ask(ann: TestClient, question: str, seed: int) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": question}], "seed": seed}
    answer = ann.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    return dict(answer.json())
