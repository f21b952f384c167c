"""Reads one file into sections, in a child process of its own, so that no file can hurt this one.

The child may take only so much memory, processor time and time, write no file, and sees none of our
environment's secrets; it ends with us. What a format is and how it is read stands in `formats`.
"""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from retrieval.records import Section, Unreadable

log = logging.getLogger(__name__)

MEMORY = 2**30
"""Bytes of address space that reading one file may take."""
LARGEST_OUTPUT = 2**27
"""Bytes of the sections of one file, as they come back from the child."""
WAITS = 5
"""So many times its processor time may reading a file take by the clock: others may be using the machine."""

_DEEPEST = 5000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_TOO_SLOW = "reading it takes too long (more than {seconds:g} seconds)"
_TOO_MUCH_MEMORY = "reading it takes too much memory"
_TOO_MUCH_TEXT = "it holds more text than can be taken in"
_BROKEN = "it is broken and can't be read"


def read(path: Path, name: str, *, largest: int, seconds: float = 60, memory: int = MEMORY) -> list[Section]:
    """The sections of the file at `path`, which people call `name`. Blocking; `seconds` are processor time.

    Raises `Unreadable` with the reason if it is none of the formats, broken, protected, empty, larger than
    `largest` bytes, or wants more time or `memory` than it may have. Links are not followed.
    """
    with _open(path, largest) as source, tempfile.TemporaryFile() as answer:
        code = _run(source, answer, name, seconds, memory)
        answer.seek(0)
        said = answer.read()
    if code == 0:
        with suppress(ValueError, TypeError, KeyError):
            return _understood(json.loads(said))
    log.info("the reader of a file ended with %s", code)
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Unreadable(_TOO_SLOW.format(seconds=seconds))
    if len(said) >= LARGEST_OUTPUT:
        raise Unreadable(_TOO_MUCH_TEXT)
    raise Unreadable(_BROKEN)


def _understood(answer: Any) -> list[Section]:
    if reason := answer.get("refused"):
        raise Unreadable(str(reason))
    return [Section(str(title), str(text), page) for title, text, page in answer["sections"]]


def _open(path: Path, largest: int) -> IO[bytes]:
    """The file, held open from here on, so that what was checked is what is read."""
    try:
        # A FIFO without a writer must not hold us up, nor a link lead us elsewhere
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise Unreadable("it is a link, not a file") from error
        if isinstance(error, FileNotFoundError):
            raise Unreadable("it is not there any more") from error
        raise Unreadable(f"it can't be opened: {error.strerror or error}") from error
    try:
        status = os.fstat(number)
        if stat.S_ISDIR(status.st_mode):
            raise Unreadable("it is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("it is a device or a pipe, not a file")
        if status.st_size == 0:
            raise Unreadable("it is empty")
        if status.st_size > largest:
            raise Unreadable(
                f"it is too large: {_megabytes(status.st_size)} MB, at most {_megabytes(largest)} MB"
            )
    except BaseException:
        os.close(number)
        raise
    return os.fdopen(number, "rb", buffering=0)


def _megabytes(size: int) -> str:
    return f"{math.ceil(size / 2**20 * 10) / 10:g}"


def _run(source: IO[bytes], answer: IO[bytes], name: str, seconds: float, memory: int) -> int:
    """Let a child read `source` and write to `answer`; its exit code. All that it started has ended then."""
    root = str(Path(__file__).resolve().parents[1])
    inherited = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    process = subprocess.Popen(
        # -P: modules come from where ours do, never from the folder that somebody started us in.
        [sys.executable, "-P", "-m", "retrieval.parsing", name, f"{seconds}", f"{memory}", f"{os.getpid()}"],
        stdin=source,
        stdout=answer,
        stderr=subprocess.DEVNULL,
        env={
            **inherited,
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            "PYTHONUTF8": "1",
        },
        start_new_session=True,
    )
    try:
        # The processor's limit ends what computes; this one, what waits
        return process.wait(seconds * WAITS)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _limit(seconds: float, memory: int, parent: int) -> None:
    """Bind this process for good."""
    with suppress(OSError, AttributeError):
        # End with the thread that waits for us, even if it is killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: math.ceil(seconds),
        resource.RLIMIT_FSIZE: LARGEST_OUTPUT,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 64,
    }
    for what, value in limits.items():
        _, hard = resource.getrlimit(what)
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (value, value if hard == resource.RLIM_INFINITY else min(value, hard)))
    with suppress(OSError):
        os.nice(10)
    sys.setrecursionlimit(_DEEPEST)


def _answer(work: Callable[[], list[Section]]) -> dict[str, Any]:
    """What `work` gives, or why it is refused."""
    try:
        return {"sections": [(one.title, one.text, one.page) for one in work()]}
    except Unreadable as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": _TOO_MUCH_MEMORY}
    except RecursionError:
        return {"refused": "its parts are nested too deep"}
    except Exception:  # whatever a parser raises on a broken file, it means just that
        logging.getLogger(__name__).exception("not readable")
        return {"refused": _BROKEN}


def main(name: str, seconds: float, memory: int, parent: int) -> None:
    """The child: the file on stdin to JSON on stdout."""
    _limit(seconds, memory, parent)
    logging.disable()

    def work() -> list[Section]:
        from retrieval.formats import sections

        return sections(sys.stdin.buffer.read(), name)

    answer = _answer(work)
    try:
        said = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
    except MemoryError:
        said = json.dumps({"refused": _TOO_MUCH_MEMORY}).encode()
    if len(said) > LARGEST_OUTPUT:
        said = json.dumps({"refused": _TOO_MUCH_TEXT}).encode()
    sys.stdout.buffer.write(said)
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
