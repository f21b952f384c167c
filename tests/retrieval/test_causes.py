"""The rule that tells why an answer was bad, on cases made by hand; and on hundreds whose cause is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest

from feedback.database import Database
from retrieval.causes import CAUSES, Complaint, Seen, decide, tells_something, weigh
from retrieval.records import EVERYBODY, Hit
from tests.databases import migrated, sqlite
from tests.retrieval import labelled

__all__ = ["migrated", "sqlite"]

QUESTION = "How long does delivery to Norway take?"
WRONG = "Delivery to Norway takes 2 to 3 days."
RIGHT = "Parcels arrive in Norway in 4 to 6 days."
TELLS = "Shipping to Norway\nParcels arrive in Norway in 4 to 6 days. Delivery costs 12 euros."
SISTER = "Shipping to Italy\nParcels arrive in Italy in 4 to 6 days. Delivery costs 7 euros."
BESIDE = "Returns\nUnused things can be sent back within 45 days."


def cause(complaint: Complaint, *seen: Seen) -> str:
    return decide(weigh(complaint, seen))


def test_a_correction_that_stands_in_the_prompt_was_misread() -> None:
    corrected = Complaint(QUESTION, WRONG, ["facts"], RIGHT)
    assert cause(corrected, Seen(TELLS, True, 0.8, 0.9), Seen(BESIDE, False, 0.3, 0.3)) == "misread"


def test_a_correction_that_stands_in_another_passage_was_not_retrieved() -> None:
    corrected = Complaint(QUESTION, WRONG, [], RIGHT)
    assert cause(corrected, Seen(BESIDE, True, 0.4, 0.3), Seen(TELLS, False, 0.8, 0.9)) == "unretrieved"


def test_a_correction_that_stands_nowhere_is_missing() -> None:
    corrected = Complaint(QUESTION, WRONG, ["facts"], RIGHT)
    assert (
        cause(corrected, Seen(BESIDE, True, 0.4, 0.3), Seen("Care\nWash it.", False, 0.2, 0.1)) == "missing"
    )


def test_the_same_numbers_about_another_thing_do_not_tell_it() -> None:
    corrected = Complaint(QUESTION, WRONG, ["facts"], RIGHT)
    assert cause(corrected, Seen(SISTER, True, 0.5, 0.55), Seen(BESIDE, False, 0.3, 0.3)) == "missing"


def test_without_a_correction_it_counts_what_comes_near_the_question() -> None:
    untrue = Complaint(QUESTION, WRONG, ["facts"])
    assert cause(untrue, Seen(TELLS, True, 0.8)) == "misread"
    assert cause(untrue, Seen(BESIDE, True, 0.4), Seen(TELLS, False, 0.8)) == "unretrieved"
    assert cause(untrue, Seen(BESIDE, True, 0.35)) == "missing"
    assert cause(untrue) == "missing"


@pytest.mark.parametrize("reason", ["tone", "too_long", "too_short", "unsafe", "other"])
def test_complaints_about_manners_are_believed(reason: str) -> None:
    assert cause(Complaint(QUESTION, RIGHT, [reason]), Seen(BESIDE, True, 0.3)) == "other"


def test_small_talk_is_not_about_knowledge() -> None:
    assert cause(Complaint("Hello!", "What.")) == "other"
    assert cause(Complaint("Thank you!", "Fine.", [], "You are welcome.")) == "other"


def test_a_refusal_for_lack_of_a_document_is_missing() -> None:
    refused = Complaint(QUESTION, "I could not find anything.", ["refused"])
    assert cause(refused, Seen(BESIDE, True, 0.4)) == "missing"


def test_the_evidence_is_kept_as_plain_values() -> None:
    kept = weigh(Complaint(QUESTION, WRONG, ["facts"], RIGHT), [Seen(TELLS, True, 0.8, 0.9)]).as_json()
    assert kept["about"] == "facts"
    assert kept["values"] is True
    assert 0.8 < kept["told_used"] <= 1
    assert kept["told_known"] == 0.0


def test_a_greeting_tells_nothing_that_a_document_could_answer() -> None:
    assert not any(map(tells_something, ("Hello!", "Thanks, bye", "ok", "", "Good morning!")))
    assert all(map(tells_something, ("Do you sell kayaks?", "How much is it for 3 people?")))


@pytest.fixture
def find(sqlite: Database, tmp_path: Path) -> Iterator[labelled.Find]:
    """The real search over the shop's documents."""
    pytest.importorskip("chromadb")
    from retrieval.embeddings import open_embeddings
    from retrieval.index import open_index
    from retrieval.search import Search

    embedder = open_embeddings("all-MiniLM-L6-v2")
    index = open_index("", tmp_path / "index", sqlite, embedder)
    for source, members in groupby(labelled.knowledge_base(), key=lambda one: one.source_id):
        index.put(source, list(members))
    search = Search(index, embedder, floor=0.3)

    @cache
    def everything(text: str) -> list[Hit]:
        return search.find(text, {EVERYBODY}, most=50, floor=-1.0)

    yield lambda text, most, gone: [hit for hit in everything(text) if hit.passage.source_id not in gone][
        :most
    ]
    search.close()
    index.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_most_bad_answers_are_sorted_right(find: labelled.Find) -> None:
    # The rule's bounds were fixed on the seeds 1 and 2; nothing was decided by this one.
    made = labelled.cases(280, 20_261_122, find)
    sorted_out = [
        (
            case,
            cause(
                Complaint(case.question, case.answer, case.reasons, case.correction),
                *labelled.seen(case, find),
            ),
        )
        for case in made
    ]
    for name, which in (
        ("all", lambda _: True),
        ("corrected", bool),
        ("only voted on", lambda text: not text),
    ):
        some = [(case.cause, decided) for case, decided in sorted_out if which(case.correction)]
        print(f"\n{name}: {shares(some)}\n{matrix(some)}")
    found = [(case.cause, decided) for case, decided in sorted_out]
    assert right(found) >= 0.7
    assert right([(taught(known), taught(decided)) for known, decided in found]) >= 0.8
    # What must not happen: a gap in the documents is learned by heart.
    gaps = [decided for known, decided in found if not taught(known)]
    assert sum(map(taught, gaps)) / len(gaps) <= 0.2


def taught(one: str) -> bool:
    return one in ("misread", "other")


def right(found: Sequence[tuple[object, object]]) -> float:
    return sum(known == decided for known, decided in found) / len(found)


def shares(found: Sequence[tuple[str, str]]) -> str:
    both = [(taught(known), taught(decided)) for known, decided in found]
    gaps = [decided for known, decided in both if not known]
    good = [decided for known, decided in both if known]
    return (
        f"{len(found)} cases, right {right(found):.1%}, to be trained on or not {right(both):.1%}; "
        f"let through {sum(gaps)}/{len(gaps)}, lost {len(good) - sum(good)}/{len(good)}"
    )


def matrix(found: Sequence[tuple[str, str]]) -> str:
    """A row for each known cause, a column for each decided one."""
    head = f"{'known as':>14}" + "".join(f"{name:>13}" for name in CAUSES)
    return "\n".join(
        [head]
        + [
            f"{known:>14}" + "".join(f"{found.count((known, name)):>13}" for name in CAUSES)
            for known in CAUSES
        ]
    )
