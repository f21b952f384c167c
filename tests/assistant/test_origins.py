"""Where settings come from, and that no secret is among what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant import origins
from assistant.origins import MASK, Setting
from assistant.settings import read


def by_key(**given: object) -> dict[str, Setting]:
    return {one.key.removeprefix("APPRENTICE_"): one for one in origins.of(read(**given))}


def test_each_setting_says_where_it_comes_from(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("APPRENTICE_CHAT__TOP_P=0.9\nAPPRENTICE_CHAT__TEMPERATURE=0.1\n")
    (home / "apprentice.toml").write_text("[chat]\ntop_p = 0.3\nmax_tokens = 99\n")
    monkeypatch.setenv("APPRENTICE_CHAT__TEMPERATURE", "0.5")
    monkeypatch.setenv("APPRENTICE_MONITORING", '{"cost_per_hour": 2}')
    found = by_key(model="org/model")
    said = {name: (one.value, one.origin) for name, one in found.items()}
    assert said["CHAT__TEMPERATURE"] == ("0.5", "environment")
    assert said["CHAT__TOP_P"] == ("0.9", ".env")
    assert said["CHAT__MAX_TOKENS"] == ("99", "apprentice.toml")
    assert said["CHAT__TOOL_ROUNDS"] == ("4", "default")
    assert said["MONITORING__COST_PER_HOUR"] == ("2.0", "environment")
    assert said["MODEL"] == ("org/model", "command line")
    assert said["HOME"] == (str(home), "environment")
    assert said["PROMOTION__CANARY_STEPS"] == ("5, 25", "default")
    assert said["PROMOTION__CANARY"] == ("off", "default")


def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("sk-very-hush\n")
    monkeypatch.setenv("APPRENTICE_ENGINE_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("APPRENTICE_DOCUMENTS__EMBEDDINGS_KEY", "another-hush")
    monkeypatch.setenv("APPRENTICE_DATABASE_URL", "postgresql+psycopg://ann:hidden@host/name?password=hidden")
    monkeypatch.setenv("APPRENTICE_ENGINE_URLS", "http://me:hidden@one:8000,http://two:8000")
    found = by_key(model="org/model")
    assert (found["ENGINE_KEY"].value, found["ENGINE_KEY"].secret) == (MASK, True)
    assert found["ENGINE_KEY"].origin == "file named by APPRENTICE_ENGINE_KEY_FILE"
    assert found["DOCUMENTS__EMBEDDINGS_KEY"].value == MASK
    everything = " ".join(one.value for one in found.values())
    assert "hush" not in everything
    assert "hidden" not in everything
    assert "host/name" in found["DATABASE_URL"].value
    assert found["CHROMA_URL"].value == ""


def test_sections_stand_together_and_the_others_first() -> None:
    sections = [one.section for one in origins.of(read(model="org/model"))]
    assert sections[0] == ""
    assert len(dict.fromkeys(sections)) == len(
        [s for s, before in zip(sections, [None, *sections], strict=False) if s != before]
    )
