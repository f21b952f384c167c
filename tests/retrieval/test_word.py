"""Tests of reading Word files, and of archives that are none or mean no good."""

from __future__ import annotations

import re

import pytest

from retrieval import word
from retrieval.records import Section, Unreadable
from tests.retrieval import files
from tests.retrieval.files import paragraph


def refused(content: bytes) -> str:
    with pytest.raises(Unreadable) as refusal:
        word.sections(content, "file")
    return str(refusal.value)


def test_headings_lists_and_tables_come_through() -> None:
    body = (
        paragraph("Returns", "heading1")
        + paragraph("Unused items, 45 days.")
        + paragraph("Costs", "heading2")
        + files.table([["Country", "Cost"], ["Germany", "free"]])
    )
    assert word.sections(files.docx(body), "file") == [
        Section("Returns", "Unused items, 45 days."),
        Section("Returns › Costs", "| Country | Cost |\n| --- | --- |\n| Germany | free |"),
    ]


def test_a_title_names_the_document() -> None:
    body = paragraph("Guide", "Title") + paragraph("Tents", "heading1") + paragraph("Small.")
    assert word.sections(files.docx(body), "file") == [Section("Guide › Tents", "Small.")]


def test_a_zip_bomb_is_refused_by_its_directory() -> None:
    assert refused(files.docx(paragraph("a"), {"word/media/zeros.xml": bytes(40 * 2**20)})) == word.BOMB


def test_a_zip_bomb_whose_directory_lies_is_refused_while_it_unpacks(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = files.docx(paragraph("a"), {"word/zeros.xml": bytes(40 * 2**20)})
    assert refused(files.understated(bomb, "word/zeros.xml", 1000)) in (word.BOMB, word.BROKEN)
    # What each file may take is what the ones before it have left
    monkeypatch.setattr(word, "MOST_FREE", 3000)
    monkeypatch.setattr(word, "MOST_FACTOR", 0)
    assert refused(files.docx(paragraph("a " * 4000))) == word.BOMB


def test_many_files_in_an_archive_are_refused() -> None:
    many = {f"word/{number}.xml": b"" for number in range(word.MOST_PARTS)}
    assert refused(files.docx(paragraph("a"), many)) == word.BOMB


def test_entities_are_refused() -> None:
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    assert refused(files.docx(paragraph("a"), prologue=laughs)) == word.BROKEN


def test_protected_and_older_files_are_told_apart() -> None:
    assert refused(files.compound("EncryptedPackage")) == word.ENCRYPTED
    assert refused(files.compound("WordDocument")) == word.OLD
    locked = bytearray(files.docx(paragraph("a")))
    for header, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        for found in re.finditer(re.escape(header), bytes(locked)):
            locked[found.start() + flags] |= 1
    assert refused(bytes(locked)) == word.ENCRYPTED


def test_other_archives_are_refused_by_what_they_are() -> None:
    assert "Excel" in refused(files.archive({"xl/workbook.xml": b"<x/>"}))
    assert "PowerPoint" in refused(files.archive({"ppt/presentation.xml": b"<x/>"}))
    assert "archive" in refused(files.archive({"notes.txt": b"text"}))


@pytest.mark.parametrize("length", [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_broken(length: float) -> None:
    whole = files.docx(paragraph("word " * 500))
    assert refused(whole[: int(len(whole) * length)]) == word.BROKEN


def test_pictures_leave_their_description_only() -> None:
    image = (
        '<w:p><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/'
        'wordprocessingDrawing"><wp:docPr id="1" name="p" descr="a boot"/><a:graphic xmlns:a="http://schemas.'
        'openxmlformats.org/drawingml/2006/main"><a:graphicData><pic:pic xmlns:pic="http://schemas.openxmlformats'
        '.org/drawingml/2006/picture"><pic:blipFill><a:blip xmlns:r="http://schemas.openxmlformats.org/'
        'officeDocument/2006/relationships" r:embed="rId9"/></pic:blipFill></pic:pic></a:graphicData>'
        "</a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
        'Id="rId9" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" '
        'Target="media/boot.png"/></Relationships>'
    )
    more = {"word/_rels/document.xml.rels": relations.encode(), "word/media/boot.png": b"\x89PNG"}
    (one,) = word.sections(files.docx(paragraph("Look:") + image, more), "file")
    assert one.text == "Look:\n\na boot"
