"""What may be asked over HTTP: the bodies of the requests, checked before anything is done.

They say what is wrong in words, and let nothing through that the store or the engine can't take. Know no
service.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from assistant import routing
from training.recipes import check_wishes
from training.records import Refused

LARGEST_BODY = 1_000_000
DEEPEST = 50
MOST_STOPS, LONGEST_STOP = 16, 1_000
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNSERVED = {
    "functions": "the old form of `tools` is not served; send `tools`",
    "function_call": "the old form of `tool_choice` is not served; send `tool_choice`",
    "audio": "answers are text only",
    "web_search_options": "nothing is searched in the web; answers stand on the documents of this house",
}
"""Fields of OpenAI's that change what an answer is. Any other that we don't know may be ignored."""


class Plain(BaseModel):
    """JSON that a database and the engine can take as well: no NaN, no half characters, no endless depth."""

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        try:
            json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a surrogate pair, which is no character") from None
        except ValueError:
            raise ValueError("NaN and Infinity are no JSON numbers") from None
        _check_depth(data, DEEPEST)
        return data


def _check_depth(data: Any, left: int) -> None:
    if not left:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        if isinstance(item, dict | list):
            _check_depth(item, left - 1)


class Message(BaseModel):
    """One message of the dialogue. Unknown keys are dropped: the engine never sees what we don't know."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Message:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("a message needs a content")
        return self

    def as_sent(self) -> dict[str, Any]:
        """As the engine gets it: chat templates know no developers, whose word is the system's."""
        said = self.model_dump(exclude_none=True)
        return {**said, "role": "system"} if self.role == "developer" else said


class StreamOptions(BaseModel):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class ChatRequest(Plain):
    """`POST /v1/chat/completions`. Fields that OpenAI has and we don't serve are ignored where the answer
    stays one to what was asked, and refused otherwise."""

    model_config = ConfigDict(extra="ignore")

    model: str = routing.LIVE
    messages: list[Message] = Field(min_length=1, max_length=1_000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=1_000_000)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=100_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=100_000)
    stop: str | list[str] | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    n: int | None = Field(None, ge=1, le=4)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = Field(None, max_length=1_000)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[dict[str, Any]] | None = Field(None, max_length=128)
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    grounded: bool | None = None
    """Ours, not OpenAI's: false answers without looking through the documents."""

    @model_validator(mode="before")
    @classmethod
    def _served(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, why in _UNSERVED.items():
                if data.get(name):
                    raise ValueError(f"`{name}`: {why}")
            if "audio" in (data.get("modalities") or ()):
                raise ValueError("`modalities`: answers are text only")
        return data

    @field_validator("stop")
    @classmethod
    def _stops(cls, stop: str | list[str] | None) -> str | list[str] | None:
        texts = [stop] if isinstance(stop, str) else stop or []
        if len(texts) > MOST_STOPS or any(not 0 < len(text) <= LONGEST_STOP for text in texts):
            raise ValueError(f"at most {MOST_STOPS} texts of 1 to {LONGEST_STOP} characters")
        return stop

    @field_validator("tools")
    @classmethod
    def _functions(cls, tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        for tool in tools or ():
            function = tool.get("function")
            if tool.get("type") != "function" or not isinstance(function, dict):
                raise ValueError("a tool is of the type `function` and has a `function`")
            if not _TOOL_NAME.fullmatch(str(function.get("name"))):
                raise ValueError("a function's name has 1 to 64 letters, digits, _ and -")
        return tools

    @field_validator("response_format")
    @classmethod
    def _format(cls, wanted: dict[str, Any] | None) -> dict[str, Any] | None:
        if wanted is None:
            return None
        if wanted.get("type") not in ("text", "json_object", "json_schema"):
            raise ValueError("its type is `text`, `json_object` or `json_schema`")
        if wanted["type"] == "json_schema":
            found = wanted.get("json_schema")
            if not isinstance(found, dict) or not isinstance(found.get("schema"), dict):
                raise ValueError("`json_schema` needs a `schema`, which is an object")
        return wanted

    @model_validator(mode="after")
    def _agrees(self) -> ChatRequest:
        if self.stream_options is not None and not self.stream:
            raise ValueError("`stream_options` is for streams; send `stream` too")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("`top_logprobs` needs `logprobs`")
        if isinstance(self.tool_choice, str) and self.tool_choice not in ("none", "auto", "required"):
            raise ValueError("`tool_choice` is `none`, `auto`, `required` or one of the tools")
        if not self.tools and self.tool_choice not in (None, "none", "auto"):
            raise ValueError("`tool_choice` needs `tools`")
        if isinstance(self.tool_choice, dict):
            named = self.tool_choice.get("function")
            wanted = named.get("name") if isinstance(named, dict) else None
            if wanted not in [tool["function"]["name"] for tool in self.tools or ()]:
                raise ValueError("`tool_choice` names none of the tools")
        return self

    def sampling(self) -> dict[str, Any]:
        """What was given besides the dialogue: how to draw the answer, tools, formats."""
        ours = {"model", "messages", "stream", "stream_options", "grounded"}
        found = self.model_dump(exclude_none=True, exclude=ours)
        if "max_completion_tokens" in found:
            # The newer name of the same; of two the engine would take either.
            found.pop("max_tokens", None)
        return found


class FeedbackRequest(Plain):
    """`POST /v1/feedback`: a person's whole opinion of one turn; it replaces the one before."""

    completion_id: str = Field(pattern=r"^[!-~]{1,60}$")
    rating: Literal["up", "down"] | None
    reasons: list[str] = []
    comment: str = ""
    correction: str = ""
    approve: bool | None = None
    """Whether the correction is an example for similar questions; by default it is if staff give it."""


class RunRequest(Plain):
    """`POST /v1/runs`."""

    method: Literal["auto", "dpo"] = "auto"
    recipe: dict[str, int | float] = Field(default_factory=dict)
    """What is wanted otherwise than it would be chosen, by the recipe's names."""

    @field_validator("recipe")
    @classmethod
    def _within_bounds(cls, wishes: dict[str, int | float]) -> dict[str, int | float]:
        try:
            check_wishes(wishes)
        except Refused as problem:
            raise ValueError(str(problem)) from None
        return wishes


class Reason(Plain):
    """Why somebody promotes, rolls back, or starts or stops a canary."""

    reason: str = Field(min_length=1, max_length=1_000)
