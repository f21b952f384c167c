"""Facts as JSONL for other tools and other homes: the way out. The way in is `importing.py`.

Every row of a format has the same keys, each of one type and never null: readers that fix their columns by
the first rows, as `datasets` does, then never meet a surprise. Knows no pairs: examples come ready-made.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO

from feedback import dialogues, raw
from feedback.records import Judged
from feedback.store import Store

Format = Literal["raw", "unpaired", "sft"]
Heard = Callable[[Judged], Judged | None]


def export(
    store: Store,
    kind: Format,
    out: Path | TextIO,
    heard: Heard = lambda item: item if item.learned_from else None,
) -> int:
    """Write the feedback in one of the formats and return the number of rows.

    - `raw`: every turn that has ended with all that was said about it, older opinions included, which
      `importing.py` reads back. `prompt`, `details` and the opinions are JSON in a string.
    - `unpaired`: `{prompt, completion, tools, label}`, a row a live thumb, for `trl.KTOTrainer`.
    - `sft`: `{prompt, completion, tools}`, live corrections and answers with ups alone, for `trl.SFTTrainer`.

    Turns in which tools were called come first, so that who fixes columns by the first rows has seen them.
    `heard` gives what counts of a turn in the two training formats, or None; by default conversations that
    nothing may be learned from are left out. A `Path` is replaced as a whole or not at all.
    """
    if kind == "raw":
        return write_rows(map(raw.row, store.histories()), out)
    rows = _unpaired_rows if kind == "unpaired" else _sft_rows
    fit = [item for item in map(heard, store.judged()) if item and dialogues.is_readable(item.turn)]
    fit.sort(key=lambda item: not dialogues.uses_tools(item.turn))
    return write_rows((row for item in fit for row in rows(item)), out)


def write_rows(rows: Iterable[Mapping[str, Any]], out: Path | TextIO) -> int:
    """Write rows as JSONL and return how many. A `Path` is replaced as a whole or not at all."""
    if not isinstance(out, Path):
        return _write(rows, out)
    out.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a rename is atomic only inside one file system.
    handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            count = _write(rows, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, out)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(out.parent)
    return count


def _write(rows: Iterable[Mapping[str, Any]], out: TextIO) -> int:
    count = 0
    for row in rows:
        # ASCII only: no editor, shell or JSON reader then trips over exotic line ends or lone surrogates.
        out.write(json.dumps(row) + "\n")
        count += 1
    return count


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unpaired_rows(item: Judged) -> Iterator[dict[str, Any]]:
    for rating in item.ratings:
        yield {
            "prompt": dialogues.prompt(item.turn),
            "completion": dialogues.completion(item.turn),
            "tools": dialogues.tools(item.turn),
            "label": rating.thumb == "up",
        }


def _sft_rows(item: Judged) -> Iterator[dict[str, Any]]:
    thumbs = {rating.thumb for rating in item.ratings}
    texts = list(dict.fromkeys(correction.text for correction in item.corrections))
    pairs = [dialogues.corrected(item.turn, text) for text in texts]
    if not texts and thumbs == {"up"}:
        pairs = [(dialogues.prompt(item.turn), dialogues.completion(item.turn))]
    for prompt, completion in pairs:
        yield {"prompt": prompt, "completion": completion, "tools": dialogues.tools(item.turn)}
