"""Tests of approved answers: who may approve what, whom it serves, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete

from assistant.accounts import Accounts
from assistant.approvals import Approvals, NotApproved, choose
from assistant.library import Library
from assistant.settings import read
from feedback.approved import Approval, Approved
from feedback.database import Database
from feedback.records import Invalid, Turn
from feedback.store import Ending, NewTurn, Store, Verdict
from retrieval.records import Hit, Passage, Unavailable
from retrieval.schema import index_records
from tests.retrieval.books import Books

ASKED = "is the return free"


class World:
    """A home with a library whose search counts common words, and four people."""

    def __init__(self, database: Database) -> None:
        self.store = Store(database)
        self.books = Books(database)
        self.library = Library(database, read(model="org/model"), self.books)
        self.library.start()
        self.live: str | None = None
        self.approvals = Approvals(Approved(database), self.store, self.library, lambda: self.live)
        accounts = Accounts(database)
        for name, role in (("ann", "user"), ("sam", "user"), ("stella", "staff")):
            accounts.add(name, role)  # type: ignore[arg-type]
        accounts.set_groups("sam", ["sales"])
        self.people = {account.name: account for account in accounts.all()}

    def said(
        self,
        question: str = ASKED,
        *audiences: str,
        after: Turn | None = None,
        searched: str | None = None,
    ) -> Turn:
        """A turn of ann whose answer stood on passages of these audiences."""
        where = after.conversation_id if after else self.store.start_conversation("ann", question).id
        passages = [{"audience": audience} for audience in audiences]
        parent = after.id if after else None
        new = NewTurn(where, parent, "ann", question, [], "m", None, {}, passages, searched)
        return self.store.end(self.store.begin(new), Ending("complete", "No idea."))

    def approve(self, turn: Turn, **more: str) -> Approval:
        return self.approvals.approve(turn.id, self.people["stella"], **more)

    async def found(self, question: str, who: str = "ann", spare: bool = True) -> list[str]:
        used, _ = await self.approvals.find(question, self.people[who], spare=spare)
        return [hit.passage.text for hit in used]


@pytest.fixture
def world(sqlite: Database) -> Iterator[World]:
    found = World(sqlite)
    yield found
    found.library.close()


pytestmark = pytest.mark.anyio


async def test_the_next_question_finds_it_without_any_document(world: World) -> None:
    assert await world.found(ASKED) == []
    world.approve(world.said(), answer="Use the green label.")
    assert await world.found("is a return free") == ["Use the green label."]
    assert await world.found("who made the moon") == []
    assert world.approvals.rows.open()[0].used == 1


async def test_an_answer_is_approved_as_it_is(world: World) -> None:
    made = world.approve(world.said())
    assert (made.question, made.answer, made.approved_by) == (ASKED, "No idea.", "stella")


async def test_the_approver_may_word_the_question(world: World) -> None:
    asked = "what does shipping to norway cost"
    world.approve(world.said("and to norway"), question=asked, answer="9 euros.")
    assert await world.found(asked) == ["9 euros."]


async def test_no_vote_and_no_correction_of_a_user_opens_this_door(world: World) -> None:
    turn, ann = world.said(), world.people["ann"]
    with pytest.raises(NotApproved, match="only staff"):
        world.approvals.approve(turn.id, ann)
    world.store.judge(turn.id, "ann", "user", Verdict("down", correction="It is free."))
    assert world.approvals.correct(turn.id, ann, "It is free.") == (None, "")
    assert await world.found(ASKED) == []
    assert [one.text for one in world.approvals.waiting()] == ["It is free."]
    world.approve(turn, answer="It is free.")
    assert world.approvals.waiting() == []


async def test_a_correction_of_staff_is_approved_by_the_act(world: World) -> None:
    made, _ = world.approvals.correct(world.said().id, world.people["stella"], "Green label.")
    assert made is not None
    assert await world.found(ASKED) == ["Green label."]


async def test_the_same_question_approved_anew_replaces_the_older_one(world: World) -> None:
    old = world.approve(world.said(), answer="Old.")
    new = world.approve(world.said("Is the RETURN free?"), question="Is the return free?", answer="New.")
    assert await world.found(ASKED) == ["New."] or await world.found("is the return free?") == ["New."]
    ended = world.approvals.rows.get(old.id)
    assert ended.reason == f"replaced by {new.id}"
    assert list(world.books.index.held) == [new.id]


async def test_of_two_approved_at_once_the_newer_one_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, real = world.said(), world.library.put_answer

    def slowly(*given: str) -> None:
        monkeypatch.setattr(world.library, "put_answer", real)
        world.approve(turn, answer="New.")
        real(*given)

    monkeypatch.setattr(world.library, "put_answer", slowly)
    world.approve(turn, answer="Old.")
    assert [one.answer for one in world.approvals.rows.open()] == ["New."]


async def test_what_is_taken_back_is_gone_at_once_even_where_the_index_is_busy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = world.approve(world.said(), answer="Green label.")

    def busy(*_: object) -> None:
        raise Unavailable("another process has the index")

    monkeypatch.setattr(world.library, "drop_answer", busy)
    ended = world.approvals.take_back(made.id, "stella")
    assert ended.ended_by == "stella"
    assert await world.found(ASKED) == []
    assert world.approvals.take_back(made.id, "root") == ended


async def test_what_can_not_be_indexed_is_not_approved(world: World) -> None:
    world.books.fails = Unavailable("another process has the index")
    with pytest.raises(Unavailable):
        world.approve(world.said())
    assert world.approvals.rows.all() == []
    made, why = world.approvals.correct(world.said().id, world.people["stella"], "Green.")
    assert made is None
    assert "index" in why


async def test_an_answer_on_documents_of_a_group_is_for_that_group(world: World) -> None:
    first = world.said("what is the margin", "sales", "")
    world.approve(world.said(ASKED, after=first), answer="Free for us.")
    assert await world.found(ASKED, "sam") == ["Free for us."]
    assert await world.found(ASKED, "ann") == []
    with pytest.raises(NotApproved, match="documents of repair and sales"):
        world.approve(world.said(ASKED, "repair", after=first))


async def test_an_answer_on_what_a_tool_found_for_a_group_is_for_that_group(world: World) -> None:
    found = {"role": "tool", "tool_call_id": "c", "content": "40 %", "audiences": ["sales"]}
    where = world.store.start_conversation("ann", ASKED).id
    pending = world.store.begin(NewTurn(where, None, "ann", ASKED, [], "m", None, {}))
    first = world.store.end(pending, Ending("complete", "Free for us.", steps=[found]))
    world.approve(first)
    assert await world.found(ASKED, "sam") == ["Free for us."]
    assert await world.found(ASKED, "ann") == []
    with pytest.raises(NotApproved, match="documents of repair and sales"):
        world.approve(world.said("and the margin", "repair", after=first))


async def test_an_answer_that_is_still_being_written_is_not_approved(world: World) -> None:
    where = world.store.start_conversation("ann", ASKED).id
    turn = world.store.begin(NewTurn(where, None, "ann", ASKED, [], "m", None, {}))
    with pytest.raises(NotApproved, match="still being written"):
        world.approve(turn, answer="Yes.")
    with pytest.raises(Invalid):
        world.approve(world.store.end(turn, Ending("stopped", "")))


async def test_what_the_live_adapter_has_learned_is_spared_and_comes_back_with_another(world: World) -> None:
    made = world.approve(world.said(), answer="Green label.")
    world.approvals.rows.asked(made.id, "lora-1", True, "as well")
    world.live = "lora-1"
    assert await world.found(ASKED) == []
    # Somebody else answers.
    assert await world.found(ASKED, spare=False) == ["Green label."]
    world.live = "lora-0"
    assert await world.found(ASKED) == ["Green label."]
    found = world.approvals.rows.get(made.id)
    assert (found.used, found.spared) == (2, 1)


async def test_the_index_is_mended_from_the_rows(world: World) -> None:
    made = world.approve(world.said(), answer="Green label.")
    gone = world.approve(world.said("who made the moon"), answer="Nobody.")
    world.library.drop_answer(made.id)
    world.approvals.rows.end([gone.id], "the command line", "taken back")
    assert world.approvals.mend() == 2
    assert list(world.books.index.held) == [made.id]
    assert world.approvals.mend() == 0


async def test_an_answer_whose_writing_was_interrupted_gets_its_vector(world: World) -> None:
    made = world.approve(world.said(), answer="Green label.")
    with world.store.database.write() as connection:
        connection.execute(delete(index_records).where(index_records.c.group_id == made.id))
    world.books.index.embedded.clear()
    world.books.index.held[made.id].clear()
    assert world.approvals.mend() == 1
    assert len(world.books.index.embedded) == 1
    assert world.approvals.mend() == 0
    with world.store.database.write() as connection:
        connection.execute(delete(index_records).where(index_records.c.group_id == made.id))
    world.approvals.rows.end([made.id], "the command line", "taken back")
    assert world.approvals.mend() == 1
    assert world.library.answers() == {}


# -- choosing, purely ------------------------------------------------------------------------------


def hit(number: int, score: float, question: str = "q") -> Hit:
    return Hit(Passage(f"psg-{number}", f"appr-{number}", "answer", "", question, "a", None, 0), score, 0.1)


def row(number: int, **more: Any) -> Approval:
    now = datetime.now(UTC)
    return replace(Approval(f"appr-{number}", "turn-1", "q", "a", "", "stella", now), **more)


async def test_only_the_nearest_stand_in_the_prompt() -> None:
    rows = {f"appr-{number}": row(number) for number in range(4)}
    used, spared = choose([hit(0, 0.6), hit(1, 0.9), hit(2, 0.85), hit(3, 0.84)], rows, None)
    assert [one.passage.source_id for one in used] == ["appr-1"]
    assert spared == []
    assert choose([], rows, None) == ([], [])


async def test_a_learned_one_gives_its_place_to_nobody() -> None:
    rows = {"appr-0": row(0, learned=True, asked_of="lora-1"), "appr-1": row(1)}
    used, spared = choose([hit(0, 0.9), hit(1, 0.5)], rows, "lora-1")
    assert (used, [one.passage.source_id for one in spared]) == ([], ["appr-0"])


async def test_the_rows_decide_and_not_the_index() -> None:
    rows = {"appr-0": row(0, audience="sales"), "appr-1": row(1, question="another")}
    assert choose([hit(0, 0.9), hit(1, 0.9), hit(2, 0.9)], rows, None) == ([], [])
