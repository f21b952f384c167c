"""Word files (DOCX) to sections: by mammoth to HTML, and from there as a web page.

Unpacks only the parts that hold text, each against a limit, so that no archive can unpack to more than it
should. Other archives and older Word files are told apart, to say what may be done about them.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Any

from retrieval.records import Section, Unreadable

ENCRYPTED = "it is encrypted; save it without a password"
OLD = "it is an older kind of Office file; save it as DOCX or PDF"
BOMB = "it unpacks to far more than its size, as zip bombs do"
BROKEN = "it is a broken Word file"
_OTHERS = (
    ("xl/", "it is an Excel file; save its sheets as CSV"),
    ("ppt/", "it is a PowerPoint file; save it as PDF"),
    ("", "it is an archive; unpack it and add the files in it"),
)

MOST_FACTOR = 100
"""An archive may unpack to so many times its size, ..."""
MOST_FREE = 16 * 2**20
"""... or to so many bytes in any case, ..."""
MOST_PARTS = 10_000
"""... and hold so many files."""
_CHUNK = 2**16
_OLE = b"\xd0\xcf\x11\xe0"
_STYLES = "p[style-name='Title'] => p.title:fresh\np[style-name='Subtitle'] => p:fresh"


def sections(content: bytes, fallback: str) -> list[Section]:
    """The sections of a Word file; a paragraph in the style Title names it, else `fallback`."""
    import mammoth

    from retrieval import markup

    packed = unpacked(content)
    result = mammoth.convert_to_html(
        packed, style_map=_STYLES, include_embedded_style_map=False, convert_image=_described
    )
    return markup.of_html(result.value, fallback)


def unpacked(content: bytes) -> io.BytesIO:
    """The parts of a Word file that hold text, as an archive without compression.

    Raises `Unreadable` if it is another archive, is encrypted or broken, or unpacks to too much.
    """
    if content.startswith(_OLE):
        raise Unreadable(ENCRYPTED if "EncryptedPackage".encode("utf-16-le") in content else OLD)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _text_parts(archive, max(MOST_FREE, MOST_FACTOR * len(content)))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise Unreadable(BROKEN) from error


def _text_parts(archive: zipfile.ZipFile, most: int) -> io.BytesIO:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > MOST_PARTS or sum(entry.file_size for entry in entries) > most:
        raise Unreadable(BOMB)
    if not any(name.startswith("word/") for name in names):
        raise Unreadable(next(why for start, why in _OTHERS if any(name.startswith(start) for name in names)))
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable(ENCRYPTED)
    packed, left = io.BytesIO(), most
    with zipfile.ZipFile(packed, "w") as clean:
        for entry in entries:
            if entry.filename.endswith((".xml", ".rels")):
                part = _part(archive, entry, left)
                left -= len(part)
                clean.writestr(entry.filename, part)
    return packed


def _part(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """One file of an archive, read piece by piece: its directory may say less than there is."""
    found = bytearray()
    with archive.open(entry) as file:
        while piece := file.read(_CHUNK):
            found += piece
            if len(found) > most:
                raise Unreadable(BOMB)
    if b"<!DOCTYPE" in found or b"<!ENTITY" in found:
        # Word writes none, and what they define could grow without end
        raise Unreadable(BROKEN)
    return bytes(found)


def _described(image: Any) -> list[Any]:
    """What stands for a picture: its description."""
    from mammoth import html

    return [html.text(image.alt_text)] if image.alt_text else []
