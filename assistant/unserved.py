"""What `/v1` does not serve: an address that is not there, or not by this method, answered like any error.

It stands before the pages, which would take every address that nobody took. Knows no other route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from assistant.accounts import Account

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def router(user: Callable[[Request], Awaitable[Account]]) -> APIRouter:
    """The last of the routes for programs; `user` gives the account behind a request."""
    routes, role = APIRouter(), Depends(user)

    @routes.api_route("/v1/{rest:path}", methods=_METHODS, include_in_schema=False)
    async def unserved(rest: str, request: Request, account: Account = role) -> None:
        allowed = sorted(_methods(request))
        if allowed:
            said = f"{request.method} is not allowed here, only {' and '.join(allowed)}"
            raise HTTPException(405, said, {"allow": ", ".join(allowed)})
        raise HTTPException(404, f"there is no /v1/{rest[:100]} here")

    return routes


def _methods(request: Request) -> set[str]:
    """By which methods others serve this address."""
    routes: list[BaseRoute] = request.app.routes
    found = (route for route in routes if route.matches(request.scope)[0] is Match.PARTIAL)
    return {method for route in found for method in getattr(route, "methods", None) or ()} - {"HEAD"}
