"""What adding 1,000 pages costs: the most memory that the web process ever held, and how long it took.

The pages are paragraphs of the sample shop's documents, drawn at random; a page is about 400 words.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import Row
from benchmarks.bench_pages import serving
from training import starter

PAGES = 1_000
FILES = 20
WORDS = 400
SHOP = starter.path().parent / "documents"


def run() -> list[Row]:
    """Peak resident memory in MiB against that before the first page came."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "home") as (_, process):
        home = Path(folder) / "home"
        write(Path(folder) / "pages")
        _documents(home, "add", str(SHOP / "care-boots.md"))
        before = peak(process)
        began = time.perf_counter()
        _documents(home, "add", str(Path(folder) / "pages"))
        took = time.perf_counter() - began
        return [
            Row(
                f"memory of the web process, {PAGES:,} pages added",
                peak(process),
                before,
                "MiB",
                "at most 1,024 MiB",
                f"{took:.0f} s",
            )
        ]


def write(folder: Path) -> None:
    """FILES documents of as many pages each, the same every time."""
    rng = random.Random(1)
    told = [
        part.strip()
        for file in sorted(SHOP.rglob("*.md"))
        for part in file.read_text().split("\n\n")
        if len(part.split()) > 8
    ]
    folder.mkdir()
    for number in range(FILES):
        pages = []
        for page in range(PAGES // FILES):
            text, words = [f"## Page {page + 1} of {number + 1}"], 0
            while words < WORDS:
                text.append(f"{rng.choice(told)} ({rng.randrange(10**6)})")
                words += len(text[-1].split())
            pages.append("\n\n".join(text))
        (folder / f"pages-{number:02}.md").write_text("\n\n".join(pages))


def peak(process: int) -> float:
    """The most MiB that a process ever had in memory (proc_pid_status(5), VmHWM)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _documents(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "assistant", "documents", *arguments]
    env = os.environ | {"APPRENTICE_HOME": str(home)}
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
