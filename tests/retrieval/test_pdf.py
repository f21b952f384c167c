"""Tests of reading PDFs: pages, outlines, repeated lines, and those that can't be read."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader, PdfWriter

from retrieval import pdf
from retrieval.records import Section, Unreadable
from tests.retrieval import files


def rewritten(writer: PdfWriter) -> bytes:
    held = io.BytesIO()
    writer.write(held)
    return held.getvalue()


def copied(content: bytes) -> PdfWriter:
    return PdfWriter(clone_from=PdfReader(io.BytesIO(content)))


def refused(content: bytes) -> str:
    with pytest.raises(Unreadable) as refusal:
        pdf.sections(content, "file")
    return str(refusal.value)


def test_each_page_is_a_section_with_its_number() -> None:
    assert pdf.sections(files.pdf(["Returns within\n45 days (unused).", "Costs: 4 €"]), "file") == [
        Section("file", "Returns within\n45 days (unused).", 1),
        Section("file", "Costs: 4 €", 2),
    ]


def test_its_properties_may_name_it() -> None:
    assert pdf.sections(files.pdf(["a"], "Care of boots"), "file")[0].title == "Care of boots"
    assert pdf.sections(files.pdf(["a"], "Microsoft Word - x.doc"), "file")[0].title == "file"


def test_the_outline_cuts_and_titles_the_pages() -> None:
    writer = copied(files.pdf(["Welcome.\n1. Returns\n45 days.", "1.1 Costs\nfree.", "More.", "As picture"]))
    returns = writer.add_outline_item("Returns", 0)
    writer.add_outline_item("Costs", 1, parent=returns)
    writer.add_outline_item("Size chart", 3)
    assert [one for one in pdf.sections(rewritten(writer), "file") if one.text] == [
        Section("file", "Welcome.", 1),
        Section("file › Returns", "45 days.", 1),
        Section("file › Returns › Costs", "free.", 2),
        Section("file › Returns › Costs", "More.", 3),
        Section("file › Size chart", "As picture", 4),
    ]


def test_lines_at_the_edge_of_most_pages_go_but_for_the_first_time() -> None:
    pages = [
        f"Trail shop\nPrice: {price} euros\nA\nB\nC{price}\nPage {page}"
        for page, price in enumerate((7, 8, 9, 6), 1)
    ]
    first, *rest = (one.text for one in pdf.sections(files.pdf(pages), "file"))
    assert first == "Trail shop\nPrice: 7 euros\nA\nB\nC7\nPage 1"
    assert rest == [f"Price: {price} euros\nA\nB\nC{price}" for price in (8, 9, 6)]


def test_words_that_a_line_broke_are_put_together() -> None:
    text = "The war-\nranty is a two-\nyear one, a two-year promise"
    assert (
        pdf.sections(files.pdf([text]), "file")[0].text
        == "The warranty\nis a two-year\none, a two-year promise"
    )


def test_a_protected_one_is_refused_unless_it_opens_without_a_password() -> None:
    locked, printable = copied(files.pdf(["secret"])), copied(files.pdf(["open"]))
    locked.encrypt("password", algorithm="RC4-128")
    printable.encrypt("", "owner", algorithm="RC4-128")
    assert refused(rewritten(locked)) == pdf.ENCRYPTED
    assert pdf.sections(rewritten(printable), "file")[0].text == "open"


def test_without_text_or_pages_it_is_refused() -> None:
    assert refused(files.pdf(["", ""])) == pdf.SCANNED
    assert refused(files.pdf([])) == pdf.NO_PAGES


@pytest.mark.parametrize("content", [b"%PDF-1.7\n", b"%PDF-1.7\n" + b"\x93" * 2000])
def test_a_broken_one_is_refused(content: bytes) -> None:
    assert refused(content) == pdf.BROKEN
