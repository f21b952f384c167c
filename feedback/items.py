"""The items of a file of JSON, one at a time: its lines, or the members of the one array that it is.

A file may be larger than the memory, a single item may not. Knows nothing of what an item says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

LONGEST = 4_000_000
"""Characters of an item; one beyond is passed over."""
_CHUNK = 1 << 16
# What is escaped is taken along, so that its quote is none.
_SIGN = re.compile(r'\\.|["{}\[\],]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Item:
    """One item: the number of its line, or its place in the array, from 1 on. `text` None: it is too long."""

    number: int
    text: str | None


def items(file: TextIO) -> Iterator[Item]:
    """Every item that is not empty, in order."""
    head, more = "", True
    # Its first two signs tell which it is.
    while more and len("".join(head.split())) < 3:
        chunk = file.read(_CHUNK)
        head, more = head + chunk, bool(chunk)
    head = head.removeprefix("\ufeff")
    begin = "".join(head.split())[:2]
    if begin in ("[{", "[]"):
        yield from _members(head.lstrip()[1:], file)
    else:
        yield from _lines(head, file)


def _lines(head: str, file: TextIO) -> Iterator[Item]:
    number, parts, length = 1, list[str](), 0
    chunk = head
    while chunk:
        *whole, rest = chunk.split("\n")
        for piece in whole:
            parts.append(piece if length <= LONGEST else "")
            yield from _line(number, parts, length + len(piece))
            number, parts, length = number + 1, [], 0
        length += len(rest)
        # What is too long already need not be kept.
        parts = [*parts, rest] if length <= LONGEST else []
        chunk = file.read(_CHUNK)
    yield from _line(number, parts, length)


def _line(number: int, parts: list[str], length: int) -> Iterator[Item]:
    if length > LONGEST:
        yield Item(number, None)
    elif text := "".join(parts).strip():
        yield Item(number, text)


def _members(head: str, file: TextIO) -> Iterator[Item]:
    """The members of an array behind its opening bracket, found by their brackets and quotes alone."""
    number, depth, quoted = 1, 0, False
    parts, length, chunk = list[str](), 0, head
    while chunk:
        chunk += file.read(1) if chunk.endswith("\\") else ""
        begin = 0
        for found in _SIGN.finditer(chunk):
            sign = found[0]
            if sign == '"':
                quoted = not quoted
            elif quoted or sign[0] == "\\":
                continue
            elif sign in "{[":
                depth += 1
            elif depth:
                depth -= sign in "}]"
            elif sign in ",]":
                piece = chunk[begin : found.start()]
                yield from _line(number, [*parts, piece], length + len(piece))
                number, parts, length, begin = number + 1, [], 0, found.end()
                if sign == "]":
                    return
        length += len(chunk) - begin
        parts = [*parts, chunk[begin:]] if length <= LONGEST else []
        chunk = file.read(_CHUNK)
    # The bracket that closes the array is missing: its last member is told as it is.
    yield from _line(number, parts, length)
