"""What an answer may stand on: how many passages have room, and what happens when nothing can be searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from assistant.accounts import Account
from assistant.grounding import LINES, NOTHING, SMALL_CONTEXT
from assistant.grounds import Found, Grounds
from feedback.records import PASSAGES, Message
from retrieval.records import Hit, Passage, Unavailable

ANN = Account("person-ann", "ann", "user", False, datetime(2026, 11, 20, tzinfo=UTC))
HOW = [{"role": "user", "content": "How long does shipping take?"}]


def hit(number: int, text: str = "It takes 3 days.", audience: str = "") -> Hit:
    passage = Passage(f"psg-{number}", f"doc-{number}", "document", audience, "Shipping", text, None, 0)
    return Hit(passage, 0.9 - number / 10, 0.1)


@dataclass
class Shelf:
    """Gives what it is told to, and notes what was asked of it."""

    hits: Sequence[Hit] = ()
    spared: bool = False
    empty: bool = False
    bookless: bool = False
    problem: Exception | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    lines: int = 0

    async def find(self, question: str, account: Account, lines: int = 0, spare: bool = False) -> Found:
        self.lines = lines
        self.asked.append((question, account.name))
        if self.problem:
            raise self.problem
        return Found(self.hits, self.spared)


@dataclass
class Words:
    """An engine in which every word is a token."""

    length: int = 1_000

    async def context_length(self) -> int:
        return self.length

    async def tokenize(self, messages: Sequence[Message]) -> list[int]:
        return [1 for message in messages for _ in str(message["content"]).split()]

    async def tokenize_text(self, text: str) -> list[int]:
        return [1] * len(text.split())


def grounds(shelf: Shelf, tokens: int = 300, length: int = 1_000) -> Grounds:
    return Grounds(shelf, Words(length), tokens)  # type: ignore[arg-type]


async def test_what_is_found_stands_in_the_prompt_and_is_kept() -> None:
    shelf = Shelf([hit(1), hit(2, "Norway: 9 days.", "staff")])
    found = await grounds(shelf).ground(HOW, ANN, 50, fixed=False)
    assert shelf.asked == [("How long does shipping take?", "ann")]
    assert found.searched == "How long does shipping take?"
    assert "[1] Shipping\nIt takes 3 days.\n\n[2] Shipping\nNorway: 9 days." in found.messages[-1]["content"]
    assert [(one["number"], one["source"], one["audience"]) for one in found.passages] == [
        (1, "doc-1", ""),
        (2, "doc-2", "staff"),
    ]


async def test_that_nothing_was_found_stands_in_the_prompt() -> None:
    found = await grounds(Shelf()).ground(HOW, ANN, 50, fixed=False)
    assert found.searched == "How long does shipping take?"
    assert NOTHING in found.messages[-1]["content"]
    assert found.passages == []


async def test_what_documents_tell_is_laid_out_though_an_example_is_left_out() -> None:
    found = await grounds(Shelf([hit(1)], spared=True)).ground(HOW, ANN, 50, fixed=False)
    assert (len(found.passages), found.searched) == (1, "How long does shipping take?")


@pytest.mark.parametrize(
    ("shelf", "messages"),
    [
        (Shelf(empty=True), HOW),
        (Shelf([hit(1)], problem=Unavailable("the index is busy")), HOW),
        (Shelf([hit(1)]), [{"role": "user", "content": "Hello!"}]),
        (Shelf([hit(1)]), [*HOW, {"role": "assistant", "content": "3 days"}]),
        # It has learned the approved answer from this very prompt, and was asked whether it has.
        (Shelf(spared=True), HOW),
    ],
    ids=["empty", "unavailable", "small talk", "no question", "learned"],
)
async def test_without_a_search_or_an_example_the_dialogue_is_as_it_was(
    shelf: Shelf, messages: list[Message]
) -> None:
    found = await grounds(shelf).ground(messages, ANN, 50, fixed=False)
    assert (found.messages, found.passages, found.searched) == (messages, (), None)


async def test_passages_keep_to_their_budget_and_to_a_third_of_the_context() -> None:
    shelf = Shelf([hit(number, "word " * 97) for number in range(1, 5)])
    kept = {
        (tokens, length): len((await grounds(shelf, tokens, length).ground(HOW, ANN, 50, False)).passages)
        for tokens, length in ((300, 2_000), (1_000, 2_000), (1_000, 600))
    }
    # Each has 99 words with its head.
    assert kept == {(300, 2_000): 3, (1_000, 2_000): 4, (1_000, 600): 2}


async def test_passages_grow_where_there_is_room_the_best_first() -> None:
    hits = [hit(number, "word " * 47) for number in range(1, 4)]
    around = [
        replace(one, block=replace(one.passage, title="Shipping and more", text="word " * 147))
        for one in hits
    ]
    found = await grounds(Shelf(around), 260, 2_000).ground(HOW, ANN, 50, fixed=False)
    assert [len(one["text"].split()) for one in found.passages] == [147, 47, 47]
    assert [one["id"] for one in found.passages] == ["psg-1", "psg-2", "psg-3"]
    assert "[1] Shipping and more\n" in found.messages[-1]["content"]


def neighbours(*sizes: int) -> list[Hit]:
    """The best passage, its neighbour as the second best, which stands in its block, and others, of so many
    words with their heads."""
    first, second, *others = (
        replace(hit(number, f"n{number} " * (size - 2)), rank=1 - number / 10)
        for number, size in enumerate(sizes, 1)
    )
    text = f"{first.passage.text}\n\n{second.passage.text}"
    return [replace(first, block=replace(first.passage, text=text), covers=(second,)), *others]


@pytest.mark.parametrize(
    ("budget", "kept"),
    [
        # The block takes the place of both, and a little less room
        (400, [["n1", "n2"], ["n3"], ["n4"]]),
        (300, [["n1", "n2"], ["n3"]]),
        (150, [["n1"]]),
    ],
)
async def test_the_second_best_passage_is_read_where_the_best_one_has_no_room_to_grow(
    budget: int, kept: list[list[str]]
) -> None:
    shelf = Shelf(neighbours(100, 100, 100, 100))
    found = await grounds(shelf, budget, 3_000).ground(HOW, ANN, 50, fixed=False)
    assert [list(dict.fromkeys(one["text"].split())) for one in found.passages] == kept
    assert [one["number"] for one in found.passages] == list(range(1, len(kept) + 1))
    assert sum(len(f"[1] {one['title']} {one['text']}".split()) for one in found.passages) <= budget


async def test_the_second_best_passage_stands_alone_where_its_block_has_no_room() -> None:
    first, *others = neighbours(100, 100, 100)
    assert first.block is not None
    wide = replace(first, block=replace(first.block, text=f"{first.block.text} {'around ' * 50}"))
    answer = replace(hit(9, "Yes."), passage=replace(hit(9, "Yes.").passage, kind="answer"), rank=0.0)
    found = await grounds(Shelf([answer, wide, *others]), 312, 3_000).ground(HOW, ANN, 50, fixed=False)
    assert [one["text"].split()[0] for one in found.passages] == ["Yes.", "n1", "n2", "n3"]
    assert "around" not in str(found.messages)
    found = await grounds(Shelf([answer, wide, *others]), 370, 3_000).ground(HOW, ANN, 50, fixed=False)
    assert [one["text"].split()[0] for one in found.passages] == ["Yes.", "n1", "n3"]
    assert "around" in str(found.messages)


@pytest.mark.parametrize(("length", "lines"), [(2_048, LINES), (SMALL_CONTEXT, 0)])
async def test_a_model_that_can_hold_little_is_given_single_lines(length: int, lines: int) -> None:
    shelf = Shelf([hit(1)])
    await grounds(shelf, 300, length).ground(HOW, ANN, 50, fixed=False)
    assert shelf.lines == lines


async def test_what_is_left_out_leaves_no_gap_in_the_numbers() -> None:
    shelf = Shelf([hit(1), hit(2, "word " * 400), hit(3, "The end.")])
    found = await grounds(shelf).ground(HOW, ANN, 50, fixed=False)
    assert [(one["number"], one["id"]) for one in found.passages] == [(1, "psg-1"), (2, "psg-3")]


async def test_old_exchanges_make_room_for_passages_but_a_fixed_dialogue_does_not() -> None:
    old = [{"role": "user", "content": "word " * 500}, {"role": "assistant", "content": "word " * 400}]
    shelf = Shelf([hit(1)])
    assert (await grounds(shelf).ground([*old, *HOW], ANN, 50, fixed=False)).passages
    found = await grounds(shelf).ground([*old, *HOW], ANN, 50, fixed=True)
    # To say that there are none would be wrong.
    assert (found.messages, found.searched) == ([*old, *HOW], None)


async def test_the_fence_is_the_one_that_is_taken_off_again() -> None:
    found = await grounds(Shelf([hit(1)])).ground(HOW, ANN, 50, fixed=False)
    assert found.messages[-1]["content"].startswith(PASSAGES[0])


def test_whether_there_is_anything_is_asked_of_the_library() -> None:
    assert grounds(Shelf()).there
    assert not grounds(Shelf(empty=True)).there
