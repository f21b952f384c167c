"""PDF to sections: a page each, or the parts of a page under the entries of the document's outline.

Page numbers count from 1 as viewers do. Lines that stand at the edge of most pages go, and words that were
broken at the end of a line are put together. A scan holds no text, and says so.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.markdown import path_of
from retrieval.records import Section, Unreadable

if TYPE_CHECKING:
    from pypdf import PdfReader

ENCRYPTED = "it is encrypted; save it without a password"
BROKEN = "it is a broken PDF"
NO_PAGES = "it has no pages"
SCANNED = "it holds no text, only pictures; a scan needs text recognition first"
CODELESS = "its letters can't be told: its fonts do not say which they are"

_HYPHEN = re.compile(r"(\w+)-\n([a-zß-öø-ÿ]\w*)[ \t]*")
_NO_TITLE = re.compile(r"^(microsoft word|untitled|document\d*$|.*\.\w{1,5}$)", re.IGNORECASE)
_EDGE = 2
"""Lines at the top and at the bottom of a page that may be the same on all."""
_MOST_ENTRIES = 5000


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of the outline."""

    page: int
    """From 0."""
    titles: tuple[str, ...]


def sections(content: bytes, fallback: str) -> list[Section]:
    """The sections of a PDF. The title in its properties names it, else `fallback`."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PdfReadError

    try:
        reader = PdfReader(io.BytesIO(content))
        # Many are encrypted only to forbid printing; those open without a password
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable(ENCRYPTED)
        number = len(reader.pages)
    except DependencyError as error:
        raise Unreadable(ENCRYPTED) from error
    except PdfReadError as error:
        raise Unreadable(BROKEN) from error
    if not number:
        raise Unreadable(NO_PAGES)
    pages = _without_edges([_text(reader, page) for page in range(number)])
    text = "\n".join(pages)
    if not any(letter.isalnum() for letter in text):
        raise Unreadable(SCANNED)
    strange = sum(1 for letter in text if letter == "�" or "\ue000" <= letter <= "\uf8ff")
    if strange > len(text) / 10:
        raise Unreadable(CODELESS)
    whole = set(re.findall(r"\w+-\w+", text))
    pages = [_HYPHEN.sub(lambda match: _put_together(match, whole), page) for page in pages]
    return list(_sections(pages, _outline(reader), _title(reader) or fallback))


def _text(reader: PdfReader, page: int) -> str:
    try:
        lines = reader.pages[page].extract_text().split("\n")
    except MemoryError:
        raise
    except Exception as error:
        raise Unreadable(f"{BROKEN}: page {page + 1} can't be read") from error
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _title(reader: PdfReader) -> str:
    """The title in its properties, where somebody has chosen one."""
    try:
        title = " ".join(str((reader.metadata or {}).get("/Title") or "").split())
    except Exception:  # noqa: BLE001 -- properties are a courtesy, and broken ones raise anything
        return ""
    return "" if len(title) < 4 or _NO_TITLE.match(title) else title


def _sections(pages: Sequence[str], outline: Sequence[_Entry], root: str) -> Iterator[Section]:
    """The pages, cut where an entry of the outline stands as a line, each part under the entry before it."""
    titles: tuple[str, ...] = ()
    for number, page in enumerate(pages):
        held: list[str] = []
        waiting = [entry for entry in outline if entry.page == number]
        for line in page.split("\n"):
            entry = next((one for one in waiting if _is_heading(line, one.titles[-1])), None)
            if entry is None:
                held.append(line)
                continue
            yield Section(path_of([root, *titles]), "\n".join(held).strip("\n"), number + 1)
            held, titles = [], entry.titles
            waiting = waiting[waiting.index(entry) + 1 :]
        # An entry that is on the page, but not as a line of its own: all of it may be meant
        titles = waiting[0].titles if waiting and len(held) == page.count("\n") + 1 else titles
        yield Section(path_of([root, *titles]), "\n".join(held).strip("\n"), number + 1)
        titles = waiting[-1].titles if waiting else titles


def _is_heading(line: str, title: str) -> bool:
    """Whether a line is an outline's entry, whether or not one of them bears its number."""
    plain = [re.sub(r"\W+", "", re.sub(r"^[\d.\s]+", "", one)).casefold() for one in (line, title)]
    return bool(plain[0]) and plain[0] == plain[1]


def _outline(reader: PdfReader) -> list[_Entry]:
    """The entries of the outline in the order of pages; none if it is broken."""
    found: list[_Entry] = []

    def walk(entries: Sequence[Any], above: tuple[str, ...]) -> None:
        last = above
        for entry in entries:
            if isinstance(entry, list):
                walk(entry, last)
                continue
            title = " ".join(str(entry.title or "").split())
            page = reader.get_destination_page_number(entry)
            if title and page is not None and page >= 0 and len(found) < _MOST_ENTRIES:
                last = (*above, title)
                found.append(_Entry(page, last))

    try:
        walk(reader.outline, ())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- so is an outline
        return []
    return sorted(found, key=lambda entry: entry.page)


def _without_edges(pages: list[str]) -> list[str]:
    """The pages without the lines that most of them begin or end with, but for the first time."""
    if len(pages) < 4:
        return pages
    split = [page.split("\n") for page in pages]
    edges = [_edges(lines, number) for number, lines in enumerate(split, 1)]
    often = Counter(mark for marks in edges for mark in set(marks.values()))
    common = {mark for mark, times in often.items() if mark and times > 0.6 * len(pages)}
    seen: set[str] = set()
    found = []
    for lines, marks in zip(split, edges, strict=True):
        gone = {place for place, mark in marks.items() if mark in common and mark in seen}
        seen |= set(marks.values())
        found.append("\n".join(line for place, line in enumerate(lines) if place not in gone))
    return found


def _edges(lines: Sequence[str], page: int) -> dict[int, str]:
    """The first and last lines by their place, with the page's number as a sign."""
    places = {*range(min(_EDGE, len(lines))), *range(max(0, len(lines) - _EDGE), len(lines))}
    return {place: re.sub(rf"\b{page}\b", "#", lines[place].strip()) for place in places}


def _put_together(match: re.Match[str], whole: set[str]) -> str:
    """A word that a line's end broke; its hyphen stays if the word is written so elsewhere."""
    hyphenated = f"{match[1]}-{match[2]}"
    return f"{hyphenated}\n" if hyphenated in whole else f"{match[1]}{match[2]}\n"
