"""How far a run is, for whoever watches its directory: one JSON line at a time in `progress.jsonl`.

Also keeps the seconds of each part. Does not know what the parts do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INTERVAL = 0.25
"""Seconds between two lines of one part: live for a page, and nothing for the disk."""


class Progress:
    """Lines of `{"part", "time", …}`; `time` is in seconds since this process began its work."""

    def __init__(self, path: Path) -> None:
        self.seconds: dict[str, float] = {}
        self._path = path
        self._begun = time.monotonic()
        self._next = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Everything inside counts as `name` and starts with a line of its own."""
        self.line(name, always=True)
        begun = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - begun, 3)

    def line(self, part: str, *, always: bool = False, **facts: Any) -> None:
        """Append a line, unless the last one is younger than `INTERVAL`."""
        now = time.monotonic()
        if now < self._next and not always:
            return
        self._next = now + INTERVAL
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": part, "time": round(now - self._begun, 3), **facts}) + "\n")
