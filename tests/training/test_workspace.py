"""Tests of a run's directory: what a stage hands on is complete or not there, and comes back as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import workspace
from training.records import Example, Recipe, Run
from training.workspace import Workspace


@dataclass
class Gathered:
    training: list[Example]
    held_out: list[Example]
    counts: dict[str, int]


RECIPE = Recipe("dpo", "/models/starter", rank=8, reasons=("small data",))
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def example(chosen: str = "Gladly.", rejected: str = "No.", **more: object) -> Example:
    prompt = ({"role": "user", "content": "Where is it?"},)
    return Example(prompt, chosen, rejected, "siblings", ("rating:1",), ("ann",), "Where is it?", **more)  # type: ignore[arg-type]


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "runs" / "run-1")


def test_examples_and_recipe_come_back_as_they_were(work: Workspace) -> None:
    training, held_out = [example(), example("Sure.", weight=0.5)], [example("Yes.", held_out=True)]
    work.write(Gathered(training, held_out, {"training": 2}), RECIPE)
    assert work.examples() == training
    assert work.held_out() == held_out
    assert work.recipe() == Recipe.from_dict(json.loads(json.dumps(RECIPE.as_dict())))
    assert work.recipe().rank == 8


@settings(max_examples=40, deadline=None)
@given(chosen=texts, rejected=texts)
def test_no_text_breaks_a_line(tmp_path_factory: pytest.TempPathFactory, chosen: str, rejected: str) -> None:
    work = Workspace(tmp_path_factory.mktemp("run"))
    given_ = [example(chosen, rejected), example()]
    work.write(Gathered(given_, [], {}), RECIPE)
    assert work.examples() == given_


def test_line_separators_of_other_alphabets_stay_inside_their_line(work: Workspace) -> None:
    strange = example("one\u2028two\x85three\u2029four\r\nfive\x0bsix")
    work.write(Gathered([strange], [], {}), RECIPE)
    assert work.examples() == [strange]


def test_a_directory_is_gathered_only_when_everything_is_there(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of the files is written, the stage begins again."""
    whole, written = workspace.replace_file, 0

    def write(file: Path, text: str) -> None:
        nonlocal written
        if written == allowed:
            raise OSError("killed here")
        written += 1
        whole(file, text)

    monkeypatch.setattr(workspace, "replace_file", write)
    for allowed in range(4):
        written = 0
        with pytest.raises(OSError, match="killed"):
            work.write(Gathered([example()], [], {}), RECIPE)
        assert not work.gathered(), f"after {allowed} files"
    monkeypatch.setattr(workspace, "replace_file", whole)
    work.write(Gathered([example()], [], {}), RECIPE)
    assert work.gathered()
    assert work.examples() == [example()]


def test_a_file_is_replaced_whole_and_synced_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, events = tmp_path / "run" / "recipe.json", []
    file.parent.mkdir()
    file.write_text("old")
    real_replace = Path.replace

    def fsync(_descriptor: int) -> None:
        events.append(f"sync: {file.read_text()}")

    def replace(self: Path, target: Path) -> Path:
        events.append(f"rename: {self.read_text()}")
        return real_replace(self, target)

    monkeypatch.setattr(workspace.os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    workspace.replace_file(file, "new")
    assert events == ["sync: old", "rename: new", "sync: new"]
    assert [path.name for path in file.parent.iterdir()] == ["recipe.json"]


def test_the_trainers_word_is_read_if_there_is_one(work: Workspace) -> None:
    assert not work.trained()
    assert work.error() is None
    work.folder.mkdir(parents=True)
    (work.folder / "error.json").write_text('{"error": "the base model has no chat template"}')
    assert work.error() == "the base model has no chat template"
    (work.folder / "error.json").write_text('{"err')
    assert work.error() is None
    (work.folder / "metrics.json").write_text('{"loss": 0.5}')
    assert work.trained()
    assert work.metrics() == {"loss": 0.5}


def test_the_trainers_own_log_probabilities_come_with_prompt_and_answer(work: Workspace) -> None:
    first, second = example("One."), example("Two.")
    work.write(Gathered([first, second], [], {}), RECIPE)
    rows = [{"id": second.id, "logprobs": [-0.5, -0.25]}, {"id": "of no example", "logprobs": [-9.0]}]
    (work.folder / "metrics.json").write_text(json.dumps({"parity": rows}))
    assert work.parity() == [{"prompt": second.prompt, "answer": "Two.", "logprobs": [-0.5, -0.25]}]
    (work.folder / "metrics.json").write_text("{}")
    assert work.parity() == []


def test_the_manifest_names_base_recipe_votes_figures_and_versions(work: Workspace) -> None:
    work.write(Gathered([example()], [example(held_out=True)], {"training": 1, "held_out": 1}), RECIPE)
    (work.folder / "metrics.json").write_text(
        '{"loss": 0.5, "grad_norm": NaN, "parity": [{"id": "0", "logprobs": []}]}'
    )
    run = Run("run-1", "running", "dpo", "test", datetime.now(UTC))
    found = work.manifest(run, "ab" * 32)
    assert found["run"] == "run-1"
    assert found["base"] == {"location": "/models/starter", "hash": "ab" * 32}
    assert found["recipe"]["rank"] == 8
    assert found["examples"] == [
        {"id": example().id, "source": "siblings", "votes": ["rating:1"], "people": ["ann"], "askers": []}
    ]
    assert found["counts"] == {"training": 1, "held_out": 1}
    assert found["metrics"] == {"loss": 0.5, "grad_norm": None}, "NaN is no JSON, parity rows are no figure"
    assert set(found["versions"]) == {"torch", "transformers", "trl", "peft", "safetensors"}
    json.dumps(found, allow_nan=False)
