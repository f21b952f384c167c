"""How a run's training is drawn."""

from __future__ import annotations

from assistant.ui import curve_view
from training.curves import Curve, Point

POINTS = tuple(Point(n, 2 / n, n / 10, 1e-4) for n in range(1, 9))


def curve(**values: object) -> Curve:
    return Curve(**{"part": "train", "points": POINTS, "step": 8, "steps": 90, "left": 75.0} | values)  # type: ignore[arg-type]


def test_the_loss_and_the_pairs_are_drawn_and_told_in_words() -> None:
    html = curve_view.draw(curve(), "running")
    assert html.count("<figure>") == 2
    assert "Loss. 2 at step 1, 0.25 at step 8" in html
    assert "step 8 of 90 · training · about 1 min 15 s left of training · learning rate 0.0001" in html
    assert "left of training" not in curve_view.draw(curve(), "done")


def test_without_shares_there_is_only_the_loss_and_one_point_is_drawn() -> None:
    html = curve_view.draw(curve(points=(Point(1, 0.0, None, None),)), "running")
    assert html.count("<figure>") == 1
    assert "h0" in html


def test_before_there_is_a_curve_it_says_so() -> None:
    assert "after the examples are gathered" in curve_view.draw(None, "running")
    assert "when training begins" in curve_view.draw(None, "queued")
    assert "on this machine" in curve_view.draw(None, "done")
    assert "Now: loading the model." in curve_view.draw(curve(points=(), part="load"), "running")
    assert "&lt;b&gt;" in curve_view.draw(curve(points=(), part="<b>"), "running")


def test_the_smoothed_line_begins_at_the_first_value_and_follows() -> None:
    found = curve_view.smoothed([1.0, 1.0, 0.0, 0.0])
    assert [round(value, 3) for value in found[:2]] == [1.0, 1.0]
    assert 1.0 > found[2] > found[3] > 0.0


def test_the_log_is_text() -> None:
    assert curve_view.log("") == ""
    assert "&lt;script&gt;" in curve_view.log("<script>")
