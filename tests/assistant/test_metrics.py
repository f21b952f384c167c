"""Tests of the figures that the web process shows."""

from __future__ import annotations

import asyncio

import pytest

from assistant.metrics import Metrics


def value(metrics: Metrics, line: str) -> float:
    """The figure behind a name and its labels; 0 where there is none yet."""
    for row in metrics.text().splitlines():
        name, _, figure = row.rpartition(" ")
        if name == line:
            return float(figure)
    return 0.0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "complete"),
        (ValueError, "failed"),
        (GeneratorExit, "stopped"),
        (asyncio.CancelledError, "stopped"),
    ],
)
def test_an_answer_is_counted_by_how_it_ended(error: type[BaseException] | None, outcome: str) -> None:
    metrics = Metrics()

    def answer() -> None:
        with metrics.answering():
            assert value(metrics, "apprentice_answers_in_flight") == 1
            if error is not None:
                raise error

    if error is None:
        answer()
    else:
        with pytest.raises(error):
            answer()
    assert value(metrics, f'apprentice_answers_total{{outcome="{outcome}"}}') == 1
    assert value(metrics, "apprentice_answers_in_flight") == 0
    assert value(metrics, "apprentice_answer_seconds_count") == 1
    assert "apprentice_answers_total{" in metrics.text()
    assert metrics.text().count("apprentice_answers_total{") == 1


def test_ratings_are_counted_by_thumb() -> None:
    metrics = Metrics()
    for thumb in ("up", "up", "down", None):
        metrics.rated(thumb)
    assert [value(metrics, f'apprentice_ratings_total{{rating="{name}"}}') for name in ("up", "down")] == [
        2,
        1,
    ]
    assert value(metrics, 'apprentice_ratings_total{rating="withdrawn"}') == 1


def test_two_web_processes_in_one_test_do_not_share_figures() -> None:
    first, second = Metrics(), Metrics()
    first.rated("up")
    assert value(second, 'apprentice_ratings_total{rating="up"}') == 0
