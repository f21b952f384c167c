"""Which branch is shown, and what can be paged to."""

from __future__ import annotations

from assistant.ui.tree import newest_leaf, shown
from tests.assistant.ui.turns import turn

# 1 ── 3 ── 5      1, 2: the same question answered twice; 3: after 1; 4: after 2; 5: after 3
# 2 ── 4           6: another version of the first question
# 6
TREE = [
    turn("t1", question="first"),
    turn("t2", question="first"),
    turn("t3", "t1", question="second"),
    turn("t4", "t2", question="second"),
    turn("t5", "t3", question="third"),
    turn("t6", question="edited"),
]


def test_nothing_is_shown_of_an_empty_conversation() -> None:
    assert newest_leaf([]) is None
    assert shown([], None) == []
    assert shown(TREE, "t99") == []


def test_the_newest_branch_is_followed_to_its_end() -> None:
    assert newest_leaf(TREE) == "t6"
    assert newest_leaf(TREE, "t1") == "t5"
    assert newest_leaf(TREE, "t4") == "t4"
    assert newest_leaf(reversed(TREE), "t1") == "t5"


def test_a_branch_is_shown_oldest_first() -> None:
    assert [row.turn.id for row in shown(TREE, "t5")] == ["t1", "t3", "t5"]


def test_regenerations_are_paged_at_the_answer() -> None:
    row = shown(TREE, "t2")[0]
    assert (row.answers, row.answer) == (["t1", "t2"], 1)


def test_edits_are_paged_at_the_question_to_their_newest_answer() -> None:
    row = shown(TREE, "t6")[0]
    assert (row.questions, row.question) == (["t2", "t6"], 1)
    assert (row.answers, row.answer) == (["t6"], 0)
    assert shown(TREE, "t1")[0].question == 0


def test_a_turn_alone_pages_nowhere() -> None:
    row = shown(TREE, "t3")[1]
    assert row.answers == ["t3"]
    assert row.questions == ["t3"]


def test_a_try_without_a_word_is_not_paged_back_to() -> None:
    turns = [turn("t1"), turn("t2", answer="", status="failed"), turn("t3")]
    assert shown(turns, "t3")[0].answers == ["t1", "t3"]
    # While it is the one that is shown it has its place.
    assert shown(turns, "t2")[0].answers == ["t1", "t2", "t3"]
    writing = [turn("t1"), turn("t2", answer="", status="pending")]
    assert shown(writing, "t1")[0].answers == ["t1", "t2"]
