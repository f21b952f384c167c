"""Every setting in force and where it comes from: default, environment, `.env`, `apprentice.toml`.

Secrets are masked before anything is drawn or printed. Reads the same sources as `settings.py`, once, at the
start of a process: what is changed later is not in force.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource, TomlConfigSettingsSource

from assistant.settings import PREFIX, Settings

MASK = "••••••"
_SECRET = re.compile(r"(^|_)(key|secret|password|token|secrets|passwords)$")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `value` is as it may be shown; `origin` is `default` or where it was given."""

    key: str
    value: str
    origin: str
    secret: bool = False

    @property
    def section(self) -> str:
        """The part of the key that groups settings, in small letters; empty for those of no section."""
        section, nested, _ = self.key.removeprefix(PREFIX).partition("__")
        return section.lower() if nested else ""


def of(settings: Settings) -> list[Setting]:
    """All settings of a home, in the order in which they are declared, those without a section first."""
    sources = _sources(settings.home)
    found = [_setting(path, value, default, sources) for path, value, default in _values(settings)]
    return sorted(found, key=lambda one: one.section != "")


def shown(name: str, value: Any) -> tuple[str, bool]:
    """A value as it may be shown, and whether it is a secret. Pure."""
    if isinstance(value, str) and value and _SECRET.search(name):
        return MASK, True
    if isinstance(value, bool):
        return ("on" if value else "off"), False
    if value is None or value == "" or value == ():
        return "", False
    text = ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    # The part of an address before its @ may hold a password, and so may a part after its ?.
    masked = re.sub(r"//[^@/\s]*@", f"//{MASK}@", text)
    masked = re.sub(r"((?:password|secret|token|key)=)[^&\s]+", rf"\1{MASK}", masked, flags=re.IGNORECASE)
    return masked, masked != text


def _values(settings: Settings) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Path, value and default of each setting."""
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        if not is_dataclass(value):
            yield (name,), value, info.get_default(call_default_factory=True)
            continue
        for item in fields(value):
            default = item.default if item.default is not MISSING else None
            yield (name, item.name), getattr(value, item.name), default


def _sources(home: Path) -> Mapping[str, Mapping[str, Any]]:
    """What each source gave, the one that wins first."""
    return {
        "environment": EnvSettingsSource(Settings)(),
        ".env": DotEnvSettingsSource(Settings)(),
        "apprentice.toml": TomlConfigSettingsSource(Settings, home / "apprentice.toml")(),
    }


def _setting(
    path: tuple[str, ...], value: Any, default: Any, sources: Mapping[str, Mapping[str, Any]]
) -> Setting:
    key = PREFIX + "__".join(path).upper()
    text, secret = shown(path[-1], value)
    return Setting(key, text, _origin(path, key, value, default, sources), secret)


def _origin(
    path: tuple[str, ...], key: str, value: Any, default: Any, sources: Mapping[str, Mapping[str, Any]]
) -> str:
    for name, given in sources.items():
        here: Any = given
        for part in path:
            here = here.get(part, MISSING) if isinstance(here, Mapping) else MISSING
        if here is not MISSING:
            by_file = name == "environment" and f"{key}_FILE" in os.environ
            return f"file named by {key}_FILE" if by_file else name
    return "default" if value == default else "command line"
