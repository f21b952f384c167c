"""Plain pages."""

from __future__ import annotations

from assistant.ui import paper

BAD = '"><script>alert(1)</script>'


def test_everything_on_it_is_text() -> None:
    body = paper.form(BAD, BAD, paper.field("name", BAD, value=BAD, fill="off", hint=BAD), hidden={"x": BAD})
    page = paper.sheet(BAD, BAD, body + paper.link(BAD, BAD), problem=BAD, status=410)
    assert page.status_code == 410
    assert b"<script" not in page.body


def test_it_can_not_load_or_run_anything() -> None:
    headers = paper.sheet("Title", "", "").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_a_hint_belongs_to_its_field() -> None:
    html = paper.field("password", "Password", kind="password", fill="new-password", hint="Long.", focus=True)
    assert 'aria-describedby="password-hint"' in html
    assert 'id="password-hint"' in html
    assert " autofocus" in html


def test_a_problem_is_announced() -> None:
    assert b'role="alert">It failed.' in paper.sheet("Title", "", "", problem="It failed.").body
    assert b"alert" not in paper.sheet("Title", "", "").body
