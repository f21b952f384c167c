"""Bytes to text: which encoding it is in, and whether it is text at all.

A byte order mark decides, then what the file declares, then UTF-8, then a guess by statistics. What can't be
read without a doubt is refused rather than taken in garbled. Invisible characters are left out.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from retrieval.records import Unreadable

BINARY = "it is not text but binary data"
UNDECODABLE = "its characters are in no encoding that can be told for sure; save it as UTF-8"
GARBLED = "its letters were garbled by a wrong encoding before it was saved here"
LOST = "many of its characters were lost in a conversion and stand there as �"

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 2**16
"""Bytes that a guess looks at."""
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# Seen by a machine and by nobody else: soft hyphens, zero widths, directions, tags, halves of characters
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# What UTF-8 looks like when it is read as Windows-1252: "Ã¤" for "ä", "â€™" for "’"
_MOJIBAKE = re.compile("[ÂÃ][\u0080-\u00bfŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]|â€[\u0080-\u00bf˜™œ¢\x9d“”¦]")
# Tried in this order when several explain the bytes equally well
_LIKELY = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "big5", "euc_kr", "euc_jp")


def decode(content: bytes, declared: str = "") -> str:
    """The text of a file, with plain line ends. Raises `Unreadable` if it is none, or none that is sure."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    text = _strictly(content, encoding) if encoding else None
    if encoding and text is None:
        raise Unreadable(UNDECODABLE)
    if text is None and b"\x00" in content[:_SAMPLE]:
        text = _wide(content)
        if text is None:
            raise Unreadable(BINARY)
    if text is None:
        text = _strictly(content, "utf-8")
    if text is None and declared:
        text = _strictly(content, declared)
    if text is None:
        text = _guessed(content)
    _check(text)
    return clean(text)


def clean(text: str) -> str:
    """Without what nobody sees, letters composed, lines ended by one character."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return unicodedata.normalize("NFC", text.replace("\xa0", " ").replace("\x0c", "\n\n"))


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError):
        return None


def _wide(content: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of western text is zero."""
    sample = content[:_SAMPLE]
    for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if zeros.count(0) > 0.4 * len(zeros) and sample.count(0) < 0.6 * len(sample):
            text = _strictly(content, encoding)
            if text is not None and not _CONTROLS.search(text):
                return text
    return None


def _guessed(content: bytes) -> str:
    """A text in one of the older encodings."""
    sample = content[:_SAMPLE]
    if len(re.findall(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", sample)) > len(sample) / 100:
        raise Unreadable(BINARY)
    from charset_normalizer import from_bytes

    # A guess at bytes without a single foreign letter would be a guess at nothing
    start = max(0, next(place for place, byte in enumerate(content) if byte > 127) - _SAMPLE // 2)
    matches = [
        match
        for match in from_bytes(content[start : start + _SAMPLE], cp_isolation=list(_LIKELY), threshold=0.2)
        if match.encoding in _LIKELY
    ]
    best = min((match.chaos for match in matches), default=1.0)
    close = [match for match in matches if match.chaos <= best + 0.02]
    close.sort(key=lambda match: (-round(match.coherence, 1), _LIKELY.index(match.encoding)))
    for match in close:
        if (text := _strictly(content, match.encoding)) is not None:
            return text
    raise Unreadable(UNDECODABLE)


def _check(text: str) -> None:
    # A stray one or two may have slipped into any text
    if len(_CONTROLS.findall(text[:_SAMPLE])) > 2 + len(text[:_SAMPLE]) / 100:
        raise Unreadable(BINARY)
    lost = text.count("�")
    if lost >= 3 and lost > len(text) / 500:
        raise Unreadable(LOST)
    garbled = _MOJIBAKE.findall(text)
    foreign = sum(1 for letter in text if letter > "\x7f") if garbled else 0
    if len(garbled) >= 3 and sum(map(len, garbled)) > foreign / 2:
        raise Unreadable(GARBLED)
