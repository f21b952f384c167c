"""The page of documents: its handlers over a real library with fake parts, and the page in a real browser."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.accounts import AccountError
from assistant.library import Library
from assistant.settings import read
from assistant.ui import documents_page
from assistant.ui.documents_page import DocumentsEvents, Shown
from assistant.ui.page import Doorman
from feedback.database import Database
from retrieval.records import EVERYBODY, NotFound, Refused, Unavailable
from tests.assistant.ui.browsing import Site
from tests.assistant.ui.scripted import House, event, request
from tests.retrieval.books import Books


@pytest.fixture
def books(sqlite: Database) -> Books:
    return Books(sqlite)


@pytest.fixture
def library(sqlite: Database, books: Books) -> Iterator[Library]:
    found = Library(sqlite, read(model="org/model"), books)
    found.start()
    yield found
    found.close()


@pytest.fixture
def events(house: House, library: Library) -> DocumentsEvents:
    house.accounts.add("stella", "staff")
    house.accounts.add("sam", "user")
    house.accounts.set_groups("sam", ["sales"])
    return DocumentsEvents(library, house.accounts, Doorman(house.accounts, "staff"))


def stella() -> Any:
    return request("stella")


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def settled(library: Library) -> None:
    until(lambda: not library.shelf.has_work())


async def test_every_handler_turns_others_away(events: DocumentsEvents) -> None:
    given = {"shown": Shown(), "files": ["/x"], "group": "", "name": "", "text": "a", "audience": ""}
    handlers = [name for name in vars(DocumentsEvents) if not name.startswith("_")]
    assert len(handlers) == 9
    for name in handlers:
        handler = getattr(events, name)
        for who in (request("uwe"), request(None)):
            known = {**given, "request": who, "event": event(document="doc-x")}
            with pytest.raises(AccountError):
                await handler(**{part: known[part] for part in inspect.signature(handler).parameters})


async def test_why_nothing_comes_in_is_shown(
    events: DocumentsEvents, library: Library, books: Books, tmp_path: Path
) -> None:
    def away(start: int) -> None:
        raise Unavailable("the embedding server is away")

    async def told() -> str:
        return str((await events.load(Shown(), stella()))["overview"])

    # The first document ever, and nothing can be opened
    books.fails = Unavailable("there is no embedding model")
    library.add("a.md", b"red shoes", EVERYBODY, "stella")
    until(lambda: library.problem)
    assert "There is no embedding model." in await told()
    # It can be searched, and nothing more comes in
    books.fails, books.index.before_batch = None, away
    until(lambda: "server" in (library.problem or ""))
    assert "The embedding server is away." in await told()
    books.index.before_batch = lambda start: None
    until(lambda: not library.problem)
    assert "problem" not in await told()


async def test_files_come_in_and_bad_ones_are_named(
    events: DocumentsEvents, library: Library, tmp_path: Path
) -> None:
    shown = Shown()
    parts = await events.load(shown, stella())
    assert "No document yet." in parts["documents"]
    assert ("sales", "sales") in parts["group"]["choices"]
    files = []
    for name, text in (("a.md", "red shoes"), ("empty.md", "")):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        files.append(str(folder / name))
    parts = await events.add(shown, files, "sales", stella())
    assert parts["files"] is None
    assert "<b>empty.md</b>: It is empty." in parts["refusals"]["value"]
    # What gradio kept of them is gone.
    assert not any(map(os.path.exists, files))
    settled(library)
    (document,) = library.shelf.all()
    assert (document.audience, document.added_by, document.state) == ("sales", "stella", "ready")
    assert ">ready<" in (await events.refresh(shown, stella()))["documents"]
    # What has not changed is not sent again.
    assert await events.refresh(shown, stella()) == {}


async def test_a_group_that_can_not_be_one_is_named(
    events: DocumentsEvents, library: Library, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text("one")
    parts = await events.add(Shown(), [str(tmp_path / "a.md")], "no group!", stella())
    assert "A group&#x27;s name has" in parts["refusals"]["value"]
    assert library.shelf.all() == []


async def test_without_files_nothing_happens(events: DocumentsEvents) -> None:
    assert await events.add(Shown(), None, "", stella()) == {}


async def test_removing_asks_first(events: DocumentsEvents, library: Library) -> None:
    document, shown = library.add("a.md", b"one", "", "ana"), Shown()
    settled(library)
    parts = await events.ask_remove(shown, stella(), event(document=document.id))
    assert "Remove a.md?" in parts["question"]
    await events.dismiss(shown, stella())
    await events.remove(shown, stella())
    assert library.shelf.all() != []
    await events.ask_remove(shown, stella(), event(document=document.id))
    parts = await events.remove(shown, stella())
    assert parts["decision"]["visible"] is False
    settled(library)
    assert library.shelf.all() == []
    with pytest.raises(NotFound):
        await events.ask_remove(shown, stella(), event(document=document.id))


async def test_what_is_refused_says_why_and_the_question_stays(
    events: DocumentsEvents, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, shown = library.add("a.md", b"one", "", "ana"), Shown()

    def refuse(*_: object) -> None:
        raise Refused("it comes from the watched folder")

    monkeypatch.setattr(library, "remove", refuse)
    await events.ask_remove(shown, stella(), event(document=document.id))
    parts = await events.remove(shown, stella())
    assert "It comes from the watched folder." in parts["refusal"]["value"]
    assert shown.removing == document.id


async def test_a_question_is_tried_with_the_eyes_of_a_group(
    events: DocumentsEvents, library: Library
) -> None:
    library.add("a.md", b"secret word", "sales", "ana")
    settled(library)
    assert "Nothing found." in (await events.search("secret word", "", stella()))["hits"]
    assert ">1.00<" in (await events.search("secret word", "sales", stella()))["hits"]
    assert (await events.search("  ", "sales", stella()))["hits"] == ""


async def test_a_long_list_is_found_in_by_name(events: DocumentsEvents, library: Library) -> None:
    for number in range(101):
        library.add(f"{number}.md", b"one", "", "ana")
    shown = Shown()
    assert "Show more (1)" in (await events.load(shown, stella()))["documents"]
    assert "Show more" not in (await events.more(shown, stella()))["documents"]
    assert (await events.filter(shown, " 77 ", stella()))["documents"].count("<li>") == 1


async def test_without_the_extra_it_says_how_to_install_it(
    events: DocumentsEvents, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "disabled", "documents need the extra: pip install 'apprentice[documents]'")
    parts = await events.load(Shown(), stella())
    assert "pip install &#x27;apprentice[documents]&#x27;" in parts["overview"]
    assert parts["adding"]["visible"] is False


def test_the_configuration_holds_no_data(library: Library, house: House) -> None:
    library.add("secret.md", b"one", "secrets", "ana")
    blocks = documents_page.build(library, house.accounts)
    assert "secret" not in str(blocks.get_config_file())


# -- in a browser

PICTURES = os.environ.get("APPRENTICE_PICTURES")


def take(page: Any, name: str) -> None:
    """A picture for whoever wants to look at it."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_documents_by_hand(site: Site, open_page: Callable[..., Any], tmp_path: Path, scheme: str) -> None:
    for document in site.library.shelf.all():
        site.library.remove(document.id, "test")
    settled(site.library)
    (tmp_path / "returns.md").write_text("returns take thirty days\n\nshoes are red")
    (tmp_path / "broken.md").write_text("broken")
    page = open_page("/documents/", color_scheme=scheme)
    page.get_by_text("No document yet.").wait_for()
    take(page, f"documents-empty-{scheme}")
    page.locator("#files input[type=file]").set_input_files([tmp_path / "returns.md", tmp_path / "broken.md"])
    page.locator("#files").get_by_text("returns").first.wait_for()
    page.get_by_role("button", name="Add", exact=True).click()
    page.locator("#documents .badge", has_text="ready").wait_for()
    page.get_by_text("It is broken.").wait_for()
    take(page, f"documents-{scheme}")
    page.get_by_role("tab", name="Try a question").click()
    page.get_by_label("Question").fill("how many days")
    page.keyboard.press("Enter")
    page.locator("#hits .score").wait_for()
    take(page, f"documents-search-{scheme}")
    page.get_by_role("tab", name="Documents").click()
    page.locator("#documents li", has_text="broken.md").get_by_role("button", name="Remove…").click()
    page.get_by_role("dialog").wait_for()
    take(page, f"documents-remove-{scheme}")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.locator("#documents li", has_text="broken.md").wait_for(state="detached")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="returns.md").click()
    opened.value.get_by_text("returns take thirty days").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_stands_out_of_the_page(
    site: Site, open_page: Callable[..., Any], scheme: str
) -> None:
    site.library.add("a-rather-long-name-of-a-document-without-a-space.md", b"one two", "sales", "root")
    page = open_page("/documents/", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.locator("#documents .badge", has_text="ready").first.wait_for()
    take(page, f"documents-phone-{scheme}")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.browser
def test_a_user_of_another_group_finds_no_page_and_no_document(
    site: Site, open_page: Callable[..., Any]
) -> None:
    document = site.library.add("secret.md", b"secret", "sales", "root")
    site.session("ulla", "user")
    page = open_page("/documents/", name="ulla")
    page.get_by_text("Not for this account").wait_for()
    page.goto(f"{site.url}/documents/{document.id}")
    page.get_by_text("No such document").wait_for()
    site.complaints.clear()
