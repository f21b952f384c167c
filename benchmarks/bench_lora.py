"""LoRA on vLLM's CPU engine against the base model: same server, same requests, taken in turn (ABBA).

Rank 16 on all linear layers; tokens per second with 1, 8 and 32 streams, and the time to the first token of
a prompt of 512. Ours is `assistant/engine/cpu_lora.py`; stock is vLLM without it, in a server of its own.
The last rows say what it costs those who ask the base model that LoRA can be asked for at all: beside a
server without LoRA, as it is and compiled.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import httpx

from assistant.engine import process
from assistant.processes import Supervisor
from benchmarks import Row, shapes
from training import starter

REPEATS = 5
BASE, LORA = "apprentice-base", "lora-0"
STREAMS = (1, 8, 32)
TOKENS = 48
PROMPT = 32
LONG = 512
WANTED: dict[str, dict[int | str, str]] = {
    "0.5B": {1: "at least 0.85", 8: "at least 0.92", 32: "at least 0.92", "mixed": "at least 0.80"},
    "starter": {1: "at least 0.70", 8: "at least 0.80", 32: "at least 0.80"},
}
WANTED_FIRST = {"0.5B": "at most 1.06", "starter": "at most 1.25"}


class Server:
    """An engine that runs, and requests to it."""

    def __init__(self, home: Path) -> None:
        held = json.loads((home / "run" / "engine.json").read_text())
        self.url, self.key = held["url"], held["key"]
        self._numbers = random.Random(0)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=600,
            limits=httpx.Limits(max_connections=64),
            trust_env=False,
        )

    def load(self, name: str, path: Path) -> None:
        """Load an adapter under `name`."""
        body = {"lora_name": name, "lora_path": str(path)}
        headers = {"Authorization": f"Bearer {self.key}"}
        httpx.post(
            f"{self.url}/v1/load_lora_adapter", json=body, headers=headers, timeout=120, trust_env=False
        ).raise_for_status()

    def _prompt(self, length: int) -> list[int]:
        # New numbers each time: a prompt seen before would come from the prefix cache.
        return [self._numbers.randrange(300, 4000) for _ in range(length)]

    def speed(self, models: list[str], streams: int, tokens: int = TOKENS) -> float:
        """Tokens per second of `streams` answers at once, by the models in turn."""

        async def all_at_once() -> float:
            async with self.client() as client:
                bodies = [
                    {"model": model, "prompt": self._prompt(PROMPT), "max_tokens": tokens, "ignore_eos": True}
                    for model, _ in zip(itertools.cycle(models), range(streams), strict=False)
                ]
                begun = time.perf_counter()
                found = await asyncio.gather(*(client.post("/v1/completions", json=body) for body in bodies))
                spent = time.perf_counter() - begun
            made = sum(one.raise_for_status().json()["usage"]["completion_tokens"] for one in found)
            return float(made) / spent

        return asyncio.run(all_at_once())

    def first(self, model: str) -> float:
        """Seconds to the first token of a prompt of LONG tokens."""

        async def one() -> float:
            body = {"model": model, "prompt": self._prompt(LONG), "max_tokens": 1}
            async with self.client() as client:
                begun = time.perf_counter()
                (await client.post("/v1/completions", json=body)).raise_for_status()
                return time.perf_counter() - begun

        return asyncio.run(one())


@contextmanager
def serving(
    home: Path, model: Path, ours: bool = True, lora: bool = True, compiled: bool = False
) -> Iterator[Server]:
    """A real engine as the product starts it, on the first core alone where there are several."""
    home.mkdir(parents=True)
    extra = () if lora else ("--no-enable-lora",)
    settings = process.EngineSettings(model=str(model), home=home, threads=1, cpu_lora=ours, extra=extra)
    child = process.child(settings)
    if compiled:
        child = replace(child, env={**child.env, "TORCH_COMPILE_DISABLE": "0"})
    stop = threading.Event()
    supervisor = Supervisor([child])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    thread = threading.Thread(target=supervisor.run, kwargs={"stop": stop})
    thread.start()
    try:
        deadline = time.monotonic() + 300
        while child.ready is None or not child.ready():
            if time.monotonic() > deadline:
                raise TimeoutError("the engine does not answer")
            time.sleep(0.5)
        # The engine has taken the first core; what measures takes the others.
        os.sched_setaffinity(0, cores[1:] or cores)
        yield Server(home)
    finally:
        os.sched_setaffinity(0, cores)
        stop.set()
        thread.join()


def abba(measure: Callable[[str], float], repeats: int) -> tuple[list[float], list[float]]:
    """Base and LoRA, `repeats` times each, in the order ABBA, so that a drift falls on both."""
    found: dict[str, list[float]] = {BASE: [], LORA: []}
    for who in (BASE, LORA):
        measure(who)
    for turn in range(repeats):
        for who in (BASE, LORA) if turn % 2 == 0 else (LORA, BASE):
            found[who].append(measure(who))
    return found[BASE], found[LORA]


def row(name: str, lora: list[float], base: list[float], unit: str, target: str) -> Row:
    """Medians, with all values beside them."""
    raw = f"LoRA {' '.join(f'{one:.4g}' for one in lora)}; base {' '.join(f'{one:.4g}' for one in base)}"
    return Row(name, median(lora), median(base), unit, target, raw)


def run() -> list[Row]:
    """Ratios of LoRA to base; each is the median of REPEATS, raw values in the row."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="apprentice-bench-") as scratch:
        folder = Path(scratch)
        big = shapes.checkpoint(folder / "half", shapes.QWEN_HALF, starter.path())
        for name, model in (("starter", starter.path()), ("0.5B", big)):
            adapters = [shapes.adapter(folder / f"{name}-{n}", model, 16, n) for n in range(4)]
            for ours in (True, False):
                with serving(folder / f"home-{name}-{ours}", model, ours) as server:
                    for number, path in enumerate(adapters):
                        server.load(f"lora-{number}", path)
                    rows += _measured(server, name, ours)
            for compiled in (False, True):
                rows += _costs(folder / f"home-{name}-without-{compiled}", name, model, compiled)
    return rows


def _costs(home: Path, name: str, model: Path, compiled: bool) -> list[Row]:
    """Requests to the base: a server with LoRA beside one without."""
    with (
        serving(home / "with", model) as enabled,
        # What is compiled has norms of its own.
        serving(home / "without", model, ours=not compiled, lora=False, compiled=compiled) as without,
    ):
        servers, kind = {LORA: enabled, BASE: without}, "a compiled server" if compiled else "a server"
        rows = []
        for streams in STREAMS[:2]:
            base, lora = abba(
                partial(lambda who, streams: servers[who].speed([BASE], streams), streams=streams), REPEATS
            )
            rows.append(
                row(
                    f"{name}, {streams} streams, base requests beside {kind} without LoRA",
                    lora,
                    base,
                    "tok/s",
                    "",
                )
            )
        base, lora = abba(lambda who: servers[who].first(BASE), REPEATS)
        rows.append(
            row(
                f"{name}, first token of {LONG}, base requests beside {kind} without LoRA",
                lora,
                base,
                "s",
                "",
            )
        )
    return rows


def _measured(server: Server, name: str, ours: bool) -> list[Row]:
    kind = "ours" if ours else "stock"
    # By vLLM's own operations the larger shape would take a quarter of an hour: less of it shows the same.
    repeats, tokens = (REPEATS, TOKENS) if ours or name == "starter" else (2, 8)
    rows = []
    for streams in STREAMS:
        base, lora = abba(
            partial(lambda model, streams: server.speed([model], streams, tokens), streams=streams), repeats
        )
        target = WANTED[name][streams] if ours else ""
        rows.append(row(f"{name}, {streams} streams, {kind}", lora, base, "tok/s", target))
    base, lora = abba(server.first, repeats)
    target = WANTED_FIRST[name] if ours else ""
    rows.append(row(f"{name}, first token of {LONG}, {kind}", lora, base, "s", target))
    if name == "0.5B":
        four = [f"lora-{number}" for number in range(4)]
        base, lora = abba(
            lambda model: server.speed(four if model == LORA else [model], STREAMS[-1], tokens), repeats
        )
        target = WANTED[name]["mixed"] if ours else ""
        rows.append(
            row(f"{name}, four adapters in {STREAMS[-1]} streams, {kind}", lora, base, "tok/s", target)
        )
    return rows
