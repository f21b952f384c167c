"""Tests of the settings: which source wins; a bad value is one line with key, value and expectation."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from assistant import settings
from assistant.settings import BadSetting, Settings
from training.canary import Plan
from training.records import TrainingSettings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, where `.env` is looked for."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def toml(home: Path, text: str) -> None:
    (home / "apprentice.toml").write_text(text)


def refused() -> str:
    with pytest.raises(BadSetting) as error:
        settings.read()
    line = str(error.value)
    assert "\n" not in line
    return line


# -- defaults and sources --------------------------------------------------------------------------


def test_without_a_word_everything_has_the_documented_default(home: Path) -> None:
    found = settings.read()
    assert found.home == home
    assert found.model == "starter"
    assert found.database == f"sqlite:///{home / 'apprentice.db'}"
    assert found.servers == ()
    assert (found.training.min_examples, found.training.schedule) == (32, None)
    assert found.promotion.mode == "manual"


def test_without_a_home_it_is_in_the_persons_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPRENTICE_HOME")
    monkeypatch.setenv("HOME", "/nowhere/ann")
    assert settings.read().home == Path("/nowhere/ann/.apprentice")


def test_environment_before_dotenv_before_toml(
    home: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml(home, "[training]\nmin_examples = 1\ndraws = 1\nmost_questions = 1\n")
    (elsewhere / ".env").write_text("APPRENTICE_TRAINING__MIN_EXAMPLES=2\nAPPRENTICE_TRAINING__DRAWS=2\n")
    monkeypatch.setenv("APPRENTICE_TRAINING__MIN_EXAMPLES", "3")
    found = settings.read().training
    assert (found.min_examples, found.draws, found.most_questions) == (3, 2, 1)


def test_the_command_line_wins_and_what_it_leaves_out_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPRENTICE_MODEL", "org/from-environment")
    assert settings.read(model="org/given").model == "org/given"
    assert settings.read(model=None).model == "org/from-environment"
    assert settings.read(home=tmp_path / "other").home == tmp_path / "other"


def test_the_toml_file_is_that_of_the_home_in_force(
    home: Path, tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, model in ((home, "org/environment"), (tmp_path / "given", "org/given")):
        folder.mkdir(exist_ok=True)
        toml(folder, f'model = "{model}"')
    assert settings.read().model == "org/environment"
    assert settings.read(home=tmp_path / "given").model == "org/given"
    monkeypatch.delenv("APPRENTICE_HOME")
    (elsewhere / ".env").write_text(f"APPRENTICE_HOME={tmp_path / 'given'}\n")
    assert settings.read().model == "org/given"


def test_an_empty_variable_says_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml(home, 'model = "org/model"\n[training]\nmin_examples = 7\n')
    monkeypatch.setenv("APPRENTICE_MODEL", "")
    monkeypatch.setenv("APPRENTICE_TRAINING__MIN_EXAMPLES", "")
    found = settings.read()
    assert (found.model, found.training.min_examples) == ("org/model", 7)


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_SOMETHING_ELSE", "1")
    monkeypatch.setenv("APPRENTICE_LOG_FILE", "/no/such/file")
    settings.read()


def test_a_relative_home_does_not_move_with_the_working_directory(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings.read(home=Path("here"))
    monkeypatch.chdir("/")
    assert found.home == elsewhere / "here"


def test_settings_are_frozen_once_they_are_read() -> None:
    found = settings.read()
    with pytest.raises(ValueError, match="frozen"):
        found.model = "other"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.training.min_examples = 1  # type: ignore[misc]


# -- secrets ---------------------------------------------------------------------------------------


def test_a_secret_may_come_from_a_file_and_reaches_child_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APPRENTICE_ENGINE_KEY", raising=False)
    (tmp_path / "key").write_text("s3cret\n")
    monkeypatch.setenv("APPRENTICE_ENGINE_KEY_FILE", str(tmp_path / "key"))
    assert settings.read().engine_key == "s3cret"
    assert os.environ["APPRENTICE_ENGINE_KEY"] == "s3cret"


def test_a_setting_of_a_section_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prompt.txt").write_text("You are kind.\n")
    monkeypatch.setenv("APPRENTICE_CHAT__SYSTEM_PROMPT_FILE", str(tmp_path / "prompt.txt"))
    assert settings.read().chat.system_prompt == "You are kind."


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_a_secret_file_that_can_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("APPRENTICE_DATABASE_URL_FILE", str(file))
    line = refused()
    assert "APPRENTICE_DATABASE_URL_FILE" in line
    assert str(file) in line
    assert "expected a readable text file" in line


def test_a_bad_database_url_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_DATABASE_URL", "mysql://ann:hunter2@host/db")
    line = refused()
    assert "hunter2" not in line
    assert line.startswith("APPRENTICE_DATABASE_URL=")
    assert "host/db" in line
    assert "postgresql+psycopg://" in line


# -- bad values ------------------------------------------------------------------------------------

BAD = [
    ("APPRENTICE_MODEL", "/no/such/folder", "a folder with a config.json"),
    ("APPRENTICE_MODEL", "./nothing", "Hugging Face model id"),
    ("APPRENTICE_MODEL", "a/b/c", "'starter'"),
    ("APPRENTICE_DATABASE_URL", "facts.db", "sqlite:////path/file.db"),
    ("APPRENTICE_DATABASE_URL", "postgresql://host/name", "postgresql+psycopg://"),
    ("APPRENTICE_ENGINE_URLS", "localhost:8000", "http://host:port"),
    ("APPRENTICE_ENGINE_URLS", "http://a:1,file:///etc/passwd", "http://host:port"),
    ("APPRENTICE_TRAINING__MIN_EXAMPLES", "many", "valid integer"),
    ("APPRENTICE_TRAINING__MIN_EXAMPLES", "0", "at least 1"),
    ("APPRENTICE_TRAINING__SCHEDULE", "hourly", "'0 3 * * *'"),
    ("APPRENTICE_TRAINING__SCHEDULE", "0 0 31 2 *", "a cron line"),
    ("APPRENTICE_TRAINING__DRAWS", "-1", "at least 0"),
    ("APPRENTICE_TRAINING__POLL_SECONDS", "nan", "at least 0.01"),
    ("APPRENTICE_TRAINING", "often", "APPRENTICE_TRAINING__…"),
    ("APPRENTICE_PROMOTION__MODE", "sometimes", "'manual' or 'auto'"),
    ("APPRENTICE_PROMOTION__CANARY", "perhaps", "valid boolean"),
    ("APPRENTICE_PROMOTION__CANARY_STEPS", "25,5", "growing shares in percent"),
    ("APPRENTICE_PROMOTION__CANARY_STEPS", "0,5", "such as 5,25"),
    ("APPRENTICE_PROMOTION__CANARY_STEPS", "100", "growing shares in percent"),
    ("APPRENTICE_PROMOTION__CANARY_STEPS", "5,nan", "growing shares in percent"),
    ("APPRENTICE_PROMOTION__CANARY_STEPS", "5 and more", "such as 5,25"),
    ("APPRENTICE_PROMOTION__CANARY_MARGIN", "0", "greater than 0"),
    ("APPRENTICE_PROMOTION__CANARY_DAYS", "-1", "greater than 0"),
    ("APPRENTICE_CHAT__ASK_SHARE", "10", "less than or equal to 1"),
    ("APPRENTICE_CHAT__TEMPERATURE", "-0.1", "greater than or equal to 0"),
    ("APPRENTICE_CHAT__TOP_P", "0", "greater than 0"),
    ("APPRENTICE_CHAT__MAX_TOKENS", "0", "greater than or equal to 1"),
    ("APPRENTICE_ENGINE__GPU_MEMORY_UTILIZATION", "1.5", "less than or equal to 1"),
    ("APPRENTICE_ENGINE__KV_CACHE_GIB", "lots", "valid number"),
    ("APPRENTICE_ENGINE__ARGUMENTS", "--flag 'unclosed", "quotation"),
    ("APPRENTICE_TRAINING__MIN_EXAMPELS", "10", "min_examples"),
]


@pytest.mark.parametrize(("key", "value", "expected"), BAD, ids=[f"{k}={v}" for k, v, _ in BAD])
def test_a_bad_value_is_one_line_with_key_value_and_expectation(
    monkeypatch: pytest.MonkeyPatch, key: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(key, value)
    line = refused()
    assert line.startswith(f"{key}=")
    assert value in line
    assert expected in line


@pytest.mark.parametrize("text", ["model = ", "\xff", "[training\n"])
def test_a_broken_toml_file_is_named(home: Path, text: str) -> None:
    (home / "apprentice.toml").write_bytes(text.encode("latin-1"))
    assert "apprentice.toml" in refused()


def test_a_bad_value_in_the_toml_file_is_named_like_its_variable(home: Path) -> None:
    toml(home, '[training]\nmin_examples = "few"\n')
    assert refused().startswith("APPRENTICE_TRAINING__MIN_EXAMPLES='few'")


# -- what is made of them --------------------------------------------------------------------------


def test_servers_of_others_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRENTICE_ENGINE_URLS", " http://one:8000/ ,,https://two/v ")
    assert settings.read().servers == ("http://one:8000", "https://two/v")


@pytest.mark.parametrize("line", ["--enforce-eager --seed '1 2'", '["--enforce-eager", "--seed", "1 2"]'])
def test_more_arguments_of_the_engine_are_one_line_or_a_list(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("APPRENTICE_ENGINE__ARGUMENTS", line)
    assert settings.read().engine.arguments == ("--enforce-eager", "--seed", "1 2")


@pytest.mark.parametrize(
    ("line", "steps"),
    [("5,25", (0.05, 0.25)), ("5, 25, 100", (0.05, 0.25)), ("[10, 50]", (0.1, 0.5)), ("20", (0.2,))],
)
def test_the_steps_of_a_canary_are_percent_with_commas(
    monkeypatch: pytest.MonkeyPatch, line: str, steps: tuple[float, ...]
) -> None:
    assert settings.read().promotion.plan == Plan()
    monkeypatch.setenv("APPRENTICE_PROMOTION__CANARY_STEPS", line)
    assert settings.read().promotion.plan.steps == steps


def test_a_local_model_is_found_from_anywhere_and_a_hub_model_stays_a_name(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "mine").mkdir()
    (elsewhere / "mine" / "config.json").write_text("{}")
    assert settings.read(model="./mine").model_location == str(elsewhere / "mine")
    assert settings.read(model="Qwen/Qwen3-0.6B").model_location == "Qwen/Qwen3-0.6B"


def test_the_starter_brings_its_own_system_prompt_unless_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from training import starter

    assert settings.read().system_prompt == starter.SYSTEM_PROMPT
    assert settings.read().model_location == str(starter.path())
    assert settings.read(model="Qwen/Qwen3-0.6B").system_prompt == ""
    monkeypatch.setenv("APPRENTICE_CHAT__SYSTEM_PROMPT", "You sell tea.")
    assert settings.read().system_prompt == "You sell tea."
    assert settings.read(model="Qwen/Qwen3-0.6B").system_prompt == "You sell tea."


def test_every_bound_lets_its_own_default_in() -> None:
    found = Settings()
    assert found.training == TrainingSettings()


def test_what_is_reviewed_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("APPRENTICE_REVIEW__DOUBLE_SHARE", "0.25")
    monkeypatch.setenv("APPRENTICE_REVIEW__QUOTAS", '{"disputed": 1, "random": 3}')
    found = settings.read().review
    assert (found.double_share, dict(found.quotas)) == (0.25, {"disputed": 1, "random": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOUBLE_SHARE", "1.5"),
        ("LEASE_MINUTES", "0"),
        ("QUOTAS", '{"gut feeling": 1}'),
        ("QUOTAS", "disputed"),
        ("GUIDELINE", "/nowhere/guide.md"),
    ],
)
def test_a_bad_setting_of_reviews_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"APPRENTICE_REVIEW__{name}", value)
    with pytest.raises(BadSetting, match=f"APPRENTICE_REVIEW__{name}"):
        settings.read()
