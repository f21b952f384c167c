"""Who may open which address: every route declares it, and what declares nothing stays shut (`ui/gate.py`).

A route for programs declares its role by `api.bearer(accounts, role)`, a page's own route by `@opens(role)`,
a page of gradio's where it is mounted. Knows no account, no page and no gradio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Scope

from feedback.records import Role

By = Literal["nothing", "session", "key"]
F = TypeVar("F", bound=Callable[..., Any])

ACCOUNT = "apprentice.account"
"""Where the gate leaves whose session it is, in the request's scope."""
KEYED = "apprentice.keyed"
"""Where it leaves whose key it is."""
_MARK = "apprentice_door"


@dataclass(frozen=True, slots=True)
class Door:
    """The declaration of a route: this role or one above it, shown by a session's cookie or by a key."""

    role: Role | None
    """None: anyone at all; the route itself looks at who it is."""
    by: By = "session"
    files: bool = False
    """Of a page of gradio's: whether files may be sent to it and fetched from it."""


ANYONE = Door(None, "nothing")


def opens(role: Role | None) -> Callable[[F], F]:
    """Declares who may open a route by their session; None: anyone."""
    door = ANYONE if role is None else Door(role)

    def marked(function: F) -> F:
        return mark(function, door)

    return marked


def mark(thing: F, door: Door) -> F:
    """Declare a door on a route's function, on one that it depends on, or on a mounted application."""
    setattr(thing, _MARK, door)
    return thing


def mark_app(app: ASGIApp, door: Door) -> None:
    """Declare who may open a mounted application, all of it."""
    setattr(app, _MARK, door)


def declared(route: BaseRoute) -> Door | None:
    """What a route declares; of several declarations the strictest. None: nothing, so it is shut."""
    if isinstance(route, Mount):
        return _mark_of(route.app)
    found = [_mark_of(getattr(route, "endpoint", None))]
    found += [_mark_of(call) for call in _depends(getattr(route, "dependant", None))]
    doors = [door for door in found if door is not None]
    ranks: tuple[Role | None, ...] = (None, "guest", "user", "staff", "admin")
    return max(doors, key=lambda door: ranks.index(door.role)) if doors else None


def matching(routes: Iterable[BaseRoute], scope: Scope) -> BaseRoute | None:
    """The route that will answer, found as starlette finds it; None: none will."""
    partial = None
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route
        if match is Match.PARTIAL and partial is None:
            partial = route
    return partial


def name(route: BaseRoute) -> str:
    """A route as a person would look for it."""
    methods = ",".join(sorted(getattr(route, "methods", None) or ["*"]))
    return f"{methods} {getattr(route, 'path', '?') or '/'}"


def _mark_of(thing: Any) -> Door | None:
    door = getattr(thing, _MARK, None)
    return door if isinstance(door, Door) else None


def _depends(dependant: Any) -> Iterator[Any]:
    for inner in getattr(dependant, "dependencies", ()):
        yield inner.call
        yield from _depends(inner)
