"""What customers ask in their own words: the files, and the conversations that are made of them."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from assistant import examples, grounding
from feedback.records import PASSAGES, as_said
from training.starter import customers, grounded, heads, library, reading, smalltalk
from training.starter.reading import says_value

EXAM = Path(__file__).parents[2]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()


def test_every_document_is_asked_for_and_every_answer_holds_what_it_tells() -> None:
    told = customers.told()
    assert {one.document for one in told} == {path.stem for path in library.folder().glob("*.md")}
    for one in told:
        assert any(one.quote in section.text for section in library.of(one.document)), one
        assert says_value(one.quote.lower(), one.value.lower()), one
        assert all(says_value(text.lower(), one.value.lower()) for text in (*one.says, one.sentence)), one
        assert len(one.asks) >= 8
        assert len(set(one.asks)) == len(one.asks)


def test_no_question_of_a_benchmark_is_learnt() -> None:
    lines = [
        json.loads(line)
        for name in ("shop", "unanswered")
        for line in (EXAM / "benchmarks" / "questions" / f"{name}.jsonl").read_text("utf-8").splitlines()
    ]
    exam = {_plain(one["question"]) for one in lines}
    for line in (EXAM / "examples" / "approved_answers.jsonl").read_text("utf-8").splitlines():
        one = json.loads(line)
        exam |= {_plain(text) for text in (one["question"], *one["again"])}
    asked = {_plain(text) for one in customers.told() for text in one.asks}
    asked |= {_plain(text) for one in customers.approved() for text in one.asks}
    assert not exam & asked


def test_every_attribute_of_a_scene_has_wider_wordings_that_the_score_does_not_use() -> None:
    for scene in reading.scenes().values():
        for one in scene["attribute"]:
            assert len(one["more_asks"]) >= 8
            assert all("{n}" in line for line in (*one["more_asks"], *one["more_states"]))
            assert all("{v}" in line for line in one["more_states"])
    rng = random.Random(1)
    wide = {
        line.split("{n}")[0] for one in reading.scenes()["product"]["attribute"] for line in one["more_asks"]
    }
    asks = [
        ask
        for _ in range(200)
        for one in reading.passage(rng, "product", fresh=True).details
        for ask in one.asks
    ]
    assert not [ask for ask in asks if any(part and len(part) > 12 and ask.startswith(part) for part in wide)]


def test_what_is_found_holds_the_answer_or_is_said_not_to() -> None:
    rng, having = random.Random(2), Counter[bool]()
    for _ in range(400):
        wanted, found, has = customers.found(rng)
        whole = "\n".join(found.texts)
        assert has is (wanted.quote in whole)
        if not has:
            assert wanted.value.lower() not in whole.lower()
        for one in found.told:
            assert one.quote in whole
            assert says_value(one.quote.lower(), one.value.lower())
        having[has] += 1
    assert 0.03 < having[False] / 400 < 0.2


def test_numbers_are_mostly_others_than_in_the_documents() -> None:
    rng = random.Random(3)
    same = {one.quote for one in customers.told()}
    drawn = [customers.found(rng)[0] for _ in range(300)]
    numbered = [one for one in drawn if re.search(r"\d", one.quote)]
    assert 0.3 < sum(one.quote in same for one in numbered) / len(numbered) < 0.6


def test_prompts_look_as_the_product_makes_them() -> None:
    """What the model learns to read must be what it is sent."""
    rng = random.Random(4)
    found = customers.Found(("Shipping › Cost\n6 euros.", "Returns\n45 days."), ())
    kept = [
        {"number": 1, "kind": "document", "title": "Shipping › Cost", "text": "6 euros."},
        {"number": 2, "kind": "document", "title": "Returns", "text": "45 days."},
    ]
    ask = {"role": "user", "content": "How much?"}
    assert [found.prompt("How much?")] == grounding.with_passages([ask], kept)
    assert [customers.Found((), ()).prompt("How much?")] == grounding.with_passages([ask], [])
    head = [{"role": "system", "content": heads.SYSTEM_PROMPT}]
    sent = examples.as_example([*head, ask], "What does it cost?", "6 euros.")
    assert (
        sent[0]["content"] == f"{heads.SYSTEM_PROMPT}\n\n{customers.EXAMPLES}[1] What does it cost?\n6 euros."
    )
    for _ in range(50):
        made = grounded.approved(rng).messages
        if made[0]["role"] == "system" and customers.EXAMPLES in made[0]["content"]:
            first = next(one for one in made if one["role"] == "assistant")
            assert first["content"] in made[0]["content"]


@pytest.mark.parametrize(
    "make", [grounded.found, grounded.nothing, grounded.by_heart, grounded.approved, grounded.nearest]
)
def test_conversations_are_whole(make) -> None:
    rng = random.Random(5)
    for _ in range(100):
        messages = make(rng).messages
        roles = [one["role"] for one in messages if one["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(one["content"].strip() for one in messages)
        assert not any(one["content"].startswith(PASSAGES[0]) for one in as_said(messages))


def test_nothing_found_is_said() -> None:
    rng = random.Random(6)
    assert all(smalltalk.admits(grounded.nothing(rng).messages[-1]["content"]) for _ in range(50))


def test_approved_answers_are_said_to_the_letter() -> None:
    rng, same = random.Random(7), 0
    for _ in range(200):
        messages = grounded.approved(rng).messages
        said = [one["content"] for one in messages if one["role"] == "assistant"]
        same += said[-1] in said[:-1]
    assert same > 150


def test_every_question_has_the_lines_that_are_nearest_to_it() -> None:
    kept = json.loads((Path(customers.__file__).parent / "customers" / "nearest.json").read_text("utf-8"))
    assert len(kept["near"]) == sum(len(one.asks) for one in customers.told())
    assert all(len(set(some)) == 8 and max(some) < len(kept["lines"]) for some in kept["near"])
    texts = {some.text for some in library.sections()}
    assert sum(any(line in text for text in texts) for _, line in kept["lines"]) == len(kept["lines"])


def test_what_is_nearest_mostly_has_the_answer_and_else_nobody_pretends() -> None:
    rng, having = random.Random(8), 0
    for _ in range(300):
        wanted, _, found, has = customers.nearest(rng)
        assert has is (wanted.value.lower() in "\n".join(found.texts).lower())
        having += has
        answer = grounded.nearest(rng).messages[-1]["content"]
        assert answer.strip()
    assert having > 240
