"""Makes requirements/*.lock from pyproject.toml: `make lock`, or `make lock UPGRADE=1` for newer versions.

Without UPGRADE what is locked stays where it still fits. Owns how the locks agree with each other;
does not install them (scripts/bootstrap.py does).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bootstrap import (
    REQUIREMENTS,
    UV,
    SetupError,
    check_machine,
    install_uv,
    make_venv,
    run,
    uv_environment,
)

# uv repeats on each line what whole locks are for, as [tool.uv] in pyproject.toml says
EVERYWHERE = (
    " ; (python_full_version < '3.13' and platform_machine == 'aarch64' and sys_platform == 'linux')"
    " or (python_full_version < '3.13' and platform_machine == 'x86_64' and sys_platform == 'linux')"
)


@dataclass(frozen=True)
class Lock:
    """One file to make. Versions in `seeds` are kept where they fit; `tail` is a file to append."""

    name: str
    about: str
    arguments: tuple[str, ...]
    seeds: tuple[str, ...] = ()
    tail: str = ""


def locks(upgrade: bool) -> list[Lock]:
    """In the order in which they lean on each other."""
    return [
        Lock("uv", "The installer.", ("requirements/uv.in", "--no-config"), () if upgrade else ("uv",)),
        Lock(
            "cpu",
            "Linux without a GPU, Python 3.11 and 3.12: extras cpu, documents, dev. torch stands last.",
            (
                *("pyproject.toml", "requirements/cpu.in", "--extra=cpu", "--extra=documents", "--extra=dev"),
                *("--override", "requirements/overrides.txt"),
            ),
            () if upgrade else ("cpu",),
            "torch-cpu.txt",
        ),
        # The versions of cpu.lock as far as the CUDA builds allow, so that both machines behave alike
        Lock(
            "gpu",
            "Linux with an NVIDIA GPU, Python 3.11 and 3.12: extras gpu, documents, dev. Not tried.",
            ("pyproject.toml", "--extra=gpu", "--extra=documents", "--extra=dev"),
            ("cpu",) if upgrade else ("cpu", "gpu"),
        ),
        Lock(
            "web",
            "The web part alone, Python 3.11 and 3.12: no torch, no engine, no training.",
            ("pyproject.toml", "--no-config", "--constraint", "requirements/cpu.lock"),
            () if upgrade else ("web",),
        ),
    ]


def write(lock: Lock, env: dict[str, str]) -> None:
    target = REQUIREMENTS / f"{lock.name}.lock"
    with tempfile.TemporaryDirectory() as folder:
        # uv keeps the versions that it finds in the file which it is to write
        draft = Path(folder) / target.name
        seeds = [REQUIREMENTS / f"{name}.lock" for name in lock.seeds]
        kept = "".join(seed.read_text(encoding="utf-8") for seed in seeds if seed.exists())
        draft.write_text(kept, encoding="utf-8")
        scope = ("--universal", "--python-version", "3.11", "--fork-strategy", "fewest")
        output = ("--generate-hashes", "--quiet", "--no-header", "--output-file", draft)
        if not run(UV, "pip", "compile", *lock.arguments, *scope, *output, env=env, hide="output"):
            raise SetupError(f"requirements/{target.name} could not be resolved; the lines above say why.")
        body = draft.read_text(encoding="utf-8").replace(EVERYWHERE, "")
    if lock.tail:
        body += (REQUIREMENTS / lock.tail).read_text(encoding="utf-8")
    head = f"# Made by `make lock`; do not edit.\n# {lock.about}\n"
    target.write_text(head + body, encoding="utf-8")
    packages = sum(line[:1].isalnum() for line in body.splitlines())
    print(f"requirements/{target.name}: {packages} packages", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Resolve requirements/*.lock anew.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    upgrade = parser.parse_args().upgrade
    try:
        check_machine()
        if not UV.exists():
            make_venv()
        install_uv()
        env = uv_environment()
        # Only the main index: an additional one may lack files of a release, and the lock must hash them all
        for partial in ("UV_INDEX", "UV_INDEX_STRATEGY", "UV_FIND_LINKS"):
            env.pop(partial, None)
        for lock in locks(upgrade):
            write(lock, env)
    except SetupError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
