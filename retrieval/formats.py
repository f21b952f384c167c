"""Which format a file is, by its content first and then by its name; hands it to the module that reads it.

What begins like a PDF, a Word file or a web page is read as that, whatever it is called. A text is what its
name says: Markdown, plain, rows of CSV or JSONL. Everything else is refused, with the reason.
"""

from __future__ import annotations

from pathlib import PurePath

from retrieval.decoding import clean, decode
from retrieval.records import Section, Unreadable

MARKDOWN = (".md", ".markdown")
PLAIN = (".txt", ".text")
WEB = (".html", ".htm", ".xhtml")
TABLE = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
ENDINGS = (*MARKDOWN, *PLAIN, *WEB, ".pdf", ".docx", *TABLE, *LINES)
"""What a name may end in."""

UNKNOWN = "its kind is not known; Markdown, text, HTML, PDF, DOCX, CSV and JSONL are read"
NO_TEXT = "it holds no text"
EMPTY = "it is empty"


def sections(content: bytes, name: str) -> list[Section]:
    """The sections of a file's content. `name` gives its ending, and its title where it has no other."""
    if not content.strip():
        raise Unreadable(EMPTY)
    found = [
        Section(clean(one.title).strip(), clean(one.text).strip("\n").rstrip(), one.page)
        for one in _sections(content, PurePath(name).suffix.lower(), _called(name))
        if any(letter.isalnum() for letter in one.text)
    ]
    if not found:
        raise Unreadable(NO_TEXT)
    return found


def _sections(content: bytes, ending: str, fallback: str) -> list[Section]:
    # Imported only by who needs it: pypdf alone takes longer than the whole way of a Markdown file
    if b"%PDF-" in content[:1024]:
        from retrieval import pdf

        return pdf.sections(content, fallback)
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
        from retrieval import word

        return word.sections(content, fallback)
    if ending in (".pdf", ".docx"):
        raise Unreadable(f"it is called {ending} and is none: its content is something else, or broken")
    if ending not in ENDINGS:
        raise Unreadable(UNKNOWN)
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if ending in WEB or start.startswith((b"<!doctype html", b"<html")):
        from retrieval import markup

        return markup.sections(content, fallback)
    text = decode(content)
    if ending in MARKDOWN:
        from retrieval import markdown

        return markdown.sections(text, fallback)
    if ending in (*TABLE, *LINES):
        from retrieval import rows

        return rows.table(text, fallback) if ending in TABLE else rows.lines(text, fallback)
    return [Section(fallback, text)]


def _called(name: str) -> str:
    """A file's name as a title: without its ending, and with spaces."""
    return " ".join(PurePath(name).stem.replace("_", " ").replace("-", " ").split())
