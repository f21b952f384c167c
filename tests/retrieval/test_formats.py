"""Tests of telling formats apart: content before name, and a sentence for each that is refused."""

from __future__ import annotations

import pytest

from retrieval import formats
from retrieval.formats import sections
from retrieval.records import Section, Unreadable
from tests.retrieval import files

PDF = files.pdf(["Returns within 45 days"])
DOCX = files.docx(files.paragraph("Returns within 45 days"))
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE HTML><h1>Returns</h1>\n<p>within 45 days"


def refused(content: bytes, name: str) -> str:
    with pytest.raises(Unreadable) as refusal:
        sections(content, name)
    return str(refusal.value)


@pytest.mark.parametrize("name", ["a.pdf", "a.txt", "a.docx", "a.bin", "a"])
def test_a_pdf_is_read_as_one_whatever_it_is_called(name: str) -> None:
    assert sections(PDF, name) == [Section("a", "Returns within 45 days", 1)]


@pytest.mark.parametrize("name", ["a.docx", "a.md", "a.pdf", "a"])
def test_and_so_is_a_word_file(name: str) -> None:
    assert sections(DOCX, name) == [Section("a", "Returns within 45 days")]


@pytest.mark.parametrize("name", ["a.html", "A.HTM", "a.txt", "a.md"])
def test_and_so_is_a_web_page(name: str) -> None:
    assert sections(PAGE, name) == [Section("Returns", "within 45 days")]


def test_a_text_is_what_its_name_says() -> None:
    text = b"# Cost\n\na | b\n"
    assert sections(text, "x.md") == [Section("Cost", "a | b")]
    assert sections(text, "x.txt") == [Section("x", "# Cost\n\na | b")]
    assert [one.text for one in sections(text, "x.csv")] == ["# Cost: a | b"]


def test_a_name_that_promises_another_content_is_refused() -> None:
    assert "called .pdf and is none" in refused(b"just text", "a.pdf")
    assert "called .docx and is none" in refused(b"just text", "a.docx")


@pytest.mark.parametrize("name", ["a.exe", "a", "a.md.zip", ".md"])
def test_unknown_kinds_are_refused(name: str) -> None:
    assert refused(b"just text", name) == formats.UNKNOWN


def test_without_words_there_is_nothing_to_read() -> None:
    assert refused(b" \n\t\n", "a.md") == formats.EMPTY
    assert refused(b"---\n\n***\n", "a.md") == formats.NO_TEXT
    assert refused(b"<html><body><img src='x'></body></html>", "a.html") == formats.NO_TEXT
    assert refused(b"\xef\xbb\xbf", "a.txt") == formats.NO_TEXT


def test_binary_data_under_the_name_of_a_text_is_refused() -> None:
    for name in ("a.md", "a.txt", "a.csv", "a.jsonl", "a.html"):
        assert refused(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, name) == "it is not text but binary data"


def test_text_is_clean() -> None:
    text = '{"title": "half \\ud83d", "note": "zero\\u200bwidth\\u0000"}'
    assert sections(text.encode(), "a.jsonl") == [Section("a › half", "title: half \nnote: zerowidth")]
