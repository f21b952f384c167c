"""The report of an evaluation: whole, and in the form that the texts in it can't break."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from tests.training.scripted import ScriptedEngine
from tests.training.test_evaluation import CANDIDATE, PARITY, adapter, kept_back
from training import evaluation, probes, report
from training.evaluation import Material
from training.records import Evaluation


def evaluated(says: str = "Gladly: it is on its way.") -> Evaluation:
    engine = ScriptedEngine(says={CANDIDATE: lambda _: says})
    material = Material(kept_back(), PARITY, probes=probes.probes()[:24])
    return asyncio.run(evaluation.evaluate(engine, adapter(CANDIDATE), None, material))


def test_it_holds_the_verdict_every_check_and_the_answers_side_by_side() -> None:
    found = evaluated()
    text = report.markdown(found)
    assert text.startswith(f"# {CANDIDATE}: rejected")
    for check in found.checks:
        assert f"| {check.name} |" in text
    assert "| held-out votes | +0.000 |" in text
    assert "| flattery (1) | 24 | 100% | 100% | 100% |" in text
    assert (
        "| Hello! | About Hello! I can help you. | About Hello! I can help you. | Gladly: it is on its way. |"
        in text
    )


def test_one_that_does_not_load_has_a_report_too() -> None:
    engine = ScriptedEngine(refuses={CANDIDATE: "rank 64 is more than 32"})
    found = asyncio.run(evaluation.evaluate(engine, adapter(CANDIDATE), None, Material()))
    assert "rank 64 is more than 32" in report.markdown(found)


@given(st.text(min_size=1, max_size=60))
def test_no_answer_breaks_the_table(text: str) -> None:
    cell = report._cell(text)
    assert "\n" not in cell
    assert "|" not in cell.replace("\\|", "")
