"""Tests of exported rows with tools: what is in them, and that `datasets` and TRL read them as they are."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feedback import dialogues
from feedback.exchange import write_rows
from feedback.records import BETWEEN, Correction, Judged, Turn, prompt_key
from training import tool_pairs
from training.records import Example
from training.screening import held_out, unfit
from training.starter import calling

NOW = datetime(2026, 5, 1, tzinfo=UTC)
OPENING = next(text for text in map(str, range(99)) if not held_out(text))
KEPT_BACK = next(text for text in map(str, range(99)) if held_out(text))
PLAIN = Example(({"role": "user", "content": "Hi"},), "Good day.", "Yo.", "votes", (), (), "Hi")


def turn(number: int = 0, **more: Any) -> Turn:
    """A turn in which the shop's tool was called."""
    rng = random.Random(number)
    order = calling.lookup(rng)
    prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": order.ask}]
    called = calling.call(order.order_id)
    plain = Turn(
        id=f"turn-{number}",
        conversation_id="conv-1",
        parent_id=None,
        person_id="ann",
        question=order.ask,
        prompt=prompt,
        prompt_key=prompt_key(prompt),
        answer=order.answer,
        adapter=None,
        model="base",
        sampling={"tools": [calling.tool(rng)]},
        status="complete",
        created_at=NOW,
        steps=(called, {**calling.returned(order.result), "failed": False, "seconds": 0.1}),
    )
    return replace(plain, **more)


def corrected(one: Turn, text: str = "It is on its way, and comes soon.", opening: str = OPENING) -> Judged:
    return Judged(one, opening, (), (Correction(7, one.id, "ann", "user", text, NOW),))


def test_a_correction_is_preferred_to_what_was_said_after_the_call() -> None:
    first, second = tool_pairs.rows([corrected(turn())], [PLAIN])
    assert [message["role"] for message in first["prompt"]] == ["system", "user", "assistant", "tool"]
    assert "seconds" not in first["prompt"][-1]
    assert first["chosen"][0]["content"] == "It is on its way, and comes soon."
    assert first["rejected"][0]["content"] == turn().answer
    assert (first["votes"], first["people"]) == (["correction:7"], ["ann"])
    assert json.loads(first["tools"])[0]["function"]["name"] == "order_status"
    assert second == PLAIN.as_row() | {"tools": "[]"}
    assert list(first) == list(second)


def test_words_before_the_call_are_not_said_again_after_its_result() -> None:
    call, result = turn().steps
    start = f"Let me look.{BETWEEN}"
    whole = turn(steps=({**call, "content": "Let me look."}, result), answer=start + turn().answer)
    [row] = tool_pairs.rows([corrected(whole, f"{start}It comes soon.")], [])
    assert row["prompt"][2]["content"] == "Let me look."
    assert (row["chosen"][0]["content"], row["rejected"][0]["content"]) == ("It comes soon.", turn().answer)
    # Who changed nothing after the call prefers nothing.
    assert list(tool_pairs.rows([corrected(whole, f"{start}{turn().answer.upper()}")], [])) == []


def test_the_same_turn_is_not_learned_from_by_a_run() -> None:
    assert unfit(turn()) == "tool_calls"


@pytest.mark.parametrize(
    "item",
    [
        corrected(turn(), opening=KEPT_BACK),
        corrected(turn(steps=())),
        corrected(turn(status="stopped")),
        corrected(turn(), turn().answer),
        corrected(turn(), ""),
        corrected(turn(answer="")),
        Judged(turn(), OPENING),
    ],
)
def test_what_prefers_nothing_is_left_out(item: Judged) -> None:
    assert list(tool_pairs.rows([item], [])) == []


# -- the real readers ------------------------------------------------------------------------------


def loaded(rows: Sequence[dict[str, Any]], file: Path) -> Any:
    import datasets

    write_rows(rows, file)
    return datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(file.parent))


@pytest.mark.slow
def test_trainers_read_the_files_as_they_are(tmp_path: Path) -> None:
    """Each row becomes the very tokens that the engine's template gives for the dialogue."""
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    from training import starter

    model = str(starter.path())
    tokenizer = AutoTokenizer.from_pretrained(model)
    turns = [turn(number) for number in range(6)]
    common: dict[str, Any] = {"output_dir": str(tmp_path / "out"), "report_to": "none", "use_cpu": True}

    def rendered(one: Turn) -> list[int]:
        messages = [*dialogues.prompt(one), *dialogues.completion(one)]
        found = tokenizer.apply_chat_template(messages, tools=one.sampling["tools"], return_dict=True)
        return list(found["input_ids"])

    told = [
        {
            "prompt": dialogues.prompt(one),
            "completion": dialogues.completion(one),
            "tools": dialogues.tools(one),
        }
        for one in turns
    ]
    said = {
        "prompt": [{"role": "user", "content": "Hi"}],
        "completion": [{"role": "assistant", "content": "Yo"}],
    }
    told.append(said | {"tools": "[]"})
    config = SFTConfig(**common, assistant_only_loss=True, max_length=None)
    sft = SFTTrainer(
        model, config, train_dataset=loaded(told, tmp_path / "sft.jsonl"), processing_class=tokenizer
    )
    for one, row in zip(turns, sft.train_dataset, strict=False):
        assert list(row["input_ids"]) == rendered(one)
        text = tokenizer.decode([label for label in row["labels"] if label >= 0])
        assert "<tool_call>" in text
        assert "<tool_response>" not in text

    pairs = list(tool_pairs.rows([corrected(one) for one in turns], [PLAIN]))
    dpo = DPOTrainer(
        model,
        args=DPOConfig(**common),
        train_dataset=loaded(pairs, tmp_path / "dpo.jsonl"),
        processing_class=tokenizer,
    )
    for row in list(dpo.train_dataset)[: len(turns)]:
        prompt = tokenizer.decode(row["prompt_ids"])
        assert "<tools>" in prompt
        assert "<tool_response>" in prompt
        assert prompt.endswith("<|im_start|>assistant\n")
        assert tokenizer.decode(row["chosen_ids"]).startswith("It is on its way")
