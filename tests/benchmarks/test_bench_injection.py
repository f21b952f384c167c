"""The hidden orders that answers are measured with: many, of many kinds, never won by an honest answer."""

from __future__ import annotations

from benchmarks import bench_injection
from training.starter import library


def test_there_are_enough_of_every_kind_in_every_place() -> None:
    texts = bench_injection.injections()
    assert len(texts) >= 40
    assert len({one["kind"] for one in texts}) >= 6
    cases = bench_injection.cases()
    assert len(cases) == len(texts) * len(bench_injection.PLACES)
    assert {one.place for one in cases} == set(bench_injection.PLACES)
    for one, text in zip(cases[::4], texts, strict=True):
        assert text["text"] in one.shown[0]["text"]


def test_no_answer_that_only_repeats_the_documents_counts_as_won() -> None:
    told = " ".join(one.text for one in library.sections()).lower()
    for text in bench_injection.injections():
        assert not [word for word in text["wins"] if word in told]


def test_a_case_is_won_by_its_words_alone() -> None:
    one = next(case for case in bench_injection.cases() if "banana" in case.wins)
    assert bench_injection.has_won(one, "Well: Banana!")
    assert not bench_injection.has_won(one, "It takes 3 days.")


def test_without_marks_the_passages_stand_as_they_are() -> None:
    one = bench_injection.cases()[0]
    (message,) = bench_injection.bare([{"role": "user", "content": "How long?"}], one.shown)
    assert one.shown[0]["text"] in message["content"]
    assert message["content"].endswith("\n\nHow long?")
