"""Starts the real product in a home of its own, and talks to it as its users do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[1]


@dataclass
class Running:
    """An `apprentice up` that answers."""

    home: Path
    url: str
    env: dict[str, str]
    process: subprocess.Popen[str]
    clients: list[httpx.Client] = field(default_factory=list)

    def command(self, *arguments: str, check: bool = True) -> str:
        """Standard output of `apprentice …` in this home."""
        done = subprocess.run(
            [sys.executable, "-m", "assistant", *arguments],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def person(self, name: str, role: str = "user") -> httpx.Client:
        """A new account with a client that carries its API key."""
        self.command("user", "add", name, "--role", role)
        return self.client(name)

    def client(self, name: str) -> httpx.Client:
        """A client that carries a new API key of `name`; many threads may use it."""
        key = {"Authorization": f"Bearer {self.command('user', 'key', name)}"}
        # Each request by a connection of its own: a pool that closes old ones under many threads may hand
        # out one that it is just closing.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.clients.append(httpx.Client(base_url=self.url, headers=key, timeout=120, limits=limits))
        return self.clients[-1]

    def pids(self, word: str) -> list[int]:
        """Processes of this product whose command line has `word`."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if word in " ".join(child.cmdline()):
                    found.append(child.pid)
            except psutil.Error:
                continue
        return found

    def kill(self, word: str) -> None:
        """kill -9 the first process whose command line has `word`."""
        os.kill(wait_for(lambda: self.pids(word), 60)[0], signal.SIGKILL)

    def wait_ready(self, seconds: float = 120) -> None:
        """Until an answer can be had."""
        wait_for(lambda: status_of(f"{self.url}/readyz") == 200, seconds)

    def first_link(self) -> str:
        """The link of the first start, which the terminal shows."""
        log = self.home / "up.log"
        found: re.Match[str] = wait_for(lambda: re.search(r"http\S+/setup\?token=\S+", log.read_text()), 20)
        return found[0]

    def rows(self, query: str, *given: Any) -> list[dict[str, Any]]:
        """What stands in the database."""
        with sqlite3.connect(f"file:{self.home / 'apprentice.db'}?mode=ro", uri=True) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, given)]

    def runs(self) -> list[dict[str, Any]]:
        """The runs, the newest first."""
        found: list[dict[str, Any]] = json.loads(self.command("runs", "list", "--json"))
        return found

    def ended(self, count: int) -> dict[str, Any]:
        """The newest of `count` runs, once it has ended.

        Looks at the table meanwhile: a command takes a second of a core that the run itself needs.
        """
        query = "select state from runs order by id desc"

        def over() -> bool:
            states = [row["state"] for row in self.rows(query)]
            return len(states) >= count and states[0] not in ("queued", "running")

        wait_for(over, 600)
        return self.runs()[0]


@contextmanager
def running(home: Path, **settings: str) -> Iterator[Running]:
    """`apprentice up` in `home` on a free port, ended with all its processes."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("APPRENTICE_")}
    env |= {"APPRENTICE_HOME": str(home), "PYTHONUNBUFFERED": "1"} | settings
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "assistant", "up", "--port", str(port)],
            env=env,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
    found = Running(home, f"http://127.0.0.1:{port}", env, process)
    try:
        found.wait_ready(180)
        yield found
    finally:
        for client in found.clients:
            client.close()
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGINT)
        process.wait(30)
        _, alive = psutil.wait_procs(family, timeout=5)
        for left in alive:
            left.kill()
        assert not alive, f"left behind: {alive}"


def wait_for(what: Callable[[], Any], seconds: float, pause: float = 0.2) -> Any:
    """What `what` gives, as soon as that is something; fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(pause)
    raise AssertionError(f"nothing came of {what} in {seconds} s")


def status_of(url: str) -> int | None:
    """The status of a GET, None when nobody answers."""
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
