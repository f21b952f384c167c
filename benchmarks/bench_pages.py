"""How soon the pages for chat and review show something when there are 100,000 conversations, and when one.

In a real browser, from the address to the first row of the list, or to the first case that is to be decided.
The web part alone runs: no engine answers, and no page waits for one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from assistant.accounts import Accounts
from benchmarks import Row
from benchmarks.crowd import crowd
from feedback.database import connect

CONVERSATIONS = 100_000
ROUNDS = 7
# A page, and what stands on it as soon as there is something to see.
PAGES = {"history": ("/", "#history a"), "review": ("/review/", "#review-save")}


@contextmanager
def serving(home: Path) -> Iterator[tuple[str, int]]:
    """`apprentice web` in `home`: its address and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APPRENTICE_")}
    command = [sys.executable, "-m", "assistant", "web", "--port", str(port)]
    env = kept | {"APPRENTICE_HOME": str(home)}
    home.mkdir(parents=True, exist_ok=True)
    with (home / "web.log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not _answers(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError((home / "web.log").read_text()[-2000:])
            time.sleep(0.3)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/login", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def settle(process: int) -> None:
    """Wait until what came in a moment ago is counted and sorted: that is work of days in one go."""
    quiet, before = 0, _busy(process)
    while quiet < 3:
        time.sleep(2)
        now = _busy(process)
        quiet, before = quiet + 1 if now - before < 0.2 else 0, now


def _busy(process: int) -> float:
    """Seconds of processor time so far (proc_pid_stat(5), fields 14 and 15)."""
    behind_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(behind_name[11]) + int(behind_name[12])) / os.sysconf("SC_CLK_TCK")


def paints(browser: Any, url: str, session: str, address: str, sign: str) -> list[float]:
    """Seconds from asking for a page until `sign` stands on it, each in a browser that has seen it before."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([{"name": "apprentice_session", "value": session, "url": url}])
    found = []
    for _ in range(ROUNDS + 1):
        page = context.new_page()
        began = time.perf_counter()
        page.goto(url + address, wait_until="commit")
        page.locator(sign).first.wait_for()
        found.append(time.perf_counter() - began)
        page.close()
    context.close()
    return found[1:]


def run() -> list[Row]:
    """Median seconds over ROUNDS, with CONVERSATIONS and, as the baseline, with one."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("APPRENTICE_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("no Chromium: install Debian's `chromium`, or name one in APPRENTICE_CHROMIUM")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder)) as (url, process),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        database = connect(f"sqlite:///{folder}/apprentice.db")
        accounts = Accounts(database)
        account = accounts.add("root", "admin")
        session = accounts.new_session(account)
        took: dict[str, list[list[float]]] = {name: [] for name in PAGES}
        for first, count in ((0, 1), (1, CONVERSATIONS)):
            crowd(database, count, account.id, first)
            settle(process)
            for name, (address, sign) in PAGES.items():
                took[name].append(paints(browser, url, session, address, sign))
        browser.close()
        database.close()
    return [
        Row(
            f"first paint of {name}, {CONVERSATIONS:,} conversations",
            median(many),
            median(one),
            "s",
            "at most 1 s",
            " ".join(f"{seconds:.2f}" for seconds in many),
        )
        for name, (one, many) in took.items()
    ]
