"""Tests of telling encodings apart, and of refusing what is no text or was garbled before."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval import decoding
from retrieval.decoding import decode
from retrieval.records import Unreadable

GERMAN = (
    "Die Rückgabefrist beträgt 45 Tage. Größere Pakete können Sie für vier Euro zurückschicken; die Übergabe "
    "zählt, nicht die Ankunft bei uns. Schöne Grüße aus München."
)
RUSSIAN = "Вы можете вернуть неиспользованные товары в течение сорока пяти дней после доставки заказа."
JAPANESE = "未使用の商品は、配達から四十五日以内に返品できます。返品の送料はお客様のご負担となります。"


def refused(content: bytes) -> str:
    with pytest.raises(Unreadable) as refusal:
        decode(content)
    return str(refusal.value)


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, JAPANESE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_mark_is_read(encoding: str) -> None:
    assert decode(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize(
    ("text", "encoding"), [(GERMAN, "latin-1"), (GERMAN, "cp1252"), (RUSSIAN, "cp1251"), (JAPANESE, "cp932")]
)
def test_older_encodings_are_told_by_their_text(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_one_foreign_letter_in_a_long_english_text_is_enough() -> None:
    text = "You can return unused items within 45 days. " * 3000 + "Ask at our café. " + "And so on. " * 3000
    assert decode(text.encode("latin-1")) == text


def test_what_is_declared_is_believed_where_it_fits() -> None:
    assert decode("ñ".encode("cp850"), "cp850") == "ñ"
    assert decode("grün".encode(), "cp850") == "grün"
    assert decode(GERMAN.encode("latin-1"), "no-such-thing") == GERMAN


def test_binary_data_is_refused() -> None:
    noise = random.Random(5).randbytes(5000)
    assert refused(noise) == decoding.BINARY
    assert refused(b"\x89PNG\r\n\x1a\n" + bytes(100)) == decoding.BINARY
    assert refused(bytes(range(1, 32)) * 10) == decoding.BINARY
    assert refused(bytes(byte or 1 for byte in noise)) == decoding.BINARY


def test_a_broken_wide_text_is_refused() -> None:
    assert refused(b"\xff\xfe" + b"a\x00b") == decoding.UNDECODABLE


def test_text_garbled_before_is_refused() -> None:
    assert refused(GERMAN.encode().decode("cp1252").encode()) == decoding.GARBLED
    assert (
        refused("That’s “fine” – it’s what’s there".encode().decode("cp1252", "replace").encode())
        == decoding.GARBLED
    )
    assert refused(GERMAN.encode("latin-1").decode("utf-8", "replace").encode()) == decoding.LOST


def test_a_text_about_garbled_letters_is_not() -> None:
    text = GERMAN + " Aus ä wird dann Ã¤, aus ö wird Ã¶, aus ü wird Ã¼."
    assert decode(text.encode()) == text


def test_what_nobody_sees_goes() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    assert decode(f"\ufeffre\xadturn\u200bs{hidden}\r\nu\u0308ber\u202e\x07\n".encode()) == "returns\nüber\n"


@given(st.text())
def test_clean_text_can_be_stored_and_stays_clean(text: str) -> None:
    once = decoding.clean(text)
    assert decoding.clean(once) == once
    assert "\x00" not in once
    once.encode("utf-8")
