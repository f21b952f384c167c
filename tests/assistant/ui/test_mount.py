"""The mounted application: who gets where, page by page and route by route."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import Mount, Route

from assistant.library import Library
from assistant.reviewing import ReviewDesk
from assistant.settings import read
from assistant.ui import mount
from assistant.ui.gate import COOKIE
from feedback.database import Database
from tests.assistant.ui import scripted
from tests.assistant.ui.browsing import Site
from tests.assistant.ui.scripted import House
from tests.retrieval.books import Books
from training.records import Adapter, Check, Evaluation
from training.registry import Registry


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, FastAPI]]:
    """The application once for all tests here: gradio takes seconds to build it."""
    from feedback.database import connect
    from feedback.schema import metadata

    folder = tmp_path_factory.mktemp("pages")
    database: Database = connect(f"sqlite:///{folder / 'all.db'}")
    with database.write() as connection:
        metadata.create_all(connection)
    house = scripted.house(database, folder)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    mount.mount(
        app,
        chat=house.chat,
        accounts=house.accounts,
        desk=house.desk,
        library=Library(database, read(home=folder, model="org/model"), Books(database)),
        reviews=ReviewDesk(database, house.accounts),
    )
    yield house, app
    database.close()


def client(pages: tuple[House, FastAPI], name: str | None) -> TestClient:
    house, app = pages
    http = TestClient(app, follow_redirects=False)
    if name is not None:
        http.cookies.set(COOKIE, house.accounts.new_session(house.accounts.get(name)))
    return http


def gradio_routes(app: FastAPI) -> list[tuple[str, str]]:
    """Every route of every gradio app, as (method, path) with made-up values for its parameters."""
    found = []
    for part in app.routes:
        if not isinstance(part, Mount):
            continue
        for route in _flat(part.app.routes):  # type: ignore[attr-defined]
            path = re.sub(r"\{[^}]*\}", "x", route.path)
            found += [(method, part.path.rstrip("/") + path) for method in route.methods or ()]
    return sorted(set(found))


def _flat(routes: Any) -> Iterator[Route]:
    for route in routes:
        if isinstance(route, Route):
            yield route
        elif hasattr(route, "routes"):
            yield from _flat(route.routes)


def test_no_route_of_gradio_answers_a_stranger(pages: tuple[House, FastAPI]) -> None:
    http = client(pages, None)
    routes = gradio_routes(pages[1])
    assert len(routes) > 80
    for method, path in routes:
        status = http.request(method, path).status_code
        page = path in ("/", "/admin/", "/documents/", "/review/") and method in ("GET", "HEAD")
        assert status == (303 if page else 401), f"{method} {path} answered {status}"


def test_no_route_of_the_pages_for_others_answers_a_user(pages: tuple[House, FastAPI]) -> None:
    http = client(pages, "uwe")
    for method, path in gradio_routes(pages[1]):
        if path.startswith(("/admin", "/documents", "/review")):
            assert http.request(method, path).status_code == 403, f"{method} {path}"


@pytest.mark.parametrize(
    "path",
    ["/config", "/gradio_api/info", "/gradio_api/queue/data", "/gradio_api/file=/etc/passwd", "/nothing"],
)
def test_known_doors_are_shut(pages: tuple[House, FastAPI], path: str) -> None:
    assert client(pages, None).get(path).status_code == 401


@pytest.mark.parametrize(("name", "status"), [(None, 303), ("uwe", 403), ("ana", 200)])
def test_the_admin_page_is_for_admins(pages: tuple[House, FastAPI], name: str | None, status: int) -> None:
    http = client(pages, name)
    assert http.get("/admin/").status_code == status
    first = http.get("/admin")
    assert first.status_code == (307 if name == "ana" else status)
    assert first.headers.get("location") == {"ana": "/admin/", None: "/login?next=/admin"}.get(name)


@pytest.mark.parametrize("name", ["uwe", "ana"])
def test_the_chat_is_for_everybody_who_is_signed_in(pages: tuple[House, FastAPI], name: str) -> None:
    answer = client(pages, name).get("/")
    assert answer.status_code == 200
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_no_handler_can_be_called_past_the_queue_or_by_name(pages: tuple[House, FastAPI]) -> None:
    http = client(pages, "ana")
    assert http.get("/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
    for base in ("", "/admin", "/documents", "/review"):
        config = http.get(f"{base}/config").json()
        assert config["dependencies"]
        assert {dep["api_visibility"] for dep in config["dependencies"]} == {"private"}
        answer = http.post(f"{base}/gradio_api/run/predict", json={"fn_index": 0, "data": []})
        assert answer.status_code in (403, 404), answer.text


def test_the_configuration_tells_nothing(pages: tuple[House, FastAPI]) -> None:
    house = pages[0]
    house.store.start_conversation(house.accounts.get("ana").id, "my secret")
    config = client(pages, "uwe").get("/config").json()
    assert "secret" not in json.dumps(config)
    assert "person-" not in json.dumps(config)
    assert "run_train" not in json.dumps(config["dependencies"])


def test_events_have_room_for_many(pages: tuple[House, FastAPI]) -> None:
    for part in pages[1].routes:
        if isinstance(part, Mount):
            blocks = part.app.get_blocks()  # type: ignore[attr-defined]
            assert all(function.concurrency_limit is None for function in blocks.fns.values())
            assert blocks._queue.max_size
    chat = pages[1].routes[-1].app.get_blocks()  # type: ignore[attr-defined]
    assert chat._queue.max_thread_count >= 400


def test_pages_need_nothing_from_elsewhere(pages: tuple[House, FastAPI]) -> None:
    html = client(pages, "uwe").get("/").text
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?https?://""", html)
    # Addresses in it are names of XML namespaces inside of inline drawings.
    assert not re.findall(r"https?://(?!www\.w3\.org)", client(pages, "uwe").get("/theme.css").text)


def test_there_is_no_documentation_of_the_api(pages: tuple[House, FastAPI]) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/monitoring"):
        assert client(pages, "ana").get(path).status_code in (403, 404), path


def test_nothing_can_be_uploaded_elsewhere(pages: tuple[House, FastAPI]) -> None:
    for base in ("", "/admin", "/review"):
        files = {"files": ("a.txt", b"hello" * 100)}
        assert client(pages, "ana").post(f"{base}/gradio_api/upload", files=files).status_code == 404


def test_documents_can_be_sent_up_to_their_size(pages: tuple[House, FastAPI]) -> None:
    files = {"files": ("a.txt", b"hello" * 100)}
    assert client(pages, "ana").post("/documents/gradio_api/upload", files=files).status_code == 200
    assert client(pages, "uwe").post("/documents/gradio_api/upload", files=files).status_code == 403


@pytest.mark.browser
def test_the_admin_page_by_hand(site: Site, open_page: Callable[..., Any]) -> None:
    page = open_page("/admin/")
    page.locator("#due .card").wait_for()
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("button", name="Train now").click()
    page.get_by_text("by hand: root").wait_for()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("dialog").wait_for()
    page.get_by_role("button", name="Confirm").click()
    page.locator(".badge", has_text="cancelled").wait_for()
    page.get_by_role("tab", name="Adapters").click()
    page.get_by_role("button", name="Roll back…").click()
    page.get_by_text("there is nothing to go back to").wait_for()
    page.get_by_role("button", name="Back to base…").click()
    page.get_by_role("dialog").wait_for()
    page.get_by_role("button", name="Confirm").click()
    page.get_by_text("needs a reason in words").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


@pytest.mark.browser
def test_a_canary_by_hand(site: Site, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "_check_servable", lambda *_: None)
    name, now = "lora-00000000000c", datetime.now(UTC)
    site.house.registry.add(Adapter(name, Path("/none"), "starter", "hash", None, 16, now))
    site.house.registry.record(Evaluation(name, None, "passed", (Check("loads", True, "yes"),), {}, now))
    page = open_page("/admin/")
    page.get_by_role("tab", name="Adapters").click()
    for label, reason, seen in (
        ("Canary…", "try it", "5% of conversations"),
        ("Stop…", "it flatters", "No canary is running."),
    ):
        page.get_by_role("button", name=label).click()
        page.get_by_role("dialog").wait_for()
        page.get_by_label("Why?").fill(reason)
        page.get_by_role("button", name="Confirm").click()
        page.get_by_role("dialog").wait_for(state="detached")
        page.locator("#canary").get_by_text(seen).wait_for()
    assert [step.reason for step in site.house.canaries.history()] == ["it flatters", "try it"]
