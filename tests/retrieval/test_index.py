"""Tests of the index: what goes in, what is embedded again, what a killed process leaves, other models."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from feedback.database import Database
from retrieval.index import BATCH, Index, open_index
from retrieval.records import EVERYBODY, Unavailable
from retrieval.schema import index_records, passages
from retrieval.shelf import Shelf
from tests.feedback.days import plans_of, watched
from tests.retrieval.word_vectors import WordVectors, many, passage

ROOT = Path(__file__).resolve().parents[2]
_EACH = 3
"""Texts that are embedded for a passage of one line: itself, the line, and the line behind its title."""


@pytest.fixture
def embedder() -> WordVectors:
    return WordVectors()


@pytest.fixture
def index(database: Database, tmp_path: Path, embedder: WordVectors) -> Iterator[Index]:
    opened = open_index("", tmp_path / "index", database, embedder)
    yield opened
    opened.close()


def found(index: Index, text: str, *audiences: str, most: int = 5) -> list[str]:
    """The texts that the vectors find for these audiences."""
    vector = index._embedder.question(text)
    ids = [key for key, _ in index.dense(vector, audiences or (EVERYBODY,), ("document", "answer"), most)]
    rows = index.passages(ids)
    return [rows[key].text for key in ids if key in rows]


def agree(index: Index) -> None:
    """Rows, vectors and records hold the same passages in the same places."""
    rows: dict[Any, set[str]] = defaultdict(set)
    for some in index.all():
        for one in some:
            rows[one.kind, one.audience].add(one.id)
    held = {
        place: {key for part in index._vectors.ids(place) for key in part}
        for place in index._vectors.namespaces().values()
    }
    assert {place: ids for place, ids in held.items() if ids} == rows
    recorded: dict[Any, set[str]] = defaultdict(set)
    with index.database.read() as connection:
        for row in connection.execute(select(index_records).where(index_records.c.updated_at > 0)).mappings():
            recorded[index._vectors.namespaces()[row["namespace"]]].add(row["key"])
    assert recorded == rows


def test_what_is_put_in_is_found_with_its_cosine(index: Index, embedder: WordVectors) -> None:
    index.put("doc-1", [passage("parcels take three days"), passage("the shop opens at nine")])
    nearest = index.dense(embedder.question("parcels take three days"), [EVERYBODY], ["document"], 2)
    assert nearest[0][1] == pytest.approx(1.0, abs=1e-4)
    assert index.passages([nearest[0][0]])[nearest[0][0]].text == "parcels take three days"
    assert index.count() == 2
    agree(index)


def test_putting_in_again_embeds_only_what_is_new(index: Index, embedder: WordVectors) -> None:
    first = many(3 * BATCH)
    index.put("doc-1", first)
    embedder.embedded.clear()
    index.put("doc-1", first)
    assert embedder.embedded == []
    index.put("doc-1", [*first[5:], passage("quite another one")])
    # The passage, its one line, and that line behind its title
    assert embedder.embedded[-1] == "quite another one"
    assert len(embedder.embedded) == _EACH
    assert index.count() == 3 * BATCH - 4
    agree(index)


def test_a_passage_that_moved_in_its_document_is_not_embedded_again(
    index: Index, embedder: WordVectors
) -> None:
    one, two = passage("first"), passage("second")
    index.put("doc-1", [one, replace(two, place=1)])
    embedder.embedded.clear()
    index.put("doc-1", [replace(two, place=0, page=3), replace(one, place=1)])
    assert embedder.embedded == []
    assert index.passages([two.id])[two.id] == replace(two, place=0, page=3)


def test_the_same_id_with_other_words_is_embedded_again(index: Index, embedder: WordVectors) -> None:
    one = replace(passage("how long for returns", "apr-1", kind="answer"), title="how long for returns")
    index.put("apr-1", [one])
    index.put("apr-1", [replace(one, title="opening hours on sunday")])
    nearest = index.dense(embedder.question("opening hours on sunday"), [EVERYBODY], ["answer"], 1)
    assert nearest[0][1] > 0.99
    agree(index)


def test_a_document_that_changes_hands_is_found_by_its_new_readers_alone(index: Index) -> None:
    index.put("doc-1", [passage("the salaries", audience="board")])
    assert found(index, "salaries", "board") == ["the salaries"]
    index.put("doc-1", [replace(passage("the salaries"), audience="owners")])
    assert found(index, "salaries", "board", EVERYBODY) == []
    assert found(index, "salaries", "owners") == ["the salaries"]
    agree(index)


def test_kinds_and_audiences_are_told_apart(index: Index) -> None:
    index.put("doc-1", [passage("tea for all")])
    index.put("doc-2", [passage("tea for the board", "doc-2", "board")])
    index.put("apr-1", [replace(passage("tea as an answer", "apr-1", kind="answer"), title="tea")])
    vector = index._embedder.question("tea")
    assert len(index.dense(vector, ["board"], ["document"], 9)) == 1
    assert len(index.dense(vector, [EVERYBODY, "board"], ["document"], 9)) == 2
    assert len(index.dense(vector, [EVERYBODY, "board"], ["document", "answer"], 9)) == 3
    assert index.dense(vector, ["nobody's"], ["document"], 9) == []


def test_neighbours_are_found_without_reading_their_whole_document(
    sqlite: Database, tmp_path: Path, embedder: WordVectors
) -> None:
    index = open_index("", tmp_path / "index", sqlite, embedder)
    told = [replace(one, place=place) for place, one in enumerate(many(40))]
    index.put("doc-1", told)
    index.put("doc-2", [passage("elsewhere", "doc-2")])
    with watched(sqlite) as said:
        around = index.around([told[0], told[20]], 2)
    assert around == {told[0].id: told[:3], told[20].id: told[18:23]}
    plans = plans_of(sqlite, said)
    assert sum("source_id=? AND place>? AND place<?" in plan for plan in plans) == 2, plans
    index.close()


def test_what_is_dropped_is_gone_everywhere(index: Index) -> None:
    index.put("doc-1", many(BATCH + 3))
    index.put("doc-2", [passage("stays", "doc-2")])
    index.drop("doc-1")
    index.drop("doc-1")
    index.drop("never there")
    assert index.count() == 1
    agree(index)


def test_an_empty_source_is_as_good_as_dropped(index: Index) -> None:
    index.put("doc-1", many(3))
    index.put("doc-1", [])
    assert index.count() == 0
    agree(index)


def test_progress_is_told_after_each_batch(index: Index) -> None:
    told: list[int] = []
    index.put("doc-1", many(2 * BATCH + 5), told.append)
    assert told == [BATCH, 2 * BATCH, 2 * BATCH + 5]


def test_cosines_are_known_of_what_has_no_vector_yet(index: Index, embedder: WordVectors) -> None:
    held, new = passage("held already"), passage("not held yet")
    index.put("doc-1", [held])
    cosines = index.cosines(embedder.question("not held yet"), [held, new])
    assert cosines[new.id] == pytest.approx(1.0)
    assert 0 < cosines[held.id] < 0.9


def test_a_second_process_is_told_who_is_in_the_way(
    index: Index, database: Database, embedder: WordVectors
) -> None:
    with pytest.raises(Unavailable, match="in use by another process"):
        open_index("", index.folder, database, embedder)


def test_sources_go_in_beside_each_other(index: Index) -> None:
    sources = [many(BATCH + 1, f"doc-{number}") for number in range(4)]
    threads = [
        threading.Thread(target=index.put, args=(f"doc-{number}", some))
        for number, some in enumerate(sources)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.count() == 4 * (BATCH + 1)
    agree(index)


class _Killed(BaseException):
    """Stands for the end of the process at this line."""


def _dying(index: Index, at: int) -> Callable[[], None]:
    """Make the index die at its `at`-th write to Chroma or to the database, before or after it was done;
    gives what takes the danger away again."""
    count = 0
    targets: list[tuple[Any, str, Any]] = []

    def guard(owner: Any, name: str) -> None:
        work = getattr(owner, name)

        def guarded(*args: Any, **words: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise _Killed
            result = work(*args, **words)
            count += 1
            if count == at:
                raise _Killed
            return result

        targets.append((owner, name, work))
        setattr(owner, name, guarded)

    import langchain_chroma

    from retrieval import recording

    guard(index._vectors, "delete")
    guard(langchain_chroma.Chroma, "add_documents")
    guard(recording.Records, "update")
    guard(recording, "remove")
    guard(recording, "put")

    def restore() -> None:
        for owner, name, work in targets:
            setattr(owner, name, work)

    return restore


def test_an_answer_that_was_killed_before_its_vector_is_told_from_one_that_is_found(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, shelf = passage("Thirty days.", "apr-1", kind="answer", title="how long"), Shelf(index.database)
    index.put("doc-1", [passage("returns take thirty days")])

    def killed(*_: object) -> None:
        raise _Killed

    with monkeypatch.context() as dying:
        dying.setattr(index, "_embed", killed)
        with pytest.raises(_Killed):
            index.put("apr-1", [one])
    assert index.passages([one.id])
    assert shelf.answers() == {"apr-1": False}
    index.put("apr-1", [one])
    assert shelf.answers() == {"apr-1": True}
    index.drop("apr-1")
    assert shelf.answers() == {}


@pytest.mark.parametrize("at", range(1, 19))
def test_ending_at_any_write_is_mended_by_the_next_put_or_drop(
    sqlite: Database, tmp_path: Path, embedder: WordVectors, at: int
) -> None:
    index = open_index("", tmp_path / "index", sqlite, embedder)
    old, new = many(BATCH + 5), [replace(one, audience="board") for one in many(3)] + many(2 * BATCH)[5:]
    index.put("doc-1", old)
    restore = _dying(index, at)
    try:
        index.put("doc-1", new)
    except _Killed:
        pass
    finally:
        restore()
    index.close()
    reopened = open_index("", tmp_path / "index", sqlite, embedder)
    wanted = {one.id for one in (old, new)[at % 2]}
    if at % 3 == 0:
        reopened.drop("doc-1")
        wanted = set()
    else:
        reopened.put("doc-1", (old, new)[at % 2])
    assert {one.id for some in reopened.all() for one in some} == wanted
    agree(reopened)
    reopened.close()


_CHILD = """
import sys, pathlib
from feedback.database import connect
from retrieval.index import open_index
from tests.retrieval.word_vectors import WordVectors, many
folder, url, kept = sys.argv[1:]
index = open_index("", pathlib.Path(folder), connect(url), WordVectors())
index.put("doc-1", many(400)[int(kept):], lambda done: print(done, flush=True))
print("ready", flush=True)
index.close()
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_nothing_that_the_next_put_does_not_mend(
    sqlite: Database, tmp_path: Path
) -> None:
    drawn, folder = random.Random(5), tmp_path / "index"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kept in (0, 0, 40, 90):
        command = [sys.executable, "-c", _CHILD, str(folder), sqlite.location, str(kept)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert child.stdout is not None
        for _ in range(drawn.randint(1, 4)):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        embedder = WordVectors()
        index = open_index("", folder, sqlite, embedder)
        assert not index.stale()
        for text in found(index, "word3 and word21", most=20):
            assert text.startswith("word")
        index.put("doc-1", many(400)[90:])
        assert len(embedder.embedded) < 310 * _EACH, "what was embedded before the kill is embedded again"
        agree(index)
        if kept == 40:
            index.drop("doc-1")
        index.close()


def test_another_model_is_noticed_and_everything_embedded_again(
    index: Index, database: Database, tmp_path: Path
) -> None:
    index.put("doc-1", many(BATCH * 2))
    index.put("doc-2", [passage("for the board", "doc-2", "board")])
    assert not index.stale()
    index.close()
    for other in (WordVectors("other"), WordVectors("other", 32)):
        opened = open_index("", tmp_path / "index", database, other)
        assert opened.stale()
        assert found(opened, "word3 and word21") == []
        told: list[float] = []
        opened.rebuild(told.append)
        assert told == sorted(told)
        assert (len(told), told[-1]) == (3, 1.0)
        assert not opened.stale()
        assert len(other.embedded) == _EACH * (2 * BATCH + 1)
        assert found(opened, "word3 and word21", most=1) == ["word3 and word21"]
        agree(opened)
        opened.close()
        again = open_index("", tmp_path / "index", database, other)
        assert not again.stale()
        again.close()


def test_a_rebuild_embeds_whole_batches(index: Index, tmp_path: Path) -> None:
    for number in range(4):
        index.put(f"doc-{number}", many(BATCH, f"doc-{number}"))
    index.close()
    asked: list[int] = []

    class Asked(WordVectors):
        def documents(self, texts: Sequence[str]) -> Any:
            asked.append(len(texts))
            return super().documents(texts)

    opened = open_index("", tmp_path / "index", index.database, Asked("other"))
    opened.rebuild()
    # The passages of a source at once, and their lines before them
    assert sorted(asked) == [BATCH] * 4 + [2 * BATCH] * 4
    agree(opened)
    opened.close()


def test_a_rebuild_that_was_ended_goes_on_where_it_was(
    index: Index, sqlite: Database, tmp_path: Path
) -> None:
    index.put("doc-1", many(BATCH * 3))
    index.close()
    other = WordVectors("other")
    opened = open_index("", tmp_path / "index", index.database, other)

    def end(share: float) -> None:
        if share > 0.5:
            raise _Killed

    with pytest.raises(_Killed):
        opened.rebuild(end)
    opened.close()
    opened = open_index("", tmp_path / "index", index.database, other)
    assert opened.stale()
    opened.put("doc-2", [passage("put in meanwhile", "doc-2")])
    opened.rebuild()
    assert len(other.embedded) == _EACH * (BATCH * 3 + 1)
    assert not opened.stale()
    agree(opened)
    opened.close()


def test_a_lost_index_is_built_again(index: Index, tmp_path: Path, embedder: WordVectors) -> None:
    index.put("doc-1", many(10))
    index.close()
    shutil.rmtree(tmp_path / "index")
    opened = open_index("", tmp_path / "index", index.database, embedder)
    assert opened.stale()
    opened.rebuild()
    assert not opened.stale()
    agree(opened)
    opened.close()


def test_a_database_that_was_put_back_is_followed(index: Index, embedder: WordVectors) -> None:
    kept, lost = many(6), passage("newer than the copy", "doc-2")
    index.put("doc-1", kept)
    index.put("doc-2", [lost])
    with index.database.write() as connection:
        connection.execute(delete(passages).where(passages.c.source_id == "doc-2"))
        connection.execute(delete(index_records).where(index_records.c.group_id == "doc-2"))
    assert found(index, "newer than the copy", most=1) == []
    index.rebuild()
    agree(index)
    assert index.lines.count() == len(kept)
