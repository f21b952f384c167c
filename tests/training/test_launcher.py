"""The trainer's process: started below us, watched, stopped, and gone when we are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from training import launcher
from training.records import Refused

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str]:
    """A package `training.trainers` that does not train: it does what `act.py` in the run directory says."""
    package = tmp_path / "stand_in" / "training"
    (package / "trainers").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "trainers" / "__init__.py").write_text("")
    code = "import sys, pathlib\nexec(pathlib.Path(sys.argv[1], 'act.py').read_text())\n"
    (package / "trainers" / "__main__.py").write_text(code)
    return {"PYTHONPATH": str(package.parent)}


def start(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path, where: dict[str, str], act: str
) -> launcher.Training:
    (run_dir / "act.py").write_text(textwrap.dedent(act))
    monkeypatch.setattr(launcher, "__file__", str(Path(where["PYTHONPATH"]) / "training" / "launcher.py"))
    return launcher.launch("local", run_dir)


def until(holds: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_another_place_is_refused(run_dir: Path) -> None:
    with pytest.raises(Refused, match="ray"):
        launcher.launch("ray://head:10001", run_dir)


def test_the_end_and_the_log(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path, stand_in: dict[str, str]
) -> None:
    act = "print('hello', flush=True); sys.stderr.write('oh'); sys.exit(3)"
    training = start(monkeypatch, run_dir, stand_in, act)
    assert training.wait() == 3
    assert training.poll() == 3
    assert sorted((run_dir / "trainer.log").read_text().split()) == ["hello", "oh"]
    training.stop()


def test_it_runs_below_us_and_in_its_own_session(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path, stand_in: dict[str, str]
) -> None:
    act = """
    import os, time
    time.sleep(0.5)
    print(os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0) == os.getpid(), os.environ["APPRENTICE_PARENT"])
    """
    assert start(monkeypatch, run_dir, stand_in, act).wait() == 0
    nice, alone, parent = (run_dir / "trainer.log").read_text().split()
    assert int(nice) >= 10
    assert alone == "True"
    assert parent == str(os.getpid())


def test_progress_is_the_newest_whole_line(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path, stand_in: dict[str, str]
) -> None:
    training = start(monkeypatch, run_dir, stand_in, "pass")
    training.wait()
    assert training.progress() is None
    lines = [json.dumps({"part": "train", "step": step}) for step in (1, 2)]
    (run_dir / "progress.jsonl").write_text("\n".join(lines) + '\n{"part": "tra')
    assert training.progress() == {"part": "train", "step": 2}
    (run_dir / "progress.jsonl").write_text('{"part": "tra')
    assert training.progress() is None


def test_stop_ends_the_group_even_if_it_does_not_listen(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path, stand_in: dict[str, str]
) -> None:
    act = """
    import os, signal, subprocess, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path(sys.argv[1], "child").write_text(str(child.pid))
    time.sleep(60)
    """
    monkeypatch.setattr(launcher, "_GRACE_SECONDS", 0.3)
    training = start(monkeypatch, run_dir, stand_in, act)
    until(lambda: (run_dir / "child").exists() and (run_dir / "child").read_text())
    training.stop()
    assert training.poll() == -signal.SIGKILL
    until(lambda: gone(int((run_dir / "child").read_text())))
    training.stop()


def test_the_trainer_ends_when_its_parent_is_killed(run_dir: Path) -> None:
    """The real `training.trainers` watches the process that launched it, however that ends."""
    code = f"""
    import sys, time
    sys.path.insert(0, {str(ROOT)!r})
    from training.trainers.__main__ import PARENT, _follow_parent
    _follow_parent()
    print("ready", flush=True)
    time.sleep(60)
    """
    script = run_dir / "child.py"
    script.write_text(textwrap.dedent(code))
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, subprocess, sys, time\n"
            "os.environ['APPRENTICE_PARENT'] = str(os.getpid())\n"
            "child = subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE)\n"
            "child.stdout.readline()\n"
            "print(child.pid, flush=True)\n"
            "time.sleep(60)\n",
            str(script),
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    with parent:
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    until(lambda: gone(child))
