"""Declarations of who may open what: where they stand, and which one counts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import Mount

from assistant.doors import ANYONE, Door, declared, mark, mark_app, matching, name, opens


def asks(role: Any) -> Any:
    def who() -> None:
        """Stands for `api.bearer`."""

    return mark(who, Door(role, "key"))


def app() -> FastAPI:
    found, routes = FastAPI(docs_url=None, redoc_url=None, openapi_url=None), APIRouter()

    @routes.get("/open")
    @opens(None)
    def open_() -> None: ...

    @routes.get("/own")
    @opens("user")
    def own() -> None: ...

    @routes.get("/keyed")
    def keyed(_who: None = Depends(asks("user"))) -> None: ...

    @routes.get("/both", dependencies=[Depends(asks("admin"))])
    def both(_who: None = Depends(asks("user"))) -> None: ...

    @routes.post("/nothing")
    def nothing() -> None: ...

    found.include_router(routes)
    inner = FastAPI()
    mark_app(inner, Door("staff", files=True))
    found.mount("/inner", inner)
    found.mount("/", FastAPI())
    return found


def door(path: str, method: str = "GET") -> Door | None:
    scope = {"type": "http", "path": path, "method": method, "headers": []}
    route = matching(app().routes, scope)
    assert route is not None
    return declared(route)


def test_a_route_has_the_door_of_its_function_or_of_what_it_depends_on() -> None:
    assert door("/open") == ANYONE
    assert door("/own") == Door("user", "session")
    assert door("/keyed") == Door("user", "key")


def test_of_several_the_strictest_counts() -> None:
    assert door("/both") == Door("admin", "key")


def test_what_declares_nothing_has_none() -> None:
    assert door("/nothing", "POST") is None
    assert door("/else") is None


def test_all_of_a_mounted_application_has_one_door() -> None:
    assert door("/inner/any/thing") == door("/inner/") == Door("staff", files=True)


def test_a_method_declares_too() -> None:
    class Doors:
        @opens("admin")
        def page(self) -> None: ...

    found = FastAPI()
    found.add_api_route("/page", Doors().page)
    assert declared(found.routes[-1]) == Door("admin")


def test_it_is_found_as_the_application_finds_it() -> None:
    routes = app().routes
    # Another method of a known path goes to what is mounted at "/", as it would in the application.
    found = matching(routes, {"type": "http", "path": "/open", "method": "POST", "headers": []})
    assert isinstance(found, Mount)
    assert matching([], {"type": "http", "path": "/", "method": "GET", "headers": []}) is None
    assert name(routes[-3]) == "POST /nothing"
