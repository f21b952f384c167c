"""Sections to passages: none longer than so many tokens of the served model, each with its title and page.

Cuts stand between paragraphs where they can, else between lines, sentences, words. Nothing overlaps: the
title path says with each passage what it is about, and a change in a text stays in the passages it is in.
An id hangs on what a passage says, so the same text has the same ids each time.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from retrieval.records import Passage, Section

Length = Callable[[str], int]

SMALLEST = 8
"""Tokens that a passage must be allowed: one character can take several."""
CHARACTERS_A_TOKEN = 3
"""What is taken for a token where the served model's tokenizer is not at hand; few models need more."""
_LONGEST_TOKEN = 20
_SEPARATORS = [r"\n\s*\n", r"\n", r"(?<=[.!?…。！？])\s+", r"(?<=[;:,，、])\s+", r"\s+"]
_ROW = re.compile(r"\s*\|.*\|\s*")
_RULE = re.compile(r"\s*\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?\s*)?")


def split(sections: Sequence[Section], length: Length, most: int) -> list[Section]:
    """The same text in pieces of at most `most` tokens, in order; what has no words in it is left out.

    Neighbours with the same title and page are joined where they fit.
    """
    cutter = _Cutter(length, most)
    found: list[Section] = []
    for (title, page), group in groupby(sections, lambda one: (one.title, one.page)):
        pieces = (piece for one in group for piece in cutter.pieces(one.text))
        found += [Section(title, text, page) for text in cutter.joined(pieces)]
    return found


def passages(document_id: str, audience: str, sections: Sequence[Section]) -> list[Passage]:
    """A document's passages, each with an id by what it says; the same words again count on."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for place, one in enumerate(sections):
        seen[one.title, one.text] += 1
        parts = (document_id, one.title, one.text, str(seen[one.title, one.text]))
        mark = hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        found.append(
            Passage(f"psg-{mark}", document_id, "document", audience, one.title, one.text, one.page, place)
        )
    return found


def counter(model_location: str) -> Length:
    """Counts a text's tokens as the served model does: by the tokenizer in its folder, or of the hub model
    where that lies in the cache (nothing is fetched); else by an estimate that is rather too high."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return estimate
    file = _tokenizer_file(model_location)
    if file is None:
        return estimate
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 -- the library raises nothing narrower; an estimate serves as well
        return estimate
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def estimate(text: str) -> int:
    """About how many tokens a text has; rather too many."""
    # A Chinese, Japanese or Korean character is a token by itself
    weight = sum(1 if ord(letter) < 0x2E80 else CHARACTERS_A_TOKEN for letter in text)
    return -(-weight // CHARACTERS_A_TOKEN)


def _tokenizer_file(location: str) -> Path | None:
    folder = Path(location).expanduser()
    if folder.is_dir():
        file = folder / "tokenizer.json"
        return file if file.is_file() else None
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        return None
    try:
        cached = try_to_load_from_cache(location, "tokenizer.json")
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None


class _Cutter:
    """Cuts to one length."""

    def __init__(self, length: Length, most: int) -> None:
        if most < SMALLEST:
            raise ValueError(f"a passage needs room for {SMALLEST} tokens")
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        self._most = most
        # A text so long is too long whatever its tokens are, and counting those of a book would take memory
        self._length: Length = lambda text: len(text) if len(text) > most * _LONGEST_TOKEN else length(text)
        self._splitter = RecursiveCharacterTextSplitter(
            _SEPARATORS,
            keep_separator="end",
            is_separator_regex=True,
            chunk_size=most,
            chunk_overlap=0,
            length_function=self._length,
        )

    def pieces(self, text: str) -> Iterator[str]:
        """A text in pieces that fit; a table as a whole where it fits, else by its rows."""
        text = text.strip("\n").rstrip()
        if self._fits(text):
            yield text
            return
        for part, is_table in _parts(text):
            if self._fits(part):
                yield part
            else:
                yield from self._rows(part) if is_table else self._cut(part)

    def joined(self, pieces: Iterable[str]) -> Iterator[str]:
        """Neighbours together, as many as fit."""
        held = ""
        for piece in pieces:
            if not any(letter.isalnum() for letter in piece):
                continue
            together = f"{held}\n\n{piece}" if held else piece
            if self._fits(together):
                held = together
                continue
            if held:
                yield held
            held = piece
        if held:
            yield held

    def _fits(self, text: str) -> bool:
        return self._length(text) <= self._most

    def _cut(self, text: str) -> Iterator[str]:
        for piece in self._splitter.split_text(text):
            yield from self._halves(piece)

    def _halves(self, text: str) -> Iterator[str]:
        """What no separator made short enough: a word as long as a page, or words whose tokens are more
        together than apart."""
        if self._fits(text) or len(text) == 1:
            yield text
            return
        middle = len(text) // 2
        space = text.rfind(" ", 1, middle + 1)
        middle = space if space > 0 else middle
        yield from self._halves(text[:middle].strip())
        yield from self._halves(text[middle:].strip())

    def _rows(self, table: str) -> Iterator[str]:
        """A long table as several, each with the head of the first if that is short enough to say again."""
        head, rule, *rows = table.split("\n")
        opening = f"{head}\n{rule}"
        if self._length(opening) > self._most // 3:
            yield from self._cut(table)
            return
        held = opening
        for row in rows:
            if self._fits(f"{held}\n{row}"):
                held = f"{held}\n{row}"
                continue
            yield held
            held = f"{opening}\n{row}"
            if not self._fits(held):
                yield from self._cut(row)
                held = opening
        if held != opening:
            yield held


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Tables and what stands between them, in order; and whether a part is a table."""
    lines = text.split("\n")
    start = number = 0
    while number < len(lines):
        is_head = "|" in lines[number] and number + 1 < len(lines) and _RULE.fullmatch(lines[number + 1])
        if not is_head:
            number += 1
            continue
        if number > start:
            yield "\n".join(lines[start:number]).strip("\n"), False
        start, number = number, number + 2
        while number < len(lines) and _ROW.fullmatch(lines[number]):
            number += 1
        yield "\n".join(lines[start:number]), True
        start = number
    yield "\n".join(lines[start:]).strip("\n"), False
