"""Buttons as HTML."""

from __future__ import annotations

from assistant.ui import buttons

BAD = '"><script>'


def test_what_goes_along_is_escaped() -> None:
    html = buttons.button(BAD, "act", turn=BAD) + buttons.drawn("copy", BAD, "act", name=BAD)
    html += buttons.copier(BAD, BAD) + buttons.thumb(BAD, "up", "Good", False)
    assert "<script>" not in html


def test_a_button_names_its_act_and_its_data() -> None:
    html = buttons.button("Cancel", "run_cancel", run="run-1")
    assert html == (
        '<button type="button" class="small" data-act="run_cancel" data-run="run-1">Cancel</button>'
    )
    assert " disabled" in buttons.button("Cancel", "run_cancel", off=True)


def test_a_drawing_has_a_name() -> None:
    assert 'aria-label="Edit"' in buttons.drawn("edit", "Edit", "edit_question")
    assert 'aria-hidden="true"' in buttons.icon("edit")


def test_a_pressed_thumb_sends_nothing() -> None:
    assert 'data-thumb=""' in buttons.thumb("t1", "down", "Bad", True)
    assert 'data-thumb="down"' in buttons.thumb("t1", "down", "Bad", False)


def test_the_way_out_is_a_form() -> None:
    assert 'method="post"' in buttons.sign_out()
