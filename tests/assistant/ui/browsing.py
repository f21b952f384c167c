"""The real application on a port of this machine, and a real browser to look at it with.

Fixtures for tests that are marked `browser`; a conftest takes them over. Chromium is Debian's: none is
downloaded. A test fails if its page said anything on the console or asked for anything from elsewhere.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from assistant.accounts import AccountError, accounts, credentials
from assistant.library import Library
from assistant.reviewing import ReviewDesk
from assistant.settings import read
from assistant.ui import mount
from feedback.database import Database, connect
from feedback.records import Role
from feedback.review_records import ReviewSettings
from feedback.schema import metadata
from tests.assistant.ui import scripted
from tests.assistant.ui.scripted import House, ScriptedEngines, Shelf
from tests.retrieval.books import Books
from training.comparison import Comparison

CHROMIUM = os.environ.get("APPRENTICE_CHROMIUM") or shutil.which("chromium")
QUIET = """
    --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update
    --disable-sync --disable-quic
"""


class Watched:
    """What the browser complained of while it showed pages of `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.complaints: list[str] = []

    def watch(self, page: Any) -> None:
        """Note every error, and every request to elsewhere."""
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("console", self._said)
        page.on("request", lambda asked: self._asked(asked.url))

    def _said(self, message: Any) -> None:
        # What gradio's client says while its page is being left.
        farewell = "AbortError" in message.text or "Connection errored out" in message.text
        if message.type == "error" and not farewell:
            self.complaints.append(f"console: {message.text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"request to {url}")


class Site(Watched):
    """The application, and what the browser complained of."""

    def __init__(self, house: House, database: Database, library: Library, port: int) -> None:
        super().__init__(f"http://127.0.0.1:{port}")
        self.house = house
        self._database = database
        self.library = library
        self.reviews = ReviewDesk(database, house.accounts, ReviewSettings(double_share=0.0))
        self.comparison: Comparison | None = None
        """What the admin page shows as the newest one."""

    def session(self, name: str, role: Role = "admin") -> str:
        """A session of this person, who is made if there is none of that name."""
        try:
            account = self.house.accounts.get(name)
        except AccountError:
            account = self.house.accounts.add(name, role)
        return self.house.accounts.new_session(account)

    def forget_everybody(self) -> None:
        """As on the first start."""
        with self._database.write() as connection:
            connection.execute(credentials.delete())
            connection.execute(accounts.delete())


@pytest.fixture(scope="module")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application without any account, served by a thread."""
    folder = tmp_path_factory.mktemp("site")
    database = connect(f"sqlite:///{folder / 'all.db'}")
    with database.write() as connection:
        metadata.create_all(connection)
    house = scripted.house(database, folder / "adapters", people=False)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    library = Library(database, read(home=folder, model="org/model"), Books(database))
    library.start()
    site = Site(house, database, library, port)
    mount.mount(
        app,
        chat=house.chat,
        accounts=house.accounts,
        desk=replace(house.desk, comparison=lambda: site.comparison),
        library=library,
        reviews=site.reviews,
        # As good as never: a test that wants two answers lets chance say so.
        choice_share=1e-12,
    )
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield site
    server.should_exit = True
    thread.join(10)
    library.close()
    database.close()


@pytest.fixture
def site(running_site: Site) -> Site:
    """The application, its engine as new."""
    engines = running_site.house.engines
    vars(engines).update(vars(ScriptedEngines(go=engines.go)))
    vars(running_site.house.shelf).update(vars(Shelf()))
    return running_site


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for the tests of a module without async ones: Playwright holds the thread's event loop."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: install Debian's `chromium`, or name one in APPRENTICE_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield browser
        browser.close()


@pytest.fixture
def open_page(site: Site, chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of its own, signed in as the admin `root` unless told otherwise."""
    contexts = []

    def opened(address: str = "/", name: str | None = "root", **options: Any) -> Any:
        options.setdefault("viewport", {"width": 1200, "height": 800})
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        site.watch(page)
        if name is not None:
            cookie = {"name": "apprentice_session", "value": site.session(name), "url": site.url}
            context.add_cookies([cookie])
        page.goto(site.url + address)
        return page

    site.complaints.clear()
    yield opened
    for context in contexts:
        context.close()
    if site.complaints:
        pytest.fail("\n".join(site.complaints), pytrace=False)
