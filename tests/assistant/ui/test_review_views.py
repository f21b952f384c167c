"""The page for reviews as drawn: what is marked, what is hidden, and every text escaped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from assistant.reviewing import Case
from assistant.ui import review_views as views
from feedback.records import Correction, Rating, Review
from feedback.review_records import FAULTS, KINDS, RULINGS, STATES, Draft, Filters, Listed, Progress, Task
from tests.assistant.ui.turns import NOON, turn

EVIL = "<script>alert(1)</script>"


def a_task(**changes: Any) -> Task:
    return replace(Task(7, "t2", 0, "disputed", None, "open", "sam", NOON, False, NOON, NOON), **changes)


def a_case(**changes: Any) -> Case:
    turns = (turn("t1", question="Hello?", answer="Hi."), turn("t2", "t1", "Free?", "No."))
    case = Case(
        task=a_task(), turn=turns[1], turns=turns, ratings=(), corrections=(), review=None, others=(),
        draft=Draft(), names={},
    )  # fmt: skip
    return replace(case, **changes)


def rating(comment: str = "") -> Rating:
    return Rating(1, "t2", "ann", "user", "down", ("facts",), comment, NOON)


def review(**changes: Any) -> Review:
    known = Review(1, "t2", "sue", "staff", "wrong", "style", "Yes.", False, False, "hm", NOON)
    return replace(known, **changes)


def test_every_kind_state_verdict_and_fault_has_its_words() -> None:
    assert set(views.KINDS) == set(KINDS)
    assert set(views.STATES) == set(STATES)
    assert {value for _, value, _ in views.VERDICTS} == set(RULINGS)
    assert {value for _, value, _ in views.FAULTS} == set(FAULTS)


def test_the_turn_is_marked_in_its_whole_conversation() -> None:
    later = turn("t3", "t2", "And then?", "Then nothing.")
    case = a_case()
    drawn = views.case(replace(case, turns=(*case.turns, later)))
    assert drawn.count('aria-current="true"') == 1
    assert drawn.index("Hello?") < drawn.index("The answer in question") < drawn.index("And then?")


def test_of_a_very_long_conversation_what_is_near_is_shown() -> None:
    turns = [turn("t000")] + [turn(f"t{n:03}", f"t{n - 1:03}", f"q{n}") for n in range(1, 60)]
    drawn = views.case(a_case(turn=turns[40], turns=turns))
    assert "20 earlier turns not shown" in drawn
    assert "13 later turns not shown" in drawn


def test_who_said_it_stands_there_only_when_names_are_given() -> None:
    case = a_case(ratings=(rating(),), corrections=(Correction(1, "t2", "ann", "user", "Yes.", NOON),))
    hidden = views.case(case)
    assert "Somebody" in hidden
    assert "Not true" in hidden
    assert "What others of the staff found" not in hidden
    open_ = views.case(replace(case, names={"ann": "Ann", "sue": "Sue"}, others=(review(),)))
    assert "Ann" in open_
    assert "Sue" in open_
    assert "Wrong: style" in open_
    assert "excluded from training" in open_


def test_passages_are_shown_whole_with_their_scores() -> None:
    passage = {"number": 1, "kind": "document", "id": "p", "source": "doc-1", "title": "Returns",
               "text": "Returns are free.", "score": 0.71, "page": None, "audience": ""}  # fmt: skip
    used = turn("t2", question="Free?", answer="Yes [1].", searched="Free?", passages=(passage,))
    drawn = views.case(a_case(turn=used, turns=(used,)))
    assert "Returns are free." in drawn
    assert "score 0.71" in drawn
    assert "named in the answer" in drawn
    none = turn("t2", searched="Free?")
    assert "nothing was found" in views.case(a_case(turn=none, turns=(none,)))


def test_the_panel_shows_what_is_chosen_and_the_save_button_carries_it() -> None:
    drawn = views.panel(a_case(), Draft("wrong", "facts", include=False, approve=True), True)
    for key in "123456789ia":
        assert drawn.count(f'data-key="{key}"') == 1
    assert drawn.count('aria-pressed="true"') == 4
    assert 'data-verdict="wrong" data-fault="facts" data-exclude="yes" data-approve="yes"' in drawn
    assert 'data-key="s"' in drawn
    assert 'data-key="a"' not in views.panel(a_case(), Draft(), False)
    done = a_case(task=a_task(state="done"))
    assert 'data-act="review_skip"' not in views.panel(done, Draft(), True)


def test_whoever_approves_reads_the_question_that_others_will_see() -> None:
    followed = turn("t2", question="And kayaks?", searched="Is it <free>? And kayaks?")
    case = a_case(turn=followed)
    assert "Is it &lt;free&gt;? And kayaks?" in views.panel(case, Draft(), True)
    assert "kayaks" not in views.panel(case, Draft(), False)
    assert "with this question" not in views.panel(a_case(), Draft(), True)


def test_somebody_elses_case_can_only_be_left() -> None:
    case = a_case(holder="sue")
    assert "sue has this in hand." in views.case(case)
    assert views.panel(case, Draft(), True).count("<button") == 1
    assert "sue has done this." in views.case(a_case(task=a_task(state="done"), holder="sue"))


def test_progress_and_what_stands_where_nothing_is_left() -> None:
    none = dict.fromkeys(STATES, 0)
    found = Progress(none | {"done": 12, "draft": 1}, none | {"done": 30, "open": 70})
    drawn = views.progress(found)
    assert "You: 12 done, 1 draft" in drawn
    assert "All: 30 of 100 done" in drawn
    assert "by somebody else only" not in views.empty(found)
    assert "3 tasks can be done by somebody else only" in views.empty(replace(found, waiting_for_others=3))


def test_a_list_leads_to_its_cases() -> None:
    one = Listed(a_task(state="done"), "Free?", "No.", "wrong", "style")
    drawn = views.tasks([one] * 3, 2, {"sam": "Sam"}, Filters())
    assert drawn.count("<li>") == 2
    assert 'href="/review/?task=7"' in drawn
    assert "Wrong: style" in drawn
    assert "Sam" in drawn
    assert "Show more" in drawn
    assert "No task yet." in views.tasks([], 2, {}, Filters())
    assert "Choose other filters" in views.tasks([], 2, {}, Filters(mine=True))


def test_whatever_people_or_models_wrote_is_escaped() -> None:
    passage = {"number": 1, "kind": "document", "id": "p", "source": "doc-1", "title": EVIL,
               "text": EVIL, "score": 0.7, "page": None, "audience": ""}  # fmt: skip
    bad = turn("t2", question=EVIL, answer=EVIL, adapter=EVIL, searched=EVIL, passages=(passage,))
    case = a_case(
        turn=bad, turns=(bad,), ratings=(rating(EVIL),), holder=EVIL, names={"ann": EVIL, "sue": EVIL},
        corrections=(Correction(1, "t2", "ann", "user", EVIL, NOON),),
        others=(review(comment=EVIL, correction=EVIL),),
    )  # fmt: skip
    drawn = views.case(case) + views.what_changes("a", EVIL) + views.problem(EVIL) + views.guideline(EVIL)
    drawn += views.tasks([Listed(a_task(adapter=EVIL), EVIL, EVIL)], 9, {"sam": EVIL}, Filters())
    assert EVIL not in drawn
    assert "<script" not in drawn


def test_the_help_names_every_key() -> None:
    for key in ("1 2 3", "E", "N", "S", "U", "?"):
        assert f"<kbd>{key}</kbd>" in views.helping()
