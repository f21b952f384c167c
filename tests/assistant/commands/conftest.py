"""The command line in this process, as a shell sees it."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assistant import cli as module
from assistant.app import House, open_house
from assistant.settings import read


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs `apprentice …`; what it does to the environment ends with the test."""
    before = dict(os.environ)
    monkeypatch.setenv("APPRENTICE_MODEL", "org/model")

    def run(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "argv", ["apprentice", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        status = 0
        try:
            module.main()
        except SystemExit as end:
            status = int(end.code or 0)
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    yield run
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def house(home: Path, migrated: Path) -> Iterator[House]:
    """The services of the home that the commands work on."""
    shutil.copyfile(migrated, home / "apprentice.db")
    found = open_house(read(model="org/model"))
    yield found
    found.close()
