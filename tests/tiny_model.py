"""A tiny random Qwen2 chat model and LoRA adapters for it, made in a second without torch or a download.

The folders are what `from_pretrained`, TRL and vLLM read. The weights are noise, with one touch: only
printable ASCII and the end-of-turn token are likely, so that answers are readable and do end.
Knows nothing of the product.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

WIDTH, HEADS, LAYERS, INNER, CONTEXT = 64, 2, 2, 128, 2048
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END_OF_TURN = SPECIAL[2]
CHAT_TEMPLATE = """\
{%- if tools %}{{- '<|im_start|>system\\nTools: ' + (tools | tojson) + '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
SHAPES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH, WIDTH),
    "self_attn.v_proj": (WIDTH, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (INNER, WIDTH),
    "mlp.up_proj": (INNER, WIDTH),
    "mlp.down_proj": (WIDTH, INNER),
}
"""The linear layers of one block: (out, in)."""

Array = npt.NDArray[np.float32]


def make(folder: Path, *, seed: int = 0) -> Path:
    """Write the checkpoint, tokenizer and chat template into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    _write(folder / "config.json", _config(vocabulary))
    _write(
        folder / "generation_config.json",
        {"bos_token_id": vocabulary[SPECIAL[0]], "eos_token_id": vocabulary[END_OF_TURN]},
    )
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END_OF_TURN,
            "pad_token": SPECIAL[0],
            "model_max_length": CONTEXT,
            "clean_up_tokenization_spaces": False,
        },
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    save_file(_weights(vocabulary, seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def make_adapter(folder: Path, base: Path, *, rank: int = 8, seed: int = 0, scale: float = 0.2) -> Path:
    """Write a LoRA adapter of `rank` on every linear layer of `base` as PEFT would, with a visible effect."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1000 + seed)
    weights: dict[str, Array] = {}
    for layer in range(LAYERS):
        for name, (rows, columns) in SHAPES.items():
            stem = f"base_model.model.model.layers.{layer}.{name}"
            weights[f"{stem}.lora_A.weight"] = _normal(noise, (rank, columns), scale)
            weights[f"{stem}.lora_B.weight"] = _normal(noise, (rows, rank), scale)
            if rows == WIDTH:
                weights[f"{stem}.lora_B.weight"][0] = 0.0  # see `_weights`: the first component is taken
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    _write(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": str(base),
            "r": rank,
            "lora_alpha": 2 * rank,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "init_lora_weights": True,
            "modules_to_save": None,
            "target_modules": sorted(name.split(".")[1] for name in SHAPES),
            "use_dora": False,
            "use_rslora": False,
        },
    )
    return folder


def _tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return tokenizer


def _config(vocabulary: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": CONTEXT,
        "vocab_size": _rows(vocabulary),
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "attention_dropout": 0.0,
        "bos_token_id": vocabulary[SPECIAL[0]],
        "eos_token_id": vocabulary[END_OF_TURN],
        "pad_token_id": vocabulary[SPECIAL[0]],
        "torch_dtype": "float32",
        "use_sliding_window": False,
    }


def _rows(vocabulary: dict[str, int]) -> int:
    return -(-len(vocabulary) // 64) * 64


def _weights(vocabulary: dict[str, int], seed: int) -> dict[str, Array]:
    noise = np.random.default_rng(seed)
    embedding = _normal(noise, (_rows(vocabulary), WIDTH), 0.5)
    head = _normal(noise, (_rows(vocabulary), WIDTH), 0.2)
    # Every embedding has the same large first component and no block writes there, so that the head can
    # hold a constant preference for each token in its own first column.
    embedding[:, 0] = 4.0
    head[:, 0] = -4.0
    alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False)
    for code in range(32, 127):
        (token, _), *_rest = alphabet.pre_tokenize_str(chr(code))
        head[vocabulary[token], 0] = 0.0
    head[vocabulary[END_OF_TURN], 0] = 0.3
    weights = {"model.embed_tokens.weight": embedding, "lm_head.weight": head, "model.norm.weight": _ones()}
    for layer in range(LAYERS):
        stem = f"model.layers.{layer}"
        for name, shape in SHAPES.items():
            weights[f"{stem}.{name}.weight"] = _normal(noise, shape, 0.1)
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            weights[f"{stem}.{name}.weight"][0] = 0.0
        for name in ("q_proj", "k_proj", "v_proj"):
            weights[f"{stem}.self_attn.{name}.bias"] = np.zeros(WIDTH, np.float32)
        weights[f"{stem}.input_layernorm.weight"] = _ones()
        weights[f"{stem}.post_attention_layernorm.weight"] = _ones()
    return weights


def _normal(noise: np.random.Generator, shape: tuple[int, int], scale: float) -> Array:
    return (noise.standard_normal(shape) * scale).astype(np.float32)


def _ones() -> Array:
    return np.ones(WIDTH, np.float32)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2))
