"""Tests of files that leave the house: whole, in pieces, and gone when nobody reads on."""

from __future__ import annotations

import asyncio
import json
from typing import IO

import pytest

from assistant import outgoing
from feedback.database import Database
from feedback.store import Store, Verdict
from tests.feedback.test_exchange import asked


def test_a_file_comes_whole_and_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "_CHUNK", 3)
    kept: list[IO[bytes]] = []

    def write(file: IO[bytes]) -> None:
        kept.append(file)
        file.write(b"abcdefgh")

    async def main() -> list[bytes]:
        return [piece async for piece in await outgoing.made(write)]

    assert asyncio.run(main()) == [b"abc", b"def", b"gh"]
    assert kept[0].closed


def test_an_error_comes_before_anything_is_sent() -> None:
    kept: list[IO[bytes]] = []

    def write(file: IO[bytes]) -> None:
        kept.append(file)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(outgoing.made(write))  # type: ignore[arg-type]
    assert kept[0].closed


def test_every_format_can_be_had(sqlite: Database, tmp_path: object) -> None:
    store = Store(sqlite)
    turn = asked(store)
    store.judge(turn.id, "ann", "user", Verdict("down", (), "", "It will be with you on Monday."))
    found = {}
    for kind in ("raw", "unpaired", "sft", "preference"):

        async def main(kind: str = kind) -> bytes:
            body = await outgoing.made(lambda file: outgoing.feedback_bytes(store, kind, file))  # type: ignore[arg-type]
            return b"".join([piece async for piece in body])

        found[kind] = [json.loads(line) for line in asyncio.run(main()).splitlines()]
    assert [len(rows) for rows in found.values()][:3] == [1, 1, 1]
    assert found["unpaired"][0]["label"] is False
