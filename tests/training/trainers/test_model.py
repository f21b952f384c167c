"""The base model, the adapter's files, and the log-probabilities that the engine is compared with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import make_adapter
from tests.training.trainers.pairs import example
from training.records import Recipe, Refused

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def model() -> Any:
    from training.trainers import model

    return model


def recipe(base: Path, **changes: Any) -> Recipe:
    return Recipe(**{"method": "dpo", "base": str(base), "rank": 8, "alpha": 16, **changes})


def tuned(model: Any, base: Path) -> tuple[Any, Any]:
    """A PEFT model whose B are not zero, and its tokenizer."""
    from peft import get_peft_model

    loaded, tokenizer = model.load(recipe(base), [example(0)])
    torch.manual_seed(0)
    made = get_peft_model(loaded, model.lora(recipe(base)))
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    return made, tokenizer


def test_weights_are_float32_and_attention_is_plain_where_that_is_faster(model: Any, base: Path) -> None:
    loaded, _ = model.load(recipe(base), [example(0)])
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    assert loaded.config._attn_implementation == "eager"
    endless = example(0, prompt=({"role": "user", "content": "word " * 40_000},))
    loaded, _ = model.load(recipe(base, max_length=32_768), [endless])
    assert loaded.config._attn_implementation == "sdpa"


def test_pickled_weights_are_not_read(model: Any, base: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(base, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(Refused, match="cannot be loaded"):
        model.load(recipe(pickled), [example(0)])


def test_export_is_two_files_and_nothing_else(model: Any, base: Path, tmp_path: Path) -> None:
    made, _ = tuned(model, base)
    for folder in (tmp_path / "one", tmp_path / "two"):
        model.export(made, "the/base", folder)
        assert sorted(path.name for path in folder.iterdir()) == [
            "adapter_config.json", "adapter_model.safetensors"
        ]  # fmt: skip
    config = json.loads((tmp_path / "one" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "the/base"
    assert config["target_modules"] == sorted(config["target_modules"])
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_numbers_that_are_none_are_not_exported(model: Any, base: Path, tmp_path: Path) -> None:
    made, _ = tuned(model, base)
    with torch.no_grad():
        next(weight for weight in made.parameters() if weight.requires_grad)[0, 0] = float("inf")
    with pytest.raises(model.NotFinite, match="NaN or infinite"):
        model.export(made, "the/base", tmp_path / "adapter")
    assert list(tmp_path.glob("*adapter*")) == []


def test_parity_is_what_a_fresh_load_computes(model: Any, base: Path, tmp_path: Path) -> None:
    """The same adapter, read from its files by PEFT alone, gives the same log-probabilities."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made, tokenizer = tuned(model, base)
    model.export(made, str(base), tmp_path / "adapter")
    examples = [example(number) for number in range(6)]
    rows = model.parity(made, tokenizer, examples)
    assert len(rows) == model.PARITY_EXAMPLES
    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    fresh = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    for row, one in zip(rows, examples, strict=False):
        text = tokenizer.apply_chat_template(
            [dict(message) for message in one.prompt], add_generation_prompt=True, tokenize=False
        )
        whole = tokenizer(text + one.chosen + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = fresh(input_ids=torch.tensor([whole])).logits[0]
        found = torch.log_softmax(logits, -1)[torch.arange(len(whole) - 1), whole[1:]][-len(row["tokens"]) :]
        assert row["tokens"] == whole[-len(row["tokens"]) :]
        assert row["tokens"][-1] == tokenizer.eos_token_id
        assert torch.allclose(found, torch.tensor(row["logprobs"]), atol=1e-4)


def test_an_adapter_without_effect_is_like_the_base(model: Any, base: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    loaded, tokenizer = model.load(recipe(base), [example(0)])
    quiet = make_adapter(tmp_path / "adapter", base, scale=0.0)
    before = model.parity(loaded, tokenizer, [example(0)])
    assert before == model.parity(PeftModel.from_pretrained(loaded, quiet), tokenizer, [example(0)])
