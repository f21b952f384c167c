"""What the admin page is handed."""

from __future__ import annotations

from tests.assistant.ui.scripted import House


def test_a_run_has_its_folder_in_the_home(house: House) -> None:
    assert house.desk.folder("run-1") == house.desk.home / "runs" / "run-1"
