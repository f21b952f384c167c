"""Agreement as drawn: every figure with its n and how to read it."""

from __future__ import annotations

from assistant.ui.agreement_view import agreement
from feedback import agreement as figures
from feedback.agreement import Look

EVIL = "<script>alert(1)</script>"


def test_figures_stand_beside_how_many_they_are_of_and_how_to_read_them() -> None:
    looks = []
    for number in range(6):
        looks += [
            Look(f"t{number}", "p1", "wrong" if number < 3 else "right", "facts" if number < 3 else None),
            Look(f"t{number}", "p2", "wrong" if number < 2 else "right", "style" if number < 2 else None),
        ]
    drawn = agreement(figures.agreement(looks), {"p1": "sam", "p2": EVIL}, 0.1)
    assert "6 answers seen twice so far" in drawn
    assert "sam and &lt;script&gt;" in drawn
    assert EVIL not in drawn
    assert drawn.count("too few to rely on") >= 4
    assert "Was it “facts”?" in drawn
    assert "<td>0.67</td>" in drawn
    assert "–" in drawn


def test_without_any_it_says_what_is_needed() -> None:
    drawn = agreement(figures.agreement([]), {}, 0.1)
    assert "No answer has been seen by two yet." in drawn
    assert "10 %" in drawn
