"""The base model and its LoRA adapter: load, describe, export, and what the trained one thinks of an answer.

The same for every method. Knows PEFT and transformers; does not know how a loss is made.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from training.records import Example, Message, Recipe, Refused, TrainingError
from training.trainers.files import move_folder

PARITY_EXAMPLES = 4

EAGER_SCORES = 100_000_000
"""Below this (about a gigabyte), plain attention is used on the CPU: the backward pass of torch's fused one
took a third of a whole step in bfloat16 (torch 2.13, 16 rows of 80 tokens), this one a twentieth."""
LETTERS_A_TOKEN = 3


class NotFinite(TrainingError):
    """A loss or a weight became NaN or infinite; nothing of the run is worth keeping."""


def load(recipe: Recipe, examples: Sequence[Example]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model and its tokenizer. Raises `Refused` if either is missing or cannot chat.

    Weights stay in float32 on the CPU, where `dtype` only says whether products are made in bfloat16;
    on a GPU they are held in `dtype`, which halves the memory. Only safetensors are read, no code.
    """
    on_gpu = torch.cuda.is_available()
    held = torch.bfloat16 if on_gpu and recipe.dtype == "bfloat16" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(recipe.base, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            recipe.base, dtype=held, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise Refused(f"The base model {recipe.base} cannot be loaded: {_first_line(error)}") from error
    if tokenizer.chat_template is None or tokenizer.eos_token_id is None:
        raise Refused(f"The tokenizer of {recipe.base} has no chat template or no end-of-turn token.")
    if not on_gpu and _scores(model.config, recipe, examples) < EAGER_SCORES:
        model.set_attn_implementation("eager")
    return model, tokenizer


def _scores(config: Any, recipe: Recipe, examples: Sequence[Example]) -> int:
    """About how many scores plain attention would hold for one step (pairs, heads, layers, length²)."""
    longest = max(
        sum(len(str(message["content"])) for message in one.prompt) + max(len(one.chosen), len(one.rejected))
        for one in examples
    )
    length = min(recipe.max_length, longest // LETTERS_A_TOKEN + 64)
    text = config.get_text_config()
    return int(2 * recipe.batch_size * text.num_attention_heads * text.num_hidden_layers * length**2)


def lora(recipe: Recipe) -> LoraConfig:
    """A plain LoRA that vLLM can serve: no bias, no DoRA, no other module saved."""
    targets = recipe.target_modules
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=targets if isinstance(targets, str) else list(targets),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )


def export(model: PeftModel, base: str, folder: Path) -> None:
    """Leave `adapter_config.json` and `adapter_model.safetensors` in `folder`, whole or not at all.

    The bytes depend on the weights alone: sets in the configuration are sorted. Raises `NotFinite`.
    """
    for name, weight in model.named_parameters():
        if weight.requires_grad and not bool(torch.isfinite(weight).all()):
            raise NotFinite(f"The adapter holds NaN or infinite numbers in {name}.")
    partial = folder.with_name(f".{folder.name}.partial")
    model.save_pretrained(str(partial), selected_adapters=["default"], safe_serialization=True)
    (partial / "README.md").unlink(missing_ok=True)
    path = partial / "adapter_config.json"
    config = json.loads(path.read_bytes()) | {"base_model_name_or_path": base}
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    move_folder(partial, folder)


def parity(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, examples: Iterable[Example]
) -> list[dict[str, Any]]:
    """For the chosen answer of a few examples, what the engine must find as well.

    One entry an example: its `id`, the `tokens` of the answer with the end of the turn, and the natural
    logarithm of the probability of each (`logprobs`, in nats), in float32: `model` is cast in place.
    """
    model.float().eval()
    made = []
    for example in list(examples)[:PARITY_EXAMPLES]:
        prompt = prompt_ids(tokenizer, example.prompt)
        answer = [*tokenizer(example.chosen, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        made.append({"id": example.id, "tokens": answer, "logprobs": _logprobs(model, prompt, answer)})
    return made


def check_fit(tokenizer: PreTrainedTokenizerBase, examples: Iterable[Example], max_length: int) -> None:
    """Raise `Refused` if no prompt leaves room for an answer: TRL drops such rows, and fails without any."""
    if not any(len(prompt_ids(tokenizer, one.prompt)) < max_length for one in examples):
        raise Refused(f"No example is left: the prompt alone reaches {max_length} tokens in each.")


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message]) -> list[int]:
    """The token ids of a conversation up to where the assistant begins to speak."""
    made = tokenizer.apply_chat_template(
        [dict(message) for message in prompt], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(made["input_ids"])


@torch.no_grad()
def _logprobs(model: PeftModel, prompt: list[int], answer: list[int]) -> list[float]:
    ids = torch.tensor([prompt + answer], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    found = torch.log_softmax(logits.float(), dim=-1)
    values = found.gather(1, ids[0, len(prompt) :, None])[:, 0].tolist()
    if not all(map(math.isfinite, values)):
        raise NotFinite("The trained adapter gives answers a probability that is not a number.")
    return [round(value, 6) for value in values]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
