"""An admin's way through in a real browser: prepare a run, watch it, promote it, find it in the audit log."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.assistant.ui.browsing import Site
from tests.training.test_gathering import questions, voted
from training.records import Adapter, Check, Evaluation, Run
from training.registry import Registry

pytestmark = pytest.mark.browser

NAME = "lora-00000000a0de"
MANIFEST = {
    "examples": [{"source": "siblings", "votes": ["rating:1", "rating:2"], "people": ["person-1"]}],
    "recipe": {"method": "dpo", "rank": 8, "reasons": ["few pairs"]},
    "versions": {"torch": "2.13.0", "trl": "1.16.0"},
}
ANSWERS = [
    {"question": "How long does it take?", "base": "Long.", "live": "Long.", "candidate": "Four days."}
]


def train(site: Site) -> Run:
    """The worker's part: take the run and come half way."""
    run = site.house.runs.claim("w")
    assert run is not None
    folder = site.house.desk.folder(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"part": "train", "time": n, "step": n, "steps": 90, "loss": 1 / n, "rewards/accuracies": n / 50}
        for n in range(1, 46)
    ]
    (folder / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "trainer.log").write_text("loading the model\ntraining\n")
    return site.house.runs.beat(run, stage="train", progress=0.5)


def finish(site: Site, run: Run) -> None:
    """The worker's part: a candidate that passed."""
    now, registry = datetime.now(UTC), site.house.registry
    registry.add(Adapter(NAME, Path("/none"), "starter", "hash", run.id, 8, now, MANIFEST))
    checks = (Check("loads", True, "the engine serves it"),)
    registry.record(Evaluation(NAME, None, "passed", checks, {"answers": ANSWERS}, now))
    site.house.runs.finish(site.house.runs.get(run.id), "done", "passed", adapter=NAME)


def test_train_watch_promote_and_find_it_in_the_audit_log(
    site: Site, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "_check_servable", lambda *_: None)
    for question in questions(False, 5):
        voted(site.house.store, question, "A good answer, with reasons.", "up")
        voted(site.house.store, question, "No.", "down")
    page = open_page("/admin/")
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("button", name="Preview and recipe…").click()
    page.get_by_text("5 examples from 10 judged answers").wait_for()
    page.get_by_label("Rank").click()
    page.get_by_role("option", name="8", exact=True).click()
    page.get_by_label("Learning rate").fill("fast")
    page.get_by_role("button", name="Queue this run").click()
    page.get_by_text("Learning rate is 'fast', not a number.").wait_for()
    page.get_by_label("Learning rate").fill("0.001")
    page.get_by_role("button", name="Queue this run").click()
    page.get_by_text("by hand: root").wait_for()
    run = train(site)
    page.get_by_role("img", name="Loss.").wait_for()
    page.reload()
    page.get_by_role("tab", name="Runs").click()
    page.get_by_text("step 45 of 90").wait_for()
    finish(site, run)
    page.get_by_role("tab", name="Adapters").click()
    page.locator("#adapters").get_by_role("button", name="Look").click()
    page.get_by_text("2 votes of 1 person").wait_for()
    page.get_by_text("Four days.").wait_for()
    page.get_by_role("button", name="Promote…").click()
    page.get_by_text("in place of the base model").wait_for()
    page.get_by_label("Why?").fill("it answers in days")
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("tab", name="Overview").click()
    page.get_by_text("A run came to its end").wait_for()
    page.get_by_role("button", name="Mark all as seen").click()
    page.get_by_role("button", name="Mark all as seen").wait_for(state="detached")
    page.get_by_role("tab", name="Audit").click()
    row = page.locator("#audit-rows tr", has_text="adapter promoted")
    row.get_by_text("it answers in days").wait_for()
    page.get_by_label("Who, subject or reason").fill("rank 8")
    page.get_by_role("button", name="Check the chain").click()
    page.get_by_text("the chain is whole").wait_for()
    page.get_by_role("tab", name="Settings").click()
    page.get_by_text("APPRENTICE_MODEL").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_no_tab_stands_out_of_the_page(
    site: Site, open_page: Callable[..., Any], scheme: str
) -> None:
    page = open_page("/admin/", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.locator("#due .card").wait_for()
    for name in ("Overview", "Runs", "Adapters"):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, name
