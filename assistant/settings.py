"""Reads the settings once, at the top: environment, then `.env`, then `apprentice.toml` in the home.

Each section is a frozen dataclass beside the code that it configures. A bad value raises `BadSetting`
with one line that names the key, the value and what was expected.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from assistant.entry import AccountsSection, OidcSection
from assistant.errors import AssistantError
from feedback.review_records import KINDS, ReviewSettings
from training.canary import Plan
from training.records import TrainingSettings

PREFIX = "APPRENTICE_"
STARTER = "starter"


class BadSetting(AssistantError):
    """A setting can't be used; the message is one line."""


def _words(line: Any) -> Any:
    if not isinstance(line, str):
        return line
    return json.loads(line) if line.lstrip().startswith("[") else shlex.split(line)


def _shares(line: Any) -> tuple[float, ...]:
    """`5,25`, a list, or one number. 100 % at the end is no step of its own: what has all of it is live."""
    given = line.strip(" []").split(",") if isinstance(line, str) else line
    try:
        steps = [float(step) for step in (given if isinstance(given, list | tuple) else [given])]
    except (TypeError, ValueError):
        steps = []
    steps = steps[:-1] if steps[-1:] == [100.0] else steps
    if not steps or steps != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] < 100:
        raise ValueError("expected growing shares in percent between 0 and 100, such as 5,25")
    return tuple(steps)


@dataclass(frozen=True)
class ChatSettings:
    """How the assistant is asked."""

    system_prompt: str = ""
    """Empty: the starter's own for the starter, none for other models."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 512
    tool_seconds: Annotated[float, Field(gt=0)] = 10
    """How long one call of a tool may take."""
    tool_rounds: Annotated[int, Field(ge=1, le=20)] = 4
    """How often in one answer tools may be called."""
    ask_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The share of answers, drawn by chance, under which the page asks for a vote; 0 asks for none."""
    choice_share: Annotated[float, Field(ge=0, le=1)] = 0.03
    """The share of questions in the chat that get two answers to choose from, at twice the work; 0: none."""


@dataclass(frozen=True)
class EngineSection:
    """The engine that we start ourselves; it does not touch servers that others run."""

    kv_cache_gib: Annotated[float, Field(gt=0)] = 0.5
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    threads: Annotated[int, Field(ge=1)] | None = None
    dtype: str = "auto"
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.6
    tool_parser: str = "hermes"
    cpu_lora: bool = True
    """LoRA and norms on a CPU by `engine/cpu_lora.py`; if not, by vLLM's own operations."""
    arguments: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    """More of vLLM's own arguments: a list, or one line as in a shell."""


@dataclass(frozen=True)
class PromotionSection:
    """Who promotes what passed the gate, and how a canary goes on."""

    mode: Literal["manual", "auto"] = "manual"
    canary: bool = False
    """With `auto`: passing the gate starts a canary, and its votes promote."""
    canary_steps: Annotated[tuple[float, ...], BeforeValidator(_shares)] = (5, 25)
    """Shares of the conversations in percent; after the last one the adapter is promoted."""
    canary_margin: Annotated[float, Field(gt=0, lt=100)] = 10
    """Points of the share of thumbs up by which a canary may be below what is live."""
    canary_days: Annotated[float, Field(gt=0)] = 14

    @property
    def plan(self) -> Plan:
        """The same in shares of one."""
        steps = tuple(step / 100 for step in self.canary_steps)
        return Plan(steps, self.canary_margin / 100, self.canary_days)


@dataclass(frozen=True)
class DocumentsSection:
    """Whether and how answers stand on documents; nothing of it is used while there are none."""

    enabled: bool = True
    folder: Path | None = None
    """A folder that is watched: its files are for everybody, a subfolder's for the group of its name."""
    embeddings: str = "all-MiniLM-L6-v2"
    """The installed package's model, any sentence-transformers model, or the URL of an OpenAI-compatible
    server (`https://host/v1`), which `embeddings_model` and `embeddings_key` go with."""
    embeddings_model: str = ""
    embeddings_key: str = ""
    reranker: str = ""
    """A sentence-transformers cross-encoder that orders what was found; empty: none."""
    most: Annotated[int, Field(ge=1, le=20)] = 5
    """Passages in a prompt; those that were found right beside a better one are not counted."""
    tokens: Annotated[int, Field(ge=50)] = 800
    """Tokens of the served model that passages may take of a prompt, and never more than a third of it."""
    passage_tokens: Annotated[int, Field(ge=40)] = 200
    """Tokens of the served model that a passage may have when it is searched for."""
    block_tokens: Annotated[int, Field(ge=40)] = 400
    """Tokens that it may grow to in a prompt, by what stands around it, where there is room."""
    floor: Annotated[float, Field(ge=-1, le=1)] = 0.38
    """Cosine similarity that one passage must reach for anything to count as found. Measured for the default
    embeddings (`benchmarks/bench_retrieval_quality.py`): there the questions lost and those wrongly let
    through are the least together. Other embeddings need another one."""
    largest_mb: Annotated[float, Field(gt=0)] = 50
    """Size of the largest file that is taken in."""


@dataclass(frozen=True)
class MonitoringSection:
    """What monitoring needs to be told."""

    cost_per_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Price of an hour of the machine, in whatever currency; 0: costs are not shown."""


_SECTIONS: Mapping[str, type] = {
    "chat": ChatSettings,
    "engine": EngineSection,
    "training": TrainingSettings,
    "promotion": PromotionSection,
    "monitoring": MonitoringSection,
    "documents": DocumentsSection,
    "review": ReviewSettings,
    "accounts": AccountsSection,
    "oidc": OidcSection,
}


class Settings(BaseSettings):
    """All settings of one home. Frozen after reading."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(default_factory=lambda: Path.home() / ".apprentice")
    model: str = STARTER
    database_url: str = ""
    engine_urls: str = ""
    engine_key: str = ""
    chroma_url: str = ""
    """A Chroma server; empty: an index of our own in the home."""
    tools: str = ""
    """A Python module (or FILE.py) whose public functions the assistant may call."""
    chat: ChatSettings = field(default_factory=ChatSettings)
    engine: EngineSection = field(default_factory=EngineSection)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    promotion: PromotionSection = field(default_factory=PromotionSection)
    monitoring: MonitoringSection = field(default_factory=MonitoringSection)
    documents: DocumentsSection = field(default_factory=DocumentsSection)
    review: ReviewSettings = field(default_factory=ReviewSettings)
    accounts: AccountsSection = field(default_factory=AccountsSection)
    oidc: OidcSection = field(default_factory=OidcSection)

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("training")
    @classmethod
    def _bounds(cls, section: TrainingSettings) -> TrainingSettings:
        bounds = {"min_examples": 1, "draws": 0, "most_questions": 0, "anchors": 0, "poll_seconds": 0.01}
        for name, least in bounds.items():
            if not getattr(section, name) >= least:
                key = f"{PREFIX}TRAINING__{name.upper()}"
                raise ValueError(f"{key}={getattr(section, name)}: expected at least {least}")
        try:
            if section.schedule:
                CronSim(section.schedule, datetime.now(UTC))
        except CronSimError:
            raise ValueError(
                f"{PREFIX}TRAINING__SCHEDULE={section.schedule!r}: expected a cron line such as '0 3 * * *'"
            ) from None
        return section

    @field_validator("review", mode="before")
    @classmethod
    def _quotas(cls, section: Any) -> Any:
        """From the environment the quotas come as a line of JSON."""
        quotas = section.get("quotas") if isinstance(section, dict) else None
        try:
            return {**section, "quotas": json.loads(quotas)} if isinstance(quotas, str) else section
        except ValueError:
            raise ValueError(
                f'{PREFIX}REVIEW__QUOTAS={quotas!r}: expected JSON such as {{"disputed": 3}}'
            ) from None

    @field_validator("review")
    @classmethod
    def _reviewable(cls, section: ReviewSettings) -> ReviewSettings:
        if not 0 <= section.double_share <= 1:
            key = f"{PREFIX}REVIEW__DOUBLE_SHARE={section.double_share}"
            raise ValueError(f"{key}: expected a share between 0 and 1")
        if not section.lease_minutes > 0:
            raise ValueError(f"{PREFIX}REVIEW__LEASE_MINUTES={section.lease_minutes}: expected more than 0")
        quotas = section.quotas
        if not set(quotas) <= set(KINDS) or not all(value >= 0 for value in quotas.values()):
            raise ValueError(f"{PREFIX}REVIEW__QUOTAS={dict(quotas)}: expected parts of {', '.join(KINDS)}")
        if section.guideline is not None and not section.guideline.is_file():
            raise ValueError(
                f"{PREFIX}REVIEW__GUIDELINE={str(section.guideline)!r}: expected a Markdown file"
            )
        return section

    @field_validator("database_url")
    @classmethod
    def _served(cls, url: str) -> str:
        if url and not url.startswith(("sqlite:///", "postgresql+psycopg://")):
            shown = re.sub(r"//[^@/]*@", "//…@", url)
            raise ValueError(
                f"{PREFIX}DATABASE_URL={shown!r}: expected sqlite:////path/file.db "
                "or postgresql+psycopg://user@host/name"
            )
        return url

    @field_validator("engine_urls")
    @classmethod
    def _reachable(cls, urls: str) -> str:
        if not all(re.match(r"https?://[^/\s]", url.strip()) for url in urls.split(",") if url.strip()):
            raise ValueError(
                f"{PREFIX}ENGINE_URLS={urls!r}: expected one or more of http://host:port, with commas between"
            )
        return urls

    @model_validator(mode="before")
    @classmethod
    def _known(cls, found: Any) -> Any:
        """A misspelt setting of a section would otherwise be a setting that does nothing."""
        for section, kind in _SECTIONS.items():
            names = [item.name for item in fields(kind)]
            # What a file gave stands under its own name already.
            known = {*names, *(f"{name}_file" for name in names)}
            given = found.get(section)
            for name in set(given) - known if isinstance(given, dict) else ():
                key = f"{PREFIX}{section}__{name}".upper()
                raise ValueError(
                    f"{key}={given[name]!r}: there is no such setting; expected {', '.join(names)}"
                )
        return found

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(_first_home(init_settings(), env_settings(), dotenv_settings())).expanduser()
        toml = TomlConfigSettingsSource(settings_cls, home / "apprentice.toml")
        return (init_settings, env_settings, dotenv_settings, toml)

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.home / 'apprentice.db'}"

    @property
    def model_location(self) -> str:
        """The folder or hub id that the engine and the trainer load."""
        if self.model != STARTER:
            local = Path(self.model).expanduser()
            return str(local.absolute()) if local.exists() else self.model
        from training import starter

        return str(starter.path())

    @property
    def system_prompt(self) -> str:
        """What stands before every conversation that brings no system prompt of its own."""
        if self.chat.system_prompt or self.model != STARTER:
            return self.chat.system_prompt
        from training import starter

        return starter.SYSTEM_PROMPT

    @property
    def servers(self) -> tuple[str, ...]:
        """Servers that somebody else runs; empty: one of our own."""
        return tuple(url.strip().rstrip("/") for url in self.engine_urls.split(",") if url.strip())


def read(**given: Any) -> Settings:
    """Read the settings; `given` (from the command line) wins. Raises `BadSetting`."""
    _read_secret_files(os.environ)
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings(**chosen)
    except ValidationError as error:
        raise BadSetting(_one_line(error)) from None
    except SettingsError as error:
        section = re.search(r'field "(\w+)"', str(error))
        name = PREFIX + (section[1].upper() if section else "…")
        raise BadSetting(
            f"{name}={os.environ.get(name, '')!r}: expected JSON, or {name}__… for each"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadSetting(f"apprentice.toml in the home can't be read: {error}") from None
    _check_model(settings)
    return settings


def _check_model(settings: Settings) -> None:
    """A path that is not there would otherwise be taken for the name of a hub model."""
    looks_local = settings.model.startswith((".", "/", "~")) or settings.model.count("/") > 1
    if looks_local and not (Path(settings.model).expanduser() / "config.json").is_file():
        raise BadSetting(
            f"{PREFIX}MODEL={settings.model!r}: expected 'starter', a folder with a config.json, "
            "or a Hugging Face model id"
        )


def _read_secret_files(environment: Any) -> None:
    """`APPRENTICE_X_FILE=/path` stands for `APPRENTICE_X=<what the file holds>`."""
    for name, file in list(environment.items()):
        known = name.removeprefix(PREFIX).removesuffix("_FILE").partition("__")[0].lower()
        if name.startswith(PREFIX) and name.endswith("_FILE") and known in Settings.model_fields:
            try:
                environment[name.removesuffix("_FILE")] = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise BadSetting(f"{name}={file!r}: expected a readable text file ({error})") from None


def _first_home(*sources: Mapping[str, Any]) -> str | Path:
    for source in sources:
        if source.get("home"):
            return Path(source["home"])
    return Path.home() / ".apprentice"


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    own = first["msg"].removeprefix("Value error, ")
    if own.startswith(PREFIX):
        return own
    key = PREFIX + "__".join(str(part).upper() for part in first["loc"])
    return f"{key}={first['input']!r}: {own[0].lower()}{own[1:]}"
