"""Makes the embedded model from nothing: tokenizer, training from scratch on the CPU, files on disk.

Owns the shape of the model, its recipe, and the checkpoints from which a stopped build goes on.
Does not know what the conversations say nor how the finished model is measured.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.starter import batching, card, corpus, customers, tokenizer, weights

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from training.starter.forward import Forward

logger = logging.getLogger(__name__)

# Steps before the time of one is believed, the first of which compile and do not count.
MEASURED = 50
_SETTLING = 20
_STATE = "state.pt"
# The last phase of the corpus, which is all that a finished model is shown.
GOING_ON = 0.6
# Share of the rates of a build from nothing: enough to learn, less to forget.
_GENTLER = 0.6


@dataclass(frozen=True)
class BuildRecipe:
    """Shape, step sizes and length of a build.

    `steps` fixes the plan, and with it every weight. Without it the plan is what `minutes` has room for by
    the time that the first steps take. Muon's rate is far below the usual 0.02: with batches this small, 200
    steps at 0.003 left a loss of 1.11, at 0.006 one of 1.23, at 0.012 one of 1.36 (0.0015: 1.17).
    """

    minutes: float = 0.0
    steps: int = 10_000
    seed: int = 1
    vocab: int = 5632
    width: int = 320
    layers: int = 6
    heads: int = 5
    inner: int = 864
    batch_tokens: int = 4096
    peak_rate: float = 2.4e-3
    muon_rate: float = 3e-3
    warmup: int = 100
    tokenizer_texts: int = 12_000
    keep_every: int = 250
    begin: float = 0.0
    """How far the corpus is at the first step: 0 from nothing, GOING_ON from a finished model."""


@dataclass
class Progress:
    """How far a build is: what a checkpoint holds besides tensors. `plan` is 0 while it is unknown."""

    plan: int = 0
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = 0.0


@dataclass
class State:
    """All that a step changes, and what it changes it with."""

    recipe: BuildRecipe
    tok: PreTrainedTokenizerFast
    model: LlamaForCausalLM
    tools: list[torch.optim.Optimizer]
    progress: Progress = field(default_factory=Progress)


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
        torch.optim.AdamW(rest, lr=recipe.peak_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def rate(recipe: BuildRecipe, step: int, plan: int) -> float:
    """Share of the peak learning rates at `step` of `plan` (0: unknown yet): a short rise, a line to zero.

    After Bergsma et al., "Straight to Zero: Why Linearly Decaying the Learning Rate to Zero Works Best for
    LLMs" (2025).
    """
    rising = min(1.0, (step + 1) / recipe.warmup)
    return rising * (max(0.0, 1 - step / plan) if plan else 1.0)


def one_step(state: State, forward: Forward, batch: batching.Batch) -> float:
    """Learn from one batch; its loss."""
    import torch

    recipe, progress = state.recipe, state.progress
    share = rate(recipe, progress.step, progress.plan)
    for tool, peak in zip(state.tools, (recipe.muon_rate, recipe.peak_rate), strict=True):
        tool.param_groups[0]["lr"] = peak * share
    loss = forward.loss(batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    for tool in state.tools:
        tool.step()
        tool.zero_grad()
    return loss.item()


def planned(recipe: BuildRecipe, spent: float, settled: float) -> int:
    """Steps that fit into the recipe's minutes, after MEASURED of them.

    `spent` seconds went by in all, `settled` of them for those behind the first _SETTLING steps.
    """
    left = 60 * recipe.minutes - spent
    return MEASURED + max(1, int(left * (MEASURED - _SETTLING) / settled))


def fit(state: State, work: Path) -> None:
    """Train in place from where the state is to the end of the plan, with checkpoints in `work`."""
    from training.starter.forward import Forward, can_compile

    recipe, progress = state.recipe, state.progress
    progress.plan = progress.plan or recipe.steps
    if not progress.plan and not recipe.minutes:
        raise ValueError("a build needs a number of steps or of minutes")
    forward = Forward(state.model, compiled=can_compile())
    state.model.train()
    order = batching.Order(str(work), recipe.seed, recipe.batch_tokens, recipe.begin)
    begun = time.monotonic() - progress.seconds
    settled = 0.0
    with batching.Stream(order, progress.plan, progress.step) as stream, Report(progress) as report:
        for batch in stream:
            if progress.plan and progress.step >= progress.plan:
                break
            loss = one_step(state, forward, batch)
            progress.step += 1
            progress.tokens += batch.ids.size
            progress.loss = loss if progress.step == 1 else 0.98 * progress.loss + 0.02 * loss
            progress.seconds = time.monotonic() - begun
            if progress.step == MEASURED - _SETTLING:
                settled = progress.seconds
            if not progress.plan and progress.step >= MEASURED:
                progress.plan = stream.plan = planned(recipe, progress.seconds, progress.seconds - settled)
            if progress.step % recipe.keep_every == 0 or progress.step == progress.plan:
                keep(state, work)
            report.step()


class Report:
    """Says how a build goes: a bar on a terminal, a line each `EVERY` steps elsewhere."""

    EVERY = 50

    def __init__(self, progress: Progress) -> None:
        from tqdm import tqdm

        self._progress = progress
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = tqdm(desc="build", unit="step", initial=progress.step)
        self._mark()

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _mark(self) -> None:
        self._at, self._tokens, self._step = time.monotonic(), self._progress.tokens, self._progress.step

    def step(self) -> None:
        """Note that the progress went on by one step."""
        now = self._progress
        if self._bar is not None:
            self._bar.total = now.plan or None
            self._bar.update()
            self._bar.set_postfix(loss=f"{now.loss:.3f}")
        elif now.step % self.EVERY == 0:
            passed = time.monotonic() - self._at
            left = (now.plan - now.step) * passed / (now.step - self._step) / 60
            speed = (now.tokens - self._tokens) / passed
            print(
                f"step {now.step}/{now.plan}, loss {now.loss:.3f}, {speed:.0f} tokens/s, {left:.0f} min left",
                flush=True,
            )
            self._mark()


def keep(state: State, work: Path) -> None:
    """Write a checkpoint; the one before stays until this one is whole."""
    import torch

    fresh = work / f"{_STATE}.new"
    torch.save(
        {
            "recipe": asdict(state.recipe),
            "progress": asdict(state.progress),
            "model": state.model.state_dict(),
            "tools": [tool.state_dict() for tool in state.tools],
        },
        fresh,
    )
    os.replace(fresh, work / _STATE)


def begin(recipe: BuildRecipe, work: Path) -> State:
    """A new state, its tokenizer written to `work`, where nothing else is left."""
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    tok = tokenizer.train(texts(f"tokenizer {recipe.seed}", recipe.tokenizer_texts), recipe.vocab)
    tok.save_pretrained(work)
    model = new_model(recipe, tok)
    return State(recipe, tok, model, optimizers(model, recipe))


def going_on(recipe: BuildRecipe, work: Path, model: Path) -> State:
    """A state with the weights and the tokenizer of a finished `model`, to be taught what is new."""
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    old = PreTrainedTokenizerFast.from_pretrained(model)
    tok = tokenizer.extended(old, customers.texts(), recipe.vocab)
    tok.save_pretrained(work)
    held = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32)
    weights.unbalance(held)
    words = weights.reworded(held.model.embed_tokens.weight.detach(), old, tok)
    held.resize_token_embeddings(len(tok), mean_resizing=False)
    held.model.embed_tokens.weight.data.copy_(words)
    config = held.config
    recipe = replace(
        recipe,
        begin=GOING_ON,
        peak_rate=recipe.peak_rate * _GENTLER,
        muon_rate=recipe.muon_rate * _GENTLER,
        vocab=len(tok),
        width=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        inner=config.intermediate_size,
    )
    fresh = new_model(recipe, tok)
    fresh.load_state_dict(held.state_dict())
    return State(recipe, tok, fresh, optimizers(fresh, recipe))


def resumed(work: Path) -> State:
    """The state of the last checkpoint in `work`.

    Raises FileNotFoundError where there is none.
    """
    import torch
    from transformers import PreTrainedTokenizerFast

    held = torch.load(work / _STATE, weights_only=True)
    recipe = BuildRecipe(**held["recipe"])
    tok = PreTrainedTokenizerFast.from_pretrained(work)
    model = new_model(recipe, tok)
    model.load_state_dict(held["model"])
    tools = optimizers(model, recipe)
    for tool, state in zip(tools, held["tools"], strict=True):
        tool.load_state_dict(state)
    return State(recipe, tok, model, tools, Progress(**held["progress"]))


def texts(seed: str, count: int) -> Iterator[str]:
    """What the tokenizer is learnt from: `count` conversations as the template writes them."""
    for made in itertools.islice(corpus.conversations(seed), count):
        rendered, _ = batching.render(made, tokenizer.CHAT_TEMPLATE)
        yield from tokenizer.plain(rendered)


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


def working(out: Path) -> Path:
    """Where a build of `out` keeps its checkpoints until it is done."""
    return out.parent / f".{out.name}.building"


def build(out: Path, recipe: BuildRecipe, resume: bool = False, first: Path | None = None) -> dict[str, Any]:
    """Make the model in `out`, replacing what was there only when all of it is written.

    `resume` goes on with a build that was stopped, by that build's own recipe; `first` is a finished model
    that is taught more, instead of one from nothing.
    """
    import torch

    work = working(out)
    if resume:
        state = resumed(work)
    else:
        state = going_on(recipe, work, first) if first else begin(recipe, work)
    fit(state, work)
    now = state.progress
    took = {
        "steps": now.step,
        "tokens": now.tokens,
        "seconds": round(now.seconds),
        "loss": round(now.loss, 3),
        "parameters": state.model.num_parameters(),
        "threads": torch.get_num_threads(),
    }
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".build-") as scratch:
        fresh = Path(scratch) / "model"
        write(state.model, state.tok, fresh)
        used = replace(state.recipe, steps=now.plan)
        (fresh / "README.md").write_text(card.card(asdict(used), took), encoding="utf-8")
        if out.exists():
            os.rename(out, Path(scratch) / "old")
        os.rename(fresh, out)
    shutil.rmtree(work)
    return took
