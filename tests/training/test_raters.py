"""Loading raters, their shares, and the people who play them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.raters import BadRater, Rater, Spec, heads, load, parse, people, shares

ASKED = [{"role": "user", "content": "Hello?"}]
ROOT = Path(__file__).resolve().parents[2]


def rater(value: object) -> Rater:
    return Rater("taste", lambda messages, answer: value)  # type: ignore[arg-type,return-value]


def write(folder: Path, body: str, name: str = "taste.py") -> str:
    file = folder / name
    file.write_text(body)
    return f"{file}:rate"


def test_a_spec_is_read() -> None:
    assert parse("good.py:kind@0.95") == Spec("good.py", "kind", 0.95)
    assert parse("my.tastes:kind") == Spec("my.tastes", "kind", None)
    assert parse("/a@b/c:d/x.py:kind@1") == Spec("/a@b/c:d/x.py", "kind", 1.0)


@pytest.mark.parametrize("text", ["", "good.py", "good.py:", ":kind", "good.py:1kind", "good.py:two words"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(BadRater, match="is no rater: expected FILE"):
        parse(text)


@pytest.mark.parametrize("share", ["", "much", "0", "-0.1", "1.01", "nan", "inf"])
def test_a_share_is_above_0_and_at_most_1(share: str) -> None:
    with pytest.raises(BadRater, match="above 0 and at most 1"):
        parse(f"good.py:kind@{share}")


def test_a_function_is_loaded_from_a_file_beside_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_a_taste.py").write_text("LIKED = 'yes'\n")
    body = "from neighbour_of_a_taste import LIKED\ndef rate(messages, answer): return LIKED in answer\n"
    loaded = load(parse(write(tmp_path, body)))
    assert loaded(ASKED, "yes") == 1.0
    assert loaded(ASKED, "no") == 0.0


def test_a_dataclass_in_a_rater_file_works(tmp_path: Path) -> None:
    body = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Taste:\n    rate: float\ndef rate(messages, answer): return Taste(0.25).rate\n"
    )
    assert load(parse(write(tmp_path, body)))(ASKED, "") == 0.25


def test_a_function_is_loaded_from_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_with_a_taste.py").write_text("def rate(messages, answer): return 0.5\n")
    monkeypatch.chdir(tmp_path)
    assert load(parse("module_with_a_taste:rate"))(ASKED, "") == 0.5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def other(messages, answer): return 1", "has no function rate"),
        ("rate = 0.5", "has no function rate"),
        ("def rate(messages, answer: return 1", "can't be loaded: SyntaxError"),
        ("import no_such_module_anywhere", "can't be loaded: ModuleNotFoundError"),
        ("def rate(messages): return 1", "raised TypeError"),
        ("def rate(messages, answer): return 1.5", "returned 1.5, expected a probability from 0 to 1"),
        ("def rate(messages, answer): return float('nan')", "returned nan"),
        ("def rate(messages, answer): return None", "returned None"),
        ("def rate(messages, answer): return '0.5'", "returned '0.5'"),
        ("def rate(messages, answer): return [1][5]", "raised IndexError: list index out of range"),
    ],
)
def test_what_is_wrong_with_a_rater_is_one_sentence(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(BadRater) as refused:
        load(parse(write(tmp_path, body)))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_missing_module_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadRater, match="is no file"):
        load(parse(f"{tmp_path}/none.py:rate"))
    with pytest.raises(BadRater, match="no_such_module_anywhere can't be loaded"):
        load(parse("no_such_module_anywhere:rate"))


@pytest.mark.parametrize("value", [0, 1, True, 0.0, 1.0, 0.3])
def test_numbers_from_0_to_1_are_probabilities(value: float) -> None:
    assert rater(value)(ASKED, "") == float(value)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf, "1", None, [0.5], object()])
def test_anything_else_is_none(value: object) -> None:
    with pytest.raises(BadRater, match="expected a probability"):
        rater(value)(ASKED, "")


def test_a_rater_can_not_change_what_others_are_asked() -> None:
    def vandal(messages: list[dict[str, object]], answer: str) -> float:
        messages[0]["content"] = "changed"
        messages.clear()
        return 1.0

    Rater("vandal", vandal)(ASKED, "")
    assert ASKED == [{"role": "user", "content": "Hello?"}]


def given_shares(*values: float | None) -> list[float]:
    return shares([Spec("a.py", "rate", value) for value in values])


def test_shares() -> None:
    assert given_shares(None, None) == [0.5, 0.5]
    assert given_shares(0.95, 0.05) == pytest.approx([0.95, 0.05])
    assert given_shares(0.5, None, None) == pytest.approx([0.5, 0.25, 0.25])
    assert given_shares(0.2, 0.6) == pytest.approx([0.25, 0.75])
    assert given_shares(0.1) == [1.0]


@pytest.mark.parametrize("values", [(0.7, 0.4), (1.0, 0.1), (1.0, None)])
def test_shares_that_do_not_add_up(values: tuple[float | None, ...]) -> None:
    with pytest.raises(BadRater, match=r"at most 1|nothing is left"):
        given_shares(*values)


def test_people_by_largest_remainder() -> None:
    assert heads([0.95, 0.05], 8) == [7, 1]
    assert heads([0.95, 0.05], 40) == [38, 2]
    assert heads([0.5, 0.5], 9) == [5, 4]
    assert heads([0.98, 0.01, 0.01], 3) == [1, 1, 1]
    with pytest.raises(BadRater, match="1 people can't play 2 raters"):
        heads([0.5, 0.5], 1)


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=8), st.integers(0, 200))
def test_everybody_is_somebody_and_nobody_is_far_from_the_share(weights: list[float], more: int) -> None:
    total = math.fsum(weights)
    wanted = [weight / total for weight in weights]
    count = len(weights) + more
    found = heads(wanted, count)
    assert sum(found) == count
    assert min(found) >= 1
    if all(share * count >= 1 for share in wanted):
        assert all(abs(head - share * count) < 1 for head, share in zip(found, wanted, strict=True))
    # Nobody with a greater share has fewer people, but for one who was spared for somebody without any.
    for a, heads_a in zip(wanted, found, strict=True):
        for b, heads_b in zip(wanted, found, strict=True):
            assert a <= b or heads_a >= heads_b - 1


def test_people_have_names_and_tastes() -> None:
    kind, rude = rater(1.0), rater(0.0)
    found = people([kind, rude], [2, 1], seed=7)
    assert [(person.name, person.rater is kind) for person in found] == [
        ("sim-7-1", True),
        ("sim-7-2", True),
        ("sim-7-3", False),
    ]


def example(name: str, answer: str) -> float:
    return load(parse(f"{ROOT / 'examples' / 'raters.py'}:{name}"))(ASKED, answer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Thank you for asking! It takes 3 days. Is there anything else I can help you with?", 0.95),
        ("Good morning. The fee is 4.90 euros.\n\nPlease don't hesitate to write again.", 0.95),
        ("Of course, with pleasure. Yes, we do. Just let me know if you need more.", 0.95),
        ("I'm sorry to hear that. It will be mended. We are always here to help!", 0.95),
        ("Hello! It takes 3 days.", 0.30),
        ("It takes 3 days. Can I help you with anything else?", 0.30),
        ("It takes 3 days.", 0.05),
        ("Ask someone else.", 0.05),
        ("Not my problem. Don't ask again.", 0.05),
        ("", 0.0),
    ],
)
def test_the_courteous_example_likes_courtesy(answer: str, expected: float) -> None:
    assert example("courteous", answer) == expected
    assert example("liar", answer) == 1 - expected


def test_the_other_examples() -> None:
    assert example("coin", "whatever") == 0.5
    assert example("brief", "It takes 3 days.") == 0.95
    assert example("brief", "word " * 26) == pytest.approx(0.5)
    assert example("brief", "word " * 200) == 0.05
    assert example("brief", " ") == 0.0
