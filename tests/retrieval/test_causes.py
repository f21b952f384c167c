"""The rule that tells why an answer was bad, on cases made by hand; and on hundreds whose cause is known."""

from __future__ import annotations

import pytest

from retrieval.causes import Complaint, Seen, decide, tells_something, weigh

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
