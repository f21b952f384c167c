"""Tests of the way out and back in: nothing lost, nothing half, every row of one shape."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.exchange import Format, export, write_rows
from feedback.records import Turn
from feedback.store import Ending, NewTurn, Store, Verdict


def asked(store: Store, question: str = "Hello?", ending: Ending | None = None, **more: Any) -> Turn:
    person = more.pop("person", "ann")
    conversation = more.pop("conversation", None) or store.start_conversation(person, question).id
    prompt = more.pop("prompt", [{"role": "user", "content": question}])
    new = NewTurn(
        conversation, more.pop("parent", None), person, question, prompt, "base", None, {"seed": 1}, **more
    )
    return store.end(store.begin(new), ending or Ending("complete", "Hi.", finish_reason="stop"))


def a_busy_store(store: Store) -> Store:
    """A store with every kind of fact in it, and awkward text."""
    first = asked(store, 'Where is\u2028my "order"?\n👍 \\u0000')
    again = asked(
        store,
        'Where is\u2028my "order"?\n👍 \\u0000',
        Ending("complete", "On its way.", "lora-1", first.created_at, 5, 4, "stop"),
        conversation=first.conversation_id,
        passages=({"id": "p", "score": 0.5, "audience": ""},),
        searched="Where?",
        asked=True,
    )
    after = asked(store, "And now?", conversation=first.conversation_id, parent=again.id)
    asked(store, "Tools?", Ending("complete", "", tool_calls=({"id": "c", "function": {"name": "f"}},)))
    asked(store, "Cut", Ending("interrupted", "Half an ans", error="the server stopped"))
    asked(store, "Long", Ending("complete", "Long ans", finish_reason="length"))
    store.judge(first.id, "ann", "user", Verdict("up"))
    store.judge(first.id, "ann", "user", Verdict("down", ["wrong"], "no", "In the post."))
    store.judge(again.id, "ann", "user", Verdict("up"))
    store.judge(after.id, "ann", "user", Verdict("down"))
    store.judge(after.id, "ann", "user", Verdict(None))
    store.choose(again.id, first.id, "ann", "user", "first")
    return store


def exported(store: Store, kind: Format, **more: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    count = export(store, kind, out, **more)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert count == len(rows)
    return rows


def shapes(rows: list[dict[str, Any]]) -> set[tuple[tuple[str, str], ...]]:
    return {tuple((name, type(value).__name__) for name, value in row.items()) for row in rows}


@pytest.mark.parametrize("kind", ["raw", "unpaired", "sft"])
def test_every_row_has_the_same_keys_and_types(store: Store, kind: Format) -> None:
    rows = exported(a_busy_store(store), kind)
    assert rows
    [shape] = shapes(rows)
    assert "NoneType" not in dict(shape).values()


def test_unpaired_rows_are_what_a_kto_trainer_reads(store: Store) -> None:
    rows = exported(a_busy_store(store), "unpaired")
    assert [(row["completion"], row["label"]) for row in rows] == [
        ([{"role": "assistant", "content": "Hi."}], False),
        ([{"role": "assistant", "content": "On its way."}], True),
    ]
    assert rows[0]["prompt"][0]["role"] == "user"


def test_sft_rows_are_corrections_and_answers_with_ups_alone(store: Store) -> None:
    rows = exported(a_busy_store(store), "sft")
    assert [row["completion"][0]["content"] for row in rows] == ["In the post.", "On its way."]


def test_a_disputed_answer_is_no_model_of_a_good_one(store: Store) -> None:
    turn = asked(store)
    store.judge(turn.id, "ann", "user", Verdict("up"))
    assert len(exported(store, "sft")) == 1
    store.judge(turn.id, "ann", "user", Verdict("up", (), "", "Hi, Ann."))
    assert [row["completion"][0]["content"] for row in exported(store, "sft")] == ["Hi, Ann."]


def test_the_training_formats_leave_out_what_no_trainer_reads_and_what_is_not_kept(store: Store) -> None:
    tools = asked(store, "t", Ending("complete", "x", tool_calls=({"id": "c"},)))
    parts = asked(store, "p", prompt=[{"role": "user", "content": [{"type": "text", "text": "p"}]}])
    cut = asked(store, "c", Ending("stopped", "Half"))
    good = asked(store, "g")
    for turn in (tools, parts, cut, good):
        store.judge(turn.id, "ann", "user", Verdict("up"))
    assert [row["prompt"][0]["content"] for row in exported(store, "unpaired")] == ["g"]
    assert exported(store, "unpaired", heard=lambda item: item if item.turn.id != good.id else None) == []


def test_what_stands_on_a_restricted_passage_is_left_out_of_the_training_formats(store: Store) -> None:
    open_to_all = asked(store, "How long?", passages=({"id": "p", "audience": ""},))
    closed = asked(store, "What margin?", passages=({"id": "q", "audience": "staff"},))
    found = {"role": "tool", "tool_call_id": "c", "content": "40 %", "audiences": ["staff"]}
    by_a_tool = asked(store, "Which margin?", Ending("complete", "40 %.", steps=[found]))
    for turn in (open_to_all, closed, by_a_tool):
        store.judge(turn.id, "ann", "user", Verdict("up"))
    for kind in ("unpaired", "sft"):
        assert [row["prompt"][0]["content"] for row in exported(store, kind)] == ["How long?"]


def test_a_file_is_replaced_as_a_whole_or_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert write_rows([{"a": 1}], file) == 1

    def breaks() -> Iterator[dict[str, int]]:
        yield {"a": 2}
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        write_rows(breaks(), file)
    assert file.read_text() == '{"a": 1}\n'
    assert list(tmp_path.glob(".rows*")) == []
    assert write_rows([], file) == 0
    assert file.read_text() == ""


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=5))
def test_any_text_makes_one_line_a_row(rows: list[dict[str, str]]) -> None:
    out = io.StringIO()
    write_rows(rows, out)
    assert [json.loads(line) for line in out.getvalue().splitlines()] == rows


@pytest.mark.slow
def test_datasets_reads_every_format(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    a_busy_store(store)
    formats: dict[Format, set[str]] = {
        "raw": {"turn_id", "prompt", "ratings"},
        "unpaired": {"prompt", "completion", "label"},
        "sft": {"prompt", "completion"},
    }
    for kind, columns in formats.items():
        file = tmp_path / f"{kind}.jsonl"
        count = export(store, kind, file)
        found = datasets.load_dataset(
            "json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert found.num_rows == count
        assert columns <= set(found.column_names)
    assert found[0]["completion"] == [{"role": "assistant", "content": "In the post."}]


def test_turns_with_tools_come_first_and_with_what_was_offered(store: Store) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
    steps = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "found", "failed": False, "seconds": 0.1},
    ]
    plain = asked(store, "plain?")
    new = NewTurn(
        store.start_conversation("ann", "tools?").id,
        None,
        "ann",
        "tools?",
        [{"role": "user", "content": "tools?"}],
        "base",
        None,
        {"tools": tools},
    )
    used = store.end(store.begin(new), Ending("complete", "There.", finish_reason="stop", steps=steps))
    for turn in (plain, used):
        store.judge(turn.id, "ann", "user", Verdict("up"))
    for kind in ("sft", "unpaired"):
        first, second = exported(store, kind)  # type: ignore[arg-type]
        assert [message["role"] for message in first["completion"]] == ["assistant", "tool", "assistant"]
        assert json.loads(first["tools"]) == tools
        assert (second["completion"], second["tools"]) == ([{"role": "assistant", "content": "Hi."}], "[]")
