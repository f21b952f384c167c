"""The report of an adapter's newest evaluation, as a page for admins: `/admin/reports/NAME`.

Draws what `training.report` says. Knows no gradio.
"""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from assistant.accounts import Accounts
from assistant.doors import opens
from assistant.ui import paper
from assistant.ui.gate import account_of
from assistant.ui.markdown import render
from training import report
from training.registry import Registry


def router(accounts: Accounts, registry: Registry) -> APIRouter:
    """The route `/admin/reports/{name}`."""
    routes = APIRouter(include_in_schema=False)

    @opens("admin")
    async def page(name: str, request: Request) -> Response:
        account = await to_thread.run_sync(account_of, request, accounts)
        if account is None:
            return RedirectResponse(f"/login?next=/admin/reports/{name}", 303)
        if not account.may("admin"):
            return paper.sheet("Not for you", "This page needs the role admin.", "", status=403)
        found = await to_thread.run_sync(registry.evaluation, name)
        back = paper.link("/admin", "Back to the adapters")
        if found is None:
            text = "There is no adapter of that name, or it has not been evaluated."
            return paper.sheet("No report", text, back, status=404)
        return paper.wide(f"Report on {name}", f"{render(report.markdown(found))}{back}")

    routes.add_api_route("/admin/reports/{name}", page, methods=["GET"], response_class=HTMLResponse)
    return routes
