"""Tests of deleting a person: not a word is left in database, files and index, wherever it broke off."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from assistant import migrations
from assistant.accounts import AccountError, Accounts
from assistant.deletions import Deletions, without
from assistant.examples import as_example
from feedback import deleting
from feedback.approved import Approved
from feedback.database import Database, connect
from feedback.importing import Imported, read_in
from feedback.past import Past
from feedback.records import NotFound
from feedback.schema import metadata, turns
from feedback.store import Ending, NewTurn, Store, Verdict
from retrieval.records import Unavailable
from retrieval.schema import passages
from tests.feedback.test_exchange import exported
from tests.feedback.test_foreign import owui
from tests.feedback.test_importing import PAIR
from training import registry as registry_module
from training.canaries import Canaries
from training.gathering import Gathered
from training.records import Adapter, Evaluation, Example, Recipe, Run
from training.registry import Registry
from training.runs import Runs
from training.taints import Taints
from training.workspace import Workspace

WORD = "xylophonist"
"""What only Ann ever says."""


class House:
    """A home in which Ann asked, voted and was learned from, and Bob did too."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = connect(f"sqlite:///{home}/apprentice.db")
        migrations.upgrade(self.database)
        self.store, self.accounts = Store(self.database), Accounts(self.database)
        self.runs = Runs(self.database)
        self.registry = Registry(self.database, home / "adapters")
        self.canaries = Canaries(self.database, self.registry)
        self.dropped: list[str] = []

    def deletions(self, drop: Callable[[str], None] | None = None) -> Deletions:
        return Deletions(
            self.database, self.accounts, self.runs, self.canaries, self.home, drop or self.dropped.append
        )

    def people(self) -> dict[str, str]:
        return {account.name: account.id for account in self.accounts.all()}

    def say(self, person: str, question: str, answer: str = "No idea.", **more: Any) -> str:
        prompt = more.pop("prompt", [{"role": "user", "content": question}])
        key = self.store.start_conversation(person, question).id
        turn = self.store.begin(NewTurn(key, None, person, question, prompt, "m", None, {}, **more))
        self.store.end(turn, Ending("complete", answer))
        return turn.id


def furnish(house: House) -> None:
    """Ann's words in every place that there is, and Bob's beside them."""
    for name, role in (("root", "admin"), ("ann", "user"), ("bob", "user")):
        house.accounts.add(name, role)  # type: ignore[arg-type]
    ann, bob = house.people()["ann"], house.people()["bob"]
    house.accounts.new_key("ann")
    turn = house.say(ann, f"Where is the {WORD}?")
    house.store.judge(turn, ann, "user", Verdict("down", [], f"a {WORD}!", f"The {WORD} is here."))
    approval = Approved(house.database).add(turn, f"Where is the {WORD}?", "It is here.", "", "root", 9)
    kept = {"number": 1, "id": "psg-1", "source": approval.id, "kind": "answer", "audience": ""}
    kept |= {"title": approval.question, "text": approval.answer}
    prompt = as_example([{"role": "user", "content": "Where?"}], approval.question, approval.answer)
    house.say(bob, "Where?", prompt=prompt, passages=[kept])
    house.store.judge(house.say(bob, "What about Bob?"), bob, "user", Verdict("up"))
    with house.database.write() as connection:
        row = {"id": "psg-1", "source_id": approval.id, "kind": "answer", "title": approval.question}
        connection.execute(passages.insert().values(**row, text="It is here.", place=0))
    examples = [_example(f"the {WORD}", ann, "correction:1"), _example("Bob's", bob, "rating:2")]
    Workspace(house.home / "runs" / "run-1").write(Gathered(examples, []), Recipe("dpo", "base"))
    for number, learned in (("a" * 12, examples), ("b" * 12, examples[1:])):
        rows = [{"people": one.people, "votes": one.votes} for one in learned]
        name, now = f"lora-{number}", datetime.now(UTC)
        house.registry.add(Adapter(name, house.home / name, "b", "0", None, 8, now, {"examples": rows}))
        house.registry.record(Evaluation(name, None, "passed", (), {"answers": _shown(ann, bob)}, now))
        house.registry.promote(name, actor="root", reason="better")
    house.registry.rollback(actor="root", reason="worse")


def _shown(ann: str, bob: str) -> list[dict[str, Any]]:
    """Rows of an evaluation: of Ann's questions the first is from when nobody noted whose it was, the other
    one's turn is not there any more."""
    asked = [("Hello!", {}), (f"Where is the {WORD}?", {}), (f"A {WORD}?", {"person": ann})]
    sides = {"base": None, "live": "Here.", "candidate": "There."}
    return [{"question": one} | sides | who for one, who in [*asked, ("Bob's?", {"person": bob})]]


def _example(text: str, person: str, vote: str) -> Example:
    prompt = ({"role": "user", "content": f"About {text}?"},)
    return Example(prompt, f"Yes, {text}.", "No.", "correction", (vote,), (person,), text)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home, to be copied."""
    home = tmp_path_factory.mktemp("furnished") / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry_module.files, "verify", lambda _: None)
        house = House(home)
        furnish(house)
        house.database.close()
    return home


@pytest.fixture
def house(furnished: Path, tmp_path: Path) -> Iterator[House]:
    with opened(furnished, tmp_path / "copy") as found:
        yield found


@contextmanager
def opened(furnished: Path, place: Path) -> Iterator[House]:
    shutil.copytree(furnished, place)
    found = House(place)
    yield found
    found.database.close()


def places(house: House) -> list[str]:
    """The files in which Ann's word stands, byte for byte: of the database also free pages and the log."""
    files = (path for path in house.home.rglob("*") if path.is_file())
    return sorted(path.name for path in files if WORD.encode() in path.read_bytes())


def test_not_a_word_is_left_anywhere(house: House) -> None:
    ann = house.people()["ann"]
    assert {"apprentice.db", "examples.jsonl"} <= set(places(house))
    deletions = house.deletions()
    asked = deletions.ask("ann", by="root")
    deletions.finish()
    assert places(house) == []
    evaluation = house.registry.evaluation(f"lora-{'a' * 12}")
    assert evaluation is not None
    shown = [(row["question"], row["live"]) for row in evaluation.figures["answers"]]
    assert shown == [("Hello!", "Here."), *[(deleting.GONE, None)] * 2, ("Bob's?", "Here.")]
    done = deletions.get(asked.id)
    assert (done.stage, done.votes, done.approvals) == ("done", [], [])
    assert done.counts["conversations"] == 1
    assert done.counts["examples"] == 1
    with house.database.read() as connection:
        assert deleting.remains(connection, ann) == []
    assert house.dropped, "the index was told"


def test_nothing_of_anybody_else_goes(house: House) -> None:
    deletions = house.deletions()
    deletions.ask("ann", by="root")
    deletions.finish()
    assert [item.turn.question for item in house.store.judged()] == ["What about Bob?"]
    assert set(house.people()) == {"root", "bob"}
    (kept,) = Workspace(house.home / "runs" / "run-1").examples()
    assert kept.question == "Bob's"
    bob = house.people()["bob"]
    (prompt,) = [
        turn.prompt
        for conversation in house.store.conversations(bob)
        for turn in house.store.turns(conversation.id)
        if turn.question == "Where?"
    ]
    assert [message["role"] for message in prompt] == ["system", "user", "assistant", "user"]
    assert prompt[1]["content"] == deleting.GONE
    assert prompt[2]["content"] == "It is here."


def test_what_learned_from_the_person_is_tainted_and_a_run_without_them_is_queued(house: House) -> None:
    deletions = house.deletions()
    asked = deletions.ask("ann", by="root")
    deletions.finish()
    assert list(Taints(house.database).all()) == [f"lora-{'a' * 12}"]
    (run,) = house.runs.all()
    assert (run.state, run.due_by) == ("queued", f"somebody's data was deleted: lora-{'a' * 12}")
    assert deletions.get(asked.id).counts["adapters"] == [f"lora-{'a' * 12}"]
    # It is live, so that somebody has to decide.
    live = house.registry.live()
    alarm = Taints(house.database).alarm(live.name if live else None)
    assert alarm is not None
    assert alarm.adapter == f"lora-{'a' * 12}"


def test_from_the_first_moment_nobody_comes_in_by_that_account(house: House) -> None:
    key = house.accounts.new_key("ann")
    asked = house.deletions().ask("ann", by="ann")
    assert house.accounts.by_key(key) is None
    assert house.deletions().ask("ann", by="root").id == asked.id, "asked again it is the same one"


def test_the_only_admin_stays(house: House) -> None:
    with pytest.raises(AccountError, match="only admin"):
        house.deletions().ask("root", by="root")
    assert house.deletions().all() == []
    assert not house.deletions().step()


def test_an_unknown_person_is_not_found_and_a_bare_id_is(house: House) -> None:
    for who in ("nobody", "person-0", "imp-0", ""):
        with pytest.raises(NotFound):
            house.deletions().ask(who, by="root")
    ann = house.people()["ann"]
    house.accounts.delete("ann")
    deletions = house.deletions()
    deletions.ask(ann, by="root")
    deletions.finish()
    assert places(house) == []


def test_what_comes_back_late_goes_again(house: House) -> None:
    ann = house.people()["ann"]
    deletions = house.deletions()
    asked = deletions.ask("ann", by="root")
    deletions.finish()
    house.say(ann, f"The {WORD} again")
    deletions.finish()
    assert places(house) == []
    assert deletions.get(asked.id).stage == "done"
    # An evaluation that began before the deletion and ends after it.
    answers = {"answers": _shown(ann, "")[2:]}
    house.registry.record(Evaluation(f"lora-{'a' * 12}", None, "passed", (), answers, datetime.now(UTC)))
    assert places(house) == []


def test_without_the_index_it_waits_for_who_holds_it(house: House) -> None:
    def busy(key: str) -> None:
        raise Unavailable("the index is being opened")

    here = Deletions(house.database, house.accounts, house.runs, house.canaries, house.home)
    asked = here.ask("ann", by="root")
    here.finish()
    assert here.get(asked.id).stage == "settling"
    house.deletions(busy).finish()
    assert here.get(asked.id).stage == "settling"
    house.deletions().finish()
    assert here.get(asked.id).stage == "done"
    assert places(house) == []


def test_a_run_that_may_hold_something_is_ended_and_waited_for(house: House) -> None:
    house.runs.queue("dpo", "test")
    run = house.runs.claim("w")
    assert run is not None
    deletions = house.deletions()
    asked = deletions.ask("ann", by="root")
    deletions.finish()
    assert deletions.get(asked.id).stage == "settling"
    # It had read everything and writes it only now.
    Workspace(house.home / "runs" / run.id).write(
        Gathered([_example(f"late {WORD}", house.people()["ann"], "correction:1")], []), Recipe("dpo", "b")
    )
    house.runs.finish(house.runs.get(run.id), "cancelled")
    deletions.finish()
    assert deletions.get(asked.id).stage == "done"
    assert places(house) == []


def test_who_read_it_before_another_process_went_on_changes_nothing(house: House) -> None:
    staffs = [_example(f"the {WORD}", "person-stella", "correction:1")]
    Workspace(house.home / "runs" / "run-2").write(Gathered(staffs, []), Recipe("dpo", "base"))
    deletions, late = house.deletions(), house.deletions()
    asked = deletions.ask("ann", by="root")
    assert deletions.step()
    begun = deletions.get(asked.id)
    assert "correction:1" in begun.votes
    assert deletions.step()
    gone = deletions.get(asked.id)
    assert (gone.stage, gone.votes) == ("settling", begun.votes)
    for step, before in ((late._begin, asked), (late._delete, begun)):
        step(before)
        assert deletions.get(asked.id) == gone
    deletions.finish()
    assert places(house) == []


def test_one_that_can_not_go_on_stops_no_other(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def broken(key: str) -> None:
        raise RuntimeError("a broken index")

    deletions = house.deletions(broken)
    first, second = (deletions.ask(name, by="root") for name in ("ann", "bob"))
    deletions.finish()
    assert (deletions.get(first.id).stage, deletions.get(second.id).stage) == ("settling", "done")
    assert "a broken index" in caplog.text
    house.deletions().finish()
    assert deletions.get(first.id).stage == "done"


def test_what_staff_judged_goes_with_who_asked_although_the_chat_went_before(house: House) -> None:
    ann = house.people()["ann"]
    staffs = replace(_example(f"the {WORD}", "person-stella", "review:99"), askers=(ann,))
    work = Workspace(house.home / "runs" / "run-2")
    work.write(Gathered([staffs], []), Recipe("dpo", "base"))
    (work.folder / "metrics.json").write_text("{}")
    run = Run("run-2", "running", "dpo", "test", datetime.now(UTC))
    name, manifest = f"lora-{'c' * 12}", work.manifest(run, "0")
    house.registry.add(Adapter(name, house.home / name, "b", "0", None, 8, datetime.now(UTC), manifest))
    (chat,) = house.store.conversations(ann)
    Past(house.database).delete(chat.id, ann)
    deletions = house.deletions()
    deletions.ask("ann", by="root")
    deletions.finish()
    assert work.examples() == []
    assert name in Taints(house.database).all()


def test_an_import_is_taken_back_with_everybody_in_it_and_may_be_read_again(house: House) -> None:
    def read(*rows: Any) -> Imported:
        lines = "\n".join(json.dumps(row) for row in rows)
        return read_in(house.database, io.StringIO(lines), name="a.jsonl", by="root")

    key = read(owui(), PAIR).id
    with house.database.read() as connection:
        people = set(connection.execute(select(turns.c.person_id).where(turns.c.origin == key)).scalars())
    assert key in people
    (somebody,) = people - {key}
    examples = [_example(f"file {number}", who, "rating:99") for number, who in enumerate([key, somebody])]
    examples.append(_example("others", f"{key}0", "rating:98"))
    work = Workspace(house.home / "runs" / "run-2")
    work.write(Gathered(examples, []), Recipe("dpo", "base"))
    raw = [row for row in exported(house.store, "raw") if key in row["details"]]
    deletions = house.deletions()
    asked = deletions.ask(key, by="root")
    assert deletions.step()
    assert len(deletions.get(asked.id).votes) == 2, "a rating and a choice"
    deletions.finish()
    assert deletions.get(asked.id).counts["conversations"] == 2
    assert [one.question for one in work.examples()] == ["others"]
    with house.database.read() as connection:
        assert deleting.remains(connection, key) == deleting.remains(connection, somebody) == []
    found = read(*raw, owui(), PAIR)
    assert (found.stored, found.known, found.refused) == (2, 0, 3), "an old export brings nobody back"


@pytest.mark.slow
def test_killed_at_any_write_it_goes_on_to_the_same_end(furnished: Path, tmp_path: Path) -> None:
    writes, real = [0], Database.write

    for end in range(1, 100):
        with opened(furnished, tmp_path / str(end)) as house, pytest.MonkeyPatch.context() as patch:

            @contextmanager
            def write(self: Database, last: int = end) -> Iterator[Any]:
                writes[0] += 1
                if writes[0] == last:
                    raise KeyboardInterrupt
                with real(self) as connection:
                    yield connection

            house.deletions().ask("ann", by="root")
            patch.setattr(Database, "write", write)
            writes[0] = 0
            try:
                house.deletions().finish()
                interrupted = False
            except KeyboardInterrupt:
                interrupted = True
            patch.undo()
            house.deletions().finish()
            assert places(house) == [], f"killed at write {end}"
            assert [one.stage for one in house.deletions().all()] == ["done"]
            assert list(Taints(house.database).all()) == [f"lora-{'a' * 12}"]
            assert len(house.runs.all()) == 1
            assert set(house.people()) == {"root", "bob"}
            if not interrupted:
                assert end > 8
                return


FATES = {
    "goes by person_id": {
        *("conversations", "turns", "ratings", "corrections", "choices", "receipts", "notices_seen"),
        *("review_tasks", "review_drafts", "reviews"),
    },
    "goes with its turn": {"approvals", "gap_turns", "causes", "search_texts", "offers"},
    "goes with an import": {"imports", "import_lines"},
    "goes with the account": {"accounts", "credentials", "identities"},
    "is mended": {"gaps", "passages", "line_vectors", "index_records", "evaluations"},
    "holds ids and figures, or what staff and admins did": {
        *("days", "alerts", "deletions", "documents"),
        *("runs", "adapters", "promotions", "canaries", "taints", "audit"),
    },
}
"""What becomes of every table when a person goes. Whoever adds one says so here."""


def test_of_every_table_it_is_said_what_becomes_of_it(house: House) -> None:
    known = {name for names in FATES.values() for name in names}
    assert set(metadata.tables) == known
    assert {column.table.name for column in deleting.columns()} == FATES["goes by person_id"]
    hanging = {child.name for child, *_ in deleting._children(metadata.tables["turns"])}
    assert hanging - FATES["goes by person_id"] == FATES["goes with its turn"]


def test_an_approved_question_goes_out_of_a_prompt_however_it_stands_there() -> None:
    kept = [
        {"source": "appr-1", "title": "My <|x|>  [1] secret?", "text": "So."},
        {"source": "doc-1", "title": "My", "text": "t"},
    ]
    prompt = as_example([{"role": "user", "content": "Hi"}], kept[0]["title"], "So.")
    found = without(prompt, kept, "appr-1")
    assert "secret" not in json.dumps(found)
    assert found["passages"][1] == kept[1]
