"""What every TRL trainer shares here: its arguments, and the callbacks that watch, seal and stop it.

Knows the transformers Trainer; does not know any one method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from training.records import Example, Recipe
from training.trainers import checkpoints
from training.trainers.job import CHECKPOINTS, Job
from training.trainers.model import NotFinite
from training.trainers.progress import Progress

LAST = 10
"""Steps whose mean stands in `metrics.json`: one batch alone says little."""
CLIP = 1.0


def arguments(job: Job) -> dict[str, Any]:
    """Keyword arguments that fit every TRL configuration class.

    The rows come in the order of `schedule`, so that is one epoch of sequential reading.
    """
    recipe = job.recipe
    return {
        "output_dir": str(job.folder / CHECKPOINTS),
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "num_train_epochs": 1,
        "train_sampling_strategy": "sequential",
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": recipe.warmup,
        "weight_decay": 0.0,
        "max_grad_norm": CLIP,
        "max_length": recipe.max_length,
        "seed": recipe.seed,
        "bf16": recipe.dtype == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": recipe.checkpoint_steps,
        # Two, so that a sealed one remains while the next is being written.
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


class Watch(TrainerCallback):
    """Tells the progress, ends a run whose numbers are no longer numbers, and seals each checkpoint."""

    def __init__(self, job: Job, progress: Progress) -> None:
        self.job = job
        self.progress = progress

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **rest: Any,
    ) -> None:
        logs = logs or {}
        if "loss" not in logs:
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(float(logs.get(name, 0.0))):
                raise NotFinite(f"The {name} became {logs[name]} at step {state.global_step}.")
        self.progress.line(
            "train",
            always=state.global_step == state.max_steps,
            step=state.global_step,
            steps=state.max_steps,
            **_rounded(logs),
        )

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        step = state.global_step
        folder = self.job.folder / CHECKPOINTS / f"checkpoint-{step}"
        checkpoints.seal(folder, step=step, fingerprint=self.job.fingerprint)


def closing(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What the steps of a run say of it: the first loss, and the means over the last `LAST` steps."""
    steps = [entry for entry in history if "loss" in entry]
    last = steps[-LAST:]
    names = [name for name in last[-1] if name not in ("epoch", "step", "num_tokens", "learning_rate")]
    means = {name: sum(float(entry[name]) for entry in last) / len(last) for name in names}
    return {
        "steps": int(steps[-1]["step"]),
        "tokens": int(steps[-1].get("num_tokens", 0)),
        "first_loss": round(float(steps[0]["loss"]), 5),
        **_rounded(means),
    }


def counts(
    examples: Sequence[Example], kept: Sequence[int], lengths: Sequence[int], max_length: int
) -> dict[str, Any]:
    """Rows in, used, dropped for length (with ids), and cut at their end.

    `kept` are the numbers of the rows that TRL left, `lengths` their tokens (prompt and longer answer).
    """
    dropped = [example.id for number, example in enumerate(examples) if number not in set(kept)]
    return {
        "rows_in": len(examples),
        "rows_used": len(kept),
        "rows_dropped_for_length": len(dropped),
        "dropped_ids": dropped,
        "rows_cut_for_length": sum(length > max_length for length in lengths),
    }


def hold_threads(recipe: Recipe) -> None:
    """Keep torch to the recipe's CPU threads, if it names any."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)


def quiet(trainer: Any) -> None:
    """No log line a step on standard output: `progress.jsonl` has them."""
    trainer.remove_callback(PrinterCallback)


def _rounded(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(f"{float(value):.5g}") for name, value in values.items()}
