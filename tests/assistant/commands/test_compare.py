"""Tests of `apprentice compare`: what it prints, writes and keeps, over a fake engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.app import House
from assistant.commands.compare import lines, report
from assistant.comparisons import newest
from tests.assistant.commands.conftest import Cli
from tests.fake_engine import FakeEngine
from training import screening
from training.comparison import Cell, Comparison, Judge, Row

RATERS = str(Path(__file__).parents[3] / "examples" / "raters.py")
QUESTIONS = [f"Where is parcel {number}?" for number in range(14)]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    rows = [{"messages": [{"role": "user", "content": question}]} for question in QUESTIONS]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def ready(house: House, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> House:
    """A home with an engine and a long prompt."""
    monkeypatch.setenv("APPRENTICE_CHAT__SYSTEM_PROMPT", "You are the assistant of a shop.")
    fake.announce(house.settings.home)
    return house


def test_it_prints_the_verdict_the_table_and_where_it_is_kept(
    cli: Cli, ready: House, prompts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.md"
    rater = f"{RATERS}:brief"
    given = ("--prompts", str(prompts), "--rater", rater, "--cost-per-hour", "1.2", "--markdown", str(out))
    done = cli("compare", *given)
    assert done.status == 0, done.err
    found = newest(ready.settings.home)
    assert found is not None
    assert (found.source, found.questions, found.judge.name) == ("prompts.jsonl", 14, rater)
    for line in (*found.verdict, *found.notes, *(row.cell.name for row in found.rows)):
        assert line in done.out
    assert "first token s (p90)" in done.out
    assert "kept in " in done.out
    written = out.read_text()
    assert written == report(found)
    assert written.startswith("# Prompt, retrieval or fine-tuning?\n\n- ")
    table = [line for line in written.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(found.rows)
    assert {line.count("|") for line in table} == {11}
    assert "| cost |" in table[0]


def test_json_is_what_is_kept(cli: Cli, ready: House, prompts: Path) -> None:
    done = cli("compare", "--prompts", str(prompts), "--questions", "12", "--json")
    found = newest(ready.settings.home)
    assert found is not None
    assert Comparison.from_dict(json.loads(done.out)) == found
    assert found.questions == 12
    assert found.judge.abstains
    assert "liked (judge abstains)" in lines(found)[0]


def test_failed_requests_have_a_column(cli: Cli, ready: House, prompts: Path, fake: FakeEngine) -> None:
    fake.fail("500")
    assert cli("compare", "--prompts", str(prompts), "--rater", f"{RATERS}:brief").status == 0
    found = newest(ready.settings.home)
    assert found is not None
    heads, *rows = lines(found)
    assert heads[-1] == "failed"
    assert sorted(row[-1] for row in rows) == ["0", "1"]


def test_what_was_never_measured_is_a_dash() -> None:
    nothing = Row(Cell(), 0, 3, *[None] * 10)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    found = Comparison(now, "m", None, "the store", 3, Judge("j"), (nothing,), (), (), ())
    assert lines(found)[1] == ["base", *["–"] * 8, "3"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rater", "nothing"], "is no rater"),
        (["--rater", f"{RATERS}:courteous@0.5"], "leave the share out"),
        (["--prompts", "/nowhere.jsonl"], "can't be read"),
        (["--markdown", "/nowhere/report.md"], "expected a file in a folder that is there"),
        (["--questions", "1"], "--questions"),
        (["--cost-per-hour", "-1"], "--cost-per-hour"),
    ],
)
def test_wrong_use_is_2(cli: Cli, ready: House, arguments: list[str], said: str) -> None:
    done = cli("compare", *arguments)
    assert done.status == 2
    assert said in done.err
    assert newest(ready.settings.home) is None


@pytest.mark.parametrize("content", ["", "no json", '{"messages": []}'])
def test_prompts_that_can_not_be_used_are_2(cli: Cli, ready: House, tmp_path: Path, content: str) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(content)
    done = cli("compare", "--prompts", str(file))
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"apprentice: --prompts {file}: ")


def test_without_engine_or_questions_it_says_what_to_do(cli: Cli, house: House, fake: FakeEngine) -> None:
    done = cli("compare")
    assert done.status == 1
    assert "start it with `apprentice up`" in done.err
    fake.announce(house.settings.home)
    done = cli("compare")
    assert (done.status, done.out) == (1, "")
    assert "name a file by --prompts" in done.err


def test_questions_of_a_file_need_not_be_of_the_hold_out() -> None:
    assert not all(screening.held_out(question) for question in QUESTIONS)
