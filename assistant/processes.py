"""Runs child processes: starts them, restarts the dead after growing pauses, and ends every one for sure.

Each child leads a process group of its own, so that nothing it started survives it. Should this process be
killed, a small janitor (this file run as a script) ends the groups. Knows nothing of what the children do.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Self

log = logging.getLogger(__name__)

State = Literal["starting", "ready", "waiting", "stopped"]
"""`waiting`: dead, and due to be started again after a pause."""

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None

LARGEST_LOG = 10 * 2**20
"""Bytes after which a child's log is set aside at its next start (one old one is kept)."""
_STEP, _ASK_UNREADY, _ASK_READY = 0.1, 0.5, 5.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Child:
    """What to run, and how to tell that it works.

    `env` is its whole environment. `ready` is asked every half second until it says yes; it must return
    within about two seconds. With `hang_seconds`, a child that was ready and is not for so long is killed.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    nice: int = 0
    ready: Callable[[], bool] | None = None
    hang_seconds: float | None = None
    cwd: Path | None = None


@dataclass(slots=True)
class _Watch:
    """A child and what is known of its present process. Times are `time.monotonic()`."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0
    ready: bool = False
    seen: float = 0.0
    asked: float = field(default=-1e9)


class Supervisor:
    """Keeps children running until `stop`. Use it in one thread; as a context manager it stops at the end.

    Started from the main thread, children also carry Linux's parent-death signal; it hangs on the thread that
    started them (prctl(2)), so from other threads the janitor alone looks after them.
    """

    def __init__(
        self,
        children: Iterable[Child],
        *,
        grace: float = 10.0,
        first_pause: float = 0.5,
        longest_pause: float = 30.0,
        steady_seconds: float = 60.0,
    ) -> None:
        self._watches = {child.name: _Watch(child) for child in children}
        self._grace = grace
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._steady_seconds = steady_seconds
        self._janitor: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start every child, without waiting for any."""
        self._stopped = False
        self._janitor = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for watch in self._watches.values():
            self._start(watch)

    def run(self, *, stop: threading.Event | None = None, on_ready: Callable[[], None] | None = None) -> None:
        """Watch until `stop` is set, or without one until SIGINT, SIGTERM or SIGHUP; then end all children.

        Starts them if nobody has. `on_ready` is called once, when all are ready for the first time.
        """
        ended = stop or threading.Event()
        before = {} if stop else _on_signals(lambda _number, _frame: ended.set())
        try:
            if self._janitor is None:
                self.start()
            while not ended.wait(_STEP):
                self.step()
                if on_ready is not None and self.all_ready():
                    on_ready()
                    on_ready = None
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait_ready(self, seconds: float) -> bool:
        """Watch until all children are ready, at most so long. Returns whether they are."""
        end = time.monotonic() + seconds
        while not self.all_ready() and time.monotonic() < end:
            self.step()
            time.sleep(_STEP)
        return self.all_ready()

    def step(self) -> None:
        """Look at each child once: bury and restart the dead, ask the living whether they are ready."""
        for watch in self._watches.values():
            if watch.process is not None:
                if _has_ended(watch.process):
                    self._bury(watch)
                else:
                    self._ask(watch)
            if watch.process is None and not self._stopped and time.monotonic() >= watch.due:
                self._start(watch)

    def all_ready(self) -> bool:
        """Whether every child runs and has said that it is ready."""
        return all(watch.ready for watch in self._watches.values())

    def state(self, name: str) -> State:
        """How the child of that name is."""
        watch = self._watches[name]
        if watch.process is None:
            return "stopped" if self._stopped else "waiting"
        return "ready" if watch.ready else "starting"

    def failures(self, name: str) -> int:
        """How often in a row the child ended soon after its start; one that can't start makes it grow."""
        return self._watches[name].failures

    def pid(self, name: str) -> int | None:
        """The process id of the child, None while it is not running."""
        process = self._watches[name].process
        return process.pid if process else None

    def stop(self) -> None:
        """End every child: SIGTERM, and after the grace SIGKILL to its whole group. Safe to call twice."""
        self._stopped = True
        running = [watch for watch in self._watches.values() if watch.process is not None]
        for watch in running:
            if watch.process is not None:
                watch.process.terminate()
        end = time.monotonic() + self._grace
        for watch in running:
            while watch.process and not _has_ended(watch.process) and time.monotonic() < end:
                time.sleep(0.02)
            self._end_group(watch)
        if self._janitor is not None and self._janitor.stdin is not None:
            with suppress(BrokenPipeError):
                self._janitor.stdin.close()
            self._janitor.wait()
            self._janitor = None

    def _start(self, watch: _Watch) -> None:
        child = watch.child
        watch.started = watch.seen = time.monotonic()
        try:
            child.log.parent.mkdir(parents=True, exist_ok=True)
            _set_aside(child.log)
            with child.log.open("ab") as output:
                watch.process = subprocess.Popen(
                    list(child.command),
                    env=dict(child.env),
                    cwd=child.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_before_exec(child.nice, self._janitor),
                )
        except OSError as error:
            self._tell_janitor("!")
            log.error("%s can't be started: %s", child.name, error)
            self._put_off(watch)
            return
        self._tell_janitor(f"+{watch.process.pid}")
        watch.ready = child.ready is None
        log.info("%s started, process %d", child.name, watch.process.pid)

    def _ask(self, watch: _Watch) -> None:
        child, now = watch.child, time.monotonic()
        if child.ready is None or now - watch.asked < (_ASK_READY if watch.ready else _ASK_UNREADY):
            return
        if watch.ready and child.hang_seconds is None:
            return
        watch.asked = now
        if child.ready():
            if not watch.ready:
                log.info("%s is ready after %.1f s", child.name, now - watch.started)
            watch.ready, watch.seen = True, now
        elif watch.ready and child.hang_seconds is not None and now - watch.seen > child.hang_seconds:
            log.warning("%s has not answered for %.0f s and is killed", child.name, now - watch.seen)
            self._bury(watch)

    def _bury(self, watch: _Watch) -> None:
        """Note the end of a child, end what it left behind, and plan its next start."""
        if time.monotonic() - watch.started >= self._steady_seconds:
            watch.failures = 0
        code = self._end_group(watch)
        log.warning("%s ended with code %s; its log is %s", watch.child.name, code, watch.child.log)
        self._put_off(watch)

    def _put_off(self, watch: _Watch) -> None:
        pause = min(self._first_pause * 2.0 ** min(watch.failures, 30), self._longest_pause)
        watch.failures += 1
        watch.due = time.monotonic() + pause

    def _end_group(self, watch: _Watch) -> int | None:
        """Kill the child's group. The leader is reaped after that: so long nobody else can get its number."""
        process = watch.process
        if process is None:
            return None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        # A grandchild may hold a port a moment longer; the next start must not meet it. Not for long,
        # since a zombie that its new parent does not reap looks alive from here.
        end = time.monotonic() + 0.5
        while _group_exists(process.pid) and time.monotonic() < end:
            time.sleep(0.01)
        self._tell_janitor(f"-{process.pid}")
        watch.process, watch.ready = None, False
        return code

    def _tell_janitor(self, line: str) -> None:
        if self._janitor is None or self._janitor.stdin is None:
            return
        with suppress(BrokenPipeError):  # somebody killed it; the parent-death signal remains
            self._janitor.stdin.write(line.encode() + b"\n")
            self._janitor.stdin.flush()


def die_with_parent() -> None:
    """Have Linux kill this process when the thread that started it ends; elsewhere do nothing."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _before_exec(nice: int, janitor: subprocess.Popen[bytes] | None) -> Callable[[], None]:
    parent, bound = os.getpid(), threading.current_thread() is threading.main_thread()
    pipe = janitor.stdin.fileno() if janitor is not None and janitor.stdin is not None else None

    def prepare() -> None:
        if pipe is not None:
            # By the child itself, before it can have children: its parent may be killed before it says so.
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            with suppress(OSError):
                os.write(pipe, f"?{os.getpid()}\n".encode())
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if bound:
            die_with_parent()
            if os.getppid() != parent:  # it died before the signal was set
                os._exit(1)
        if nice:
            os.nice(nice)

    return prepare


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process is dead, leaving it unreaped, so that its number stays taken."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _group_exists(group: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(-group, os.WNOHANG)  # as process 1 of a container we inherit the orphans
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _set_aside(file: Path) -> None:
    if file.exists() and file.stat().st_size > LARGEST_LOG:
        file.replace(file.with_suffix(file.suffix + ".1"))


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> dict[int, Handler]:
    return {
        number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }


def _janitor() -> None:
    """Read lines; when the writer is gone, kill the groups that were not taken back.

    `?group` comes from a child that is about to start, `+group` once it has, `!` if it could not, so that
    the number is free for others, and `-group` when nothing of it is left.
    """
    groups: set[int] = set()
    starting: set[int] = set()
    for line in sys.stdin:
        sign, group = line[0], int(line[1:].strip() or 0)
        if sign == "?":
            starting.add(group)
        else:
            starting.clear() if sign == "!" else starting.discard(group)
        if sign == "+":
            groups.add(group)
        elif sign == "-":
            groups.discard(group)
    for group in groups | starting:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    _janitor()
