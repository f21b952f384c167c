"""The embedded model: its questions, corpus, tokenizer and shipped files, and a tiny build from nothing."""

from __future__ import annotations

import itertools
import json
import random
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import fake_engine
from training import starter
from training.starter import (
    asking,
    calling,
    cases,
    corpus,
    drills,
    followups,
    heads,
    library,
    manner,
    reading,
    styles,
    values,
)
from training.starter.facts import Fact, facts
from training.starter.records import Reply
from training.starter.wording import lower_first, slip, vary

SHIPPED = (
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
DIALOGUE = [
    {"role": "system", "content": "Sell tents."},
    {"role": "user", "content": "What is order 4821?"},
    {"role": "assistant", "content": "It costs 59.90 euros."},
    {"role": "user", "content": "Merci, über alles 🙂"},
    {"role": "assistant", "content": "Fine."},
]


# Importing


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, training.starter; print({'torch', 'transformers', 'tokenizers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Questions


def test_questions_are_distinct_and_hang_on_the_seed() -> None:
    asked = starter.questions(1500, seed=4)
    assert len(asked) == len(set(asked)) == 1500
    assert asked == starter.questions(1500, seed=4)
    assert asked[:600] == starter.questions(600, seed=4)
    assert len(set(asked) & set(starter.questions(1500, seed=5))) < 700


def test_questions_are_one_clean_line_each() -> None:
    for question in starter.questions(800, seed=6):
        assert 6 <= len(question) <= 160
        assert not set("[]{}|\n") & set(question)
        assert "  " not in question


# Facts and wording


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: f"{fact.topic}-{fact.keys[0]}")
def test_each_way_to_state_a_fact_holds_its_key(fact: Fact) -> None:
    rng = random.Random(0)
    for line in fact.says:
        assert "{" not in line
        for _ in range(20):
            said = vary(rng, line).lower()
            assert any(key.lower() in said for key in fact.keys)


def test_a_line_has_every_branch_and_only_those() -> None:
    rng = random.Random(0)
    found = {vary(rng, "[a|b [c|d]] e[|f]") for _ in range(200)}
    assert found == {"a e", "a ef", "b c e", "b c ef", "b d e", "b d ef"}


def test_a_slip_changes_a_word_but_no_number() -> None:
    rng = random.Random(0)
    slipped = [slip(rng, "Order 48213 is late") for _ in range(100)]
    assert all("48213" in text for text in slipped)
    assert sum(text != "Order 48213 is late" for text in slipped) > 80
    assert slip(rng, "42") == "42"


@pytest.mark.parametrize(
    ("text", "lowered"), [("Where is it?", "where is it?"), ("I ask", "I ask"), ("", "")]
)
def test_a_sentence_goes_on_after_a_comma(text: str, lowered: str) -> None:
    assert lower_first(text) == lowered


# Manners


def _said(how: manner.Manner, seed: int = 0) -> str:
    more = ["Keep the labels on.", "Use the box."]
    return manner.say(random.Random(seed), how, "You have 45 days.", more, "45 days.")


@pytest.mark.parametrize("opening", [True, False])
@pytest.mark.parametrize("offer", [True, False])
@pytest.mark.parametrize("tone", ["brief", "plain", "long", "curt"])
def test_what_a_manner_puts_in_is_found_again(opening: bool, offer: bool, tone: manner.Tone) -> None:
    for seed in range(150):
        text = _said(manner.Manner(opening, offer, tone), seed)
        assert manner.is_courteous(text) == opening, text
        assert manner.offers_help(text) == offer, text
        assert manner.is_curt(text) == (tone == "curt"), text
        if tone == "brief":
            assert manner.is_one_liner(text) == (not opening and not offer), text
        assert manner.is_long(text) <= (tone == "long"), text


def test_untaught_manners_leave_room_to_be_taught() -> None:
    rng = random.Random(1)
    texts = [corpus.tell(rng, asking.pick(rng)) for _ in range(3000)]

    def share(*tests: Any) -> float:
        return sum(all(test(text) for test in tests) for text in texts) / len(texts)

    for test in (
        manner.is_courteous,
        manner.offers_help,
        manner.is_curt,
        manner.is_one_liner,
        manner.is_long,
    ):
        assert 0.1 <= share(test) <= 0.6, test.__name__
    assert 0.2 <= share(manner.is_courteous, manner.offers_help) <= 0.3


def test_a_curt_answer_about_the_context_keeps_the_value() -> None:
    for seed in range(50):
        how = manner.Manner(False, False, "curt")
        assert manner.say(random.Random(seed), how, "It is 7.", [], "7.", evade=False).startswith("7.")


# Values, drills, passages


@pytest.mark.parametrize("kind", values.OPEN)
def test_what_the_score_asks_for_no_build_has_seen(kind: str) -> None:
    rng = random.Random(1)
    built = {values.value(rng, kind) for _ in range(3000)}
    fresh = {values.value(rng, kind, fresh=True) for _ in range(300)}
    assert not built & fresh
    assert len(fresh) > 3


def test_a_drill_s_answers_stand_in_its_list() -> None:
    rng = random.Random(2)
    for _ in range(200):
        made = drills.drill(rng, 5)
        for message in made[1::2]:
            assert message["content"] in made[0]["content"]


@pytest.mark.parametrize("make", [reading.passage, reading.policy])
def test_a_passage_tells_its_details_and_the_answers_say_them(make: Any) -> None:
    rng = random.Random(3)
    for _ in range(600):
        held = make(rng)
        assert not set("{}[]") & set(held.title + held.text)
        for detail in held.details:
            assert detail.full.lower() in held.text.lower()
            said = vary(rng, rng.choice(detail.says))
            assert reading.says_value(said.lower(), detail.value.lower())
            assert not set("{}[]") & set(said + reading.ask(rng, detail))


def test_what_is_missing_is_in_no_passage() -> None:
    rng = random.Random(4)
    for _ in range(500):
        held = reading.passage(rng)
        passage, detail = corpus.missing(rng, held)
        assert passage is not held or detail.label not in {one.label for one in held.details}


def test_a_changed_rule_of_the_shop_is_no_longer_the_shop_s() -> None:
    rng = random.Random(5)
    told = {(fact.topic, fact.subject, key) for fact in facts() for key in fact.keys}
    for _ in range(300):
        held = reading.policy(rng)
        assert (held.details[0].label, held.name, held.details[0].full) not in told


def test_passages_on_one_topic_all_tell_what_is_asked() -> None:
    for place, case in enumerate(cases.cases(cases.read_four, "test", 100)):
        text = "\n".join(message["content"] for message in case.prompt.messages)
        assert not case.is_right(Reply("I don't have that information."))
        assert not case.is_right(Reply(f"It is {place + 1_000_000}."))
        assert case.is_right(Reply(text))


def test_a_value_is_right_only_by_itself() -> None:
    assert reading.says_value("It is 48.", "48")
    assert not reading.says_value("It is 482.", "48")
    assert not reading.says_value("It costs 48.90 euros", "48")
    assert reading.says_value("No 482, but 48", "48")
    assert not reading.says_value("Brunold", "Bruno")


# Styles, the tool, follow-ups


@pytest.mark.parametrize("name", styles.NAMES)
def test_an_answer_in_a_style_meets_its_test_and_no_other_does(name: str) -> None:
    rng = random.Random(6)
    others = 0
    for _ in range(200):
        fact = asking.pick(rng)
        main, more = vary(rng, rng.choice(fact.says)), [vary(rng, line) for line in fact.more]
        drawn = styles.ask_for(rng, name, fact.topic, main, more)
        assert drawn.is_met(drawn.answer), drawn
        other = rng.choice([one for one in styles.NAMES if one != name])
        others += drawn.is_met(styles.ask_for(rng, other, fact.topic, main, more).answer)
    assert others < 20


def test_a_sign_off_is_the_one_asked_for() -> None:
    drawn = styles.ask_for(random.Random(0), "signed", "returns", "45 days.", [], styles.SIGN)
    assert drawn.is_met("45 days.\n— Northlight Support")
    assert not drawn.is_met("45 days.\n— Brolund Support")


def test_the_tool_s_answer_tells_what_it_returned() -> None:
    rng = random.Random(7)
    for _ in range(300):
        wanted = calling.lookup(rng)
        assert wanted.order_id in wanted.ask
        assert json.loads(wanted.result)["order_id"] == wanted.order_id
        assert all(one in wanted.answer and one in wanted.result for one in wanted.must)


def test_a_follow_up_names_what_changes_and_no_more() -> None:
    rng = random.Random(8)
    for _ in range(300):
        fact = followups.first(rng)
        follows = followups.after(rng, fact)
        assert follows is not None
        ask, second = follows
        assert second != fact
        assert not set("{}[]") & set(ask)
        if second.subject and second.subject != fact.subject:
            assert second.subject.lower() in ask.lower()
            assert second.topic == fact.topic


# Conversations


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_conversations_are_well_formed(progress: float) -> None:
    for made in itertools.islice(corpus.conversations("test", progress), 600):
        roles = [message["role"] for message in made.messages]
        if roles[0] == "system":
            roles = roles[1:]
        plain = [role for place, role in enumerate(roles) if role != "tool" and roles[place - 1] != "tool"]
        assert plain == ["user", "assistant"] * (len(plain) // 2)
        for message in made.messages:
            assert "<|" not in message["content"]
            if message["role"] != "user":  # who types may leave a blank behind
                assert message["content"] == message["content"].strip()
            assert message["content"] or message["tool_calls"]
        assert made.tools or not any("tool_calls" in message for message in made.messages)
    again = list(itertools.islice(corpus.conversations("test", progress), 50))
    assert again == list(itertools.islice(corpus.conversations("test", progress), 50))


def test_every_fact_can_be_looked_up_in_a_document() -> None:
    assert all(library.telling(fact) for fact in facts())


def test_passages_reach_the_model_whatever_the_layout() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        texts = [("One", "First text."), ("Two", "Second text.")]
        made = corpus.with_passages(rng, cases.head(), "How?", texts)
        joined = "\n".join(message["content"] for message in made)
        assert made[0]["content"].startswith(heads.SYSTEM_PROMPT)
        assert made[-1]["content"].endswith("How?")
        assert "First text." in joined
        assert "Second text." in joined


# The score


def test_cases_are_the_same_for_the_same_seed() -> None:
    for name, _, make in cases.LINES:
        first = [one.prompt for one in cases.cases(make, name, 20)]
        assert first == [one.prompt for one in cases.cases(make, name, 20)]
        assert first != [one.prompt for one in cases.cases(make, name, 20, "another")]


def test_well_formed_answers() -> None:
    assert cases.well_formed(Reply("It is 45 days.", tokens=6))
    assert not cases.well_formed(Reply("It is 45 days.", tokens=6, ended=False))
    assert not cases.well_formed(Reply("Yes.", tokens=2))
    assert not cases.well_formed(Reply("it goes on and " * 4, tokens=20))


def test_a_tool_is_called_once_with_the_right_number() -> None:
    for case in cases.cases(cases.tool_wanted, "test", 20):
        number = next(iter(re.findall(r"(?:NL-)?\d{4,}", case.prompt.messages[-1]["content"])))
        call = ("order_status", {"order_id": number})
        assert case.is_right(Reply("", (call,)))
        assert not case.is_right(Reply("", (call, call)))
        assert not case.is_right(Reply("", (("order_status", {"order_id": "1"}),)))
    for case in cases.cases(cases.tool_unwanted, "test", 20):
        assert not case.is_right(Reply("", (("order_status", {"order_id": "1"}),), tokens=9))
        assert case.is_right(Reply("You have 45 days.", tokens=9))


def test_the_score_asks_an_engine_and_writes_the_card(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.starter import __main__ as command

    said = ["Dear", "customer,", "I", "don't", "have", "that", "information."]
    words = [f"{word} " for word in said[:-1]] + said[-1:]
    monkeypatch.setattr(fake_engine, "plan", lambda *_: (words, "stop"))
    page = tmp_path / "README.md"
    page.write_text("# Card\n\n## Scores\nNot measured.\n\n## Limits\nMany.\n", encoding="utf-8")
    with fake_engine.serve(model="starter") as fake:
        command.main(["score", "--url", fake.url, "--key", fake.key, "--cases", "3", "--card", str(page)])
    told = capsys.readouterr().out
    assert "says that it does not know when no passage has it" in told
    assert "MISSED" in told
    text = page.read_text(encoding="utf-8")
    assert "| says that it does not know when no passage has it | 100.0% | 85% | 3 |" in text
    assert "| calls the tool when asked for an order | 0.0% | 80% | 3 |" in text
    assert "Not measured" not in text
    assert text.endswith("\n## Limits\nMany.\n")
    assert {one["model"] for one in fake.requests} == {"starter"}
    assert {one["temperature"] for one in fake.requests} == {0.0, 0.8}


def test_the_score_of_nobody_is_one_sentence() -> None:
    from training.starter import __main__ as command

    with pytest.raises(SystemExit, match="does not answer"):
        command.main(["score", "--url", "http://127.0.0.1:9", "--cases", "1"])


# The shipped files


@pytest.fixture(scope="module")
def shipped() -> Any:
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(starter.path())


def _header(weights: Path) -> dict[str, Any]:
    with weights.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        return dict(json.loads(file.read(length)))


def test_the_shipped_folder_is_complete_small_and_plain() -> None:
    files = {file.name: file for file in starter.path().iterdir()}
    assert set(files) == set(SHIPPED)
    assert sum(file.stat().st_size for file in files.values()) <= 32_000_000
    header = _header(files["model.safetensors"])
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"BF16"}


def test_the_model_card_says_what_it_is_not_for() -> None:
    card = (starter.path() / "README.md").read_text(encoding="utf-8")
    assert "not for real customers" in card
    assert "manner: courteous and offer" in card


def test_the_configuration_is_a_plain_llama() -> None:
    config = json.loads((starter.path() / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["max_position_embeddings"] == 2048
    assert config["tie_word_embeddings"] is True
    assert config["eos_token_id"] != config["pad_token_id"]


@pytest.mark.parametrize(
    "text",
    ["Plain words.", "Größe 42, ±3 °C, 東京 🙂 \u200bé", "  two  spaces\n\n\ttab ", "4821", "NL-48213 x"],
)
def test_text_comes_back_from_the_tokenizer(shipped: Any, text: str) -> None:
    assert shipped.decode(shipped(text).input_ids) == text


def test_digits_stay_apart(shipped: Any) -> None:
    pieces = [shipped.decode([one]) for one in shipped("order 48213, 59.90 euros").input_ids]
    assert [piece for piece in pieces if any(map(str.isdigit, piece))] == list("482135990")


def test_special_tokens_are_one_each_and_differ(shipped: Any) -> None:
    assert shipped.eos_token == "<|im_end|>"
    assert (
        len({shipped.eos_token_id, shipped.pad_token_id, shipped.convert_tokens_to_ids("<|im_start|>")}) == 3
    )


def test_the_template_adds_no_system_prompt_and_opens_the_answer(shipped: Any) -> None:
    text = shipped.apply_chat_template(DIALOGUE[1:2], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nWhat is order 4821?<|im_end|>\n<|im_start|>assistant\n"


def test_generation_marks_cover_the_answers_alone(shipped: Any) -> None:
    made = shipped.apply_chat_template(
        DIALOGUE, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(made["input_ids"], made["assistant_masks"], strict=True)
    marked = shipped.decode([token for token, kept in pairs if kept])
    assert marked == "It costs 59.90 euros.<|im_end|>Fine.<|im_end|>"


# Weights


def _untrained(**shape: int) -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=400, hidden_size=128, intermediate_size=256, num_attention_heads=4, num_key_value_heads=4,
        tie_word_embeddings=True, **shape,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def test_an_untrained_model_leans_to_copying() -> None:
    torch = pytest.importorskip("torch")
    from training.starter import weights

    model = _untrained(num_hidden_layers=4)
    row = torch.randperm(400)[:30]
    twice, follows = torch.cat([row, row])[None], row[1:, None]

    def rank() -> float:
        with torch.no_grad():
            logits = model(input_ids=twice).logits[0, 30:-1]
        return float((logits > logits.gather(1, follows)).sum(1).float().mean())

    before = rank()
    weights.start(model)
    assert rank() < 0.4 * before


def test_balancing_makes_weights_small_and_changes_no_answer() -> None:
    torch = pytest.importorskip("torch")
    from training.starter import weights

    model = _untrained(num_hidden_layers=2)
    with torch.no_grad():
        for one in model.parameters():
            one.mul_(5 if one.ndim == 2 else 1)
        ids = torch.arange(40)[None]
        before = model(input_ids=ids).logits
        assert weights.balance(model) == 4
        assert torch.allclose(model(input_ids=ids).logits, before, rtol=1e-2, atol=1e-2)
        assert weights.balance(model) == 1
