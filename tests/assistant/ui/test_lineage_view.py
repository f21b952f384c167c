"""One adapter, as text: lineage, figures beside the live one, answers side by side."""

from __future__ import annotations

from assistant.ui import lineage_view
from tests.assistant.ui.test_admin_views import BAD, adapter
from tests.assistant.ui.turns import NOON
from tests.training.test_lineage import MANIFEST
from training import lineage
from training.records import CanaryStep, Evaluation, Promotion

GAIN = {"mean": 0.1, "low": 0.02, "high": 0.2}
FIGURES = {
    "guards": [
        {
            "name": BAD,
            "count": 12,
            "base": 0.5,
            "live": 0.6,
            "candidate": 0.7,
            "to_live": GAIN,
            "to_base": None,
        },
        {
            "name": "refusals",
            "count": 9,
            "base": 1,
            "live": 1,
            "candidate": 1,
            "to_live": None,
            "to_base": None,
        },
    ],
    "answers": [{"question": f"Why? {BAD}", "base": "x", "live": BAD, "candidate": "Because."}] * 20,
}


def test_it_names_what_it_is_made_of_and_how_it_did() -> None:
    one = adapter(manifest=MANIFEST)
    found = Evaluation(one.name, "lora-live", "passed", (), FIGURES, NOON)
    history = [Promotion(1, one.name, "promote", BAD, BAD, NOON)]
    steps = [CanaryStep(1, one.name, None, 0.05, "start", BAD, BAD, {}, NOON)]
    html = lineage_view.draw(one, lineage.of(one), [("lora-2", "run-2")], found, history, steps)
    for text in (
        "3: 2 from siblings, 1 rehearsed",
        "3 votes of 2 people",
        "2 too long",
        "lora-2 (run-2)",
        "few pairs",
        "torch",
        "+10% (+2% to +20%)",
        "12 answers side by side",
        "Then live (lora-live)",
        "canary start at 5%",
        f'href="/admin/reports/{one.name}"',
    ):
        assert text in html, text
    assert "<script>" not in html


def test_one_of_which_little_is_known_is_drawn_too() -> None:
    one = adapter()
    html = lineage_view.draw(one, lineage.of(one), [], None, [], [])
    assert one.name in html
    assert "side by side" not in html
