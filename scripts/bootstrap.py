"""Makes `.venv` hold exactly what a lock says, and does nothing when it already does.

Runs on a bare Python 3.11 or 3.12: standard library only. Owns the stamp that says whether `.venv`
may be trusted. Does not know what the locks contain beyond torch; scripts/lock.py makes them.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
STAMP = VENV / "apprentice-stamp.json"
REQUIREMENTS = ROOT / "requirements"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class SetupError(Exception):
    """The set-up cannot go on; the message is one sentence for the person at the terminal."""


def place() -> dict[str, str]:
    """What a `.venv` is tied to: when any of it changes, only a new one will do."""
    return {
        "root": str(ROOT),
        "python": f"{platform.python_implementation()} {sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
    }


def content(lock: Path) -> dict[str, str]:
    """What a `.venv` should hold: when any of it changes, the installed set is brought in line."""
    import tomllib  # here, so that an older Python gets as far as being told that it is too old

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    described = json.dumps(project, sort_keys=True).encode()
    digest = hashlib.sha256()
    for part in (lock.read_bytes(), (REQUIREMENTS / "uv.lock").read_bytes(), described):
        digest.update(hashlib.sha256(part).digest())
    return {"lock": lock.name, "digest": digest.hexdigest()}


def read_stamp() -> dict[str, dict[str, str]]:
    try:
        stamp: dict[str, dict[str, str]] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if PYTHON.exists() else {}


def write_stamp(stamp: dict[str, dict[str, str]]) -> None:
    partial = STAMP.with_suffix(".partial")
    partial.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    partial.replace(STAMP)


def base_python() -> str:
    """The interpreter behind this one: `.venv` itself may be about to be replaced."""
    base = Path(getattr(sys, "_base_executable", None) or sys.executable)
    # A venv that was killed while it was made may link to its interpreter and not yet know that it is a venv
    return str(base.resolve() if base.parent.resolve() == VENV / "bin" else base)


def run(*command: str | Path, env: dict[str, str] | None = None, hide: str = "") -> bool:
    """Whether the command succeeded. `hide`: its `output` only, or `all` it says."""
    out = subprocess.DEVNULL if hide else None
    err = subprocess.DEVNULL if hide == "all" else None
    return subprocess.run(command, cwd=ROOT, env=env, stdout=out, stderr=err, check=False).returncode == 0


def make_venv() -> None:
    """A new, empty `.venv` with pip in it."""
    if VENV.is_symlink() or VENV.is_file():
        raise SetupError(f"{VENV} is not a folder; remove it and try again.")
    python = base_python()
    # Moved away first: a kill in the middle then leaves no .venv rather than half of one
    if VENV.exists():
        VENV.rename(ROOT / f".venv.old-{os.getpid()}")
    for old in ROOT.glob(".venv.old-*"):
        shutil.rmtree(old)
    if not run(python, "-m", "venv", VENV, hide="all"):
        # Debian keeps ensurepip in a package of its own; a pip beside it can serve the new venv
        made = run(python, "-m", "venv", "--clear", "--without-pip", VENV, hide="all")
        if not made or not run(python, "-m", "pip", "--python", PYTHON, "install", "-q", "pip"):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise SetupError(
                f"{python} can make no virtual environment; install its venv module "
                f"(on Debian: apt install python{version}-venv) and try again."
            )


def install_uv() -> None:
    """The pinned uv into `.venv`; quick when it is there."""
    options = ("-q", "--disable-pip-version-check", "--require-hashes")
    if not run(PYTHON, "-m", "pip", "install", *options, "-r", REQUIREMENTS / "uv.lock"):
        raise SetupError("pip could not install uv from the package index that it is configured with.")


def pip_settings() -> dict[str, str]:
    """pip's own settings by bare name; a command's section beats `global`, the environment beats both."""
    listed = subprocess.run(
        [PYTHON, "-m", "pip", "config", "list"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    ranked: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in ranked:
            ranked[section][name] = str(ast.literal_eval(value))
    return ranked["global"] | ranked["install"] | ranked[":env:"]


def uv_environment() -> dict[str, str]:
    """The environment for uv: pip's settings in uv's words, where uv has no setting of its own."""
    pip = pip_settings()
    told = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join(pip.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "HTTPS_PROXY": pip.get("proxy", ""),
        "HTTP_PROXY": pip.get("proxy", ""),
    }
    if told["UV_INDEX"]:
        # pip takes the best version from all its indexes; uv would stop at the first that knows the name.
        # Safe here, because every file must have a hash from the lock.
        told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    env = {name: value for name, value in told.items() if value} | os.environ
    # The venv is named by path; what else may be active, or configured for other projects, is not ours
    for foreign in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"):
        env.pop(foreign, None)
    return env


def install_torch_cpu(env: dict[str, str]) -> None:
    """See that the CPU build of torch can be had, from PyTorch's index if the configured ones lack it.

    Raises SetupError if nobody has it.
    """
    wanted = ("--python", str(PYTHON), "--no-deps", "-r", str(REQUIREMENTS / "torch-cpu.txt"))
    if run(UV, "pip", "install", "--dry-run", *wanted, env=env, hide="all"):
        return
    print(f"torch's CPU build is not on the configured index; taking it from {TORCH_CPU_INDEX}", flush=True)
    elsewhere = {name: value for name, value in env.items() if name not in ("UV_INDEX", "UV_FIND_LINKS")}
    if not run(UV, "pip", "install", "--default-index", TORCH_CPU_INDEX, *wanted, env=elsewhere):
        raise SetupError(
            "torch's CPU build was found neither on the package index (or find-links folder) that pip is "
            f"configured with nor on {TORCH_CPU_INDEX}; make one of them reachable and try again."
        )


def check_machine() -> None:
    if sys.version_info < (3, 11) or sys.version_info >= (3, 13):
        raise SetupError(f"Python 3.11 or 3.12 is needed, and this is {platform.python_version()}.")
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise SetupError(
            "the engine has builds for Linux on x86_64 and aarch64 only; elsewhere install the web part, "
            "by pip install -r requirements/web.lock and pip install --no-deps . (then set "
            "APPRENTICE_ENGINE_URLS)."
        )


def install(lock: Path, stamp: dict[str, dict[str, str]]) -> None:
    """Bring `.venv` in line with the lock. The stamp goes before the first change, comes after the last."""
    started = time.monotonic()
    usable = read_stamp().get("place") == place()
    print(f"{'Updating' if usable else 'Making'} .venv from requirements/{lock.name} …", flush=True)
    STAMP.unlink(missing_ok=True)
    if not usable:
        # An interrupted install can leave half a package that looks whole: begin again, uv's cache is at hand
        make_venv()
    install_uv()
    env = uv_environment()
    if lock.name == "cpu.lock":
        install_torch_cpu(env)
    if not run(UV, "pip", "sync", "--python", PYTHON, lock, env=env):
        raise SetupError(f"requirements/{lock.name} could not be installed; the lines above say why.")
    # No isolation: the build backend is in the lock, so nothing unpinned is fetched here
    options = ("-q", "--no-deps", "--no-build-isolation", "--reinstall-package", "apprentice")
    if not run(UV, "pip", "install", "--python", PYTHON, *options, "--editable", ROOT, env=env):
        raise SetupError("apprentice itself could not be installed; the lines above say why.")
    write_stamp(stamp)
    print(f".venv is ready ({time.monotonic() - started:.0f} s)", flush=True)


def ensure(lock: Path) -> None:
    """Return with a `.venv` that holds the lock. Costs a few milliseconds when it already does."""
    check_machine()
    fresh = {"place": place(), "content": content(lock)}
    if read_stamp() == fresh:
        return
    with (ROOT / ".venv.lock").open("w") as busy:
        # Two makes at once: the second waits and finds the work done
        fcntl.flock(busy, fcntl.LOCK_EX)
        if read_stamp() != fresh:
            install(lock, fresh)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make .venv hold what the lock says.")
    parser.add_argument("--gpu", action="store_true", help="requirements/gpu.lock instead of cpu.lock")
    lock = REQUIREMENTS / ("gpu.lock" if parser.parse_args().gpu else "cpu.lock")
    try:
        ensure(lock)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; the next start begins it again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
