"""The order of training: every row as often as its weight says, like lengths together, the same each time."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from training.trainers.schedule import order

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 5), st.integers(1, 16), st.integers(0, 9))
def test_equal_weights_are_exact_passes(lengths: list[int], epochs: int, batch: int, seed: int) -> None:
    made = order(lengths, [0.5] * len(lengths), epochs=epochs, batch_size=batch, seed=seed)
    assert Counter(made) == Counter(dict.fromkeys(range(len(lengths)), epochs))


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=40),
    st.integers(1, 12),
    st.integers(1, 8),
    st.integers(0, 9),
)
def test_a_weight_is_how_often_a_row_is_seen(
    weights: list[float], epochs: int, batch: int, seed: int
) -> None:
    made = Counter(order([1] * len(weights), weights, epochs=epochs, batch_size=batch, seed=seed))
    for row, weight in enumerate(weights):
        assert abs(made[row] - epochs * weight * len(weights) / sum(weights)) < 1 + 1e-9


def test_weights_do_not_change_the_number_of_steps() -> None:
    weights = [1.0] * 10 + [0.1] * 190
    made = order([1] * 200, weights, epochs=2, batch_size=4, seed=0)
    assert 380 <= len(made) <= 420
    assert Counter(made)[0] in (13, 14)


def test_a_part_of_a_pass() -> None:
    assert len(set(order([1] * 100, [1.0] * 100, epochs=0.25, batch_size=4, seed=0))) == 25
    assert len(order([1] * 100, [1.0] * 100, epochs=1.5, batch_size=4, seed=0)) == 150


def test_the_seed_decides() -> None:
    given = {"lengths": list(range(64)), "weights": [1.0] * 64, "epochs": 2, "batch_size": 4}
    assert order(**given, seed=1) == order(**given, seed=1) != order(**given, seed=2)  # type: ignore[arg-type]


def test_batches_hold_like_lengths() -> None:
    lengths = [10 + (37 * row) % 200 for row in range(240)]
    made = order(lengths, [1.0] * 240, epochs=2, batch_size=8, seed=0)
    batches = [[lengths[row] for row in made[at : at + 8]] for at in range(0, len(made), 8)]
    padded = sum(8 * max(batch) for batch in batches)
    assert padded < 1.15 * sum(map(sum, batches))
    # And not simply from short to long, which would be a schedule of its own.
    assert [max(batch) for batch in batches[:8]] != sorted(max(batch) for batch in batches[:8])
