"""`apprentice up`, `web`, `worker`, `engine`: all parts together, or each alone on its own machine.

Starts processes and says where to go. What the processes do is put together in `assistant/app.py`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.commands import tools
from assistant.commands.common import Home, settings_of

if TYPE_CHECKING:
    from assistant.engine.process import EngineSettings
    from assistant.processes import Child
    from assistant.settings import Settings

Host = Annotated[str, typer.Option("--host", help="The address to listen on.")]
Port = Annotated[int, typer.Option("--port", help="The port to listen on.", min=1, max=65535)]
Model = Annotated[str | None, typer.Option("--model", help="starter, a folder, or a Hugging Face model id.")]
Once = Annotated[bool, typer.Option("--once", help="Do what is due, then end.")]
_KEEP_ALIVE = 75
"""Seconds that an idle connection stays open. httpx, and with it OpenAI's client, reuses one for 5 s, which
is also uvicorn's default: a request on its way in that moment would be lost."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (up, web, worker, engine):
        app.command()(command)


def up(host: Host = "127.0.0.1", port: Port = 7860, home: Home = None, model: Model = None) -> None:
    """Start engine, web and worker together; Ctrl-C ends all of it."""
    from filelock import FileLock, Timeout

    from assistant import app
    from assistant.errors import AssistantError
    from assistant.processes import Supervisor

    settings = settings_of(home, model=model)
    tools.check(settings)
    house = app.open_house(settings)
    house.close()
    (settings.home / "run").mkdir(exist_ok=True)
    lock = FileLock(settings.home / "run" / "up.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise AssistantError(f"the home {settings.home} is up already; end that one first") from None
    _require_free(host, port)
    url, started = _reachable(host, port), time.monotonic()
    typer.echo(f"Starting the engine, the web part and the worker; logs are in {settings.home / 'logs'}.")
    try:
        Supervisor(_children(settings, host, port)).run(on_ready=lambda: _announce(settings, url, started))
    finally:
        lock.release()


def _children(settings: Settings, host: str, port: int) -> list[Child]:
    from assistant.engine import process
    from assistant.processes import Child

    env = {**os.environ, "APPRENTICE_HOME": str(settings.home), "APPRENTICE_MODEL": settings.model}
    logs, itself = settings.home / "logs", (sys.executable, "-m", "assistant")
    serving = [*itself, "web", "--host", host, "--port", str(port)]
    url = _reachable(host, port)
    children = [
        Child("web", serving, env=env, log=logs / "web.log", ready=lambda: _is_ready(url)),
        Child("worker", [*itself, "worker"], env=env, log=logs / "worker.log", nice=5),
    ]
    if not settings.servers:
        children.insert(0, process.child(engine_settings(settings)))
    return children


def _is_ready(url: str) -> bool:
    """Whether an answer can be had: database, engine and live adapter are there."""
    import httpx

    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def engine_settings(settings: Settings) -> EngineSettings:
    """The settings of the engine that we start ourselves."""
    from assistant.engine.process import EngineSettings

    section = settings.engine
    return EngineSettings(
        model=settings.model_location,
        home=settings.home,
        max_model_len=section.max_model_len,
        kv_cache_gib=section.kv_cache_gib,
        threads=section.threads,
        dtype=section.dtype,
        tool_parser=section.tool_parser or None,
        cpu_lora=section.cpu_lora,
        gpu_memory_utilization=section.gpu_memory_utilization,
        extra=section.arguments,
    )


def _announce(settings: Settings, url: str, started: float) -> None:
    """Say where to go, now that an answer can be had."""
    typer.echo(f"Apprentice answers at {url} (ready in {time.monotonic() - started:.0f} s). Ctrl-C ends it.")
    link = _first_link(settings)
    if link is not None:
        typer.echo(f"First start: open {url}/setup?token={link} to make the admin's account.")


def _first_link(settings: Settings) -> str | None:
    from assistant import app

    house = app.open_house(settings)
    try:
        return house.accounts.first_link()
    finally:
        house.close()


def web(host: Host = "127.0.0.1", port: Port = 7860, home: Home = None, model: Model = None) -> None:
    """The web part alone: pages and routes."""
    import uvicorn

    from assistant import app
    from assistant.files import write_json

    settings = settings_of(home, model=model)
    house = app.open_house(settings)
    # uvicorn ends itself by the signal that ended it; as an exit it lets the `finally` below do its work.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    write_json(settings.home / "run" / "web.json", {"url": _reachable(host, port), "pid": os.getpid()})
    try:
        # A stream that is open when we are asked to end gets five seconds, then it is stored as stopped.
        uvicorn.run(
            app.web(house),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=5,
            timeout_keep_alive=_KEEP_ALIVE,
            proxy_headers=bool(settings.accounts.proxies),
            forwarded_allow_ips=settings.accounts.proxies or None,
        )
    finally:
        (settings.home / "run" / "web.json").unlink(missing_ok=True)
        house.close()


def worker(once: Once = False, home: Home = None) -> None:
    """The worker alone: trains whenever it is due."""
    import asyncio

    from assistant import app

    house = app.open_house(settings_of(home))
    try:
        asyncio.run(app.work(house, once))
    finally:
        house.close()


def engine(home: Home = None, model: Model = None) -> None:
    """The engine alone: vLLM, started and watched, on loopback."""
    from assistant.engine import process
    from assistant.processes import Supervisor

    settings = settings_of(home, model=model)
    Supervisor([process.child(engine_settings(settings))]).run()


def _reachable(host: str, port: int) -> str:
    """The address to type into a browser on this machine."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def _require_free(host: str, port: int) -> None:
    """Say in words that the port is taken, before three processes have been started."""
    from assistant.errors import AssistantError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise AssistantError(f"can't listen on {host}:{port} ({error.strerror}); try --port") from None
