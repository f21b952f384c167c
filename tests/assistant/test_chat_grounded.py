"""Answers that stand on documents, from question to store and on to what is learned, over a fake engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from assistant.accounts import Account
from assistant.chat import Ask, Chat
from assistant.engine.client import Engines
from assistant.grounding import NOTHING
from assistant.grounds import Found, Grounds
from feedback.database import Database
from feedback.records import PASSAGES, Turn, as_said
from feedback.schema import causes
from feedback.store import Store, Verdict
from retrieval.records import Hit
from tests.assistant.test_chat import ANN, HELLO, STAFF, live
from tests.assistant.test_grounds import hit
from tests.fake_engine import FakeEngine
from training import gathering
from training.canaries import Canaries
from training.registry import Registry
from training.screening import screen


@dataclass
class Shelf:
    """Gives what it holds to whoever may see it."""

    hits: Sequence[Hit] = ()
    empty: bool = False
    bookless: bool = False
    asked: list[str] = field(default_factory=list)
    spared: list[bool] = field(default_factory=list)
    """Whether what is live was to do without what it has learned, for each question."""

    async def find(self, question: str, account: Account, lines: int = 0, spare: bool = False) -> Found:
        self.asked.append(question)
        self.spared.append(spare)
        return Found(self.hits)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf([hit(1), hit(2, "Norway: 9 days.")])


@pytest.fixture
async def chat(sqlite: Database, tmp_path: Path, fake: FakeEngine, shelf: Shelf) -> AsyncIterator[Chat]:
    engines = Engines(fake.locate, poll_seconds=0.05)
    await engines.start()
    yield Chat(
        Store(sqlite),
        Registry(sqlite, tmp_path / "adapters"),
        engines,
        system_prompt="Be kind.",
        defaults={"temperature": 0.8},
        model="starter",
        max_tokens=64,
        grounds=Grounds(shelf, engines, 800),
    )
    await engines.close()


async def answer(chat: Chat, *said: str, **more: Any) -> tuple[dict[str, Any], Turn]:
    """The message that programs get, and the turn as it is stored."""
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(said)]
    begun = await chat.begin(Ask(ANN, messages, **more))
    whole = await chat.whole(begun)
    return whole["choices"][0]["message"], chat.store.turn(begun.id)


async def test_the_engine_is_sent_the_passages_and_the_turn_keeps_them(chat: Chat, fake: FakeEngine) -> None:
    message, turn = await answer(chat, "Where is my parcel?")
    sent = fake.requests[-1]["messages"]
    assert sent[0] == {"role": "system", "content": "Be kind."}
    assert sent[1]["content"].endswith("[2] Shipping\nNorway: 9 days." + PASSAGES[1] + "Where is my parcel?")
    assert [dict(one) for one in turn.prompt] == sent
    assert (turn.question, turn.searched) == ("Where is my parcel?", "Where is my parcel?")
    assert [one["text"] for one in turn.passages] == ["It takes 3 days.", "Norway: 9 days."]
    assert message["passages"] == [
        {
            "number": number,
            "id": f"psg-{number}",
            "kind": "document",
            "title": "Shipping",
            "page": None,
            "score": score,
            "url": f"/documents/doc-{number}",
        }
        for number, score in ((1, 0.8), (2, 0.7))
    ]


async def test_learned_answers_are_left_out_only_where_nobody_but_what_is_live_answers(
    chat: Chat, shelf: Shelf, sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.registry.files.verify", lambda _: None)
    registry = Registry(sqlite, tmp_path / "adapters")
    first = live(registry, 1)
    second = live(registry, 2)
    await chat.begin(Ask(ANN, HELLO))
    await chat.begin(Ask(ANN, HELLO, model="apprentice-base"))
    await chat.begin(Ask(STAFF, HELLO, model=first))
    await chat.begin_two(Ask(ANN, HELLO), None)
    await chat.begin_two(Ask(ANN, HELLO), first)
    assert shelf.spared == [True, False, False, True, False]
    registry.rollback(actor="ann", reason="worse")
    Canaries(sqlite, registry).start(second, actor="ann", reason="try it")
    await chat.begin(Ask(ANN, HELLO))
    assert shelf.spared[-1] is False


async def test_in_a_stream_the_last_chunk_of_a_choice_brings_them(chat: Chat) -> None:
    begun = await chat.begin(Ask(ANN, HELLO, sampling={"n": 2}))
    async with aclosing(chat.stream(begun)) as chunks:
        choices = [choice async for chunk in chunks for choice in chunk["choices"]]
    told = [choice for choice in choices if "passages" in choice["delta"]]
    assert sorted(choice["index"] for choice in told) == [0, 1]
    assert all(choice["finish_reason"] for choice in told)


async def test_that_nothing_was_found_is_told_to_everybody(chat: Chat, shelf: Shelf) -> None:
    shelf.hits = ()
    message, turn = await answer(chat, "Where is my parcel?")
    assert NOTHING in turn.prompt[-1]["content"]
    assert (turn.passages, turn.searched) == ([], "Where is my parcel?")
    assert message["passages"] == []


async def test_without_documents_all_is_as_before(chat: Chat, shelf: Shelf) -> None:
    shelf.empty = True
    message, turn = await answer(chat, "Where is my parcel?")
    assert turn.prompt[-1] == HELLO[0]
    assert turn.searched is None
    assert "passages" not in message
    assert not chat.has_documents()


async def test_a_request_may_do_without(chat: Chat, shelf: Shelf) -> None:
    _, turn = await answer(chat, "Where is my parcel?", grounded=False)
    assert (turn.prompt[-1], shelf.asked) == (HELLO[0], [])
    assert not chat.store.conversation(turn.conversation_id, ANN.id).grounded


async def test_a_conversation_may_do_without_and_a_request_in_it_may_not(chat: Chat, shelf: Shelf) -> None:
    _, first = await answer(chat, "Where is my parcel?")
    there = {"conversation_id": first.conversation_id}
    chat.store.ground(first.conversation_id, ANN.id, False)
    _, second = await answer(chat, "How long does it take to Norway?", **there)
    assert second.searched is None
    _, third = await answer(chat, "How long does it take to Norway?", grounded=True, **there)
    assert third.searched == "How long does it take to Norway?"


async def test_a_client_that_sends_its_history_without_passages_goes_on_where_it_was(chat: Chat) -> None:
    message, first = await answer(chat, "Where is my parcel?")
    message, second = await answer(chat, "Where is my parcel?", message["content"], "And the red one?")
    assert (second.conversation_id, second.parent_id) == (first.conversation_id, first.id)
    assert second.searched == "Where is my parcel? And the red one?"
    # What was said before stands there as it was said.
    assert second.prompt[1] == HELLO[0]
    said = ["Where is my parcel?", first.answer, "And the red one?", message["content"], "Thanks!"]
    _, third = await answer(chat, *said)
    assert (third.parent_id, third.searched) == (second.id, None)


async def test_asked_again_it_is_a_sibling_only_with_the_same_passages(chat: Chat, shelf: Shelf) -> None:
    message, root = await answer(chat, "Where is my parcel?")
    said = ("Where is my parcel?", message["content"], "How long does it take to Norway?")
    _, first = await answer(chat, *said)
    _, again = await answer(chat, *said)
    assert (again.parent_id, again.prompt_key) == (root.id, first.prompt_key)
    shelf.hits = [hit(3, "Norway: 12 days.")]
    _, other = await answer(chat, *said)
    assert (other.conversation_id, other.parent_id) == (root.conversation_id, root.id)
    assert other.prompt_key != first.prompt_key


async def test_where_room_is_short_old_exchanges_go_and_passages_stay(chat: Chat) -> None:
    # The fake engine's tokens are bytes, and it has 2048 of them.
    said = [text for number in range(12) for text in (f"Question {number} " * 8, f"Answer {number} " * 8)]
    _, turn = await answer(chat, *said, "Where is my parcel?")
    assert len(turn.passages) == 2
    assert turn.prompt[0]["role"] == "system"
    assert 2 < len(turn.prompt) < len(said)
    assert turn.prompt[1]["role"] == "user"
    assert "Norway: 9 days." in turn.prompt[-1]["content"]


def sorted_as(database: Database, turn_id: str, cause: str) -> None:
    row = {"turn_id": turn_id, "cause": cause, "decided_by": "rule", "made_at": datetime.now(UTC)}
    with database.write() as connection:
        connection.execute(insert(causes).values(row))


async def test_training_sees_the_passages_and_never_what_is_not_for_everybody(
    chat: Chat, shelf: Shelf, sqlite: Database
) -> None:
    good, bad = [await answer(chat, "Where is my parcel?", sampling={"seed": seed}) for seed in (1, 2)]
    chat.store.judge(good[1].id, ANN.id, "user", Verdict("up"))
    chat.store.judge(bad[1].id, ANN.id, "user", Verdict("down"))
    # A complaint about an answer that documents were looked through for waits until its cause is known.
    assert screen(chat.store.judged())[1] == {"not_sorted_yet": 1}
    sorted_as(sqlite, bad[1].id, "misread")
    (example,) = gathering.from_votes(chat.store).training or gathering.from_votes(chat.store).held_out
    assert (example.source, [dict(one) for one in example.prompt]) == ("siblings", good[1].prompt)
    assert "Norway: 9 days." in example.prompt[-1]["content"]
    assert as_said(example.prompt)[-1] == HELLO[0]

    shelf.hits = [hit(4, "The margin is 40 percent.", "staff")]
    _, told = await answer(chat, "What is our margin?")
    _, after = await answer(chat, "What is our margin?", told.answer, "Thanks!")
    for turn in (told, after):
        chat.store.judge(turn.id, ANN.id, "staff", Verdict("up", correction="It is 41 percent."))
    kept, dropped = screen(chat.store.judged())
    assert {item.turn.id for item in kept} == {good[1].id, bad[1].id}
    assert dropped == {"restricted": 2}
