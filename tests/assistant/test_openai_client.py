"""The official `openai` client against `/v1`: every field that is served, as its users know it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feedback.database import Database
from tests.assistant.serving import Site, served, site
from tests.fake_engine import FakeEngine

openai = pytest.importorskip("openai")

HELLO = [{"role": "user", "content": "Where is my parcel?"}]
TOOL = {
    "type": "function",
    "function": {"name": "track", "strict": True, "parameters": {"type": "object", "properties": {}}},
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "default": None}}, "required": ["city"]}


@pytest.fixture
def house(sqlite: Database, home: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("training.registry.files.verify", lambda _: None)
    return site(sqlite, home, fake)


@pytest.fixture
def client(house: Site) -> Iterator[Any]:
    with served(house.app) as address:
        yield openai.OpenAI(base_url=f"{address}/v1", api_key=house.key("ann"), max_retries=0)


def ask(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(model="apprentice", messages=HELLO, **more)


def test_every_field_that_is_served_reaches_the_engine(client: Any, fake: FakeEngine) -> None:
    given = {
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "logit_bias": {"7": -100},
        "logprobs": True,
        "top_logprobs": 2,
        "max_completion_tokens": 5,
        "n": 4,
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
        "seed": 11,
        "stop": ["never said"],
        "tool_choice": "none",
        "tools": [TOOL],
    }
    ignored = {"user": "me", "store": False, "metadata": {"a": "b"}, "service_tier": "auto"}
    fake.calls = []
    whole = ask(client, **given, **ignored, extra_body={"top_k": 20, "min_p": 0.1})
    (request,) = fake.requests
    sent = {name: request[name] for name in given}
    assert sent == given
    assert (request["top_k"], request["min_p"]) == (20, 0.1)
    assert not set(ignored) & set(request)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    assert {choice.finish_reason for choice in whole.choices} == {"length"}
    assert all(len(choice.message.content.split()) == 5 for choice in whole.choices)


def test_structured_outputs_come_as_the_clients_own_types(client: Any, fake: FakeEngine) -> None:
    pydantic = pytest.importorskip("pydantic")
    place = pydantic.create_model("Place", city=(str, ...))
    fake.words = 1
    with pytest.raises(pydantic.ValidationError):
        # The fake engine holds to no schema; that the client tries shows that the schema went through.
        client.chat.completions.parse(model="apprentice", messages=HELLO, response_format=place)
    form = fake.requests[0]["response_format"]
    assert form["json_schema"]["schema"]["required"] == ["city"]


@pytest.mark.parametrize("stream", [False, True])
def test_logprobs_come_if_they_are_asked_for(client: Any, stream: bool) -> None:
    found = ask(client, stream=stream, logprobs=True, top_logprobs=2)
    chunks = list(found) if stream else [found]
    rows = [
        row
        for chunk in chunks
        for choice in chunk.choices
        if choice.logprobs
        for row in choice.logprobs.content
    ]
    assert len(rows) == 8
    assert all(len(row.top_logprobs) == 2 and row.logprob == -0.5 for row in rows)
    plain = ask(client)
    assert plain.choices[0].logprobs is None


def test_a_stream_has_its_usage_last_and_only_if_asked(client: Any) -> None:
    chunks = list(ask(client, stream=True, n=2, stream_options={"include_usage": True}))
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 16
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}
    assert all(chunk.usage is None for chunk in ask(client, stream=True))


@pytest.mark.parametrize("stream", [False, True])
def test_a_clients_own_tools_are_called_by_the_client(client: Any, fake: FakeEngine, stream: bool) -> None:
    fake.calls = [[("track", '{"id": "7"}'), ("track", '{"id": "8"}')], []]
    found = ask(client, tools=[TOOL], tool_choice="auto", stream=stream)
    if stream:
        calls: dict[int, dict[str, str]] = {}
        reasons = []
        for chunk in found:
            for choice in chunk.choices:
                reasons.append(choice.finish_reason)
                for call in choice.delta.tool_calls or ():
                    one = calls.setdefault(call.index, {"id": call.id, "arguments": ""})
                    one["arguments"] += call.function.arguments or ""
        named = [(one["id"], one["arguments"]) for one in calls.values()]
        assert reasons[-1] == "tool_calls"
    else:
        named = [(call.id, call.function.arguments) for call in found.choices[0].message.tool_calls]
        assert (found.choices[0].finish_reason, found.choices[0].message.content) == ("tool_calls", None)
    assert [json.loads(arguments) for _, arguments in named] == [{"id": "7"}, {"id": "8"}]
    called = [
        {"id": key, "type": "function", "function": {"name": "track", "arguments": text}}
        for key, text in named
    ]
    answers = [{"role": "tool", "tool_call_id": key, "content": "on its way"} for key, _ in named]
    dialogue = [*HELLO, {"role": "assistant", "content": None, "tool_calls": called}, *answers]
    last = client.chat.completions.create(model="apprentice", messages=dialogue, tools=[TOOL])
    assert last.choices[0].finish_reason == "stop"
    assert fake.requests[1]["messages"][1:] == [{"role": "assistant", "tool_calls": called}, *answers]


def test_a_stream_that_is_closed_stops_the_engine(house: Site, client: Any, fake: FakeEngine) -> None:
    from tests.assistant.test_api import until

    fake.words, fake.rate = 5_000, 200
    stream = ask(client, stream=True)
    first = next(iter(stream))
    stream.close()
    until(lambda: house.store.turn(first.id).status == "stopped")
    until(lambda: fake.running == 0)
    assert fake.aborted == 1


def test_requests_have_names_and_errors_too(client: Any) -> None:
    made = ask(client)
    assert made._request_id.startswith("req-")
    assert ask(client, extra_headers={"x-request-id": "mine-1"})._request_id == "mine-1"
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, n=9, extra_headers={"x-request-id": "mine-2"})
    assert (refused.value.request_id, refused.value.param) == ("mine-2", "n")
    assert refused.value.type == "invalid_request_error"


def test_models_are_had_one_by_one(house: Site, client: Any) -> None:
    name = house.live(1)
    assert client.models.retrieve("apprentice").owned_by == "apprentice"
    for missing in (name, "gpt-4o"):
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.models.retrieve(missing)
    staff = client.with_options(api_key=house.key("eve", "staff"))
    assert staff.models.retrieve(name).created > 0


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda client: client.embeddings.create(model="x", input="y"), "NotFoundError"),
        (lambda client: ask(client, functions=[{"name": "f"}]), "BadRequestError"),
        (lambda client: ask(client, max_completion_tokens=10**7), "BadRequestError"),
        (lambda client: ask(client, extra_body={"messages": HELLO * 1001}), "BadRequestError"),
        (lambda client: ask(client, extra_body={"messages": [{"role": "user", "content": "x" * 2**20}]}),
         "APIStatusError"),
        (lambda client: client.models.with_raw_response.delete("apprentice"), "APIStatusError"),
    ],
)  # fmt: skip
def test_every_refusal_is_an_error_of_the_client(client: Any, call: Any, kind: str) -> None:
    with pytest.raises(getattr(openai, kind)) as refused:
        call(client)
    assert set(refused.value.body) == {"message", "type", "param", "code"}
    assert 400 <= refused.value.status_code < 500


def test_pages_of_ones_own_are_read_by_the_client(house: Site, client: Any) -> None:
    ask(client)
    found = client.get("/conversations", cast_to=object)
    assert found["data"][0]["title"] == HELLO[0]["content"]
