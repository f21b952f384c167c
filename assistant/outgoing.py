"""Files that leave the house, by command or over HTTP: made whole first, in a file without a name, then sent.

Whatever is killed meanwhile leaves no copy of what people said. Knows no routes and no commands.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Literal, TextIO

from anyio import to_thread

from feedback import exchange
from feedback.store import Store
from training import gathering, screening, tool_pairs

Format = Literal["preference", "unpaired", "sft", "raw"]
_CHUNK = 1 << 16


def feedback(store: Store, kind: Format, out: Path | TextIO) -> int:
    """Write everybody's feedback in a format, a `Path` whole or not at all; returns the number of lines."""
    if kind != "preference":
        return exchange.export(store, kind, out, screening.heard)
    built = gathering.from_votes(store)
    return exchange.write_rows(tool_pairs.rows(store.judged(), built.training), out)


def feedback_bytes(store: Store, kind: Format, file: IO[bytes]) -> None:
    """The same into a file of bytes, which stays open."""
    text = io.TextIOWrapper(file, encoding="utf-8")
    feedback(store, kind, text)
    text.detach()


async def made(write: Callable[[IO[bytes]], object]) -> AsyncIterator[bytes]:
    """What `write` writes, once all of it is written; its errors come from here, before anything is sent."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # `_sent` closes it
    try:
        await to_thread.run_sync(write, file)
        await to_thread.run_sync(file.seek, 0)
    except BaseException:
        file.close()
        raise
    return _sent(file)


async def _sent(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while chunk := await to_thread.run_sync(file.read, _CHUNK):
            yield chunk
