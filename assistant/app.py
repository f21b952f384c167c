"""The composition root: the one place where concretes meet. Builds the services of a home from its settings.

`open_house` gives what every process needs, `web` the HTTP application, `work` the worker's loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI

from assistant import (
    api,
    api_errors,
    approvals_api,
    documents_api,
    exchange_api,
    migrations,
    notices,
    origins,
    personal_api,
    unserved,
)
from assistant.accounts import ROLES, Accounts
from assistant.approvals import Approvals
from assistant.audit import Audit
from assistant.body_limit import BodyLimit
from assistant.causes import Causes
from assistant.chat import Chat
from assistant.comparisons import Streaming, newest
from assistant.deletions import Deletions, Drop
from assistant.deletions import watch as watch_deletions
from assistant.engine.client import Engines, TrainingEngine, locate_home, locate_urls
from assistant.examples import as_example
from assistant.finding import Finding
from assistant.gaps import Gaps
from assistant.grounds import Grounds
from assistant.keeping import keep_loaded
from assistant.library import Library
from assistant.metrics import HouseFigures, Metrics
from assistant.people import People
from assistant.prompt import with_system
from assistant.request_ids import RequestIds
from assistant.requests import LARGEST_BODY
from assistant.reviewing import ReviewDesk
from assistant.settings import Settings
from assistant.tools import open_toolbox
from assistant.triage import Asking, Triage, audiences_of
from feedback.alerts import Alerts
from feedback.approved import Approved
from feedback.database import Database, DatabaseUnavailable, connect
from feedback.days import Days
from feedback.records import Message
from feedback.store import Store
from retrieval.records import RetrievalError
from training import learned
from training.base import Base
from training.canaries import Canaries
from training.due import Outlook
from training.monitor import Monitor, watch
from training.pipeline import Pipeline
from training.preview import Previews
from training.registry import Registry
from training.runs import Runs
from training.taints import Taints
from training.worker import Worker

if TYPE_CHECKING:
    from assistant.ui.desk import Desk

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """The services of one home, over one database."""

    settings: Settings
    database: Database
    store: Store
    accounts: Accounts
    people: People
    runs: Runs
    registry: Registry
    canaries: Canaries
    monitor: Monitor
    audit: Audit

    def close(self) -> None:
        """Give the database back."""
        self.database.close()


def open_house(settings: Settings) -> House:
    """Open a home and bring its database up to date. Raises `DatabaseUnavailable`, `NewerDatabase`."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DatabaseUnavailable(f"the home {settings.home} can't be made: {error.strerror}") from error
    database = connect(settings.database)
    migrations.upgrade(database)
    audit, store = Audit(database), Store(database)
    accounts, runs = Accounts(database), Runs(database, witness=audit.within)
    base = Base(settings.model_location, settings.home / "base-hash.json")
    registry = Registry(database, settings.home / "adapters", audit.within, base.made)
    taints = Taints(database)
    return House(
        settings=settings,
        database=database,
        store=store,
        accounts=accounts,
        people=People(accounts, audit.note),
        runs=runs,
        registry=registry,
        canaries=Canaries(database, registry, settings.promotion.plan, audit.within),
        monitor=Monitor(
            Days(database), Alerts(database), runs, store, lambda: taints.alarm(live_name(registry))
        ),
        audit=audit,
    )


def engines_of(settings: Settings) -> Engines:
    """A client of the engine or engines that this home uses."""
    if settings.servers:
        return Engines(locate_urls(settings.servers, settings.engine_key))
    return Engines(locate_home(settings.home))


def library_of(house: House) -> Library:
    """The knowledge base of this home; nothing is opened before it is started."""
    return Library(house.database, house.settings)


def triage_of(house: House, library: Library, engines: Engines) -> Triage:
    """What sorts bad answers and keeps the list of knowledge gaps."""
    settings = house.settings
    asking = Asking(
        engines,
        house.registry,
        house.accounts,
        Grounds(Finding(library), engines, settings.documents.tokens),
        settings.system_prompt,
        {"temperature": settings.chat.temperature, "top_p": settings.chat.top_p},
        settings.chat.max_tokens,
    )
    audiences = partial(audiences_of, house.accounts)
    return Triage(
        Causes(house.database, house.store, library, audiences),
        Gaps(house.database, house.store, library, asking),
    )


def approvals_of(house: House, library: Library) -> Approvals:
    """The approved answers of this home, found by this library."""
    live = partial(live_name, house.registry)
    return Approvals(Approved(house.database), house.store, library, live, house.audit.note)


def reviews_of(house: House, library: Library, triage: Triage, approvals: Approvals) -> ReviewDesk:
    """The reviews of this home."""
    return ReviewDesk(
        house.database,
        house.accounts,
        house.settings.review,
        home=house.settings.home,
        triage=triage,
        approvals=approvals,
        embed=library.embed if library.enabled else None,
    )


def deletions_of(house: House, library: Library | None = None) -> Deletions:
    """What deletes all data of a person. Only who has the library can take it out of the index."""
    drop: Drop | None = None
    if library is not None:
        # Where documents are switched off nothing is found, and the rows of the index go by themselves.
        drop = library.drop_answer if library.enabled else lambda _: None
    home, note = house.settings.home, house.audit.note
    return Deletions(house.database, house.accounts, house.runs, house.canaries, home, drop, note)


def live_name(registry: Registry) -> str | None:
    """The name of the adapter that is live."""
    live = registry.live()
    return live.name if live is not None else None


def chat_of(house: House, library: Library, engines: Engines, grounds: Grounds | None) -> Chat:
    """What answers people, with the house's tools."""
    settings = house.settings
    return Chat(
        house.store,
        house.registry,
        engines,
        system_prompt=settings.system_prompt,
        defaults={"temperature": settings.chat.temperature, "top_p": settings.chat.top_p},
        model=settings.model,
        max_tokens=settings.chat.max_tokens,
        ask_share=settings.chat.ask_share,
        toolbox=open_toolbox(
            settings.tools,
            seconds=settings.chat.tool_seconds,
            find=lambda question, account, most: library.find(question, account, most=most),
        ),
        tool_rounds=settings.chat.tool_rounds,
        grounds=grounds,
    )


def web(house: House, library: Library | None = None) -> FastAPI:
    """The web application: pages for people, routes for programs, on one port."""
    library = library or library_of(house)
    approvals = approvals_of(house, library)
    settings, engines = house.settings, engines_of(house.settings)
    triage = triage_of(house, library, engines)
    grounds = Grounds(Finding(library, approvals), engines, settings.documents.tokens)
    deletions = deletions_of(house, library)
    metrics = Metrics(HouseFigures(house.monitor, house.registry))
    chat = chat_of(house, library, engines, grounds if library.enabled else None)
    reviews = reviews_of(house, library, triage, approvals)
    ready = partial(not_ready, house, engines, library)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # Whatever was being written when the last process of this home died will never be finished.
        await asyncio.to_thread(house.store.interrupt_pending, datetime.now(UTC))
        await engines.start()
        library.start()
        beside = (
            keep_loaded(engines, house.registry),
            watch(house.monitor, beat=False),
            triage.run(),
            _mend(approvals),
            notices.watch(engines, house.monitor.alerts),
            reviews.run(),
            watch_deletions(deletions),
        )
        tasks = [asyncio.create_task(one) for one in beside]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.to_thread(library.close)
            await engines.close()

    app = FastAPI(title="Apprentice", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    api_errors.install(app)
    app.include_router(
        api.router(
            chat, house.accounts, house.runs, house.registry, house.canaries, ready, metrics, approvals
        )
    )
    user, staff, admin = (api.bearer(house.accounts, role) for role in ROLES)
    app.include_router(approvals_api.router(approvals, lambda: live_name(house.registry), staff))
    app.include_router(documents_api.router(library, user, staff))
    app.include_router(exchange_api.router(house.store, house.database, admin, house.audit.note))
    app.include_router(personal_api.router(house.store, house.registry, deletions, user, admin))
    uploads = {"/v1/documents": library.largest + documents_api.ROOM}
    uploads[exchange_api.IMPORT] = exchange_api.LARGEST
    app.add_middleware(BodyLimit, largest=LARGEST_BODY, larger=uploads)
    app.include_router(unserved.router(user))
    # What is sent to a page waits here until it is taken in, and not in a folder of the whole machine.
    os.environ["GRADIO_TEMP_DIR"] = str(settings.home / "run" / "uploads")
    # Last, because a page at "/" takes every path that nobody took before.
    from assistant.ui import mount

    mount.mount(
        app,
        chat=chat,
        accounts=house.accounts,
        desk=_desk(house, ready),
        library=library,
        triage=triage,
        approvals=approvals,
        reviews=reviews,
        choice_share=settings.chat.choice_share,
        people=house.people,
        deletions=deletions,
        entry=settings.accounts,
        oidc=settings.oidc,
    )
    # In front even of the gate, so that what it refuses has a name too.
    app.add_middleware(RequestIds)
    return app


def not_ready(house: House, engines: Engines, library: Library) -> str | None:
    """What keeps this process from answering, or None."""
    try:
        live = house.registry.live()
    except DatabaseUnavailable as error:
        return str(error)
    return engines.ready() or engines.missing(live.name if live else None) or library.ready()


def _desk(house: House, ready: Callable[[], str | None]) -> Desk:
    """What the admin page works with."""
    from assistant.ui.desk import Desk

    settings = house.settings
    return Desk(
        runs=house.runs,
        registry=house.registry,
        canaries=house.canaries,
        monitor=house.monitor,
        outlook=Outlook(house.store, house.runs, settings.training),
        previews=Previews(house.store, settings.training, settings.model_location),
        notices=notices.Notices(house.database),
        audit=house.audit,
        settings=origins.of(settings),
        home=settings.home,
        ready=ready,
        comparison=lambda: newest(settings.home),
        cost_per_hour=settings.monitoring.cost_per_hour,
    )


async def _mend(approvals: Approvals) -> None:
    """Bring the index of approved answers in line with their rows, once."""
    try:
        await asyncio.to_thread(approvals.mend)
    except (DatabaseUnavailable, RetrievalError) as error:
        log.warning("approved answers were not looked through: %s", error)


def pipeline_of(house: House, engines: Engines) -> Pipeline:
    """What takes a run to its end, over this home's services."""
    settings = house.settings
    return Pipeline(
        store=house.store,
        runs=house.runs,
        registry=house.registry,
        engine=TrainingEngine(engines),
        home=settings.home,
        base=settings.model_location,
        settings=settings.training,
        system_prompt=settings.system_prompt,
        auto_promote=settings.promotion.mode == "auto",
        canaries=house.canaries if settings.promotion.canary else None,
    )


def streaming_of(house: House, engines: Engines) -> Streaming:
    """How a comparison asks this home's engines: sampling as people get their answers."""
    chat = house.settings.chat
    return Streaming(engines, {"temperature": chat.temperature, "top_p": chat.top_p}, chat.max_tokens)


def learned_of(house: House, engines: Engines) -> learned.Learned:
    """What finds out which approved answers the live adapter needs no more."""
    system = house.settings.system_prompt

    def prompts(question: str, answer: str) -> tuple[list[Message], list[Message]]:
        bare = with_system([{"role": "user", "content": question}], system)
        return bare, as_example(bare, question, answer)

    rows = Approved(house.database)
    return learned.Learned(TrainingEngine(engines), house.registry, rows, prompts)


async def work(house: House, once: bool) -> None:
    """The worker: train whenever it is due, until it is told to stop; with `once`, until nothing is due."""
    settings, engines = house.settings, engines_of(house.settings)
    await engines.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    pipeline = pipeline_of(house, engines)
    # Beside the worker's loop: a run takes minutes, and monitoring must neither wait for it nor end it.
    beside = [asyncio.create_task(watch(house.monitor, beat=True))]
    if not once:
        beside.append(asyncio.create_task(learned.watch(learned_of(house, engines))))
    try:
        worker = Worker(house.store, house.runs, pipeline, settings.training, house.canaries)
        await worker.work(once=once, stop=stop)
        if once:
            await learned_of(house, engines).step()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        await engines.close()
