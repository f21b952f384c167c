"""The report of an evaluation as a page: for admins alone, whole, and safe whatever the answers hold."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from assistant.ui import report_page
from tests.assistant.ui.browsing import Site
from tests.assistant.ui.scripted import House
from tests.training.test_report import evaluated
from training.records import Adapter

NAME = "lora-cccccccccccc"


def with_report(house: House, says: str) -> None:
    adapter = Adapter(NAME, Path("/adapters") / NAME, "base", "b" * 64, None, 16, datetime.now(UTC))
    house.registry.add(adapter)
    house.registry.record(replace(evaluated(says), adapter=NAME))


@pytest.fixture
def client(house: House) -> TestClient:
    app = FastAPI()
    app.include_router(report_page.router(house.accounts, house.registry))
    return TestClient(app, follow_redirects=False)


def signed_in(client: TestClient, house: House, name: str) -> TestClient:
    client.cookies.set("apprentice_session", house.accounts.new_session(house.accounts.get(name)))
    return client


def test_an_admin_reads_it_and_nothing_in_it_is_obeyed(house: House, client: TestClient) -> None:
    with_report(house, "<script>alert(1)</script> | a pipe")
    page = signed_in(client, house, "ana").get(f"/admin/reports/{NAME}")
    assert page.status_code == 200
    assert "<h2>Answers side by side</h2>" in page.text
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text


def test_it_is_for_admins_alone(house: House, client: TestClient) -> None:
    assert client.get(f"/admin/reports/{NAME}").headers["location"].startswith("/login")
    assert signed_in(client, house, "uwe").get(f"/admin/reports/{NAME}").status_code == 403
    assert signed_in(client, house, "ana").get("/admin/reports/lora-000000000009").status_code == 404


@pytest.mark.browser
def test_it_is_one_click_away_from_the_adapter(site: Site, open_page: Callable[..., Any]) -> None:
    # In a thread of its own: the browser holds this one's event loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(with_report, site.house, "Gladly: it is on its way.").result()
    page = open_page("/admin/")
    page.get_by_role("tab", name="Adapters").click()
    page.locator(f'a[href="/admin/reports/{NAME}"]').click()
    page.get_by_role("heading", name="Answers side by side").wait_for()
    assert page.locator("table").count() == 4
    for width, dark in ((1280, False), (1280, True), (390, False)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
