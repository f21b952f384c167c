"""The plugin for LoRA on a CPU: when it steps aside, and whole answers on real engines."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from assistant.engine import cpu_lora
from assistant.engine.client import AdapterRef, Engines
from tests import real_engine, tiny_model
from tests.assistant.engine.test_client import made
from training import starter


@pytest.mark.parametrize(
    ("switch", "version", "said"), [("0", "0.32.0", "=0"), ("1", "0.33.1", "0.33.1"), ("1", "?", "not one")]
)
def test_it_steps_aside_with_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, switch: str, version: str, said: str
) -> None:
    monkeypatch.setenv(cpu_lora.SWITCH, switch)
    monkeypatch.setattr(cpu_lora, "_version", lambda: version)
    monkeypatch.setattr(cpu_lora, "install", lambda: pytest.fail("installed"))
    with caplog.at_level(logging.INFO):
        cpu_lora.register()
    assert len(caplog.records) == 1
    assert said in caplog.text


async def _answers(engines: Engines, adapters: list[AdapterRef | None]) -> tuple[list[str], list[Any]]:
    """Whole answers at temperature 0, all at once, so that batches are mixed, and a few log-probabilities.

    Half way one adapter is dropped, so that the last one takes its place in the server.
    """
    bodies = [
        {
            "messages": [{"role": "user", "content": f"Where is parcel {number}? " * (1 + number % 7 * 9)}],
            "max_tokens": 20 + number,
            "temperature": 0,
        }
        for number in range(16)
    ]
    texts = []
    for held in (adapters[:-1], [None, *adapters[2:]]):
        asked = [engines.chat(body, held[place % len(held)]) for place, body in enumerate(bodies)]
        texts += [one["choices"][0]["message"]["content"] for one in await asyncio.gather(*asked)]
        if dropped := adapters[1]:
            await engines.unload(dropped.name)
    marks = [await engines.logprobs(bodies[0]["messages"], "It arrives today.", one) for one in adapters]
    return texts, marks


async def _both_ways(
    folder: Path, model: Path, adapters: list[AdapterRef | None], **more: Any
) -> list[tuple[list[str], list[Any]]]:
    """What is answered by our products, and by vLLM's own."""
    found = []
    for fast in (True, False):
        home = folder / f"home-{fast}"
        home.mkdir()
        with real_engine.running(home, model, cpu_lora=fast, **more):
            async with real_engine.reached(home) as engines:
                found.append(await _answers(engines, adapters))
        log = (home / "logs" / "engine.log").read_text(errors="replace")
        assert ("LoRA runs by grouped products" in log) == fast
    return found


@pytest.mark.engine
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("dtype", "near"), [("float32", 2e-3), ("bfloat16", 0.1)])
async def test_whole_answers_are_the_same_as_by_vllm_s_own_operations(
    tmp_path: Path, anyio_backend: str, dtype: str, near: float
) -> None:
    model = tiny_model.make(tmp_path / "model")
    ranks = (8, 16, 32, 64)
    adapters = [None, *(made(tmp_path, number, rank=rank) for number, rank in enumerate(ranks, 1))]
    # Prompts are longer than a batch, so they are read in pieces.
    extra = ("--max-num-batched-tokens", "128", "--max-num-seqs", "32")
    # One place stays empty: with all taken, vLLM's own operations read the last for those who ask the base.
    more = {"dtype": dtype, "max_lora_rank": 64, "max_loras": 5, "extra": extra}
    (ours, our_marks), (theirs, their_marks) = await _both_ways(tmp_path, model, adapters, **more)
    if dtype == "float32":  # in bf16 a near tie falls either way
        assert ours == theirs
    for mine, stock in zip(our_marks, their_marks, strict=True):
        assert mine == pytest.approx(stock, abs=near)
    assert len({repr(one) for one in our_marks}) == len(adapters), "every adapter speaks for itself"


@pytest.mark.engine
@pytest.mark.timeout(120)
async def test_the_base_answers_as_ever_beside_as_many_adapters_as_there_is_room_for(
    tmp_path: Path, anyio_backend: str
) -> None:
    model = tiny_model.make(tmp_path / "model")
    adapters = [None, *(made(tmp_path, number, rank=8) for number in (1, 2))]
    body = {"messages": [{"role": "user", "content": "Where is it?"}], "max_tokens": 40, "temperature": 0}
    with real_engine.running(tmp_path, model, max_loras=2, dtype="float32"):
        async with real_engine.reached(tmp_path) as engines:
            alone = (await engines.chat(body, None))["choices"][0]["message"]["content"]
            among = await asyncio.gather(*(engines.chat(body, one) for one in adapters))
    found = [one["choices"][0]["message"]["content"] for one in among]
    assert found[0] == alone
    assert len(set(found)) == 3


@pytest.mark.engine
@pytest.mark.timeout(300)
async def test_adapters_of_words_and_output_answer_the_same(tmp_path: Path, anyio_backend: str) -> None:
    model = starter.path()
    adapters = [None, *(_of_words(tmp_path, number, model, name) for number, name in enumerate(_WORDS, 1))]
    (ours, our_marks), (theirs, their_marks) = await _both_ways(tmp_path, model, adapters, dtype="float32")
    assert ours == theirs
    for mine, stock in zip(our_marks, their_marks, strict=True):
        assert mine == pytest.approx(stock, abs=2e-3)
    assert len({repr(one) for one in our_marks}) == len(adapters), "every adapter speaks for itself"


_WORDS = {
    "embed_tokens": ("model.embed_tokens.lora_embedding_A", "model.embed_tokens.lora_embedding_B"),
    "lm_head": ("lm_head.lora_A.weight", "lm_head.lora_B.weight"),
}


def _of_words(folder: Path, number: int, model: Path, target: str) -> AdapterRef:
    """An adapter of rank 8 on the words that go in, or on those that come out."""
    config = json.loads((model / "config.json").read_text())
    vocab, width = config["vocab_size"], config["hidden_size"]
    into, out = (vocab, width) if target == "embed_tokens" else (width, vocab)
    noise = np.random.default_rng(number)
    drawn = (noise.normal(0, 0.05, shape).astype(np.float32) for shape in ((8, into), (out, 8)))
    held = AdapterRef(f"lora-{number:012x}", folder / target)
    held.path.mkdir()
    weights = {f"base_model.model.{name}": one for name, one in zip(_WORDS[target], drawn, strict=True)}
    save_file(weights, held.path / "adapter_model.safetensors", metadata={"format": "pt"})
    written = {"peft_type": "LORA", "r": 8, "lora_alpha": 8, "bias": "none", "target_modules": [target]}
    (held.path / "adapter_config.json").write_text(json.dumps(written))
    return held


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
