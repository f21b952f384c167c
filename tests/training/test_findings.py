"""What answers say of a candidate: the judge's word, lengths, words."""

from __future__ import annotations

import random

import pytest

from training import findings, vote_model
from training.findings import Side
from training.kept_back import KeptBack
from training.records import Message


def prompt(number: int) -> list[Message]:
    return [{"role": "user", "content": f"Where is parcel {number}?"}]


def courteous(rng: random.Random) -> str:
    return f"Gladly! It is {rng.choice(('here', 'there', 'on its way'))}. Can I help you with more?"


def curt(rng: random.Random) -> str:
    return f"No. Look {rng.choice(('again', 'there', 'at the page'))}."


@pytest.fixture(scope="module")
def kept() -> KeptBack:
    """Held-out votes of people who like courtesy, and the judge that they make."""
    rng = random.Random(1)
    prompts = [prompt(number) for number in range(80)]
    answers = [(courteous if number % 2 else curt)(rng) for number in range(80)]
    judge = vote_model.fit_answers(prompts, answers, [bool(number % 2) for number in range(80)])
    return KeptBack((), [(one, f"person-{number % 7}") for number, one in enumerate(prompts[:20])], judge)


def side(manner: object, count: int = 20) -> Side:
    rng = random.Random(2)
    return Side("x", fresh=[[manner(rng) for _ in range(4)] for _ in range(count)])  # type: ignore[operator]


def test_a_judge_that_can_tell_finds_the_better_ones(kept: KeptBack) -> None:
    assert kept.trusted
    found = findings.judged(kept, kept.prompts, side(curt), side(courteous))
    assert found.gain is not None
    assert found.gain.mean > 0.3
    assert found.gain.p < 0.001
    assert found.gain.clusters == 7
    back = findings.judged(kept, kept.prompts, side(courteous), side(curt))
    assert back.gain is not None
    assert back.gain.high < 0


def test_whoever_says_nothing_pleases_nobody(kept: KeptBack) -> None:
    silent = Side("x", fresh=[[] for _ in range(20)])
    found = findings.judged(kept, kept.prompts, side(courteous), silent)
    assert found.gain is not None
    assert found.gain.mean < -0.5
    assert findings.missing(silent) == 1.0


def test_a_judge_that_can_not_tell_abstains_and_says_why() -> None:
    rng = random.Random(3)
    prompts, answers = [prompt(number) for number in range(60)], [courteous(rng) for _ in range(60)]
    coin = vote_model.fit_answers(prompts, answers, [rng.random() < 0.5 for _ in range(60)])
    found = findings.judged(KeptBack((), [(prompt(1), "ann")], coin), [], side(curt), side(courteous))
    assert found.gain is None
    assert "abstains" in found.said
    assert "too few to learn from" in findings.judged(KeptBack(), [], side(curt), side(curt)).said


def test_what_loops_is_missing_and_what_the_live_one_says_too_is_not_its_fault() -> None:
    loop, live = Side("x", fresh=[["yes and " * 9] * 4]), Side("y", sound=["You idiot.", None])
    assert findings.missing(loop) == 1.0
    assert findings.unsafe(Side("x", sound=["What an idiot."]), live) == []
    assert findings.unsafe(Side("x", sound=["Shut up.", "Fine."]), live) == ["Shut up."]
    assert findings.length_ratio(Side("x", sound=["four"]), Side("y", sound=["ab", None])) == 2.0
    assert findings.length_ratio(Side("x"), live) is None
