"""Questions that nothing answered come together in gaps, which staff close; closing asks them again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from assistant.causes import Causes
from assistant.gaps import NOTHING, Answered, Gaps
from feedback.database import Database
from feedback.deleting import forget_conversation
from feedback.records import Invalid, Message, NotFound
from feedback.store import Ending, NewTurn, Store
from retrieval.records import Hit, as_json
from retrieval.records import NotFound as NoDocument
from tests.assistant.knowing import Knowing, asked, judged, passage
from tests.databases import database, location, migrated, shared_postgres

__all__ = ["database", "location", "migrated", "shared_postgres"]

KAYAKS = ("Do you sell red kayaks?", "Do you sell kayaks?", "Do you sell blue kayaks?")
PARROTS = ("May parrots come into the store?", "May parrots come into your store?")
RETURNS = passage("returns", "Returns", "You can return things within 45 days.")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@pytest.fixture
def library(database: Database) -> Knowing:
    return Knowing(database, RETURNS)


class Asked:
    """An engine that remembers what it was asked."""

    def __init__(self, away: bool = False) -> None:
        self.away = away
        self.asked: list[tuple[str, str, int]] = []

    async def __call__(self, dialogue: Sequence[Message], person_id: str) -> Answered:
        if self.away:
            raise ConnectionError("no engine")
        self.asked.append((str(dialogue[-1]["content"]), person_id, len(dialogue)))
        return Answered("We do, from May on.", [as_json(Hit(passage("kayaks", "Kayaks", ""), 0.8, 0.0), 1)])


@pytest.fixture
def engine() -> Asked:
    return Asked()


@pytest.fixture
def gaps(database: Database, store: Store, library: Knowing, engine: Asked) -> Gaps:
    return Gaps(database, store, library, engine)


async def test_questions_with_nothing_found_are_gathered_by_what_they_ask_for(
    store: Store, gaps: Gaps
) -> None:
    for number, question in enumerate((*KAYAKS, *PARROTS)):
        asked(store, question, person=f"person {number % 2}")
    assert await gaps.look() == 5
    first, second = gaps.all()
    assert {one.question for one in first.members} == set(KAYAKS)
    assert (first.title, first.people, first.whys, first.state) == (KAYAKS[1], 2, {NOTHING: 3}, "open")
    assert {one.question for one in second.members} == set(PARROTS)


async def test_a_gap_keeps_its_id_while_it_grows(store: Store, gaps: Gaps, library: Knowing) -> None:
    asked(store, KAYAKS[0])
    await gaps.look()
    before = gaps.all()[0].id
    asked(store, KAYAKS[1])
    asked(store, PARROTS[0])
    # Another process, which knows no vectors yet
    await Gaps(gaps.database, store, library).look()
    assert [len(gap.members) for gap in gaps.all()] == [2, 1]
    assert gaps.all()[0].id == before


async def test_what_is_answered_or_was_not_looked_for_is_no_gap(store: Store, gaps: Gaps) -> None:
    asked(store, KAYAKS[0], passages=[as_json(Hit(RETURNS, 0.5, 0.0), 1)])
    asked(store, KAYAKS[1], searched=None)
    asked(store, "Hello!")
    asked(store, "Thanks, bye")
    assert await gaps.look() == 0
    assert gaps.all() == []


async def test_what_a_tool_was_asked_for_is_no_gap(store: Store, gaps: Gaps) -> None:
    conversation = store.start_conversation("ann", KAYAKS[0])
    prompt = [{"role": "user", "content": KAYAKS[0]}]
    new = NewTurn(conversation.id, None, "ann", KAYAKS[0], prompt, "m", None, {}, searched=KAYAKS[0])
    steps = [{"role": "tool", "name": "stock", "tool_call_id": "call_1", "content": "three"}]
    store.end(store.begin(new), Ending("complete", "Three are left.", steps=steps))
    assert await gaps.look() == 0


async def test_untrue_answers_are_gaps_with_their_cause(
    store: Store, gaps: Gaps, database: Database, library: Knowing
) -> None:
    kept = [as_json(Hit(RETURNS, 0.3, 0.0), 1)]
    untrue = asked(store, KAYAKS[0], "Yes, for 45 euros.", passages=kept)
    rude = asked(store, PARROTS[0], "No.", passages=kept)
    judged(store, untrue)
    judged(store, rude, reasons=["tone"])
    causes = Causes(database, store, library)
    await causes.sort_new()
    await gaps.look()
    assert [gap.whys for gap in gaps.all()] == [{"missing": 1}]
    causes.overrule(untrue.id, "misread", "sam")
    gaps.follow(untrue.id)
    assert gaps.all()[0].is_told
    causes.overrule(untrue.id, "other", "sam")
    gaps.follow(untrue.id)
    assert gaps.all() == []


async def test_nothing_is_looked_at_twice_and_what_is_being_written_is_waited_for(
    store: Store, gaps: Gaps, library: Knowing
) -> None:
    conversation = store.start_conversation("ann", KAYAKS[0])
    prompt = [{"role": "user", "content": KAYAKS[0]}]
    new = NewTurn(conversation.id, None, "ann", KAYAKS[0], prompt, "m", None, {}, searched=KAYAKS[0])
    pending = store.begin(new)
    asked(store, PARROTS[0])
    assert await gaps.look() == 1
    seen = len(library.embedded)
    assert await gaps.look() == 0
    assert len(library.embedded) == seen
    store.end(pending, Ending("complete", "I do not know."))
    assert await gaps.look() == 1
    assert len(gaps.all()) == 2


async def test_a_gap_is_closed_by_a_document_once_that_can_be_found(
    store: Store, gaps: Gaps, library: Knowing, engine: Asked
) -> None:
    for question in KAYAKS:
        asked(store, question, "I could not find anything.")
    asked(store, KAYAKS[0].upper())
    await gaps.look()
    library.add("kayaks", ready=False)
    gap = gaps.close_by_document(gaps.all()[0].id, "doc-kayaks", "sam")
    assert (gap.state, gap.closed_by) == ("closing", "sam")
    assert await gaps.finish() == 0
    library.shelf.ready(library.shelf.claim(alone=True), "Kayaks", 1)  # type: ignore[arg-type]
    assert await gaps.finish() == 1
    gap = gaps.get(gap.id)
    assert gap.state == "closed"
    assert sorted(one["question"].casefold() for one in gap.report) == sorted(map(str.casefold, KAYAKS))
    assert {one["before"] for one in gap.report} == {"I could not find anything."}
    assert {one["after"] for one in gap.report} == {"We do, from May on."}
    assert all(one["after_from"] == ["Kayaks"] and one["document"] for one in gap.report)
    assert all(one["before_from"] == [] for one in gap.report)
    assert {person for _, person, _ in engine.asked} == {"ann"}
    assert len(store.turns(store.turn(gap.members[0].turn_id).conversation_id)) == 1, "nothing is stored"


async def test_closing_waits_for_the_engine(
    store: Store, gaps: Gaps, library: Knowing, engine: Asked
) -> None:
    asked(store, KAYAKS[0])
    await gaps.look()
    library.add("kayaks")
    gap = gaps.close_by_document(gaps.all()[0].id, "doc-kayaks", "sam")
    engine.away = True
    with pytest.raises(ConnectionError):
        await gaps.finish()
    assert gaps.get(gap.id).state == "closing"
    engine.away = False
    assert await gaps.finish() == 1


async def test_a_gap_whose_last_question_is_gone_holds_up_no_other(
    store: Store, gaps: Gaps, library: Knowing
) -> None:
    turns = [asked(store, KAYAKS[0]), asked(store, PARROTS[0])]
    await gaps.look()
    library.add("all")
    keys = {gap.members[0].turn_id: gap.id for gap in gaps.all()}
    for key in keys.values():
        gaps.close_by_document(key, "doc-all", "sam")
    with gaps.database.write() as connection:
        forget_conversation(connection, turns[0].conversation_id)
    assert await gaps.finish() == 1
    assert [gap.id for gap in gaps.all()] == [keys[turns[1].id]]
    assert gaps.get(keys[turns[1].id]).state == "closed"
    assert await gaps.finish() == 0


async def test_a_document_that_is_refused_or_gone_closes_nothing(
    store: Store, gaps: Gaps, library: Knowing
) -> None:
    asked(store, KAYAKS[0])
    await gaps.look()
    key = gaps.all()[0].id
    with pytest.raises(NoDocument):
        gaps.close_by_document(key, "doc-none", "sam")
    library.add("kayaks", ready=False)
    gaps.close_by_document(key, "doc-kayaks", "sam")
    library.shelf.refuse(library.shelf.claim(alone=True), "it is empty")  # type: ignore[arg-type]
    assert await gaps.finish() == 0
    assert gaps.get(key).state == "open"


async def test_a_closed_gap_opens_again_when_its_document_did_not_help(
    store: Store, gaps: Gaps, library: Knowing
) -> None:
    asked(store, KAYAKS[0])
    await gaps.look()
    library.add("kayaks")
    key = gaps.close_by_document(gaps.all()[0].id, "doc-kayaks", "sam").id
    await gaps.finish()
    asked(store, KAYAKS[1])
    await gaps.look()
    assert [(gap.id, gap.state, len(gap.members)) for gap in gaps.all()] == [(key, "open", 2)]
    assert gaps.get(key).report, "what was found then stays"


async def test_what_is_not_ours_to_answer_stays_closed(store: Store, gaps: Gaps) -> None:
    asked(store, KAYAKS[0])
    await gaps.look()
    key = gaps.all()[0].id
    with pytest.raises(Invalid):
        gaps.dismiss(key, "  ", "sam")
    gaps.dismiss(key, "Not ours to answer.", "sam")
    with pytest.raises(Invalid):
        gaps.dismiss(key, "Again.", "sam")
    asked(store, KAYAKS[1])
    await gaps.look()
    gap = gaps.get(key)
    assert (gap.state, gap.reason, gap.closed_by, len(gap.members)) == (
        "closed",
        "Not ours to answer.",
        "sam",
        2,
    )
    assert gaps.reopen(key).state == "open"
    for act in (gaps.get, gaps.reopen):
        with pytest.raises(NotFound):
            act("gap-none")
    with pytest.raises(NotFound):
        gaps.dismiss("gap-none", "Why not.", "sam")


async def test_without_documents_there_are_no_gaps(store: Store, gaps: Gaps, library: Knowing) -> None:
    library.empty = True
    asked(store, KAYAKS[0])
    assert await gaps.look() == 0
    assert library.embedded == []


async def test_a_follow_up_is_asked_again_with_what_was_said_before(
    store: Store, gaps: Gaps, library: Knowing, engine: Asked
) -> None:
    first = asked(store, "Hello, I like water.", "Fine.", searched=None)
    prompt = [{"role": "user", "content": "And kayaks?"}]
    new = NewTurn(
        first.conversation_id, first.id, "ann", "And kayaks?", prompt, "m", None, {}, searched=KAYAKS[1]
    )
    store.end(store.begin(new), Ending("complete", "I do not know."))
    await gaps.look()
    assert gaps.all()[0].title == KAYAKS[1]
    library.add("kayaks")
    gaps.close_by_document(gaps.all()[0].id, "doc-kayaks", "sam")
    await gaps.finish()
    assert engine.asked == [("And kayaks?", "ann", 3)]
