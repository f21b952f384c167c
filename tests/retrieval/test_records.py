"""Tests of what a turn keeps of a passage."""

from __future__ import annotations

from dataclasses import replace

from retrieval.records import EVERYBODY, Hit, Passage, as_json, is_restricted

PASSAGE = Passage("psg-1", "doc-1", "document", EVERYBODY, "Returns › How long", "30 days.", None, 0)


def test_a_block_is_kept_with_what_was_found_in_it() -> None:
    block = replace(PASSAGE, text=f"before\n\n{PASSAGE.text}\n\nafter")
    hit = Hit(PASSAGE, 0.6, 0.03, block)
    assert as_json(hit, 1)["text"] == block.text
    assert as_json(hit, 1)["excerpt"] == PASSAGE.text
    assert as_json(hit, 1, alone=True) == as_json(Hit(PASSAGE, 0.6, 0.03), 1)


def test_a_turn_keeps_what_showing_and_training_need() -> None:
    kept = as_json(Hit(PASSAGE, 0.61234, 0.03), 2)
    assert kept["number"] == 2
    assert (kept["title"], kept["text"], kept["source"]) == ("Returns › How long", "30 days.", "doc-1")
    assert kept["score"] == 0.6123


def test_only_what_is_for_everybody_is_unrestricted() -> None:
    assert not is_restricted(as_json(Hit(PASSAGE, 0.6, 0.03), 1))
    assert is_restricted(as_json(Hit(replace(PASSAGE, audience="board"), 0.6, 0.03), 1))


def test_an_approved_answer_is_found_by_its_question_alone() -> None:
    approved = replace(PASSAGE, kind="answer", title="How long may I return things?")
    assert approved.searched == "How long may I return things?"
    assert PASSAGE.searched == "Returns › How long\n30 days."
