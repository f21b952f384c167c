"""TRL's own `dpo`, `kto` and `sft` scripts on our exports, unchanged: each trains a step on a tiny model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from feedback import exchange
from feedback.database import Database
from feedback.store import Ending, NewTurn, Store, Verdict
from tests.feedback.test_exchange import asked
from tests.tiny_model import make
from training import gathering, tool_pairs
from training.screening import held_out

pytest.importorskip("trl")

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}


def judged(store: Store) -> None:
    """Ups, downs and corrections, and one answer for which a tool was called."""
    questions = [one for one in (f"Where is order {number}?" for number in range(40)) if not held_out(one)]
    for number, question in enumerate(questions[:8]):
        turn = asked(store, question, Ending("complete", "No idea, sorry.", finish_reason="stop"))
        correction = f"It will be with you on day {number}, by the post." if number % 2 else ""
        store.judge(turn.id, "ann", "user", Verdict("down" if number % 2 else "up", (), "", correction))
    question = questions[9]
    conversation = store.start_conversation("ann", question).id
    prompt = [{"role": "user", "content": question}]
    steps = [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "in the post"},
    ]
    new = NewTurn(conversation, None, "ann", question, prompt, "m", None, {"tools": TOOLS})
    ending = Ending("complete", "In the post.", finish_reason="stop", steps=steps)
    turn = store.end(store.begin(new), ending)
    store.judge(turn.id, "ann", "user", Verdict("down", (), "", "It is on its way to you, by the post."))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("method", "kind"), [("dpo", "preference"), ("kto", "unpaired"), ("sft", "sft")])
def test_trls_own_script_trains_on_an_export_as_it_is(
    sqlite_store: Store, tmp_path: Path, method: str, kind: Any
) -> None:
    judged(sqlite_store)
    data, out = tmp_path / "data", tmp_path / "out"
    if kind == "preference":
        examples = gathering.from_votes(sqlite_store).training
        count = exchange.write_rows(tool_pairs.rows(sqlite_store.judged(), examples), data / "feedback.jsonl")
    else:
        count = exchange.export(sqlite_store, kind, data / "feedback.jsonl")
    assert count >= 4
    given = {
        "model_name_or_path": make(tmp_path / "model"),
        "dataset_name": data,
        "output_dir": out,
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "logging_steps": 1,
    }
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, "-m", f"trl.scripts.{method}", *flags],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "train_loss" in done.stdout + done.stderr
    assert (out / "model.safetensors").is_file()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Store:
    """A store on SQLite: what a trainer reads is a file anyway."""
    from feedback.database import connect
    from feedback.schema import metadata

    opened: Database = connect(f"sqlite:///{tmp_path}/facts.db")
    with opened.write() as connection:
        metadata.create_all(connection)
    return Store(opened)
