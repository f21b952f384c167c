"""Makes the embedded model from nothing: tokenizer, training from scratch on the CPU, files on disk.

Owns the shape of the model and its recipe. Does not know what the conversations say
nor how the finished model is measured.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.starter import card, corpus, tokenizer, weights

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100
# oneDNN prepares its kernels anew for each new shape, which costs more than a step: few shapes, then.
SHAPE_STEP = 32
Encoded = tuple[list[int], list[int]]


@dataclass(frozen=True)
class BuildRecipe:
    """Shape and step sizes. `minutes` or `steps` ends a build, whichever comes first; 0 is no limit."""

    minutes: float = 18.0
    steps: int = 0
    seed: int = 1
    vocab: int = 3072
    width: int = 256
    layers: int = 6
    heads: int = 8
    inner: int = 688
    batch_tokens: int = 2048
    longest: int = 384
    peak_rate: float = 4e-3
    muon_rate: float = 2e-2
    warmup: int = 40
    tokenizer_texts: int = 12_000


def encode(tok: PreTrainedTokenizerFast, conversation: corpus.Conversation) -> Encoded:
    """Token ids and labels of one conversation; labels are -100 outside the answers."""
    made = tok.apply_chat_template(
        conversation, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ids: list[int] = list(made["input_ids"])
    return ids, [one if kept else IGNORED for one, kept in zip(ids, made["assistant_masks"], strict=True)]


def batches(
    tok: PreTrainedTokenizerFast, recipe: BuildRecipe, clock: Clock
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of about `batch_tokens`, of like lengths, shuffled; the mix follows the clock."""
    import torch

    rng = random.Random(f"build {recipe.seed}")
    while True:
        progress = clock.progress()
        pool = [encode(tok, corpus.conversation(rng, progress)) for _ in range(512)]
        pool = sorted((one for one in pool if len(one[0]) <= recipe.longest), key=lambda one: len(one[0]))
        rows: list[tuple[int, list[Encoded]]] = []
        while pool:
            length = -(-len(pool[-1][0]) // SHAPE_STEP) * SHAPE_STEP
            high = recipe.batch_tokens // length
            rows.append((length, pool[-high:]))
            del pool[-high:]
        rng.shuffle(rows)
        for length, row in rows:
            ids = torch.zeros((recipe.batch_tokens // length, length), dtype=torch.long)
            labels = torch.full(ids.shape, IGNORED)
            for place, (one_ids, one_labels) in enumerate(row):
                ids[place, : len(one_ids)] = torch.tensor(one_ids)
                labels[place, : len(one_labels)] = torch.tensor(one_labels)
            yield ids, labels


class Clock:
    """How far a build is, by time or by steps."""

    def __init__(self, recipe: BuildRecipe) -> None:
        self.recipe = recipe
        self.begun = time.monotonic()
        self.step = 0

    def progress(self) -> float:
        """0 at the start, 1 or more at the end."""
        by_steps = self.step / self.recipe.steps if self.recipe.steps else 0.0
        by_time = (time.monotonic() - self.begun) / (60 * self.recipe.minutes) if self.recipe.minutes else 0.0
        return max(by_steps, by_time)


def new_model(recipe: BuildRecipe, tok: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained model of the recipe's shape."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tok),
            hidden_size=recipe.width,
            intermediate_size=recipe.inner,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=tokenizer.CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tok.eos_token_id,
            pad_token_id=tok.pad_token_id,
        )
    )
    weights.start(model)
    return model


def optimizers(model: LlamaForCausalLM, recipe: BuildRecipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers (fewer steps to a model that copies), AdamW for the rest."""
    import torch

    inside = [one for name, one in model.named_parameters() if one.ndim == 2 and "layers" in name]
    rest = [one for name, one in model.named_parameters() if one.ndim != 2 or "layers" not in name]
    return [
        torch.optim.Muon(inside, lr=recipe.muon_rate, weight_decay=0.01, adjust_lr_fn="original"),
        torch.optim.AdamW(rest, lr=recipe.peak_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate(recipe: BuildRecipe, step: int, progress: float) -> float:
    """Share of the peak learning rate: a linear start, then a cosine down to a fiftieth."""
    falling = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return min(1.0, (step + 1) / recipe.warmup) * (0.02 + 0.98 * falling)


def fit(model: LlamaForCausalLM, tok: PreTrainedTokenizerFast, recipe: BuildRecipe) -> dict[str, Any]:
    """Train in place; what it took: steps, tokens, seconds, last loss."""
    import torch
    from tqdm import tqdm

    clock, tools = Clock(recipe), optimizers(model, recipe)
    peaks = [tool.param_groups[0]["lr"] for tool in tools]
    seen, smooth = 0, 0.0
    model.train()
    bar = tqdm(total=100, desc="build", unit="%")
    for ids, labels in batches(tok, recipe, clock):
        progress = clock.progress()
        if progress >= 1:
            break
        for tool, peak in zip(tools, peaks, strict=True):
            tool.param_groups[0]["lr"] = peak * rate(recipe, clock.step, progress)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
            kept = answer_places(labels[:, 1:])
            # Only answers are scored, so only their positions need the vocabulary-wide product.
            logits = model.lm_head(hidden.flatten(0, 1)[kept])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:].flatten()[kept])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for tool in tools:
            tool.step()
            tool.zero_grad()
        clock.step += 1
        seen += ids.numel()
        smooth = loss.item() if clock.step == 1 else 0.98 * smooth + 0.02 * loss.item()
        bar.update(int(100 * progress) - bar.n)
        bar.set_postfix(step=clock.step, loss=f"{smooth:.3f}")
    bar.close()
    spent = time.monotonic() - clock.begun
    return {"steps": clock.step, "tokens": seen, "seconds": round(spent), "loss": round(smooth, 3)}


def answer_places(labels: torch.Tensor) -> torch.Tensor:
    """Flat places of the answers' tokens, filled up with ignored ones to a multiple of 256 (few shapes)."""
    import torch

    order = torch.argsort((labels == IGNORED).flatten(), stable=True)
    count = int((labels != IGNORED).sum())
    return order[: -(-count // 256) * 256]


def texts(seed: str, count: int) -> Iterator[str]:
    """What the tokenizer is learnt from: the contents of `count` conversations."""
    for made in itertools.islice(corpus.conversations(seed), count):
        for message in made:
            yield message["content"]


def write(model: LlamaForCausalLM, tok: PreTrainedTokenizerFast, folder: Path) -> None:
    """The model's files in bf16, as `transformers` and vLLM read them."""
    import torch
    from transformers import GenerationConfig

    model.eval()
    weights.balance(model)
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
        do_sample=True,
        temperature=0.8,
        max_new_tokens=256,
    )
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)


def build(out: Path, recipe: BuildRecipe, cases: int = 128) -> dict[str, Any]:
    """Make the model in `out`, replacing what was there only when all of it is written.

    `cases` a line are scored for the model card; 0 leaves the scores out.
    """
    import torch

    from training.starter.score import score

    out.parent.mkdir(parents=True, exist_ok=True)
    tok = tokenizer.train(texts(f"tokenizer {recipe.seed}", recipe.tokenizer_texts), recipe.vocab)
    model = new_model(recipe, tok)
    took = fit(model, tok, recipe)
    took |= {"parameters": model.num_parameters(), "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".build-") as scratch:
        fresh = Path(scratch) / "model"
        write(model, tok, fresh)
        lines = [(one.name, one.hits, one.count) for one in (score(fresh, cases) if cases else [])]
        (fresh / "README.md").write_text(card.card(asdict(recipe), took, lines), encoding="utf-8")
        if out.exists():
            os.rename(out, Path(scratch) / "old")
        os.rename(fresh, out)
    return took
