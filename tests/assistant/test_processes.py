"""Children are restarted when they die, ended when they are told to, and never outlive their supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant import processes
from assistant.processes import Child, Supervisor

ROOT = Path(__file__).resolve().parents[2]
SLEEP = "import time; time.sleep(60)"
# A child with a child of its own, which notes both numbers
FAMILY = """
import os, subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
open(sys.argv[1], "a").write(f"{os.getpid()} {grandchild.pid}\\n")
time.sleep(60)
"""
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "a").write("deaf\\n")
time.sleep(60)
"""


def child(folder: Path, code: str, *arguments: object, name: str = "one", **more: object) -> Child:
    command = [sys.executable, "-S", "-c", code, *map(str, arguments)]
    return Child(name, command, dict(os.environ), folder / f"{name}.log", **more)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody reaps counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def stepping(supervisor: Supervisor, condition: Callable[[], object]) -> None:
    def step() -> object:
        supervisor.step()
        return condition()

    until(step)


@pytest.fixture
def started() -> Iterator[list[Supervisor]]:
    """Supervisors put in here are stopped at the end, whatever happened."""
    supervisors: list[Supervisor] = []
    yield supervisors
    for supervisor in supervisors:
        supervisor.stop()


def test_a_killed_child_comes_back_and_its_own_children_do_not_outlive_it(
    tmp_path: Path, started: list[Supervisor]
) -> None:
    note = tmp_path / "family"
    supervisor = Supervisor([child(tmp_path, FAMILY, note)], first_pause=0.05)
    started.append(supervisor)
    supervisor.start()
    until(lambda: note.exists() and note.read_text().endswith("\n"))
    first, grandchild = map(int, note.read_text().split())

    os.kill(first, signal.SIGKILL)
    stepping(supervisor, lambda: note.read_text().count("\n") == 2)

    assert not alive(grandchild)
    assert supervisor.pid("one") not in (None, first)
    assert supervisor.failures("one") == 1


def test_pauses_grow_to_a_limit_and_start_anew_after_a_steady_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[Supervisor]
) -> None:
    now = [1000.0]
    monkeypatch.setattr("assistant.processes.time.monotonic", lambda: now[0])
    monkeypatch.setattr(processes, "_group_exists", lambda _group: False)
    supervisor = Supervisor([child(tmp_path, SLEEP)], first_pause=0.5, longest_pause=3.0, steady_seconds=60.0)
    started.append(supervisor)
    supervisor.start()

    def die_after(seconds: float) -> float:
        """The pause until the next start."""
        now[0] += seconds
        os.kill(supervisor.pid("one") or 0, signal.SIGKILL)
        while supervisor.pid("one") is not None:
            supervisor.step()
        assert supervisor.state("one") == "waiting"
        began = now[0]
        while supervisor.pid("one") is None:
            now[0] += 0.25
            supervisor.step()
        return now[0] - began

    assert [die_after(1) for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert die_after(61) == 0.5


def test_stop_ends_all_also_one_that_ignores_it(tmp_path: Path) -> None:
    note = tmp_path / "deaf"
    supervisor = Supervisor(
        [child(tmp_path, SLEEP, name="good"), child(tmp_path, STUBBORN, note, name="deaf")], grace=0.3
    )
    supervisor.start()
    until(note.exists)
    pids = [supervisor.pid("good"), supervisor.pid("deaf")]
    began = time.monotonic()

    supervisor.stop()

    assert time.monotonic() - began < 3
    assert not any(alive(pid or 0) for pid in pids)
    assert supervisor.state("deaf") == "stopped"
    supervisor.step()
    assert supervisor.pid("good") is None, "what was stopped is not started again"
    supervisor.stop()


@pytest.mark.parametrize("started_before", [True, False])
def test_run_ends_when_it_is_told_and_says_once_that_all_are_ready(
    tmp_path: Path, started_before: bool
) -> None:
    flag = tmp_path / "flag"
    said: list[str] = []
    stop = threading.Event()
    supervisor = Supervisor([child(tmp_path, SLEEP, ready=flag.exists)])
    if started_before:
        supervisor.start()
        assert supervisor.state("one") == "starting"
    flag.touch()

    def ready() -> None:
        said.append(supervisor.state("one"))
        stop.set()

    supervisor.run(stop=stop, on_ready=ready)

    assert said == ["ready"]
    assert supervisor.state("one") == "stopped"


def test_a_child_that_hangs_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[Supervisor]
) -> None:
    monkeypatch.setattr(processes, "_ASK_READY", 0.01)
    answers = [True, False]
    supervisor = Supervisor(
        [child(tmp_path, SLEEP, ready=lambda: answers[0], hang_seconds=0.1)], first_pause=0.01
    )
    started.append(supervisor)
    supervisor.start()
    stepping(supervisor, supervisor.all_ready)
    first = supervisor.pid("one")
    answers[0] = False
    stepping(supervisor, lambda: supervisor.pid("one") not in (None, first))
    assert not alive(first or 0)


def test_what_can_not_be_started_is_tried_again(tmp_path: Path, started: list[Supervisor]) -> None:
    missing = Child("missing", [str(tmp_path / "no-such-program")], {}, tmp_path / "log")
    supervisor = Supervisor([missing], first_pause=0.01)
    started.append(supervisor)
    supervisor.start()
    assert supervisor.state("missing") == "waiting"
    stepping(supervisor, lambda: supervisor.failures("missing") >= 3)


def test_output_goes_to_the_log_and_a_large_one_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[Supervisor]
) -> None:
    monkeypatch.setattr(processes, "LARGEST_LOG", 3)
    file = tmp_path / "one.log"
    file.write_text("yesterday")
    one = child(tmp_path, f"print('hello', flush=True); {SLEEP}")
    supervisor = Supervisor([one])
    started.append(supervisor)
    supervisor.start()
    until(lambda: file.exists() and file.read_text() == "hello\n")
    assert (tmp_path / "one.log.1").read_text() == "yesterday"


def test_a_child_is_nice_if_it_should_be(tmp_path: Path, started: list[Supervisor]) -> None:
    supervisor = Supervisor([child(tmp_path, SLEEP, nice=3)])
    started.append(supervisor)
    supervisor.start()
    assert os.getpriority(os.PRIO_PROCESS, supervisor.pid("one") or 0) == os.nice(0) + 3


@pytest.mark.parametrize(
    ("how", "thread", "told"),
    [
        (signal.SIGKILL, "main", True),
        (signal.SIGKILL, "other", True),
        (signal.SIGTERM, "main", True),
        (signal.SIGTERM, "other", True),
        # Killed between the start of a child and the word to the janitor
        (signal.SIGKILL, "main", False),
    ],
)
def test_nobody_survives_the_supervisor(tmp_path: Path, how: signal.Signals, thread: str, told: bool) -> None:
    note = tmp_path / "family"
    code = f"""
import os, sys, threading
from pathlib import Path
from assistant.processes import Child, Supervisor
command = [sys.executable, "-S", "-c", {FAMILY!r}, {str(note)!r}]
supervisor = Supervisor([Child("one", command, dict(os.environ), Path({str(tmp_path / "log")!r}))])
if not {told}:
    supervisor._tell_janitor = lambda line: None
def work():
    supervisor.start()
    supervisor.run(stop=None if {thread!r} == "main" else threading.Event())
if {thread!r} == "main":
    work()
else:
    threading.Thread(target=work).start()
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    until(lambda: note.exists() and note.read_text().endswith("\n"))
    family = [int(pid) for pid in note.read_text().split()]
    assert all(map(alive, family))
    process.send_signal(how)
    process.wait(10)
    until(lambda: not any(map(alive, family)), 5)
