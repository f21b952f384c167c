"""Questions grow into groups that keep their names."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.clusters import Group, Questions, Vectors, grow

NONE = np.zeros((0, 6), dtype=np.float32)


def near(axis: int, count: int = 1, seed: int = 0, spread: float = 0.2) -> Vectors:
    """Vectors of length one around an axis."""
    made = np.random.default_rng(seed + 10 * axis).normal(0, spread, (count, 6))
    made[:, axis] += 1
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)


def test_questions_for_the_same_thing_are_one_group() -> None:
    new = np.concatenate([near(0, 3), near(1, 2)])
    assert grow({}, new) == [Group(None, (0, 1, 2)), Group(None, (3, 4))]


def test_a_group_keeps_its_name_when_questions_are_added() -> None:
    groups = grow({"a": near(0, 3), "b": near(1, 3)}, np.concatenate([near(1, 1, seed=5), near(2, 1)]))
    assert groups == [Group("b", (0,)), Group(None, (1,))]


def test_members_never_leave_their_group() -> None:
    mixed = np.concatenate([near(0, 2), near(3, 2)])
    assert grow({"a": mixed}, near(5, 1)) == [Group(None, (0,))]


def test_two_groups_that_grew_together_become_the_older_one() -> None:
    between = near(0, spread=0.0) + near(1, spread=0.0)
    bridge = np.repeat(between / np.linalg.norm(between), 20, axis=0)
    assert grow({"a": near(0, 2, spread=0.0), "b": near(1, 2, spread=0.0)}, bridge) == [
        Group("a", tuple(range(20)), ("b",))
    ]


def test_what_is_settled_takes_questions_but_no_other_group() -> None:
    known = {"a": near(0, 2), "b": near(0, 2, seed=3)}
    assert grow(known, NONE) == [Group("a", (), ("b",))]
    assert grow(known, NONE, settled=["a"]) == []
    added = grow(known, near(0, 2, seed=7), settled=["a", "b"])
    assert sorted(place for group in added for place in group.members) == [0, 1]
    assert all(group.name in ("a", "b") and not group.merged for group in added)


def test_nothing_new_changes_nothing() -> None:
    assert grow({}, NONE) == []
    assert grow({"a": near(0, 3), "b": near(1, 1)}, NONE) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_same_questions_give_the_same_groups(seed: int) -> None:
    new = np.concatenate([near(axis, 4, seed, spread=0.4) for axis in range(4)])
    assert grow({}, new) == grow({}, new.copy())


def test_questions_are_named_by_the_one_that_is_closest_to_all() -> None:
    vectors = np.concatenate([near(2, 1), near(0, 3), near(1, 1)])
    asked = Questions(("far", "first", "second", "third", "else"), vectors)
    assert asked.middle in ("first", "second", "third")
    assert asked.some([0]).middle == "far"
    assert asked.first(1).with_more(asked.some([4])).texts == ("far", "else")
