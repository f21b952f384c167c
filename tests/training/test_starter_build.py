"""Making the embedded model: tokenizer and template, batches, the step, and builds that stop and go on."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.starter.records import Conversation

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from training.starter import batching, build, corpus, tokenizer  # noqa: E402
from training.starter.forward import Forward  # noqa: E402

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "What became of an order.",
            "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
        },
    }
    for name in ("order_status", "refund")
]


def _call(arguments: Any, name: str = "order_status") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


CALLING: list[dict[str, Any]] = [
    {"role": "system", "content": "Sell tents."},
    {"role": "user", "content": "Where is order 48213, Zoë? 🙂"},
    {"role": "assistant", "content": None, "tool_calls": [_call({"order_id": "48213"})]},
    {"role": "tool", "content": '{"state": "sent"}'},
    {"role": "assistant", "content": "It is on its way."},
    {"role": "user", "content": "And both of these?"},
    {"role": "assistant", "content": "Let me look.", "tool_calls": [_call('{"order_id": "1"}'), _call("{}")]},
    {"role": "tool", "content": "one"},
    {"role": "tool", "content": "two"},
    {"role": "assistant", "content": "🙂 Both are sent."},
]
RECIPE = build.BuildRecipe(
    steps=6,
    vocab=400,
    width=32,
    layers=2,
    heads=2,
    inner=64,
    batch_tokens=1024,
    warmup=2,
    tokenizer_texts=60,
    keep_every=2,
)


@pytest.fixture(scope="module")
def tok() -> Any:
    return tokenizer.train(build.texts("test", 200), 600)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds without the compiler, which takes longer than the rest of a test."""
    monkeypatch.setattr("training.starter.forward.can_compile", lambda: False)


def _shown(tok: Any, messages: list[dict[str, Any]], **more: Any) -> str:
    return str(tok.apply_chat_template(messages, tokenize=False, **more))


# Tokenizer and template


def test_marks_are_one_token_each_and_stay_in_what_a_parser_reads(tok: Any) -> None:
    for mark in tokenizer.TOOL_MARKS:
        ids = tok(mark).input_ids
        assert len(ids) == 1
        assert tok.decode(ids, skip_special_tokens=True) == mark
    for mark in (tokenizer.START, tokenizer.END):
        assert tok.decode(tok(mark).input_ids, skip_special_tokens=True) == ""
    assert len(tok) == 600


def test_digits_stay_apart_and_text_comes_back(tok: Any) -> None:
    for text in ("order 48213, 59.90 euros", "Größe 42, 東京 🙂", "  two  spaces\n\n\ttab "):
        pieces = [tok.decode([one]) for one in tok(text).input_ids]
        assert [piece for piece in pieces if any(map(str.isdigit, piece))] == [c for c in text if c.isdigit()]
        assert tok.decode(tok(text).input_ids) == text


def test_tools_stand_at_the_end_of_the_system_turn(tok: Any) -> None:
    lines = "\n".join(json.dumps(tool["function"]) for tool in TOOLS)
    text = _shown(tok, CALLING[:2], tools=TOOLS)
    assert text.startswith(
        f"<|im_start|>system\nSell tents.\n\n<tools>\n{lines}\n</tools><|im_end|>\n<|im_st"
    )
    text = _shown(tok, CALLING[1:2], tools=TOOLS, add_generation_prompt=True)
    assert text.startswith(f"<|im_start|>system\n<tools>\n{lines}\n</tools><|im_end|>\n<|im_start|>user\n")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert "<tools>" not in _shown(tok, CALLING[:2], tools=[])


def test_calls_and_what_tools_say_are_written_as_hermes_does(tok: Any) -> None:
    text = _shown(tok, CALLING)
    assert (
        "<|im_start|>assistant\n<tool_call>\n"
        '{"name": "order_status", "arguments": {"order_id": "48213"}}\n</tool_call><|im_end|>\n'
        '<|im_start|>user\n<tool_response>\n{"state": "sent"}\n</tool_response><|im_end|>\n'
    ) in text
    assert (
        'Let me look.<tool_call>\n{"name": "order_status", "arguments": {"order_id": "1"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "order_status", "arguments": {}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\none\n</tool_response>\n"
        "<tool_response>\ntwo\n</tool_response><|im_end|>\n"
    ) in text


def test_content_may_be_missing_or_come_in_parts(tok: Any) -> None:
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]
    assert _shown(tok, [{"role": "user", "content": parts}]) == "<|im_start|>user\nHello there<|im_end|>\n"
    for empty in ({"role": "assistant"}, {"role": "assistant", "content": None}):
        assert _shown(tok, [empty]) == "<|im_start|>assistant\n<|im_end|>\n"


def test_vllm_reads_the_calls_back(tok: Any) -> None:
    parsers = pytest.importorskip("vllm.tool_parsers.hermes_tool_parser")
    text = _shown(tok, CALLING[6:7]).removeprefix("<|im_start|>assistant\n").removesuffix("<|im_end|>\n")
    found = parsers.Hermes2ProToolParser(tok).extract_tool_calls(text, None)
    assert found.content == "Let me look."
    assert [(one.function.name, one.function.arguments) for one in found.tool_calls] == [
        ("order_status", '{"order_id": "1"}'),
        ("order_status", "{}"),
    ]


# Batches


def _pool(tok: Any, count: int = 60) -> list[batching.Encoded]:
    rng = random.Random(5)
    return batching.encode(tok, [corpus.conversation(rng, 1.0) for _ in range(count)])


def test_encoding_is_what_the_template_s_own_mask_says(tok: Any) -> None:
    rng = random.Random(4)
    made = [Conversation(CALLING, TOOLS), Conversation(CALLING[:5]), Conversation(CALLING[1:2])]
    made += [corpus.conversation(rng, progress) for progress in (0.0, 1.0) for _ in range(40)]
    for one, (ids, labels) in zip(made, batching.encode(tok, made), strict=True):
        wanted = tok.apply_chat_template(
            one.messages,
            tools=one.tools,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        assert ids == wanted["input_ids"]
        mask = wanted["assistant_masks"]
        assert labels == [token if kept else batching.IGNORED for token, kept in zip(ids, mask, strict=True)]
    said = tok.decode([one for one in batching.encode(tok, made[:1])[0][1] if one != batching.IGNORED])
    assert said.count("<tool_call>") == 3
    assert said.endswith("🙂 Both are sent.<|im_end|>")


def _rows(batch: batching.Batch) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
    pairs = zip(batch.places.tolist(), batch.targets.tolist(), strict=True)
    scored = {place: target for place, target in pairs if target != batching.IGNORED}
    width = batch.ids.shape[1]
    for at, segments in enumerate(batch.segments):
        for number in range(1, segments.max() + 1):
            places = (segments == number).nonzero()[0].tolist()
            kept = [(p - places[0], scored.get(at * width + p, -100)) for p in places]
            yield batch.ids[at, places].tolist(), [(p, one) for p, one in kept if one != -100]


def test_packing_loses_nothing_and_keeps_the_shapes(tok: Any) -> None:
    pool = [([7] * size, [-100, *[7] * (size - 1)]) for size in (1000, 600, 300, 200, 200, 100, 90, 30)]
    # Now and then a conversation is longer than the longest row: the build leaves it out
    pool += [(ids, labels) for ids, labels in _pool(tok) if len(ids) <= batching.LENGTHS[-1]]
    made = batching.pack(pool, 4096, 50)
    assert {one.ids.shape for one in made} <= {(16, 256), (8, 512), (5, 768), (4, 1024)}
    found = sorted(itertools.chain(*map(_rows, made)))
    # The first place whose next token is scored lies one before that token
    wanted = [
        (ids, [(p - 1, labels[p]) for p in range(1, len(ids)) if labels[p] >= 0]) for ids, labels in pool
    ]
    assert found == sorted(wanted)
    assert all(len(one.places) % batching.BLOCK == 0 for one in made)
    assert not batching.pack([([1] * 1025, [1] * 1025)], 4096, 5)


def test_a_chunk_is_full_and_hangs_on_seed_and_number(tok: Any) -> None:
    made = batching.chunk(tok, 1, 3, 0.5, 4096)
    assert len(made) == batching.CHUNK
    assert sum((one.segments > 0).sum() for one in made) > 0.9 * sum(one.ids.size for one in made)
    again, other = batching.chunk(tok, 1, 3, 0.5, 4096), batching.chunk(tok, 1, 4, 0.5, 4096)
    assert all((a.ids == b.ids).all() for a, b in zip(made, again, strict=True))
    assert any(a.ids.shape != b.ids.shape or (a.ids != b.ids).any() for a, b in zip(made, other, strict=True))


def test_the_stream_is_the_chunks_in_order_and_ends_with_its_block(tok: Any, tmp_path: Path) -> None:
    tok.save_pretrained(tmp_path)
    order = batching.Order(str(tmp_path), 1, 512)
    os.environ.pop("TOKENIZERS_PARALLELISM", None)
    with batching.Stream(order, 64, first=30) as stream:
        made = list(itertools.islice(stream, 4))
        process = stream._process
    assert not process.is_alive()
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    wanted = [
        *batching.chunk(tok, 1, 0, 0.0, 512)[30:],
        *batching.chunk(tok, 1, 1, 0.5, 512)[:2],
    ]
    assert all((a.ids == b.ids).all() for a, b in zip(made, wanted, strict=True))


def test_a_failure_of_the_other_process_is_raised_here(tmp_path: Path) -> None:
    order = batching.Order(str(tmp_path / "none"), 1, 512)
    with pytest.raises(RuntimeError, match="batches failed"), batching.Stream(order, 64) as stream:
        next(iter(stream))


# The step


def _model(layers: int = 3) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=600, hidden_size=64, intermediate_size=96, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=True, initializer_range=0.2,
        )
    )  # fmt: skip


@pytest.mark.parametrize("length", [256, 512])
def test_the_loss_is_that_of_transformers_packed_or_not(tok: Any, length: int) -> None:
    pool = [one for one in _pool(tok) if len(one[0]) <= length][:12]
    rows: list[list[batching.Encoded]] = [[] for _ in range(12)]
    for one in pool:
        next(row for row in rows if sum(len(e[0]) for e in row) + len(one[0]) <= length).append(one)
    batch = batching._batch(length, [row for row in rows if row])
    assert batch.segments.max() > 1
    model = _model()
    ours = Forward(model, torch.float32, compiled=False).loss(batch)
    ours.backward()
    moved = {name: one.grad.clone() for name, one in model.named_parameters()}
    model.zero_grad()
    count, total = 0, torch.zeros(())
    for ids, labels in pool:
        many = sum(one != -100 for one in labels[1:])
        if many:
            out = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels]))
            total, count = total + out.loss * many, count + many
    theirs = total / count
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for name, one in model.named_parameters():
        assert torch.allclose(moved[name], one.grad, rtol=2e-3, atol=1e-5), name
    quick = Forward(model, compiled=False).loss(batch)
    assert quick.item() == pytest.approx(theirs.item(), rel=2e-2)


def test_the_rate_rises_stays_drops_and_falls_to_nothing() -> None:
    recipe = build.BuildRecipe(warmup=10)
    assert build.rate(recipe, 0, 1000) == pytest.approx(0.1)
    assert build.rate(recipe, 10, 1000) == pytest.approx(0.99)
    assert build.rate(recipe, 500, 1000) == pytest.approx(0.5)
    assert 0 < build.rate(recipe, 999, 1000) < 0.01
    assert build.rate(recipe, 50, 0) == 1.0


def test_minutes_become_steps() -> None:
    assert build.planned(build.BuildRecipe(steps=0, minutes=10), 60.0, 15.0) == 50 + 1080


# Builds


@pytest.mark.filterwarnings("ignore")
def test_a_build_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parted = tmp_path / "whole" / "model", tmp_path / "parted" / "model"
    took = build.build(whole, RECIPE)
    assert took["steps"] == 6
    assert 6 * 768 <= took["tokens"] <= 6 * 1024
    assert [file.name for file in whole.parent.iterdir()] == ["model"]

    real, calls = build.one_step, itertools.count()

    def stopped(*given: Any) -> float:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(build, "one_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        build.build(parted, RECIPE)
    assert {file.name for file in parted.parent.iterdir()} == {".model.building"}
    monkeypatch.setattr(build, "one_step", real)
    assert build.build(parted, replace(RECIPE, seed=9), resume=True)["steps"] == 6
    name = "model.safetensors"
    assert (parted / name).read_bytes() == (whole / name).read_bytes()
    assert [file.name for file in parted.parent.iterdir()] == ["model"]


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        build.build(tmp_path / "model", RECIPE, resume=True)


@pytest.mark.slow
def test_the_compiled_step_agrees_with_the_plain_one(tok: Any) -> None:
    from training.starter.forward import can_compile

    if not can_compile():
        pytest.skip("no C++ compiler")
    model = _model(1)
    batch = batching.pack(_pool(tok), 512, 1)[0]
    plain, compiled = (Forward(model, torch.float32, compiled=way).loss(batch) for way in (False, True))
    assert compiled.item() == pytest.approx(plain.item(), rel=1e-5)


def test_new_words_are_learnt_on_top_of_an_old_vocabulary(tok) -> None:
    texts = ["the rucksack and the freight"] * 20
    more = tokenizer.extended(tok, texts, len(tok) + 20)
    assert len(tok) < len(more) <= len(tok) + 20
    assert sorted(more.get_vocab().values()) == list(range(len(more)))
    assert set(tok.get_vocab()) <= set(more.get_vocab())
    for text in ("the rucksack, 48213 times <tool_call>", "Zoë 🙂 freight"):
        assert more.decode(more(text)["input_ids"]) == text
        assert len(more(text)["input_ids"]) <= len(tok(text)["input_ids"])
    assert more.chat_template == tok.chat_template


def test_known_tokens_keep_their_rows_and_new_ones_begin_as_the_mean_of_their_parts(tok) -> None:
    from training.starter import weights

    more = tokenizer.extended(tok, ["the rucksack"] * 20, len(tok) + 3)
    rows = torch.randn(len(tok), 8)
    made = weights.reworded(rows, tok, more)
    old, new = tok.get_vocab(), more.get_vocab()
    assert made.shape == (len(more), 8)
    assert all(torch.equal(made[new[token]], rows[old[token]]) for token in old)
    fresh = next(token for token in new if token not in old)
    parts = [old[one.value] for one in tok.backend_tokenizer.model.tokenize(fresh)]
    assert torch.allclose(made[new[fresh]], rows[parts].mean(0))


def test_a_build_goes_on_from_a_finished_model(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    build.build(first, RECIPE)
    took = build.build(second, replace(RECIPE, vocab=440, steps=2), first=first)
    assert took["steps"] == 2
    config = json.loads((second / "config.json").read_text())
    assert 400 < config["vocab_size"] <= 440
    assert (config["hidden_size"], config["num_hidden_layers"]) == (RECIPE.width, RECIPE.layers)
    assert "taught more" in (second / "README.md").read_text()


def test_balancing_is_undone_before_more_is_learnt(tok) -> None:
    from training.starter import weights

    model = build.new_model(RECIPE, tok)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.up_proj.weight.fill_(0.8)
    before = {name: one.clone() for name, one in model.named_parameters()}
    assert weights.balance(model) == weights.unbalance(model) > 1
    assert all(torch.equal(before[name], one) for name, one in model.named_parameters())
