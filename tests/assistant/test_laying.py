"""Tests of what a comparison lays into a prompt."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from assistant.accounts import Accounts
from assistant.laying import Laying, through
from feedback.database import Database
from training.records import TrainingError

pytestmark = pytest.mark.anyio

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Is the return free?"}]
DOCUMENT = {"number": 1, "document": "doc-1", "title": "Returns", "text": "They are free.", "page": None}
ANSWER = {"number": 1, "kind": "answer", "title": "Are returns free?", "text": "Always."}


def laying(*found: dict[str, Any], status: int = 200) -> tuple[Laying, list[httpx.Request]]:
    """Over a web process that finds this."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, json={"object": "list", "data": list(found)})

    client = httpx.AsyncClient(base_url="http://web", transport=httpx.MockTransport(answer))
    return Laying(client, 4), asked


async def test_passages_stand_before_the_question_as_in_the_chat() -> None:
    found, asked = laying(DOCUMENT)
    prompt = await found.passages(ASKED)
    assert prompt[0] == ASKED[0]
    assert "[1] Returns\nThey are free." in prompt[1]["content"]
    assert prompt[1]["content"].endswith("Is the return free?")
    assert dict(asked[0].url.params) == {"q": "Is the return free?", "k": "4"}


async def test_examples_stand_twice_and_leave_the_prompt_alone_where_there_is_none() -> None:
    prompt = await laying(ANSWER)[0].examples(ASKED)
    assert [message.get("name") for message in prompt] == [None, "example", "example", None]
    assert prompt[0]["content"] == "Be kind.\n\nPassages:\n[1] Are returns free?\nAlways."
    assert await laying()[0].examples(ASKED) == ASKED


async def test_what_is_no_question_is_not_asked_for() -> None:
    found, asked = laying(DOCUMENT)
    assert await found.passages([{"role": "user", "content": "Thanks!"}]) == [
        {"role": "user", "content": "Thanks!"}
    ]
    assert asked == []


async def test_a_web_process_that_fails_costs_the_answer() -> None:
    with pytest.raises(TrainingError, match="did not say what helps"):
        await laying(status=503)[0].passages(ASKED)


async def test_the_account_lasts_as_long_as_the_comparison(sqlite: Database) -> None:
    accounts = Accounts(sqlite)
    async with through("http://web", accounts, 4):
        assert [account.role for account in accounts.all()] == ["staff"]
    assert accounts.all() == []
