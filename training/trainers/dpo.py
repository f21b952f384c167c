"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) by `trl.DPOTrainer` with LoRA.

Always from the base: the reference is the same model with the adapter off, so there is no second copy and no
drift from run to run. Does not know where the pairs come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from training.records import Example
from training.trainers import checkpoints, loop, model, schedule
from training.trainers.job import ADAPTER, CHECKPOINTS, Job
from training.trainers.progress import Progress


def train(job: Job, progress: Progress) -> dict[str, Any]:
    """Leave the adapter in the job's folder; return what goes into `metrics.json`.

    Weights: TRL has none for a pair, so one of half the weight is seen half as often (`schedule.order`).
    Noise: with `label_smoothing` the loss is TRL's "robust" one (Chowdhury et al. 2024, arXiv 2403.00409).
    Length: with `sft_weight` the mean log-likelihood of the chosen answer is added (RPO, Pang et al. 2024,
    arXiv 2404.19733); without it a small model learnt within 100 steps never to end its turn.
    """
    recipe = job.recipe
    with progress.part("load"):
        loop.hold_threads(recipe)
        base, tokenizer = model.load(recipe, job.examples)
        model.check_fit(tokenizer, job.examples, recipe.max_length)
    with progress.part("reference"):
        trainer = _trainer(job, progress, base, tokenizer)
        facts = _arrange(trainer, job)
    with progress.part("train"):
        resumed = checkpoints.newest(job.folder / CHECKPOINTS, job.fingerprint)
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    with progress.part("save"):
        model.export(trainer.model, recipe.base, job.folder / ADAPTER)
    with progress.part("parity"):
        used = [job.examples[row] for row in sorted(set(trainer.train_dataset["row"]))]
        facts["parity"] = model.parity(trainer.model, tokenizer, used)
    facts["resumed_from"] = resumed.name if resumed else None
    return facts | loop.closing(trainer.state.log_history)


def _trainer(job: Job, progress: Progress, base: Any, tokenizer: Any) -> DPOTrainer:
    recipe = job.recipe
    losses = ["robust" if recipe.label_smoothing else "sigmoid"] + ["sft"] * (recipe.sft_weight > 0)
    config = DPOConfig(
        **loop.arguments(job),
        beta=recipe.beta,
        loss_type=losses,
        loss_weights=[1.0, recipe.sft_weight][: len(losses)],
        label_smoothing=recipe.label_smoothing,
        # The reference never changes, so its opinion is asked once a pair and not once a pair and epoch.
        precompute_ref_log_probs=True,
        precompute_ref_batch_size=recipe.batch_size,
    )
    trainer = DPOTrainer(
        model=base,
        args=config,
        train_dataset=Dataset.from_list(_rows(job.examples)),
        processing_class=tokenizer,
        peft_config=model.lora(recipe),
        callbacks=[loop.Watch(job, progress)],
    )
    loop.quiet(trainer)
    return trainer


def _rows(examples: Sequence[Example]) -> list[dict[str, Any]]:
    """What TRL reads, short ones first, so that the reference is asked in batches with little padding."""
    rows = [example.as_row() | {"row": number} for number, example in enumerate(examples)]
    names = ("prompt", "chosen", "rejected", "row")
    return sorted(({name: row[name] for name in names} for row in rows), key=lambda row: len(str(row)))


def _arrange(trainer: DPOTrainer, job: Job) -> dict[str, Any]:
    """Put the tokenised pairs into their order of training; count those that did not fit and say which."""
    pairs = trainer.train_dataset
    lengths = [
        len(prompt) + max(len(chosen), len(rejected))
        for prompt, chosen, rejected in zip(
            pairs["prompt_ids"], pairs["chosen_ids"], pairs["rejected_ids"], strict=True
        )
    ]
    rows = list(pairs["row"])
    weights = [job.examples[row].weight for row in rows]
    recipe = job.recipe
    facts = loop.counts(job.examples, rows, lengths, recipe.max_length)
    order = schedule.order(
        lengths, weights, epochs=recipe.epochs, batch_size=recipe.batch_size, seed=recipe.seed
    )
    trainer.train_dataset = pairs.select(order)
    return facts
