"""Checkpoints of a given shape with random weights, and LoRA adapters for them: good for speed alone.

Owns the files. Does not know what is measured with them.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shape:
    """A Qwen2 or Llama: layers, widths, heads, words."""

    architecture: str
    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    vocab: int

    @property
    def size(self) -> int:
        """Width of a head."""
        return self.width // self.heads


QWEN_HALF = Shape("Qwen2ForCausalLM", 24, 896, 4864, 14, 2, 151_936)
"""Qwen2.5-0.5B, by its config.json."""


def checkpoint(folder: Path, shape: Shape, tokenizer: Path) -> Path:
    """Random bf16 weights of `shape` in `folder`, with the tokenizer of the model folder `tokenizer`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "qwen2" if shape.architecture.startswith("Qwen2") else "llama",
        vocab_size=shape.vocab,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    for file in tokenizer.iterdir():
        if file.name.startswith(("tokenizer", "chat_template")):
            shutil.copy(file, folder / file.name)
    return folder


def adapter(folder: Path, base: Path, rank: int, seed: int) -> Path:
    """A LoRA adapter of `rank` on every linear layer of the checkpoint `base`, with small random weights."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((base / "config.json").read_text())
    width, inner = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * (width // config["num_attention_heads"])
    shapes = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    noise = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(config["num_hidden_layers"]):
        for name, (out, into) in shapes.items():
            stem = f"base_model.model.model.layers.{layer}.{name}"
            weights[f"{stem}.lora_A.weight"] = 0.02 * torch.randn(rank, into, generator=noise)
            weights[f"{stem}.lora_B.weight"] = 0.02 * torch.randn(out, rank, generator=noise)
    folder.mkdir(parents=True)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    written = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(name.rpartition(".")[2] for name in shapes),
    }
    (folder / "adapter_config.json").write_text(json.dumps(written))
    return folder
