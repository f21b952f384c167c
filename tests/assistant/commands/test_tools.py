"""Tests of `apprentice tools`, and of the look at them before anything is started."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.commands import tools
from assistant.settings import BadSetting, read
from tests.assistant.commands.conftest import Cli

pytest.importorskip("langchain_core")

SHOP = str(Path(__file__).parents[3] / "examples" / "shop_tools.py")


def test_it_lists_what_the_model_may_call(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_TOOLS", SHOP)
    done = cli("tools")
    assert done.status == 0
    assert " ".join(done.out.splitlines()[1].split()) == "order_status order_id Get the status of an order."
    found = json.loads(cli("tools", "--json").out)
    assert [one["name"] for one in found] == ["order_status", "search_documents"]
    assert list(found[1]["parameters"]["properties"]) == ["query"]


def test_without_tools_it_says_how_to_have_some(cli: Cli, home: Path) -> None:
    done = cli("tools")
    assert (done.status, done.out) == (0, "There are none: name a module in APPRENTICE_TOOLS.\n")


def test_a_bad_module_is_one_line_and_wrong_use(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    monkeypatch.setenv("APPRENTICE_TOOLS", "/no/such/file.py")
    for command in ("tools", "web", "up"):
        done = cli(command, *(["--port", str(free_port())] if command != "tools" else []))
        assert done.status == 2
        assert done.err == "apprentice: APPRENTICE_TOOLS='/no/such/file.py': there is no such file\n"


def test_a_module_that_ends_python_does_not_end_the_start_without_a_word(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends.py").write_text("import os\nos._exit(3)")
    monkeypatch.setenv("APPRENTICE_TOOLS", str(tmp_path / "ends.py"))
    with pytest.raises(BadSetting, match=r"ends\.py': it ends Python"):
        tools.check(read(model="org/model"))
    monkeypatch.setenv("APPRENTICE_TOOLS", SHOP)
    tools.check(read(model="org/model"))
