"""Drafts of the feedback form."""

from __future__ import annotations

import pytest

from assistant.ui import drafts
from assistant.ui.drafts import Drafts
from feedback.store import Verdict


def test_the_newest_draft_of_a_person_and_turn_is_kept() -> None:
    kept = Drafts()
    kept.keep("ana", "t1", Verdict("down", comment="a"))
    kept.keep("ana", "t1", Verdict("down", comment="b"))
    kept.keep("uwe", "t1", Verdict("down", comment="c"))
    found = kept.get("ana", "t1")
    assert found is not None
    assert found.comment == "b"
    assert kept.get("ana", "t2") is None


def test_a_sent_draft_is_forgotten() -> None:
    kept = Drafts()
    kept.keep("ana", "t1", Verdict("down"))
    kept.drop("ana", "t1")
    kept.drop("ana", "t1")
    assert kept.get("ana", "t1") is None


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST", 2)
    kept = Drafts()
    for turn in ("t1", "t2", "t3"):
        kept.keep("ana", turn, Verdict("down"))
    assert kept.get("ana", "t1") is None
    assert kept.get("ana", "t3") is not None
