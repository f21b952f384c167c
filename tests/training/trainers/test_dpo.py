"""Real DPO runs by TRL on the tiny model: what they leave, and that a kill anywhere changes nothing of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.tiny_model import make
from tests.training.trainers.forks import Forks
from tests.training.trainers.pairs import example, run_dir
from training import adapters
from training.base import base_hash

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    helper = Forks()
    yield helper
    helper.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, base: Path, forks: Forks) -> Path:
    """An uninterrupted run."""
    folder = run_dir(tmp_path_factory.mktemp("plain") / "run", base)
    assert forks.run(folder) == 0
    return folder


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def weights(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_file(folder / "adapter" / "adapter_model.safetensors")
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_run_leaves(plain: Path, base: Path) -> None:
    assert names(plain) == [
        "adapter", "examples.jsonl", "metrics.json", "progress.jsonl", "recipe.json"
    ]  # fmt: skip
    assert names(plain / "adapter") == ["adapter_config.json", "adapter_model.safetensors"]
    facts = adapters.inspect(plain / "adapter", base=str(base), base_hash=base_hash(str(base)))
    assert (facts.rank, facts.untrained) == (8, False)
    found = metrics(plain)
    assert (found["rows_in"], found["rows_used"], found["dropped_ids"]) == (24, 24, [])
    assert found["steps"] == 12
    assert found["tokens"] > 0
    assert 0 < found["loss"] < found["first_loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert found["rewards/accuracies"] > 0.9
    assert found["rewards/margins"] > 0
    assert found["logps/chosen"] < 0
    assert set(found["seconds"]) == {"import", "load", "reference", "train", "save", "parity"}
    assert set(found["libraries"]) == {"torch", "transformers", "trl", "peft"}


def test_progress_is_told(plain: Path) -> None:
    lines = [json.loads(line) for line in (plain / "progress.jsonl").read_text().splitlines()]
    parts = list(dict.fromkeys(line["part"] for line in lines))
    assert parts == ["import", "load", "reference", "train", "save", "parity", "done"]
    steps = [line for line in lines if "step" in line]
    assert (steps[-1]["step"], steps[-1]["steps"]) == (12, 12)
    assert steps[-1]["rewards/accuracies"] <= 1
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def test_parity_is_told_for_a_few(plain: Path) -> None:
    rows = metrics(plain)["parity"]
    assert [row["id"] for row in rows] == [example(number).id for number in range(4)]
    for number, row in enumerate(rows):
        # The tiny tokenizer has a token a byte; one more ends the turn.
        assert len(row["tokens"]) == len(row["logprobs"]) == len(example(number).chosen.encode()) + 1
        assert max(row["logprobs"]) <= 0


def test_the_same_job_gives_the_same_bytes(plain: Path, tmp_path: Path, base: Path, forks: Forks) -> None:
    again = run_dir(tmp_path / "run", base)
    assert forks.run(again) == 0
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (again / "adapter" / name).read_bytes() == (plain / "adapter" / name).read_bytes()


def test_a_finished_run_is_not_trained_again(plain: Path, forks: Forks) -> None:
    before = (plain / "metrics.json").read_bytes()
    assert forks.run(plain, kill="step 1") == 0
    assert (plain / "metrics.json").read_bytes() == before


@pytest.mark.parametrize(
    ("kill", "resumed"),
    [
        ("step 1", None),
        ("step 3", None),
        ("checkpoint 1", None),
        ("manifest 1", None),
        ("step 5", "checkpoint-4"),
        ("checkpoint 2", "checkpoint-4"),
        ("manifest 2", "checkpoint-4"),
        ("step 10", "checkpoint-8"),
        ("export 1", "checkpoint-12"),
        ("parity 1", "checkpoint-12"),
        ("metrics 1", "checkpoint-12"),
    ],
)
def test_a_killed_run_ends_as_if_nothing_had_been(
    plain: Path, tmp_path: Path, base: Path, forks: Forks, kill: str, resumed: str | None
) -> None:
    folder = run_dir(tmp_path / "run", base)
    assert forks.run(folder, kill) == -9
    assert not (folder / "metrics.json").exists()
    assert forks.run(folder) == 0
    found, whole = metrics(folder), metrics(plain)
    assert found["resumed_from"] == resumed
    assert (found["steps"], found["rows_used"]) == (whole["steps"], whole["rows_used"])
    assert found["loss"] == pytest.approx(whole["loss"], abs=1e-6)
    for name, tensor in weights(folder).items():
        assert np.abs(tensor - weights(plain)[name]).max() < 1e-6
    assert names(folder) == names(plain)


def test_a_changed_job_does_not_resume(tmp_path: Path, base: Path, forks: Forks) -> None:
    folder = run_dir(tmp_path / "run", base)
    assert forks.run(folder, "step 6") == -9
    assert (folder / "checkpoints" / "checkpoint-4" / "MANIFEST.json").exists()
    run_dir(folder, base, 20)
    assert forks.run(folder) == 0
    assert metrics(folder)["resumed_from"] is None
    assert metrics(folder)["rows_in"] == 20


def test_a_spoilt_checkpoint_is_not_loaded(plain: Path, tmp_path: Path, base: Path, forks: Forks) -> None:
    folder = run_dir(tmp_path / "run", base)
    assert forks.run(folder, "step 6") == -9
    marker = tmp_path / "marker"
    # A pickle that touches a file when it is loaded.
    trap = b"cposix\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    for name in ("optimizer.pt", "rng_state.pth", "training_args.bin"):
        (folder / "checkpoints" / "checkpoint-4" / name).write_bytes(trap)
    assert forks.run(folder) == 0
    assert metrics(folder)["resumed_from"] is None
    assert not marker.exists()
    for name, tensor in weights(folder).items():
        assert np.array_equal(tensor, weights(plain)[name])


def test_rows_that_do_not_fit_are_counted(tmp_path: Path, base: Path, forks: Forks) -> None:
    long = example(90, prompt=({"role": "user", "content": "long " * 60},))
    cut = example(91, chosen="and so on " * 25)
    folder = run_dir(tmp_path / "run", base, [example(number) for number in range(6)] + [long, cut], epochs=1)
    assert forks.run(folder) == 0
    found = metrics(folder)
    assert (found["rows_in"], found["rows_used"], found["rows_dropped_for_length"]) == (8, 7, 1)
    assert found["dropped_ids"] == [long.id]
    assert found["rows_cut_for_length"] == 1


def test_nothing_left_to_train_on_is_bad_input(tmp_path: Path, base: Path, forks: Forks) -> None:
    folder = run_dir(tmp_path / "run", base, 3, max_length=16)
    assert forks.run(folder) == 2
    assert "No example is left" in json.loads((folder / "error.json").read_text())["error"]


def test_a_loss_that_is_no_number_leaves_no_adapter(tmp_path: Path, forks: Forks) -> None:
    broken = make(tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"][0, 0] = np.nan
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    folder = run_dir(tmp_path / "run", broken, 8)
    assert forks.run(folder) == 1
    assert "nan at step 1" in json.loads((folder / "error.json").read_text())["error"]
    assert not (folder / "adapter").exists()
    assert not (folder / "metrics.json").exists()


def test_a_base_that_can_not_chat_is_bad_input(tmp_path: Path, base: Path, forks: Forks) -> None:
    mute = tmp_path / "mute"
    shutil.copytree(base, mute)
    (mute / "chat_template.jinja").unlink()
    assert forks.run(run_dir(tmp_path / "run", mute, 4)) == 2
    assert forks.run(run_dir(tmp_path / "gone", tmp_path / "absent", 4)) == 2
    assert "cannot be loaded" in json.loads((tmp_path / "gone" / "error.json").read_text())["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "bfloat16"},
        {"label_smoothing": 0.1, "sft_weight": 0.5},
        {"gradient_checkpointing": True, "gradient_accumulation": 2},
        {"target_modules": ["q_proj", "v_proj"], "rank": 1, "alpha": 2},
    ],
)
def test_other_recipes_train_too(tmp_path: Path, base: Path, forks: Forks, changes: dict[str, Any]) -> None:
    folder = run_dir(tmp_path / "run", base, 8, epochs=1, **changes)
    assert forks.run(folder) == 0
    adapters.inspect(folder / "adapter", base=str(base), base_hash=base_hash(str(base)))


def test_weights_are_how_often_a_pair_is_seen(tmp_path: Path, base: Path, forks: Forks) -> None:
    rows = [example(number, weight=1.0 if number < 4 else 0.01) for number in range(8)]
    folder = run_dir(tmp_path / "run", base, rows, batch_size=1, epochs=4)
    assert forks.run(folder) == 0
    # The four heavy ones eight times each, the light ones hardly ever: most are not even used for parity.
    assert 28 <= metrics(folder)["steps"] <= 36
    seen = {row["id"] for row in metrics(folder)["parity"]}
    assert seen == {example(number).id for number in range(4)}
