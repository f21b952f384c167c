"""`apprentice documents …`: files into the knowledge base and out of it, and what a question finds there.

Leaves the work to a web process of this home if one runs, and shows how far it is; else does it here. Prints;
decides nothing.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.commands.common import Home, Json, house_of, progress, show, who
from assistant.commands.gaps import gaps

if TYPE_CHECKING:
    from assistant.app import House
    from assistant.library import Library
    from retrieval.records import Document

Group = Annotated[str, typer.Option("--group", help="Only for people in this group; default: for everybody.")]
_POLL_SECONDS = 0.3
_LOOK_SECONDS = 3.0
_BRIEF_SECONDS = 60
_WORDS_SECONDS = 120.0
"""How long a search in this process waits for the index of words, which is built anew at each start."""
_TRIES = 5
"""How often the web process may fail while it is waited for; it tries every other second."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    documents = typer.Typer(no_args_is_help=True, help="The knowledge base: documents that answers stand on.")
    for command in (add, list_, remove, search, gaps):
        documents.command(command.__name__.rstrip("_"))(command)
    app.add_typer(documents, name="documents")


@contextmanager
def _library(home: Path | None) -> Iterator[tuple[House, Library]]:
    """The knowledge base of a home, not started. What it does is told by these commands, not by its log."""
    from assistant.app import library_of

    for quiet in ("assistant.library", "assistant.librarian", "retrieval"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
    with house_of(home) as house:
        yield house, library_of(house)


def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, or folders with all in them.")],
    group: Group = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until they can be found.")] = True,
    home: Home = None,
) -> None:
    """Add documents; one of the same name is replaced. Exit status 1 if any was refused."""
    from retrieval.records import Unavailable, Unreadable

    with _library(home) as (house, library):
        if library.disabled:
            raise Unavailable(library.disabled)
        refused, waiting = 0, []
        for name, path in files(paths):
            try:
                document, change = library.bring_in(name, path, group, who())
            except Unreadable as problem:
                typer.echo(f"refused    {path}: {problem}", err=True)
                refused += 1
                continue
            if change == "unchanged" and document.state == "ready":
                typer.echo(f"unchanged  {document.name}")
            else:
                waiting.append(document)
        if not wait:
            for document in waiting:
                typer.echo(f"waiting    {document.name} ({document.id})")
        elif waiting:
            refused += _follow(house, library, waiting)
    if refused:
        raise typer.Exit(1)


def files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The files with their names: in a folder, the way from it. Hidden ones in folders are left out."""
    for path in paths:
        if not path.is_dir():
            yield path.name, path
            continue
        for inside in sorted(path.rglob("*")):
            way = inside.relative_to(path)
            if inside.is_file() and not any(part.startswith(".") for part in way.parts):
                yield way.as_posix(), inside


def _follow(house: House, library: Library, waiting: Sequence[Document]) -> int:
    """Show how they come in, until all have; returns how many were refused."""
    refused, left = 0, {document.id: document.name for document in waiting}
    with _worked_on(house, library) as check, progress() as tell:
        while left:
            check()
            found = library.shelf.some(set(left))
            for key, name in list(left.items()):
                document = found.get(key)
                if document is None or document.state in ("ready", "refused", "removing"):
                    del left[key]
                    refused += _told(name, document)
            share = sum(document.progress for document in found.values() if document.id in left)
            total = len(waiting)
            tell(f"indexing {_many(total, 'document')}", (total - len(left) + share) / total)
            if left:
                time.sleep(_POLL_SECONDS)
    return refused


def _told(name: str, document: Document | None) -> int:
    """Say what became of one; 1 if it was refused."""
    if document is None or document.state == "removing":
        typer.echo(f"removed    {name}")
    elif document.state == "refused":
        typer.echo(f"refused    {name}: {document.reason}", err=True)
        return 1
    else:
        typer.echo(f"ready      {name} ({_many(document.passages, 'passage')})")
    return 0


@contextmanager
def _worked_on(house: House, library: Library) -> Iterator[Any]:
    """See to it that somebody does the work: the web process of this home, or else this one.

    What it gives is to be called again and again: it hands over when a web process comes or goes, and says
    what holds that one up. Raises `Unavailable` if this process has to do it and can't, or that one fails
    again and again.
    """
    from assistant.app import library_of
    from assistant.simulation import running
    from retrieval.records import Unavailable

    own: list[Library] = []
    looked = [-_LOOK_SECONDS]
    failed: dict[float, str] = {}

    def check() -> None:
        if time.monotonic() - looked[0] >= _LOOK_SECONDS:
            looked[0] = time.monotonic()
            served = running(house.settings.home) is not None
            if served and own:
                own.pop().close()
            elif not served and not own:
                own.append(library_of(house))
                own[0].start()
        if own and own[0].problem and not own[0].rebuilding:
            raise Unavailable(own[0].problem)
        trouble = None if own else library.trouble
        if trouble is not None and trouble.at not in failed:
            if trouble.said not in failed.values():
                typer.echo(f"the web process is held up: {trouble.said}", err=True)
            failed[trouble.at] = trouble.said
            if len(failed) == _TRIES:
                raise Unavailable(f"{trouble.said}; the web process does the work once it can")

    try:
        yield check
    finally:
        for one in own:
            one.close()


def list_(home: Home = None, as_json: Json = False) -> None:
    """Every document, with how far it is."""
    from retrieval.shelf import as_json as whole
    from retrieval.shelf import in_order

    with _library(home) as (_, library):
        rows = [dict(whole(document)) for document in in_order(library.shelf.all())]
        rebuilding = library.rebuilding
    if not as_json:
        for row in rows:
            row["group"] = row["group"] or "everybody"
            row["state"] += f" {row['progress']:.0%}" if row["state"] == "indexing" else ""
        if rebuilding is not None:
            typer.echo(f"The index is being built again for another embedding model: {rebuilding:.0%}")
    empty = "no documents yet: apprentice documents add PATH"
    show(rows, ("id", "name", "group", "state", "passages", "reason"), as_json, empty)


def remove(
    document_id: Annotated[str, typer.Argument(metavar="ID", help="`doc-…`, as `documents list` shows it.")],
    home: Home = None,
) -> None:
    """Remove a document: nobody finds or opens it any more."""

    with _library(home) as (house, library):
        document = library.remove(document_id, who())
        if library.enabled:
            with _worked_on(house, library) as check:
                while library.shelf.some({document.id}):
                    check()
                    time.sleep(_POLL_SECONDS)
    typer.echo(f"{document.name} is gone")


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A question.")],
    group: Group = "",
    most: Annotated[int, typer.Option("--most", help="How many passages.", min=1, max=50)] = 5,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """What a person would find: of everybody's documents, with `--group` of that group's too."""
    from assistant.simulation import running
    from retrieval.records import Unavailable

    with _library(home) as (house, library):
        if library.disabled:
            raise Unavailable(library.disabled)
        url = running(house.settings.home)
        found = _ask(house, url, text, group, most) if url else _look(library, text, group, most)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found:
        typer.echo("nothing found")
    for hit in found:
        page = f", page {hit['page']}" if hit["page"] else ""
        typer.echo(f"[{hit['number']}] {hit['score']:.2f}  {hit['name']}{page}: {hit['title']}")
        typer.echo("    " + " ".join(hit["text"].split())[:200])


def _ask(house: House, url: str, text: str, group: str, most: int) -> list[dict[str, Any]]:
    """Through the web process, which holds the index: with a key that is good for a minute, and then gone."""
    from datetime import timedelta
    from secrets import token_hex

    import httpx

    from assistant.errors import AssistantError

    name = f"documents-search-{token_hex(4)}"
    house.accounts.add(name, "staff")
    try:
        key = house.accounts.new_key(name, timedelta(seconds=_BRIEF_SECONDS))
        asked: dict[str, str | int] = {"q": text, "k": most}
        if group:
            asked["group"] = group
        response = httpx.get(
            f"{url}/v1/documents/search",
            params=asked,
            headers={"authorization": f"Bearer {key}"},
            timeout=_BRIEF_SECONDS,
            trust_env=False,
        )
        found = response.json()
        if response.is_error:
            raise AssistantError(str(found["error"]["message"]))
    except (httpx.HTTPError, ValueError) as error:
        raise AssistantError(f"the web process at {url} does not answer: {error}") from None
    finally:
        house.accounts.delete(name)
    return list(found["data"])


def _look(library: Library, text: str, group: str, most: int) -> list[dict[str, Any]]:
    """In this process, since nobody else holds the index."""
    import asyncio

    from assistant.documents_api import hit_as_json

    if library.empty:
        return []
    library.start()
    try:
        if not library.parts().search.words.settled(_WORDS_SECONDS):
            typer.echo("the words are not indexed yet: this was found by meaning alone", err=True)
        hits = asyncio.run(library.search(text, {group}, most=most))
        rows = library.shelf.some({hit.passage.source_id for hit in hits})
        return [
            hit_as_json(number, hit, rows.get(hit.passage.source_id)) for number, hit in enumerate(hits, 1)
        ]
    finally:
        library.close()


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
