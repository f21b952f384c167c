"""What a simulation needs of a home: accounts with keys, a service that answers, and its doors over HTTP.

Everything but making the accounts goes through the same doors as people do. Knows no rounds and no raters.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from assistant.accounts import AccountError, Accounts
from assistant.errors import AssistantError
from assistant.files import read_json
from feedback.records import Role
from training.questions import Prompt
from training.simulate import Answer, RequestFailed, Thumb

NEVER = 10**9
"""So many new votes make a run due: in a simulation runs start when it asks for them."""
# A first start may have to fetch its model.
_START_SECONDS = 900.0
_GRACE_SECONDS = 30.0

Wait = Callable[[str], None]
"""Hears, again and again, why the service is not ready yet."""


def keys(accounts: Accounts, people: Sequence[str], admin: str) -> dict[str, str]:
    """An API key for every name; accounts that are missing are made. Raises `AccountError`."""
    known = {account.name: account for account in accounts.all()}
    roles: dict[str, Role] = {**dict.fromkeys(people, "user"), admin: "admin"}
    for name, role in roles.items():
        account = known.get(name) or accounts.add(name, role)
        if not account.may(role):
            state = "is disabled" if account.disabled else f"is {account.role}, and {role} is needed"
            raise AccountError(f"the account {name} is left from something else and {state}; delete it first")
    return {name: accounts.new_key(name) for name in roles}


class Http:
    """The doors of a running service. One for all people: each comes with a key of their own."""

    def __init__(self, client: httpx.AsyncClient, keys: Mapping[str, str], admin: str) -> None:
        self._client, self._keys, self._admin = client, keys, admin

    async def ask(self, name: str, prompt: Prompt, model: str, temperature: float | None) -> Answer:
        """`POST /v1/chat/completions`, in one piece."""
        body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in prompt]}
        if temperature is not None:
            body["temperature"] = temperature
        response, found = await self._send(name, "POST", "/v1/chat/completions", body)
        try:
            text = found["choices"][0]["message"]["content"] or ""
            return Answer(found["id"], text, response.headers["x-apprentice-adapter"])
        except (KeyError, IndexError, TypeError) as error:
            raise RequestFailed(f"POST /v1/chat/completions: no answer in the response ({error!r})") from None

    async def vote(self, name: str, answer_id: str, thumb: Thumb) -> Mapping[str, Any]:
        """`POST /v1/feedback`."""
        return await self._json(name, "POST", "/v1/feedback", {"completion_id": answer_id, "rating": thumb})

    async def queue_run(self) -> Mapping[str, Any]:
        """`POST /v1/runs`."""
        return await self._json(self._admin, "POST", "/v1/runs", {})

    async def runs(self) -> Sequence[Mapping[str, Any]]:
        """`GET /v1/runs`."""
        return (await self._json(self._admin, "GET", "/v1/runs"))["data"]  # type: ignore[no-any-return]

    async def adapters(self) -> Sequence[Mapping[str, Any]]:
        """`GET /v1/adapters`."""
        return (await self._json(self._admin, "GET", "/v1/adapters"))["data"]  # type: ignore[no-any-return]

    async def promote(self, name: str, reason: str) -> Mapping[str, Any]:
        """`POST /v1/adapters/{name}/promote`."""
        return await self._json(self._admin, "POST", f"/v1/adapters/{name}/promote", {"reason": reason})

    async def _json(self, name: str, method: str, path: str, body: Any = None) -> Mapping[str, Any]:
        return (await self._send(name, method, path, body))[1]

    async def _send(
        self, name: str, method: str, path: str, body: Any = None
    ) -> tuple[httpx.Response, Mapping[str, Any]]:
        what = f"{method} {path}"
        try:
            response = await self._client.request(
                method, path, json=body, headers={"authorization": f"Bearer {self._keys[name]}"}
            )
            found = response.json()
        except httpx.HTTPError as error:
            raise RequestFailed(f"{what}: {type(error).__name__}: {error}".rstrip(": ")) from error
        except ValueError:
            found = None
        if response.is_error:
            said = found.get("error") if isinstance(found, dict) else None
            why = said.get("message") if isinstance(said, dict) else response.text[:200]
            raise RequestFailed(f"{what}: {response.status_code}: {why}")
        if not isinstance(found, dict):
            raise RequestFailed(f"{what}: the response is no JSON object")
        return response, found


def client(url: str) -> httpx.AsyncClient:
    """A client with the patience of somebody who waits for an answer; a proxy is none of its business."""
    return httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(300, connect=10), trust_env=False)


@contextmanager
def service(home: Path, tell: Wait) -> Iterator[str]:
    """The URL of the home's service: the one that runs, or one of our own, which ends with the context.

    Raises `AssistantError` if none can answer.
    """
    url = running(home)
    if url is not None:
        _await(url, tell, lambda: None)
        yield url
        return
    with _own(home, tell) as url:
        yield url


def running(home: Path) -> str | None:
    """Where the home's web part listens, if it does."""
    found = read_json(home / "run" / "web.json")
    if found is None or not _lives(found.get("pid")):
        return None
    url = str(found.get("url"))
    return url if _get(f"{url}/healthz") is not None else None


@contextmanager
def _own(home: Path, tell: Wait) -> Iterator[str]:
    from assistant.engine.process import free_port
    from assistant.processes import Child, Supervisor

    port, log = free_port(), home / "logs" / "up.log"
    env = {**os.environ, "APPRENTICE_TRAINING__MIN_EXAMPLES": str(NEVER)}
    url = f"http://127.0.0.1:{port}"
    # A plain kill of ours then ends the children as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Supervisor([Child("up", _up(home, port), env=env, log=log)], grace=_GRACE_SECONDS) as servers:

            def check() -> None:
                servers.step()
                if servers.failures("up"):
                    raise AssistantError(f"the servers did not start: {_last_line(log)}")

            _await(url, tell, check)
            yield url
    finally:
        signal.signal(signal.SIGTERM, before)


def _up(home: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "assistant", "up", "--home", str(home), "--port", str(port)]


def _await(url: str, tell: Wait, check: Callable[[], None]) -> None:
    """Return when an answer can be had at `url`; `check` may raise meanwhile."""
    end = time.monotonic() + _START_SECONDS
    while True:
        check()
        response = _get(f"{url}/readyz")
        if response is not None and response.status_code == 200:
            return
        reason = _reason(response)
        if time.monotonic() > end:
            raise AssistantError(f"no answer could be had within {_START_SECONDS / 60:.0f} minutes: {reason}")
        tell(reason)
        time.sleep(0.25)


def _reason(response: httpx.Response | None) -> str:
    if response is None:
        return "the web part is starting"
    try:
        return str(response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return f"it answers with status {response.status_code}"


def _get(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=5, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def _lives(pid: Any) -> bool:
    """Whether the process is there; else its port may belong to another home by now."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, TypeError, OverflowError):
        return False
    return True


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return f"{lines[-1]} ({log})" if lines else f"see {log}"
