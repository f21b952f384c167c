"""The README keeps its word: its commands, settings, routes and pictures exist."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer.main

from assistant import cli
from assistant.commands.compare import lines
from assistant.settings import PREFIX, Settings
from training import comparison
from training.starter import __main__ as starter_command

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """What stands behind `apprentice`: in code, in a block, in the table with its alternatives."""
    found = re.findall(r"(?:`|^)apprentice ([a-z][^`\n]*)", TEXT, re.MULTILINE)
    return sorted({part.replace("\\|", "|") for part in found})


def known(words: list[str]) -> bool:
    """Whether the command line has this command, alternatives (`a|b`) and options included."""
    here: Any = typer.main.get_command(cli.app)
    while words and hasattr(here, "commands"):
        names, words = words[0].split("|"), words[1:]
        if not all(name in here.commands for name in names):
            return False
        here = here.commands[names[-1]]
    options = {name for parameter in here.params for name in parameter.opts}
    return all(word.strip("[]") in options for word in words if word.strip("[]").startswith("--"))


@pytest.mark.parametrize("command", commands())
def test_every_command_exists_with_its_options(command: str) -> None:
    assert known(command.split())


def test_there_are_commands_to_look_at() -> None:
    assert {"up", "train [--wait]"} & set(commands())
    assert not known(["fly"])
    assert not known(["train", "--fast"])


def test_the_table_of_the_comparison_is_one_that_the_command_writes() -> None:
    section = TEXT.partition("## Prompt, retrieval or fine-tuning?")[2].partition("\n## ")[0]
    heads, _, *rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    cells = comparison.cells(("prompt", "adapter"))
    nothing = [comparison.Row(cell, 0, 0, *[None] * 10) for cell in cells]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    judge = comparison.Judge("j")
    found = comparison.Comparison(now, "m", None, "s", 1, judge, nothing, (), (), ())
    assert [heads, *([row[0]] for row in rows)] == [lines(found)[0], *([cell.name] for cell in cells)]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\bexamples/[\w.]+\w", TEXT))))
def test_every_example_is_there(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("line", re.findall(r"^python -m training\.starter ([^#\n]+)", TEXT, re.MULTILINE))
def test_every_word_to_the_starter_is_understood(line: str) -> None:
    assert starter_command.arguments().parse_args(line.split()).command in ("build", "score")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"APPRENTICE_[A-Z_]+", TEXT))))
def test_every_setting_exists(name: str) -> None:
    parts = name.removeprefix(PREFIX).removesuffix("_FILE").strip("_").lower().split("__")
    field = Settings.model_fields.get(parts[0])
    assert field is not None
    if len(parts) == 2:
        section = field.annotation
        assert is_dataclass(section)
        assert parts[1] in {one.name for one in fields(section)}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((docs/[^)]+)\)|`(docs/[^`]+)`", TEXT))))
def test_every_picture_and_page_is_there(path: tuple[str, str]) -> None:
    assert (ROOT / (path[0] or path[1])).is_file()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`|^)make ([a-z]+)\b", TEXT, re.MULTILINE))))
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
