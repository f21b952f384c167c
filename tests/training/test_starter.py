"""The embedded model: its questions, corpus, tokenizer and shipped files, and a tiny build from nothing."""

from __future__ import annotations

import itertools
import json
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training import starter
from training.starter import asking, corpus, drills, manner
from training.starter.facts import Fact, facts
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


# Conversations


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_conversations_are_well_formed(progress: float) -> None:
    for made in itertools.islice(corpus.conversations("test", progress), 400):
        roles = [message["role"] for message in made]
        if roles[0] == "system":
            roles = roles[1:]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        for message in made:
            assert message["content"] == message["content"].strip() != ""
            assert "<|" not in message["content"]
            assert "{" not in message["content"]
    again = itertools.islice(corpus.conversations("test", progress), 50)
    assert list(again) == list(itertools.islice(corpus.conversations("test", progress), 50))


def test_a_drill_s_answers_stand_in_its_list() -> None:
    rng = random.Random(2)
    for _ in range(200):
        made = corpus.drill(rng)
        for message in made[1::2]:
            assert message["content"] in made[0]["content"]


@pytest.mark.parametrize("seed", range(30))
def test_a_passage_holds_its_value_and_so_does_the_answer(seed: int) -> None:
    found = drills.lookup(random.Random(seed))
    assert found.value in found.passage
    assert found.value in found.says
    assert found.value not in found.ask


def test_passages_reach_the_model_whatever_the_layout() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        head = [{"role": "system", "content": corpus.SYSTEM_PROMPT}]
        made = corpus.with_passages(rng, head, "How?", [("One", "First text."), ("Two", "Second text.")])
        joined = "\n".join(message["content"] for message in made)
        assert made[0]["content"].startswith(corpus.SYSTEM_PROMPT)
        assert made[-1]["content"].endswith("How?")
        assert "First text." in joined
        assert "Second text." in joined


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
    assert sum(file.stat().st_size for file in files.values()) <= 12_000_000
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


def test_labels_are_the_answers(shipped: Any) -> None:
    from training.starter.build import IGNORED, encode

    ids, labels = encode(shipped, DIALOGUE)
    assert len(ids) == len(labels)
    assert shipped.decode([one for one in labels if one != IGNORED]).startswith("It costs 59.90 euros.")


# Measures and building


def test_a_value_is_right_only_by_itself() -> None:
    from training.starter.score import has_value

    assert has_value("It is 48.", "48")
    assert not has_value("It is 482.", "48")
    assert has_value("No 482, but 48", "48")
    assert not has_value("Brunold", "Bruno")


def test_well_formed_answers() -> None:
    from training.starter.score import Answer, well_formed

    assert well_formed(Answer("It is 45 days.", 6, True))
    assert not well_formed(Answer("It is 45 days.", 6, False))
    assert not well_formed(Answer("Yes.", 2, True))
    assert not well_formed(Answer("it goes on and " * 4, 20, True))


def test_the_rate_starts_small_peaks_and_falls() -> None:
    from training.starter.build import BuildRecipe, rate

    recipe = BuildRecipe(warmup=10)
    assert rate(recipe, 0, 0.0) == pytest.approx(0.1)
    assert rate(recipe, 20, 0.0) == pytest.approx(1.0)
    assert rate(recipe, 900, 1.0) == pytest.approx(0.02)


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_tiny_build_writes_a_folder_that_loads_and_answers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from training.starter.build import BuildRecipe, build
    from training.starter.score import Speaker, opening

    out = tmp_path / "deep" / "model"
    recipe = BuildRecipe(
        minutes=0,
        steps=3,
        vocab=400,
        width=32,
        layers=2,
        heads=2,
        inner=64,
        batch_tokens=512,
        tokenizer_texts=60,
    )
    took = build(out, recipe, cases=0)
    assert took["steps"] == 3
    assert {file.name for file in out.iterdir()} == set(SHIPPED)
    assert [file.name for file in out.parent.iterdir()] == ["model"]
    first = (out / "model.safetensors").read_bytes()
    build(out, recipe, cases=0)
    assert (out / "model.safetensors").read_bytes() == first
    answer = Speaker(out).answers([opening("Hi")], temperature=0.8)[0]
    assert answer.tokens <= 128
