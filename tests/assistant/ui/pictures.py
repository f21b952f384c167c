"""Takes the pictures of `docs/screenshots/`: `python -m tests.assistant.ui.pictures [FOLDER]`.

The pages are the real ones over a scripted engine, with a day's worth of conversations, runs and adapters.
Into a FOLDER go more of them: every page as it looks in the dark and on a phone.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from assistant.errors import EngineInterrupted
from tests.assistant.ui import browsing
from tests.assistant.ui import test_review_page as review_page
from tests.assistant.ui.browsing import CHROMIUM, QUIET, Site
from training.records import Adapter, Check, Evaluation

FOLDER = Path(__file__).parents[3] / "docs" / "screenshots"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
NAMES = ("lora-3fa9c1d07e52", "lora-81bd20c4f6aa", "lora-c07713ee29d5")
AUSTRIA = """Thank you for asking! Delivery to **Austria** takes 3 to 4 days and costs 4 euros.

| country | days | cost |
|---|---|---|
| Germany | 2 to 3 | free |
| Austria | 3 to 4 | 4 € |

Is there anything else I can help you with?"""
SMALL: dict[str, Any] = {"viewport": PHONE, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
LOOKS: dict[str, dict[str, Any]] = {
    "": {},
    "-dark": {"color_scheme": "dark"},
    "-phone": SMALL,
    "-phone-dark": SMALL | {"color_scheme": "dark"},
}
CURT = "Look it up. Returns are on the website."
SHORT = "Use the label from the parcel."
ANSWERS = {
    "How long does delivery to Austria take?": AUSTRIA,
    "And how do I send a jacket back?": CURT,
    "When is the store in Hamburg open?": "Our store in Hamburg is open from 10 to 19.",
    "Which tent do you recommend for rain?": "Gladly! The **Fjell 2** keeps you dry in any rain.",
}


def furnish(site: Site) -> None:
    """Give the house a past: a run that went well, one that did not, one that runs, and three adapters."""
    house, now = site.house, datetime.now(UTC)
    good = [
        Check("loads", True, "the engine serves it"),
        Check("sound answers", True, "12 of 12 opening questions (live: 12)"),
        Check("served as trained", True, "0.03 nats a token between trainer and engine"),
        Check("length", True, "1.1 times as long as the live adapter's"),
        Check(
            "better answers", True, "ranks 88% of good above bad answers, live 50%, +0.38 (+0.25 to +0.51)"
        ),
    ]
    bad = [*good[:3], Check("length", False, "2.7 times as long as the live adapter's, at most 2.0"), good[4]]
    for age, (name, checks) in zip((50, 26, 3), zip(NAMES, (good, bad, good), strict=True), strict=True):
        made = now - timedelta(hours=age)
        house.registry.add(Adapter(name, Path("/none"), "starter", "hash", None, 16, made))
        outcome: Any = "rejected" if checks is bad else "passed"
        house.registry.record(Evaluation(name, None if age == 50 else NAMES[0], outcome, checks, {}, made))
    house.registry._write(NAMES[0], "promote", "root", "passed the gate, and it sounds friendlier")
    many = {"examples": {"correction": 6, "siblings": 21, "ranked": 31, "held_out": 12}}
    stages = (
        ("done", "passed: better answers: ranks 88% of good above bad ones"),
        ("failed", "only 3 examples came out"),
        (None, ""),
    )
    for state, reason in stages:
        house.runs.queue("dpo", "threshold: 32 new votes" if state != "failed" else "by hand: root")
        run = house.runs.claim("worker")
        assert run is not None
        counts = {"examples": {"siblings": 3}} if state == "failed" else many
        run = house.runs.beat(run, stage="train", progress=0.42, counts=counts, seconds={"gather": 8.2})
        if state is not None:
            house.runs.finish(run, state, reason)


def ask(page: Page, text: str) -> None:
    """Ask, and wait for the answer."""
    page.locator("#box textarea").fill(text)
    page.keyboard.press("Enter")
    page.locator("#past .turn", has_text=text).locator(".meta").wait_for()
    page.locator("#send").wait_for()


@contextmanager
def running() -> Iterator[Site]:
    """The application, outside of pytest."""
    fixture = browsing.running_site.__wrapped__  # type: ignore[attr-defined]
    parts = fixture(_Folders())
    yield next(parts)
    next(parts, None)


class _Folders:
    def mktemp(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=name))


def main(folder: Path) -> None:
    """Take every picture."""
    folder.mkdir(parents=True, exist_ok=True)
    with running() as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())

        def opened(address: str, name: str | None = "root", **options: Any) -> Page:
            context = browser.new_context(**{"viewport": DESKTOP, "color_scheme": "light", **options})
            if name is not None:
                cookie = {"name": "apprentice_session", "value": site.session(name), "url": site.url}
                context.add_cookies([cookie])  # type: ignore[list-item]
            page = context.new_page()
            page.goto(site.url + address)
            return page

        def take(page: Page, name: str, **options: Any) -> None:
            page.mouse.move(0, 0)
            page.wait_for_timeout(400)
            page.screenshot(path=folder / f"{name}.png", **options)

        take(opened(f"/setup?token={site.house.accounts.first_link()}", None), "setup")
        take(opened("/login", None), "login")
        site.house.engines.answers = ANSWERS
        furnish(site)
        page = opened("/")
        page.locator(".welcome").wait_for()
        take(page, "welcome")
        for question in list(ANSWERS)[2:]:
            ask(page, question)
            # Two clicks at once are one click.
            page.wait_for_timeout(500)
            page.get_by_role("link", name="New chat").click()
            page.locator(".welcome").wait_for()
        for question in list(ANSWERS)[:2]:
            ask(page, question)
        page.get_by_role("button", name="Answer again").nth(1).wait_for()
        site.house.engines.answers = ANSWERS | {"And how do I send a jacket back?": SHORT}
        page.get_by_role("button", name="Answer again").last.click()
        page.get_by_role("group", name="answer 2 of 2").wait_for()
        page.get_by_role("button", name="Good answer").first.click()
        page.locator(".thumb[aria-pressed=true]").wait_for()
        chat = page.url.removeprefix(site.url)
        take(page, "chat")
        dark = opened(chat, color_scheme="dark")
        dark.locator("#past .turn").first.wait_for()
        take(dark, "chat-dark")
        small = opened(chat, **SMALL)
        small.locator("#past .turn").first.wait_for()
        take(small, "chat-phone")
        page.get_by_role("button", name="Bad answer").last.click()
        page.locator("#form").wait_for()
        page.locator("#reasons label", has_text="Unfriendly").click()
        page.get_by_label("What it should have said").fill(
            "Gladly! Put the label from the parcel on the box; returns are free."
        )
        page.locator("#difference ins").first.wait_for()
        take(page, "feedback")
        page.keyboard.press("Escape")
        site.house.engines.breaks, site.house.engines.breaks_after = (
            EngineInterrupted("the engine went away"),
            2,
        )
        ask(page, "Is the return free?")
        site.house.engines.unready = "no engine is ready: it is starting and loads the model"
        page.locator("#box textarea").fill("And how long do I have?")
        page.keyboard.press("Enter")
        page.get_by_text("No engine is ready").wait_for()
        take(page, "trouble")
        site.house.engines.unready = None
        site.house.engines.breaks = None
        while site.house.monitor.step(beat=True):
            pass
        review_page.furnish(site)
        for name, look in LOOKS.items() if folder != FOLDER else [("", {})]:
            # Dozens of open pages would draw so slowly that some never come to what is waited for.
            for before in browser.contexts:
                before.close()
            _around(partial(opened, **look), take, name)
            _side_by_side(site, opened("/", f"chooser{name}", **look), partial(take, name=f"choice{name}"))
        browser.close()


def _around(opened: Callable[..., Page], take: Callable[..., None], look: str) -> None:
    """Every page for staff and admins, and one's own account."""
    page = opened("/review/")
    review_page.waited(page, "")
    take(page, f"review{look}")
    page.get_by_role("tab", name="All tasks").click()
    page.locator("#review-tasks li").first.wait_for()
    take(page, f"review-tasks{look}")
    page.get_by_role("tab", name="Agreement").click()
    page.wait_for_timeout(500)
    take(page, f"review-agreement{look}")
    page = opened("/documents/")
    page.get_by_role("tab").first.wait_for()
    page.wait_for_timeout(1_000)
    take(page, f"documents{look}")
    take(opened("/account"), f"account{look}", full_page=True)
    page = opened("/admin/")
    page.locator("#due .card").wait_for()
    take(page, f"admin{look}", full_page=True)
    for name in ("Runs", "Adapters", "Monitoring", "People", "Settings", "Audit"):
        if (tab := page.get_by_role("tab", name=name)).is_visible():
            tab.click()
        else:
            page.locator(".overflow-menu > button").click()
            page.locator(".overflow-dropdown button", has_text=name).click()
        page.wait_for_timeout(500)
        if name == "Adapters":
            page.locator("#adapters").get_by_role("button", name="Look").first.click()
            page.locator("#adapter h3").first.wait_for()
        if name == "Runs":
            page.get_by_role("button", name="Preview and recipe…").click()
            page.locator("#preparation h3").first.wait_for()
        take(page, f"admin-{name.lower()}{look}", full_page=name != "Audit")


def _side_by_side(site: Site, page: Page, take: Callable[[Page], None]) -> None:
    """Two answers to choose from."""
    page.locator(".welcome").wait_for()
    real, random.random = random.random, lambda: 0.0
    try:
        page.locator("#box textarea").fill(next(iter(ANSWERS)))
        page.keyboard.press("Enter")
        page.get_by_role("button", name="B is better").wait_for()
    finally:
        random.random = real
    take(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
