"""What the canary looks like, as text."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from assistant.ui.canary_view import canary
from tests.assistant.ui.turns import NOON
from training.canary import Canary, Decision, Plan, Tally, decide
from training.records import CanaryStep

BAD = "<script>alert(1)</script>"


def step(**values: Any) -> CanaryStep:
    given = {"id": 1, "adapter": "lora-0123456789ab", "against": None, "share": 0.05, "action": "start"}
    given |= {"actor": "ana", "reason": "kinder", "figures": {}, "at": NOON}
    return CanaryStep(**given | values)  # type: ignore[arg-type]


def drawn(votes: Tally, *steps: CanaryStep) -> str:
    found = Canary(steps or (step(),))
    return canary((found, decide(found, votes, Plan(), NOON + timedelta(hours=1))), steps)


def test_everything_is_text() -> None:
    html = drawn(Tally(0.1), step(adapter=BAD, against=BAD, actor=BAD, reason=BAD))
    assert "<script>" not in html


def test_without_one_it_says_what_a_canary_is_for() -> None:
    html = canary(None, [])
    assert "No canary is running." in html
    assert "Steps so far" not in html
    assert "canary_stop" not in html


def test_both_arms_stand_with_their_votes_and_the_verdict_in_words() -> None:
    votes = Tally(0.1)
    for number in range(4):
        votes.add(True, number > 0)
        votes.add(False, number > 1)
    html = drawn(votes)
    assert "The votes do not tell yet: thumbs up in 75% of 4 conversations, against 50% of 4." in html
    assert "<td>5%</td><td>4</td><td>3 (75%)</td>" in html
    assert '<td><span class="mono">base</span></td><td>95%</td><td>4</td><td>2 (50%)</td>' in html
    assert "of the 4.47 needed to go on" in html
    assert "of the 20 at which it is rolled back" in html
    assert 'data-act="canary_stop"' in html


def test_one_that_ends_for_another_reason_than_its_votes_says_why() -> None:
    found = Canary((step(),))
    html = canary((found, Decision("stop", 0.0, "it was trained on another base model", {})), [step()])
    assert "It was trained on another base model." in html
    assert 'data-act="canary_stop"' in html


def test_an_arm_without_votes_has_no_share_of_thumbs() -> None:
    assert "<td>0</td><td>–</td>" in drawn(Tally(0.1))


def test_every_step_says_who_took_it_and_why() -> None:
    html = canary(None, [step(action="rollback", share=0.0, actor="canary", reason="liked less"), step()])
    assert "<td>Rolled back</td>" in html
    assert "<td>canary</td><td>liked less</td>" in html
    assert html.index("Rolled back") < html.index("Started")
