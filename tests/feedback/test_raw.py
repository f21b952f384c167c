"""Tests of our own raw rows: everything comes back as it was, line by line, or is refused with a reason."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from feedback import raw, schema
from feedback.database import connect
from feedback.exchange import export
from feedback.importing import Refusal, read_in
from feedback.review_candidates import candidates
from feedback.store import Ending, Store
from tests.feedback.test_exchange import a_busy_store, asked, exported


@pytest.fixture
def other_store(tmp_path: Path) -> Iterator[Store]:
    """A second, empty store in a home of its own."""
    opened = connect(f"sqlite:///{tmp_path}/other.db")
    with opened.write() as connection:
        schema.metadata.create_all(connection)
    yield Store(opened)
    opened.close()


def import_raw(store: Store, lines: Iterable[str]) -> tuple[int, list[Refusal]]:
    """How many lines were stored, and the refused ones with the reason."""
    file = io.StringIO("\n".join(line.rstrip("\n") for line in lines))
    found = read_in(store._database, file, name="raw.jsonl", by="root")
    assert found.refused == len(found.reasons)
    return found.stored, list(found.reasons)


def test_raw_comes_back_as_it_was(store: Store, other_store: Store, tmp_path: Path) -> None:
    a_busy_store(store)
    file = tmp_path / "out" / "raw.jsonl"
    assert export(store, "raw", file) == 6
    with file.open() as lines:
        assert import_raw(other_store, lines) == (6, [])
    assert exported(other_store, "raw") == exported(store, "raw")
    assert other_store.counts() == store.counts()
    assert [item.turn for item in other_store.judged()] == [item.turn for item in store.judged()]
    assert [item.opening for item in other_store.judged()] == [item.opening for item in store.judged()]


def test_what_staff_found_comes_along(store: Store, other_store: Store) -> None:
    turn = asked(store, "Is it free?")
    found = {"turn_id": turn.id, "person_id": "sam", "role": "staff", "verdict": "wrong", "fault": "style"}
    found |= {"correction": "Gladly: yes.", "include": False, "comment": "curt"}
    with store._database.write() as connection:
        connection.execute(insert(schema.reviews).values(**found, task_id=3, created_at=turn.created_at))
    [said] = exported(store, "raw")
    assert import_raw(other_store, [json.dumps(said)]) == (1, [])
    assert exported(other_store, "raw") == [said]
    # It is not asked for once more, and is no evidence of how far people agree here.
    assert candidates(other_store._database) == []
    assert candidates(store._database)[0].turn_id == turn.id
    assert raw.history({name: value for name, value in said.items() if name != "reviews"}).reviews == ()
    [review] = json.loads(said["reviews"])
    odd = said | {"turn_id": "turn-2", "reviews": json.dumps([review | {"verdict": "perhaps"}])}
    assert import_raw(other_store, [json.dumps(odd)]) == (
        0,
        [(1, "verdict must be one of right, wrong, invalid")],
    )


def test_raw_brings_documents_along(store: Store, other_store: Store) -> None:
    closed = {"id": "p", "score": 0.5, "audience": "staff"}
    first = asked(store, "What margin?", passages=(closed,), searched="What margin?")
    asked(store, "And now?", conversation=first.conversation_id, parent=first.id)
    store.ground(first.conversation_id, "ann", False)
    said = exported(store, "raw")
    import_raw(other_store, map(json.dumps, said))
    on, after = (other_store.turn(row["turn_id"]) for row in said)
    assert (on.passages, on.searched, on.restricted) == ([closed], "What margin?", True)
    # What was told of a restricted passage stands in the prompt of the turn after it.
    assert (after.searched, after.restricted) == (None, True)
    assert not other_store.conversation(on.conversation_id, "ann").grounded


def test_a_row_with_what_a_tool_found_for_a_group_comes_back_restricted(
    store: Store, other_store: Store
) -> None:
    step = {"role": "tool", "tool_call_id": "c", "content": "40 %", "audiences": ["sales"]}
    turn = asked(store, "What margin?", Ending("complete", "40 %.", steps=[step]))
    [said] = exported(store, "raw")
    # An edited file must not open what the steps themselves say is the group's.
    details = json.loads(said["details"]) | {"restricted": False}
    import_raw(other_store, [json.dumps(said | {"details": json.dumps(details)})])
    back = other_store.turn(turn.id)
    assert (back.steps, back.restricted) == ([step], True)


def test_importing_twice_stores_once(store: Store, other_store: Store) -> None:
    out = io.StringIO()
    export(a_busy_store(store), "raw", out)
    lines = out.getvalue().splitlines()
    import_raw(other_store, lines)
    before = other_store.counts(), other_store.newest()
    assert import_raw(other_store, lines) == (0, [])
    # Nor those that were said here, or are written another way.
    turned = [json.dumps(dict(reversed(json.loads(line).items()))) for line in lines]
    assert import_raw(other_store, turned) == (0, [])
    stored, refused = import_raw(store, lines)
    assert stored == 0
    assert [number for number, _ in refused] == [1, 2, 3, 4, 5, 6]
    assert all("here already" in reason for _, reason in refused)
    assert (other_store.counts(), other_store.newest()) == before


def broken(row: dict[str, Any], **changes: Any) -> str:
    return json.dumps(row | changes)


def test_bad_lines_are_refused_one_by_one_and_the_good_ones_stored(store: Store, other_store: Store) -> None:
    asked(store)
    [row] = exported(store, "raw")
    details = json.loads(row["details"])
    said = {"person_id": "ann", "role": "user", "created_at": row["created_at"]}
    bad = {
        "nonsense": "not JSON",
        "[1]": "not a JSON object",
        "{}": "turn_id must be a text",
        "[" * 100_000: "not JSON",
        broken(row, answer=None): "answer must be a text",
        broken(row, turn_id=""): "turn_id must be letters",
        broken(row, turn_id="a b"): "turn_id must be letters",
        broken(row, person_id="x" * 41): "more than 40",
        broken(row, status="pending"): "status must be one of",
        broken(row, created_at="yesterday"): "must be a time",
        broken(row, created_at="2026-01-31T12:00:00"): "time zone",
        broken(row, parent_id="turn-none"): "turn before",
        broken(row, prompt='["x"]'): "list of objects",
        broken(row, prompt="[{}]"): "with a role",
        broken(row, details='{"sampling": NaN}'): "not JSON",
        broken(row, details=json.dumps(details | {"prompt_tokens": 2**40})): "number of tokens",
        broken(row, details=json.dumps(details | {"prompt_tokens": True})): "number of tokens",
        broken(row, ratings=json.dumps([said | {"thumb": "x", "reasons": [], "comment": ""}])): "thumb must",
        broken(row, ratings=json.dumps([said | {"thumb": "up", "reasons": [1], "comment": ""}])): "reasons",
        broken(row, corrections=json.dumps([said | {"text": "x", "role": "root"}])): "role must be one of",
        broken(
            row,
            choices=json.dumps([said | {"first_turn_id": "a", "second_turn_id": "b", "preference": "first"}]),
        ): "between this turn",
    }
    lines = [*bad, "", "  ", json.dumps(row)]
    stored, refused = import_raw(other_store, lines)
    assert stored == 1
    assert [number for number, _ in refused] == list(range(1, len(bad) + 1))
    for (_, reason), expected in zip(refused, bad.values(), strict=True):
        assert expected in reason
        assert "\n" not in reason


def test_a_time_before_all_calendars_is_refused_alone(store: Store, other_store: Store) -> None:
    asked(store, "one")
    asked(store, "two")
    said = exported(store, "raw")
    said[0]["created_at"] = "0001-01-01T00:00:00+14:00"
    stored, refused = import_raw(other_store, map(json.dumps, said))
    assert (stored, [number for number, _ in refused]) == (1, [1])


def test_text_that_no_database_keeps_does_not_stop_an_import(store: Store, other_store: Store) -> None:
    asked(store)
    [row] = exported(store, "raw")
    stored, refused = import_raw(
        other_store, [json.dumps(row | {"answer": "a\x00\ud800", "title": "t\x00", "model": "m\x00"})]
    )
    assert (stored, refused) == (1, [])
    assert other_store.turn(row["turn_id"]).answer == "a\ufffd\ufffd"


def test_raw_keeps_the_steps_and_older_files_have_none(store: Store, other_store: Store) -> None:
    step = {"role": "tool", "tool_call_id": "c1", "content": "found"}
    turn = asked(store, "a", Ending("complete", "x", steps=[step]))
    [row] = exported(store, "raw")
    assert import_raw(other_store, [json.dumps(row)]) == (1, [])
    assert other_store.turn(turn.id).steps == [step]
    details = json.loads(row["details"])
    del details["steps"]
    older = {**row, "turn_id": "turn-older", "details": json.dumps(details)}
    assert import_raw(other_store, [json.dumps(older)]) == (1, [])
    assert other_store.turn("turn-older").steps == []
