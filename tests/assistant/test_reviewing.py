"""The desk: what is handed out and hidden, and what follows from a verdict and from undoing it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.accounts import Account, Accounts
from assistant.approvals import Approvals, NotApproved
from assistant.causes import Causes
from assistant.gaps import Gaps
from assistant.library import Library
from assistant.reviewing import Case, ReviewDesk
from assistant.settings import read
from assistant.triage import Triage
from benchmarks.crowd import crowd
from feedback.approved import Approved
from feedback.database import Database
from feedback.records import Turn
from feedback.review_records import Draft, Filters, ReviewSettings
from feedback.reviews import Taken
from feedback.store import Store, Verdict
from retrieval.records import Unavailable
from tests.assistant.knowing import asked
from tests.retrieval.books import Books
from training import gathering

pytestmark = pytest.mark.anyio
QUESTION, ANSWER = "is the return free", "No idea."
BETTER = "Yes, with the green label."


class World:
    """A desk over a library, with two of the staff."""

    def __init__(self, database: Database, home: Path, share: float = 0.0) -> None:
        self.database, self.store = database, Store(database)
        self.library = Library(database, read(model="org/model"), Books(database))
        self.library.start()
        accounts = Accounts(database)
        self.sam, self.sue = accounts.add("sam", "staff"), accounts.add("sue", "admin")
        self.ann = accounts.add("ann", "user")
        self.triage = Triage(
            Causes(database, self.store, self.library), Gaps(database, self.store, self.library)
        )
        self.approvals = Approvals(Approved(database), self.store, self.library)
        settings = ReviewSettings(double_share=share)
        self.desk = ReviewDesk(
            database, accounts, settings, home=home, triage=self.triage, approvals=self.approvals
        )

    def turn(self, question: str = QUESTION, thumb: str = "down") -> Turn:
        turn = asked(self.store, question, ANSWER, person=self.ann.id, searched=None)
        self.store.judge(turn.id, self.ann.id, "user", Verdict(thumb))  # type: ignore[arg-type]
        return turn

    def case(self, account: Account) -> Case:
        task = self.desk.next(account)
        assert task is not None
        return self.desk.case(task, account)

    async def finish(self, account: Account, draft: Draft) -> Case:
        case = self.case(account)
        assert await self.desk.finish(case.task.id, account, draft) == ""
        return case

    def approved(self) -> list[str]:
        return [one.answer for one in self.approvals.rows.open()]


@pytest.fixture
def world(sqlite: Database, home: Path) -> Iterator[World]:
    found = World(sqlite, home)
    yield found
    found.library.close()


@pytest.fixture
def double(sqlite: Database, home: Path) -> Iterator[World]:
    """Where everything is seen by two."""
    found = World(sqlite, home, share=1.0)
    yield found
    found.library.close()


async def test_an_empty_queue_is_filled_when_somebody_comes(world: World) -> None:
    assert world.desk.next(world.sam) is None
    turn = world.turn()
    case = world.case(world.sam)
    assert (case.turn.id, case.task.kind, case.is_mine) == (turn.id, "unexplained", True)
    assert [row.thumb for row in case.ratings] == ["down"]


async def test_who_said_what_is_hidden_until_ones_own_verdict_is_in(double: World) -> None:
    double.turn()
    before = double.case(double.sam)
    assert (before.names, before.others) == ({}, [])
    await double.finish(double.sue, Draft("right"))
    assert double.case(double.sam).others == []
    await double.finish(double.sam, Draft("wrong", "style"))
    after = double.desk.case(double.desk.reviews.open(before.task.id, double.sam.id), double.sam)
    assert [row.verdict for row in after.others] == ["right"]
    assert after.names[double.ann.id] == "ann"
    # Having seen it, they are not counted as of their own mind any more.
    assert double.desk.reviews.open(before.task.id, double.sam.id).revealed


async def test_whoever_may_still_have_a_look_is_not_shown_what_was_found(
    double: World,
) -> None:
    double.turn()
    task = (await double.finish(double.sue, Draft("right"))).task
    second = double.case(double.sam).task
    sid = Accounts(double.database).add("sid", "staff")
    for chosen in (task.id, second.id):
        case = double.desk.case(double.desk.reviews.open(chosen, sid.id), sid)
        assert (case.is_mine, case.review, case.others, case.names) == (False, None, [], {})
    await double.finish(double.sam, Draft("wrong", "style"))
    case = double.desk.case(double.desk.reviews.open(task.id, sid.id), sid)
    assert [row.verdict for row in case.others] == ["right", "wrong"]
    assert case.names[double.sam.id] == "sam"


async def test_somebody_elses_case_is_shown_and_can_not_be_decided(world: World) -> None:
    world.turn()
    task = world.case(world.sam).task
    case = world.desk.case(world.desk.reviews.open(task.id, world.sue.id), world.sue)
    assert (case.is_mine, case.holder) == (False, "sam")
    with pytest.raises(Taken):
        await world.desk.finish(task.id, world.sue, Draft("right"))


@pytest.mark.parametrize(("fault", "cause"), [("facts", "missing"), ("retrieval", "unretrieved")])
async def test_lack_of_knowledge_opens_a_gap_and_is_not_trained(world: World, fault: str, cause: str) -> None:
    turn = world.turn()
    await world.finish(world.sam, Draft("wrong", fault, BETTER))  # type: ignore[arg-type]
    await world.desk.step()
    [gap] = world.triage.gaps.all()
    assert (gap.title, gap.whys) == (QUESTION, {cause: 1})
    assert world.triage.causes.of(turn.id).decided_by == "review: sam"
    found = gathering.from_votes(world.store)
    assert (found.training, found.held_out) == ([], [])
    assert found.counts["dropped"] == {"knowledge": 1}
    assert world.approved() == []
    # Undone, the gap is gone and the vote is a vote again.
    world.desk.reviews.undo(world.sam.id, "staff")
    await world.desk.step()
    assert world.triage.gaps.all() == []
    assert "knowledge" not in gathering.from_votes(world.store).counts["dropped"]


async def test_a_correction_is_learned_from_and_approved_only_with_a_tick(world: World) -> None:
    turn = world.turn()
    await world.finish(world.sam, Draft("wrong", "style", BETTER))
    await world.desk.step()
    assert world.approved() == []
    found = gathering.from_votes(world.store)
    [example] = [*found.training, *found.held_out]
    assert (example.source, example.votes) == ("correction", ("review:1",))
    task = world.desk.reviews.undo(world.sam.id, "staff")
    assert task is not None
    assert await world.desk.finish(task.id, world.sam, Draft("wrong", "style", BETTER, approve=True)) == ""
    assert world.approved() == [BETTER]
    [approval] = world.approvals.rows.of_turn(turn.id)
    assert approval.approved_by == "sam"
    # Looked at again after a crash, it is still one.
    for settled in (world.desk.reviews.open(task.id, world.sam.id),) * 2:
        await world.desk.act(settled)
    assert world.approved() == [BETTER]
    world.desk.reviews.undo(world.sam.id, "staff")
    await world.desk.step()
    assert world.approved() == []


async def test_what_was_taken_back_is_no_example_again_before_it_is_ticked_again(double: World) -> None:
    turn = double.turn()
    ticked = Draft("wrong", "style", BETTER, approve=True)
    await double.finish(double.sam, ticked)
    [approval] = double.approvals.rows.of_turn(turn.id)
    double.approvals.take_back(approval.id, "sue")
    await double.finish(double.sue, Draft("wrong", "style"))
    await double.desk.step()
    assert double.approved() == []
    # Undone and found again, it is wanted again, however soon.
    for step in (True, False):
        task = double.desk.reviews.undo(double.sam.id, "staff")
        assert task is not None
        if step:
            await double.desk.step()
        assert await double.desk.finish(task.id, double.sam, ticked) == ""
        assert double.approved() == [BETTER]


async def test_a_right_answer_may_be_an_example_as_it_is(world: World) -> None:
    world.turn()
    await world.finish(world.sam, Draft("right", approve=True))
    assert world.approved() == [ANSWER]


async def test_what_can_not_be_approved_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.turn()
    case = world.case(world.sam)

    def refuses(*_: object, **__: object) -> None:
        raise NotApproved("it stands on documents of two groups")

    monkeypatch.setattr(world.approvals, "approve", refuses)
    problem = await world.desk.finish(case.task.id, world.sam, Draft("right", approve=True))
    assert problem == "it stands on documents of two groups"
    assert world.desk.reviews.unsettled() == [], "it would be refused each time"


async def test_what_is_ticked_while_the_index_is_away_is_approved_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.turn()
    world.turn("who made the moon")

    def away(*_: object, **__: object) -> None:
        raise Unavailable("the knowledge base is not open")

    case = world.case(world.sam)
    with monkeypatch.context() as gone:
        gone.setattr(world.library, "put_answer", away)
        problem = await world.desk.finish(case.task.id, world.sam, Draft("right", approve=True))
        assert problem == "the knowledge base is not open; it follows as soon as that is mended"
        # What needs no index does not wait.
        other = world.case(world.sue)
        world.desk.reviews.finish(other.task.id, world.sue.id, "admin", Draft("wrong", "facts"))
        with pytest.raises(Unavailable):
            await world.desk.step()
        assert world.triage.causes.of(other.turn.id).cause == "missing"
        assert [task.id for task in world.desk.reviews.unsettled()] == [case.task.id]
    await world.desk.step()
    assert world.approved() == [ANSWER]
    assert world.desk.reviews.unsettled() == []


async def test_what_a_crash_left_undone_is_done_by_the_next_step(world: World) -> None:
    world.turn()
    case = world.case(world.sam)
    # The verdict is in the rows, and nothing has followed.
    world.desk.reviews.finish(case.task.id, world.sam.id, "staff", Draft("wrong", "facts"))
    again = ReviewDesk(world.database, Accounts(world.database), triage=world.triage)
    await again.step()
    assert len(world.triage.gaps.all()) == 1
    assert again.reviews.unsettled() == []


async def test_the_loop_goes_on_after_trouble(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.turn()
    troubles, went_on = [Unavailable("not yet"), ValueError("a bug")], asyncio.Event()

    async def step(full: bool = True) -> None:
        if troubles:
            raise troubles.pop()
        went_on.set()

    monkeypatch.setattr(world.desk, "step", step)
    running = asyncio.create_task(world.desk.run(every=0.0))
    await asyncio.wait_for(went_on.wait(), 30)
    running.cancel()


async def test_new_votes_move_the_queue(world: World) -> None:
    quiet = world.turn("who made the moon", thumb="up")
    await world.desk.step()
    assert world.desk.reader.untouched() == 1
    loud = world.turn()
    await world.desk.step()
    assert world.case(world.sam).turn.id == loud.id
    assert world.case(world.sue).turn.id == quiet.id


async def test_without_vectors_words_do(world: World) -> None:
    def away(_texts: object) -> None:
        raise Unavailable("no index")

    world.desk._embed = away
    world.turn()
    await world.desk.step()
    assert world.desk.reader.untouched() == 1


async def test_the_guideline_is_ours_or_the_homes_or_the_named_one(world: World, home: Path) -> None:
    assert "How to judge an answer" in world.desk.guideline()
    (home / "review-guideline.md").write_text("# Of the house")
    assert world.desk.guideline() == "# Of the house"
    (home / "other.md").write_text("# Named")
    world.desk.settings = ReviewSettings(guideline=home / "other.md")
    assert world.desk.guideline() == "# Named"
    (home / "other.md").unlink()
    assert world.desk.guideline() == "# Of the house"


async def test_without_triage_and_approvals_verdicts_are_kept_all_the_same(
    world: World, sqlite: Database
) -> None:
    turn = world.turn()
    desk = ReviewDesk(sqlite, Accounts(sqlite))
    assert not desk.approves
    task = desk.next(world.sam)
    assert task is not None
    assert await desk.finish(task.id, world.sam, Draft("wrong", "facts", approve=True, correction="x")) == ""
    assert [row.fault for row in desk.reader.found([turn.id])] == ["facts"]
    assert desk.reviews.unsettled() == []


async def test_whoever_comes_first_finds_cases_among_very_many(world: World) -> None:
    crowd(world.database, 3_000, world.ann.id)
    # The queue is empty: nobody comes before the first step in the background but them.
    kinds = []
    for account in (world.sam, world.sue, world.sam):
        case = world.case(account)
        kinds.append(case.task.kind)
        world.desk.reviews.skip(case.task.id, account.id)
    assert "unexplained" in kinds
    assert len(world.desk.reader.listed(world.sue.id, Filters(), 51)) == 51
