"""What a comparison lays into a prompt: passages and approved answers, asked for at the running web process.

That process holds the index; it is asked with a key that goes when the comparison ends. A prompt gets what
people's prompts get (`grounding.py`, `examples.py`). Knows no cell and no figure.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Any

import httpx
from anyio import to_thread

from assistant import examples, grounding
from assistant.accounts import Accounts
from feedback.records import Message
from training.records import TrainingError

log = logging.getLogger(__name__)

_SECONDS = 60.0


class Laying:
    """Lays what the web process finds into prompts. `most` bounds the passages."""

    def __init__(self, client: httpx.AsyncClient, most: int) -> None:
        self._client = client
        self._most = most

    async def passages(self, prompt: Sequence[Message]) -> Sequence[Message]:
        """The prompt with passages of documents. Raises `TrainingError`."""
        question = grounding.search_question(prompt)
        if not question:
            return prompt
        found = await self._found("/v1/documents/search", {"q": question, "k": self._most})
        kept = [{**hit, "kind": "document", "source": hit["document"]} for hit in found]
        return grounding.with_passages(prompt, kept)

    async def examples(self, prompt: Sequence[Message]) -> Sequence[Message]:
        """The prompt with approved answers. Raises `TrainingError`."""
        question = grounding.search_question(prompt)
        found = await self._found("/v1/approvals/search", {"q": question}) if question else []
        if not found:
            return prompt
        return examples.with_examples(prompt, found)

    async def _found(self, path: str, asked: Mapping[str, str | int]) -> list[dict[str, Any]]:
        try:
            answer = await self._client.get(path, params=dict(asked))
            answer.raise_for_status()
            return list(answer.json()["data"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise TrainingError(f"the web process did not say what helps: {error}") from error


@asynccontextmanager
async def through(url: str, accounts: Accounts, most: int) -> AsyncIterator[Laying]:
    """Through the web process at `url`, with an account of staff that lasts as long as this."""
    name = f"compare-{token_hex(4)}"
    await to_thread.run_sync(accounts.add, name, "staff")
    try:
        key = await to_thread.run_sync(accounts.new_key, name)
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=_SECONDS, trust_env=False
        ) as client:
            yield Laying(client, most)
    finally:
        await to_thread.run_sync(accounts.delete, name)
