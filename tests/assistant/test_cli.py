"""Tests of the command line as a whole: what it costs to ask for help, and what its exit statuses mean."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.assistant.commands.conftest import Cli, cli

__all__ = ["cli"]

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "trl", "peft", "gradio", "vllm", "chromadb", "langchain", "sqlalchemy",
         "alembic", "fastapi", "pydantic", "uvicorn", "sklearn", "numpy", "openai", "httpx")  # fmt: skip

HELP = f"""
import sys
sys.argv = ["apprentice", "--help"]
from assistant.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
import json
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)
"""

COMMANDS = ["up", "web", "worker", "engine", "status", "doctor", "train", "runs", "adapters", "evaluate",
            "feedback", "user", "simulate"]  # fmt: skip


def test_asking_for_help_loads_nothing_that_takes_time() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stderr.splitlines()[-1]) == []
    assert "learns on the job" in done.stdout


def test_help_names_every_command(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.status == 0
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", shown.out)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    shown = cli(command, "--help")
    assert shown.status == 0
    assert re.search(rf"Usage: .*\b{command}\b", shown.out)


def test_the_version_is_that_of_the_package(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"{name} 1.2.3")
    assert cli("--version").out == "apprentice 1.2.3\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["status", "--nonsense"],
        ["user", "add"],
        ["user", "add", "ann", "--role", "root"],
        ["train", "--method", "magic"],
        ["adapters", "promote", "lora-000000000001"],
        ["up", "--port", "0"],
        ["feedback", "export", "--format", "csv", "--out", "x"],
        ["feedback", "import", "no-such-file"],
    ],
)
def test_wrong_use_is_2(cli: Cli, home: Path, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err
    assert list(home.iterdir()) == [], "nothing was begun"


def test_a_bad_setting_is_2_in_one_line(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_TRAINING__MIN_EXAMPLES", "few")
    done = cli("status")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("apprentice: APPRENTICE_TRAINING__MIN_EXAMPLES='few': ")
    assert done.err.count("\n") == 1
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "show", "run-0"], "there is no run run-0"),
        (["adapters", "show", "lora-0"], "there is no adapter lora-0"),
        (["user", "key", "nobody"], "there is no account named nobody"),
        (["adapters", "rollback", "--reason", "x"], "nothing to go back to"),
    ],
)
def test_a_failure_is_1_in_one_sentence_whichever_package_it_comes_from(
    cli: Cli, arguments: list[str], said: str
) -> None:
    done = cli(*arguments)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("apprentice: ")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_database_that_can_not_be_reached_is_a_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_DATABASE_URL", "postgresql+psycopg://ann:hunter2@127.0.0.1:1/none")
    done = cli("status")
    assert done.status == 1
    assert done.err.startswith("apprentice: the database does not answer")
    assert "Traceback" not in done.err
    assert "hunter2" not in done.err


def test_a_bug_is_shown_and_not_made_into_a_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.runs.Runs.all", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli("runs", "list")


def test_it_can_be_run_as_a_module_and_home_is_where_it_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "assistant", "user", "list", "--json", "--home", str(tmp_path / "there")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
    assert (tmp_path / "there" / "apprentice.db").is_file()
