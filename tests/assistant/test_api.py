"""Tests of the HTTP routes for programs: who may, what is said of a bad request, and OpenAI's protocol."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from assistant.api import _chain, run_as_json
from assistant.audit import Audit
from assistant.requests import LARGEST_BODY
from assistant.tools import Toolbox
from feedback.database import Database, DatabaseUnavailable
from feedback.schema import ratings
from feedback.store import NewTurn
from tests.assistant.serving import Site, served, site
from tests.fake_engine import FakeEngine

HELLO = [{"role": "user", "content": "Where is my parcel?"}]
CHAT = "/v1/chat/completions"


@pytest.fixture
def house(sqlite: Database, home: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("training.registry.files.verify", lambda _: None)
    return site(sqlite, home, fake)


@pytest.fixture
def anybody(house: Site) -> Iterator[TestClient]:
    """A client without a key, somewhere else in the world."""
    with TestClient(house.app, raise_server_exceptions=False) as client:
        house.portal = client.portal
        yield client


@pytest.fixture
def ann(house: Site, anybody: TestClient) -> TestClient:
    return keyed(house, house.key("ann"))


@pytest.fixture
def admin(house: Site, anybody: TestClient) -> TestClient:
    return keyed(house, house.key("root", "admin"))


def keyed(house: Site, key: str) -> TestClient:
    """A client with a key, of the application that `anybody` keeps running in its event loop."""
    found = TestClient(house.app, raise_server_exceptions=False)
    found.portal = house.portal
    found.headers["authorization"] = f"Bearer {key}"
    return found


def error(reply: httpx.Response, status: int) -> str:
    """The sentence of an error in OpenAI's shape."""
    assert reply.status_code == status, reply.text
    found = reply.json()
    assert set(found) == {"error"}
    assert set(found["error"]) == {"message", "type", "param", "code"}
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    assert found["error"]["type"] == kinds.get(
        status, "invalid_request_error" if status < 500 else "server_error"
    )
    assert found["error"]["code"] == status
    message = found["error"]["message"]
    assert isinstance(message, str)
    assert message
    assert "\n" not in message
    return message


def ask(client: TestClient, **more: Any) -> httpx.Response:
    return client.post(CHAT, json={"model": "apprentice", "messages": HELLO} | more)


def events(reply: httpx.Response) -> list[Any]:
    """The data of server-sent events, `[DONE]` as it is."""
    assert reply.headers["content-type"].startswith("text/event-stream")
    blocks = reply.text.split("\n\n")
    assert blocks[-1] == ""
    assert all(block.startswith("data: ") for block in blocks[:-1])
    return [
        part if part == "[DONE]" else json.loads(part)
        for part in (block.removeprefix("data: ") for block in blocks[:-1])
    ]


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


# -- who may ---------------------------------------------------------------------------------------

OPEN = {("GET", "/healthz"), ("GET", "/readyz")}
ADMINS_METRICS = ("GET", "/metrics")
MATRIX: dict[tuple[str, str], tuple[str, Any]] = {
    ("GET", "/v1/models"): ("user", None),
    ("POST", CHAT): ("user", {"messages": HELLO}),
    ("POST", "/v1/feedback"): ("user", {"completion_id": "turn-0", "rating": "up"}),
    ("GET", "/v1/runs"): ("admin", None),
    ("POST", "/v1/runs"): ("admin", {}),
    ("GET", "/v1/adapters"): ("admin", None),
    ("POST", "/v1/adapters/rollback"): ("admin", {"reason": "worse"}),
    ("POST", "/v1/adapters/{name}/promote"): ("admin", {"reason": "better"}),
    ("POST", "/v1/adapters/{name}/canary"): ("admin", {"reason": "try it"}),
    ("POST", "/v1/adapters/canary-stop"): ("staff", {"reason": "it flatters"}),
    ADMINS_METRICS: ("admin", None),
    ("GET", "/v1/models/{name}"): ("user", None),
    ("GET", "/v1/conversations"): ("user", None),
    ("GET", "/v1/conversations/{conversation_id}"): ("user", None),
    ("GET", "/v1/feedback"): ("user", None),
    ("GET", "/v1/me/export"): ("user", None),
    ("DELETE", "/v1/me"): ("user", None),
    ("GET", "/v1/deletions"): ("admin", None),
    ("GET", "/v1/feedback/export"): ("admin", None),
    ("POST", "/v1/feedback/import"): ("admin", None),
    **{
        (method, "/v1/{rest:path}"): ("user", None)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    },
}
ROLES = ("user", "staff", "admin")


def test_every_route_says_who_may(house: Site) -> None:
    """A route that nobody entered here is a route that nobody thought about."""
    routes = {(method, route.path) for route in house.app.routes for method in route.methods}  # type: ignore[attr-defined]
    assert routes - {("HEAD", path) for _, path in routes} == set(MATRIX) | OPEN


@pytest.mark.parametrize("route", MATRIX, ids=lambda route: " ".join(route))
def test_a_route_is_open_to_its_role_and_those_above_only(
    house: Site, anybody: TestClient, route: tuple[str, str]
) -> None:
    (method, path), (least, body) = route, MATRIX[route]
    path = path.replace("{name}", "lora-000000000001").replace("{rest:path}", "nothing")
    statuses = {role: keyed(house, house.key(role, role)).request(method, path, json=body).status_code  # type: ignore[arg-type]
                for role in ROLES}  # fmt: skip
    allowed = ROLES[ROLES.index(least) :]
    assert {role for role in ROLES if statuses[role] not in (401, 403)} == set(allowed)
    assert {statuses[role] for role in ROLES if role not in allowed} <= {403}
    reply = anybody.request(method, path, json=body)
    assert "API key" in error(reply, 401)
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic KEY", "KEY", "Bearer KEY x"]
)
def test_anything_but_a_good_bearer_is_nobody(house: Site, anybody: TestClient, header: str) -> None:
    key = house.key("ann")
    reply = anybody.get("/v1/models", headers={"authorization": header.replace("KEY", key)})
    error(reply, 401)


def test_the_scheme_may_be_written_as_one_likes(house: Site, anybody: TestClient) -> None:
    key = house.key("ann")
    assert anybody.get("/v1/models", headers={"authorization": f"bearer {key}"}).status_code == 200


def test_who_is_locked_out_is_out_at_once(house: Site, ann: TestClient) -> None:
    assert ann.get("/v1/models").status_code == 200
    house.accounts.disable("ann")
    error(ann.get("/v1/models"), 401)


def test_a_403_names_the_role_that_is_missing(ann: TestClient) -> None:
    assert error(ann.get("/v1/runs"), 403) == "this needs the role admin; ann has user"


# -- health and metrics ----------------------------------------------------------------------------


def test_alive_is_not_ready(house: Site, anybody: TestClient) -> None:
    assert anybody.get("/healthz").json() == {"status": "alive"}
    assert anybody.get("/readyz").json() == {"status": "ready"}
    house.unready = "the engine is loading the model"
    reply = anybody.get("/readyz")
    assert (reply.status_code, reply.json()) == (
        503,
        {"status": "not ready", "reason": "the engine is loading the model"},
    )
    assert anybody.get("/healthz").status_code == 200


def test_metrics_are_for_this_machine_and_for_admins(house: Site, ann: TestClient, admin: TestClient) -> None:
    near = TestClient(house.app, client=("127.0.0.1", 40000))
    assert near.get("/metrics").status_code == 200
    assert TestClient(house.app, client=("::1", 40000)).get("/metrics").status_code == 200
    for header in ("x-forwarded-for", "forwarded", "x-real-ip"):
        assert near.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401, "a proxy is not near"
    error(ann.get("/metrics"), 403)
    reply = admin.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert "apprentice_answers_total" in reply.text


# -- chat ------------------------------------------------------------------------------------------


def test_a_whole_answer_is_a_chat_completion_whose_id_is_the_turn(house: Site, ann: TestClient) -> None:
    name = house.live(1)
    reply = ask(ann, temperature=0.2)
    assert reply.status_code == 200
    assert reply.headers["x-apprentice-adapter"] == name
    found = reply.json()
    assert (found["object"], found["model"]) == ("chat.completion", name)
    turn = house.store.turn(found["id"])
    assert turn.answer == found["choices"][0]["message"]["content"]
    assert (turn.status, turn.adapter) == ("complete", name)
    assert turn.sampling["temperature"] == 0.2
    assert found["usage"]["completion_tokens"] == 8


def test_without_an_adapter_the_header_says_base(ann: TestClient) -> None:
    assert ask(ann).headers["x-apprentice-adapter"] == "base"


def test_a_streamed_answer_comes_in_openais_order(house: Site, ann: TestClient) -> None:
    reply = ask(ann, stream=True)
    found = events(reply)
    assert found[-1] == "[DONE]"
    chunks = found[:-1]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    (turn_id,) = {chunk["id"] for chunk in chunks}
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0].get("finish_reason") for chunk in chunks][-1] == "stop"
    assert not any("usage" in chunk for chunk in chunks)
    said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert house.store.turn(turn_id).answer == said
    assert reply.headers["x-apprentice-adapter"] == "base"
    assert reply.headers["cache-control"] == "no-cache"


def test_usage_is_streamed_last_if_it_is_asked_for(ann: TestClient) -> None:
    *chunks, last, done = events(ask(ann, stream=True, stream_options={"include_usage": True}))
    assert done == "[DONE]"
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 8)
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert all(chunk["choices"] for chunk in chunks)


def test_several_choices_are_streamed_side_by_side(ann: TestClient) -> None:
    chunks = events(ask(ann, stream=True, n=3))[:-1]
    assert {choice["index"] for chunk in chunks for choice in chunk["choices"]} == {0, 1, 2}
    assert len({choice["turn_id"] for chunk in chunks for choice in chunk["choices"]}) == 3
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_the_engine_hears_our_names_and_never_the_clients(ann: TestClient, fake: FakeEngine) -> None:
    ask(
        ann,
        model="apprentice-base",
        user="me",
        metadata={"a": "b"},
        lora_path="/etc",
        prompt_embeds="AAAA",
        chat_template="{{ 1 }}",
        best_of=50,
        max_tokens=5,
    )
    (request,) = fake.requests
    assert set(request) == {"messages", "model", "temperature", "max_tokens", "stream", "stream_options"}
    assert request["model"] == fake.model


def test_tools_reach_the_engine_as_they_were_written(ann: TestClient, fake: FakeEngine) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string", "default": None}}}
    tools = [{"type": "function", "function": {"name": "track", "parameters": schema}}]
    reply = ask(ann, tools=tools, tool_choice="auto").json()
    assert fake.requests[0]["tools"] == tools
    (call,) = reply["choices"][0]["message"]["tool_calls"]
    assert reply["choices"][0]["finish_reason"] == "tool_calls"
    history = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "on its way"},
    ]
    second = ask(ann, messages=history, tools=tools)
    assert second.status_code == 200
    assert fake.requests[1]["messages"][1]["tool_calls"] == [call]
    assert fake.requests[1]["messages"][2] == history[2]


def test_a_developers_word_is_the_systems(ann: TestClient, fake: FakeEngine) -> None:
    ask(ann, messages=[{"role": "developer", "content": "Be short."}, *HELLO])
    assert fake.requests[0]["messages"][0] == {"role": "system", "content": "Be short."}


# -- what is wrong with a request ------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "messages"),
    "messages that are none": ({"messages": "hello"}, "messages"),
    "too many messages": ({"messages": HELLO * 1001}, "at most 1000 items"),
    "a message that is none": ({"messages": ["hello"]}, "messages.0"),
    "an unknown role": ({"messages": [{"role": "root", "content": "x"}]}, "'system', 'developer'"),
    "a question without words": ({"messages": [{"role": "user"}]}, "needs a content"),
    "an answer without anything": ({"messages": [{"role": "assistant"}, *HELLO]}, "needs a content"),
    "a content of another kind": ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
    "n too large": ({"n": 9}, "n: "),
    "n too small": ({"n": 0}, "n: "),
    "n of another kind": ({"n": "many"}, "n: "),
    "a temperature that is too hot": ({"temperature": 2.1}, "temperature: "),
    "top_p of nothing": ({"top_p": 0}, "top_p: "),
    "max_tokens of nothing": ({"max_tokens": 0}, "max_tokens: "),
    "max_tokens without end": ({"max_tokens": 10**9}, "max_tokens: "),
    "a seed without end": ({"seed": 2**70}, "seed: "),
    "a model of another kind": ({"model": 7}, "model: "),
    "tools of another kind": ({"tools": {"a": 1}}, "tools: "),
    "too many tools": ({"tools": [{}] * 129}, "tools: "),
    "a stream of another kind": ({"stream": "perhaps"}, "stream: "),
    "stream options of another kind": ({"stream": True, "stream_options": 7}, "stream_options: "),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_one_sentence_that_names_the_field_and_nothing_is_stored(
    house: Site, ann: TestClient, fake: FakeEngine, case: str
) -> None:
    change, said = BAD[case]
    assert said in error(ask(ann, **change), 400)
    assert house.store.counts()["turns"] == 0
    assert fake.requests == []


RAW = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of it": b'{"messages": [{"role": "us',
    "a list": b"[1, 2]",
    "a number": b"7",
    "not UTF-8": b'{"messages": "\xff"}',
    "NaN": b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    "NaN where nobody looks": b'{"messages": [{"role": "user", "content": "x"}], "logit_bias": {"1": NaN}}',
    "infinity in a tool": b'{"messages": [{"role": "user", "content": "x"}], "tools": [{"a": Infinity}]}',
    "half a character": b'{"messages": [{"role": "user", "content": "\\ud83d"}]}',
    "very deep": b'{"messages": [{"role": "user", "content": "x"}], "tools": ' + b"[" * 90_000 + b"]" * 90_000
                 + b"}",
    "deep": b'{"messages": [{"role": "user", "content": [{"text": ' + b"[" * 300 + b"]" * 300 + b"}]}]}",
    "a long number": b'{"messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 5000 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("case", RAW)
def test_a_body_that_is_no_plain_json_is_refused_in_words(
    house: Site, ann: TestClient, fake: FakeEngine, case: str
) -> None:
    error(ann.post(CHAT, content=RAW[case], headers={"content-type": "application/json"}), 400)
    assert house.store.counts()["turns"] == 0
    assert fake.requests == []


def test_a_body_without_its_type_is_refused(ann: TestClient) -> None:
    body = json.dumps({"messages": HELLO})
    error(ann.post(CHAT, content=body, headers={"content-type": "text/plain"}), 400)


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(
    house: Site, ann: TestClient, told: bool
) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x" * LARGEST_BODY}]}).encode()
    parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    reply = ann.post(CHAT, content=body if told else parts, headers={"content-type": "application/json"})
    assert error(reply, 413) == f"the request is larger than {LARGEST_BODY} bytes"
    assert house.store.counts()["turns"] == 0


def test_hungry_but_allowed_requests_are_answered_with_the_engines_own_limit(ann: TestClient) -> None:
    """A megabyte in one word, and a dialogue of a thousand messages: refused, or cut and answered."""
    one_word = [{"role": "user", "content": "x" * (LARGEST_BODY - 200)}]
    assert "maximum context length" in error(ask(ann, messages=one_word), 400)
    many = [{"role": ("user", "assistant")[number % 2], "content": "so " * 20} for number in range(999)]
    assert ask(ann, messages=many).status_code == 200


@pytest.mark.parametrize("model", ["gpt-4o", "", "lora-000000000001", "../../etc/passwd", "http://evil/"])
def test_an_unknown_model_is_not_found(house: Site, ann: TestClient, model: str) -> None:
    house.live(1)
    assert "does not exist" in error(ask(ann, model=model), 404)
    assert house.store.counts()["turns"] == 0


def test_what_is_not_there_and_what_is_not_allowed_have_the_same_shape(ann: TestClient) -> None:
    error(ann.get("/v1/nothing"), 404)
    reply = ann.get(CHAT)
    error(reply, 405)
    assert reply.headers["allow"] == "POST"


def test_a_bug_of_ours_is_an_error_in_openais_shape_that_shows_no_inside(
    ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.chat.prompts.with_system", lambda *_: 1 / 0)
    message = error(ask(ann), 500)
    assert "division" not in message


def test_a_database_that_is_away_is_503_in_words(
    house: Site, ann: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise DatabaseUnavailable("the database does not answer")

    monkeypatch.setattr(type(house.registry), "live", away)
    assert error(ask(ann), 503) == "the database does not answer"


# -- when the engine goes away ---------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_does_not_answer_is_503_streamed_or_not(
    house: Site, ann: TestClient, fake: FakeEngine, stream: bool
) -> None:
    fake.fail("500", times=5)
    error(ask(ann, stream=stream), 503)
    (turn,) = house.store.turns(house.store.conversations(house.accounts.get("ann").id)[0].id)
    assert turn.status == "failed"


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_engine_refuses_is_its_own_4xx_streamed_or_not(ann: TestClient, stream: bool) -> None:
    messages = [{"role": "user", "content": "long " * 1000}]
    assert "maximum context length" in error(ask(ann, messages=messages, stream=stream), 400)


def test_an_answer_that_breaks_off_ends_with_an_error_event_and_is_not_done(
    house: Site, ann: TestClient, fake: FakeEngine
) -> None:
    fake.fail("die", token=3)
    *chunks, last = events(ask(ann, stream=True))
    assert set(last) == {"error"}
    assert last["error"]["type"] == "server_error"
    turn = house.store.turn(chunks[0]["id"])
    said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert (turn.status, turn.answer) == ("interrupted", said)
    assert len(said.split()) == 3


def test_answers_are_counted_by_how_they_ended(house: Site, ann: TestClient, fake: FakeEngine) -> None:
    ask(ann)
    ask(ann, stream=True)
    fake.fail("die", token=3)
    ask(ann, stream=True)
    text = house.metrics.text()
    assert 'apprentice_answers_total{outcome="complete"} 2.0' in text
    assert 'apprentice_answers_total{outcome="failed"} 1.0' in text
    assert "apprentice_answers_in_flight 0.0" in text


def test_a_reader_who_leaves_between_two_events_leaves_nothing_open() -> None:
    closed: list[str] = []

    async def rest() -> AsyncGenerator[str, None]:
        try:
            yield "two"
            yield "three"
        finally:
            closed.append("rest")

    async def main() -> None:
        answer = rest()
        events = _chain("one", answer)
        assert [await anext(events), await anext(events)] == ["one", "two"]
        await events.aclose()
        assert closed == ["rest"]

    asyncio.run(main())


# -- behind a real server --------------------------------------------------------------------------


@pytest.fixture
def address(house: Site) -> Iterator[str]:
    with served(house.app) as found:
        yield found


def test_a_reader_who_leaves_stops_the_engine_and_the_turn_says_so(
    house: Site, address: str, fake: FakeEngine
) -> None:
    fake.words, fake.rate = 5000, 300
    headers = {"authorization": f"Bearer {house.key('ann')}"}
    body = {"messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{address}{CHAT}", json=body, headers=headers) as reply:
        lines = (line for line in reply.iter_lines() if "content" in line)
        first = json.loads([next(lines) for _ in range(4)][-1].removeprefix("data: "))
    until(lambda: house.store.turn(first["id"]).status != "pending")
    turn = house.store.turn(first["id"])
    assert (turn.status, turn.error) == ("stopped", None)
    assert 3 <= len(turn.answer.split()) < 4000
    until(lambda: fake.running == 0)
    assert fake.aborted == 1
    until(lambda: 'apprentice_answers_total{outcome="stopped"} 1.0' in house.metrics.text())


@pytest.mark.parametrize("waiting_for", ["a whole answer", "the first word"])
def test_a_client_whose_patience_ends_stops_the_engine_too(
    house: Site, address: str, fake: FakeEngine, waiting_for: str
) -> None:
    fake.words, fake.rate = 50_000, 100
    if waiting_for == "the first word":
        fake.fail("hang")
    headers = {"authorization": f"Bearer {house.key('ann')}"}
    body = {"messages": HELLO, "stream": waiting_for == "the first word"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}{CHAT}", json=body, headers=headers, timeout=0.3)
    person = house.accounts.get("ann").id
    until(lambda: house.store.conversations(person))
    conversation = house.store.conversations(person)[0].id
    until(lambda: [turn for turn in house.store.turns(conversation) if turn.status != "pending"])
    (turn,) = house.store.turns(conversation)
    assert (turn.status, turn.error) == ("stopped", None)
    assert waiting_for == "a whole answer" or turn.answer == ""
    until(lambda: fake.running == 0)
    until(lambda: 'apprentice_answers_total{outcome="stopped"} 1.0' in house.metrics.text())


def test_many_who_leave_get_nothing_of_each_other(house: Site, address: str, fake: FakeEngine) -> None:
    """A storm of readers who leave in the middle: each answer is of its own question, and none is lost."""
    fake.words, fake.rate = 50_000, 1000
    headers = {"authorization": f"Bearer {house.key('ann')}"}

    async def person(client: httpx.AsyncClient, number: int) -> tuple[str, str]:
        leaves = number % 3 == 0
        question = [{"role": "user", "content": f"Question {number}?"}]
        body = {"messages": question, "stream": True, "max_tokens": 50_000 if leaves else 20}
        said, turn_id = "", ""
        async with client.stream("POST", CHAT, json=body) as reply:
            async for line in reply.aiter_lines():
                if line.startswith("data: {"):
                    chunk = json.loads(line.removeprefix("data: "))
                    turn_id = chunk["id"]
                    said += chunk["choices"][0]["delta"].get("content") or ""
                if leaves and len(said.split()) > 5:
                    break
        return turn_id, said

    async def storm() -> list[tuple[str, str]]:
        limits = httpx.Limits(max_connections=30)
        async with httpx.AsyncClient(base_url=address, headers=headers, limits=limits, timeout=30) as client:
            return await asyncio.gather(*(person(client, number) for number in range(30)))

    found = asyncio.run(storm())
    until(lambda: all(house.store.turn(turn_id).status != "pending" for turn_id, _ in found))
    for number, (turn_id, said) in enumerate(found):
        turn = house.store.turn(turn_id)
        assert turn.question == f"Question {number}?"
        assert turn.answer.startswith(said)
        assert turn.status == ("stopped" if number % 3 == 0 else "complete")
    assert fake.running == 0


def test_the_official_client_streams_reads_whole_answers_usage_models_and_errors(
    house: Site, address: str, fake: FakeEngine
) -> None:
    openai = pytest.importorskip("openai")
    name = house.live(1)
    client = openai.OpenAI(base_url=f"{address}/v1", api_key=house.key("ann"), max_retries=0)

    whole = client.chat.completions.create(model="apprentice", messages=HELLO, n=2)
    assert len(whole.choices) == 2
    assert whole.usage.completion_tokens == 16
    assert house.store.turn(whole.id).answer == whole.choices[0].message.content

    options = {"include_usage": True}
    stream = list(
        client.chat.completions.create(
            model="apprentice", messages=HELLO, stream=True, stream_options=options
        )
    )
    said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert {word.partition("@")[2] for word in said.split()} == {name}
    assert stream[-1].usage.total_tokens > 8

    raw = client.chat.completions.with_raw_response.create(model="apprentice", messages=HELLO)
    assert raw.headers["x-apprentice-adapter"] == name
    assert [model.id for model in client.models.list()] == ["apprentice", "apprentice-base"]

    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="n: "):
        client.chat.completions.create(model="apprentice", messages=HELLO, n=9)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{address}/v1", api_key="sk-wrong", max_retries=0).models.list()
    fake.fail("die", token=2)
    with pytest.raises(openai.APIError, match="went away"):
        for _ in client.chat.completions.create(model="apprentice", messages=HELLO, stream=True):
            pass
    fake.fail("500", times=4)
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="apprentice", messages=HELLO)
    assert refused.value.status_code == 503


def test_langchain_streams_reads_whole_answers_usage_and_errors(house: Site, address: str) -> None:
    langchain = pytest.importorskip("langchain_openai")
    openai = pytest.importorskip("openai")
    key = house.key("ann")

    def model(name: str = "apprentice", **more: Any) -> Any:
        return langchain.ChatOpenAI(model=name, base_url=f"{address}/v1", api_key=key, max_retries=0, **more)

    whole = model(temperature=0.2).invoke("Where is my parcel?")
    assert len(whole.content.split()) == 8
    assert whole.usage_metadata["output_tokens"] == 8
    assert house.store.turn(whole.response_metadata["id"]).answer == whole.content

    pieces = list(model(stream_usage=True).stream([("system", "Be short."), ("human", "And now?")]))
    assert len("".join(piece.content for piece in pieces).split()) == 8
    assert sum((piece.usage_metadata or {}).get("output_tokens", 0) for piece in pieces) == 8
    with pytest.raises(openai.NotFoundError):
        model("gpt-4o").invoke("Hello?")


# -- feedback --------------------------------------------------------------------------------------


def rate(client: TestClient, turn_id: str, rating: Any = "up", **more: Any) -> httpx.Response:
    return client.post("/v1/feedback", json={"completion_id": turn_id, "rating": rating} | more)


def thumbs(database: Database) -> list[tuple[str, str | None]]:
    """Every rating that was ever given, in order."""
    with database.read() as connection:
        rows = connection.execute(select(ratings).order_by(ratings.c.id))
        return [(row.turn_id, row.thumb) for row in rows]


def test_a_rating_is_stored_with_its_reasons_comment_and_correction(house: Site, ann: TestClient) -> None:
    turn_id = ask(ann).json()["id"]
    reply = rate(ann, turn_id, "down", reasons=["wrong"], comment="No.", correction="It is here.")
    assert reply.status_code == 200
    found = reply.json()
    assert (found["object"], found["completion_id"], found["rating"]) == ("feedback", turn_id, "down")
    (judged,) = house.store.judged()
    (rating,), (correction,) = judged.ratings, judged.corrections
    assert (rating.id, rating.thumb, rating.reasons, rating.comment) == (
        found["id"],
        "down",
        ["wrong"],
        "No.",
    )
    assert (correction.text, rating.role) == ("It is here.", "user")


def test_a_rating_can_be_changed_and_taken_back_and_the_history_stays(
    house: Site, ann: TestClient, sqlite: Database
) -> None:
    turn_id = ask(ann).json()["id"]
    for rating in ("up", "up", "down", None):
        assert rate(ann, turn_id, rating).json()["rating"] == rating
        live = [row.thumb for judged in house.store.judged() for row in judged.ratings]
        assert live == ([rating] if rating else []), "one live rating of a person and a turn"
    assert thumbs(sqlite) == [(turn_id, "up"), (turn_id, "up"), (turn_id, "down"), (turn_id, None)]


def test_a_foreign_and_a_missing_turn_can_not_be_told_apart(
    house: Site, ann: TestClient, admin: TestClient, sqlite: Database
) -> None:
    turn_id = ask(ann).json()["id"]
    bob = keyed(house, house.key("bob"))
    foreign, missing = rate(bob, turn_id), rate(bob, "turn-0")
    assert error(foreign, 404) == error(missing, 404)
    error(rate(admin, turn_id), 404)
    assert thumbs(sqlite) == []


def test_an_answer_that_is_still_being_written_can_not_be_rated(house: Site, ann: TestClient) -> None:
    person = house.accounts.get("ann").id
    conversation = house.store.start_conversation(person, "Hi").id
    turn = house.store.begin(NewTurn(conversation, None, person, "Hi", HELLO, "starter", None, {}))
    assert "still being written" in error(rate(ann, turn.id), 400)


def test_after_a_rollback_a_vote_is_booked_to_the_adapter_that_answered(house: Site, ann: TestClient) -> None:
    name = house.live(1)
    turn_id = ask(ann).json()["id"]
    house.registry.rollback(actor="root", reason="worse")
    assert rate(ann, turn_id, "down").status_code == 200
    (judged,) = house.store.judged()
    assert judged.turn.adapter == name


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"completion_id": "turn-0"},
        {"rating": "up"},
        {"completion_id": "turn-0", "rating": "great"},
        {"completion_id": "turn-0", "rating": True},
        {"completion_id": "", "rating": "up"},
        {"completion_id": "x" * 61, "rating": "up"},
        {"completion_id": "turn\u0000", "rating": "up"},
        {"completion_id": ["turn-0"], "rating": "up"},
        {"completion_id": "turn-0", "rating": "up", "reasons": "wrong"},
        {"completion_id": "turn-0", "rating": "up", "reasons": ["x"] * 11},
        {"completion_id": "turn-0", "rating": "up", "comment": "x" * 4001},
        {"completion_id": "turn-0", "rating": "up", "correction": "x" * 20_001},
    ],
)
def test_bad_feedback_is_refused_in_one_sentence(ann: TestClient, body: dict[str, Any]) -> None:
    error(ann.post("/v1/feedback", json=body), 400)


def test_ratings_are_counted(house: Site, ann: TestClient) -> None:
    turn_id = ask(ann).json()["id"]
    rate(ann, turn_id)
    error(rate(ann, "turn-0"), 404)
    assert 'apprentice_ratings_total{rating="up"} 1.0' in house.metrics.text()


# -- models, runs, adapters ------------------------------------------------------------------------


def test_staff_see_adapters_by_name_and_people_do_not(
    house: Site, ann: TestClient, admin: TestClient
) -> None:
    live, retired = house.live(1), house.candidate(2)
    house.registry.retire(retired)

    def models(client: TestClient) -> list[str]:
        found = client.get("/v1/models").json()
        assert found["object"] == "list"
        assert all(item["object"] == "model" for item in found["data"])
        return [item["id"] for item in found["data"]]

    assert models(ann) == ["apprentice", "apprentice-base"]
    staff = keyed(house, house.key("eve", "staff"))
    assert models(staff) == models(admin) == ["apprentice", "apprentice-base", live]
    assert ask(staff, model=live).headers["x-apprentice-adapter"] == live


def test_a_run_is_queued_once_and_listed(house: Site, admin: TestClient) -> None:
    first = admin.post("/v1/runs", json={"method": "auto"})
    assert first.status_code == 201
    assert admin.post("/v1/runs", json={}).json()["id"] == first.json()["id"]
    found = admin.get("/v1/runs").json()
    assert found == {"object": "list", "data": [first.json()]}
    assert (first.json()["state"], first.json()["due_by"]) == ("queued", "by hand: root")
    assert first.json() == run_as_json(house.runs.all()[0])
    assert "method: " in error(admin.post("/v1/runs", json={"method": "magic"}), 400)
    assert "the rank is 7" in error(admin.post("/v1/runs", json={"recipe": {"rank": 7}}), 400)
    assert "'base' can't be chosen" in error(admin.post("/v1/runs", json={"recipe": {"base": 1}}), 400)
    house.runs.cancel(first.json()["id"])
    assert admin.post("/v1/runs", json={"recipe": {"rank": 8}}).json()["recipe"] == {"rank": 8}
    told = [
        (row.who, row.door, row.what, row.after)
        for row in Audit(house.store._database).page(what="run queued")
    ]
    assert told[0] == ("root", "api", "run queued", "rank 8")


def test_promoting_and_rolling_back_over_http(house: Site, admin: TestClient) -> None:
    name = house.candidate(1)
    promoted = admin.post(f"/v1/adapters/{name}/promote", json={"reason": "kinder"})
    assert promoted.json() | {"at": ""} == {"adapter": name, "action": "promote", "at": ""}
    (row,) = admin.get("/v1/adapters").json()["data"]
    assert (row["name"], row["live"], row["outcome"], row["retired"]) == (name, True, "passed", False)
    back = admin.post("/v1/adapters/rollback", json={"reason": "worse"})
    assert back.json()["adapter"] == "base"
    assert "nothing to go back to" in error(admin.post("/v1/adapters/rollback", json={"reason": "x"}), 400)
    assert [(row.actor, row.reason) for row in house.registry.history()] == [
        ("root", "worse"),
        ("root", "kinder"),
    ]
    assert admin.post("/v1/adapters/base/promote", json={"reason": "x"}).json()["adapter"] == "base"


def test_a_canary_begins_and_is_vetoed_over_http(house: Site, admin: TestClient) -> None:
    live, name = house.live(1), house.candidate(2)
    begun = admin.post(f"/v1/adapters/{name}/canary", json={"reason": "try it"})
    assert begun.json() | {"at": ""} == {"adapter": name, "action": "start", "share": 0.05, "at": ""}
    rows = {row["name"]: row["share"] for row in admin.get("/v1/adapters").json()["data"]}
    assert rows == {name: 0.05, live: 0.95}
    assert "is running" in error(admin.post(f"/v1/adapters/{name}/canary", json={"reason": "x"}), 400)
    staff = keyed(house, house.key("eve", "staff"))
    assert "reason" in error(staff.post("/v1/adapters/canary-stop", json={}), 400)
    stopped = staff.post("/v1/adapters/canary-stop", json={"reason": "it flatters"}).json()
    assert (stopped["action"], stopped["share"]) == ("stop", 0.0)
    assert "no canary" in error(staff.post("/v1/adapters/canary-stop", json={"reason": "x"}), 400)
    assert house.canaries.history()[0].actor == "eve"
    error(admin.post("/v1/adapters/lora-000000000009/canary", json={"reason": "x"}), 404)


def test_what_may_not_be_promoted_is_refused_with_the_reason(house: Site, admin: TestClient) -> None:
    name = house.candidate(1, "rejected")
    assert "length: 1.5 times as long" in error(
        admin.post(f"/v1/adapters/{name}/promote", json={"reason": "I insist"}), 400
    )
    error(admin.post("/v1/adapters/lora-000000000009/promote", json={"reason": "x"}), 404)
    for body in ({}, {"reason": ""}, {"reason": "x" * 1001}, {"reason": 7}):
        assert "reason: " in error(admin.post(f"/v1/adapters/{name}/promote", json=body), 400)
    assert "reason" in error(admin.post(f"/v1/adapters/{name}/promote", json={"reason": "  "}), 400)
    assert house.registry.history() == []


@pytest.mark.parametrize("name", ["%00", "..%2F..%2Fetc", "%2Fetc%2Fpasswd", "x" * 200, "lora-%F0%9F%98%80"])
def test_no_name_in_an_address_is_more_than_a_name(house: Site, admin: TestClient, name: str) -> None:
    reply = admin.post(f"/v1/adapters/{name}/promote", json={"reason": "x"})
    assert reply.status_code in (400, 404)
    error(reply, reply.status_code)
    assert house.registry.history() == []


# -- what only one of the databases minds ----------------------------------------------------------


def test_strange_text_is_an_answer_or_a_4xx_on_both_databases(
    database: Database, home: Path, fake: FakeEngine
) -> None:
    """PostgreSQL takes neither NUL in a text nor NaN in JSON; nobody is to notice."""
    house = site(database, home, fake)
    with TestClient(house.app, raise_server_exceptions=False) as client:
        client.headers["authorization"] = f"Bearer {house.key('root', 'admin')}"
        strange = "a\x00b \u2028 \uffff 😀"
        reply = ask(client, messages=[{"role": "user", "content": strange}], stop=["\x00"], seed=2**62)
        assert reply.status_code == 200
        turn_id = reply.json()["id"]
        assert rate(
            client, turn_id, "down", reasons=[strange], comment=strange, correction=strange
        ).is_success
        assert error(rate(client, "turn-\x00"), 400)
        assert error(client.post("/v1/adapters/%00/promote", json={"reason": "x"}), 400)
        assert error(ask(client, model="lora-\x00"), 404)
        name = house.candidate(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.registry.files.verify", lambda _: None)
            assert client.post(f"/v1/adapters/{name}/promote", json={"reason": strange}).is_success
        assert "�" in house.registry.history()[0].reason


def test_the_official_client_reads_an_answer_with_the_houses_tools_like_any_other(
    sqlite: Database, home: Path, fake: FakeEngine
) -> None:
    openai = pytest.importorskip("openai")
    pytest.importorskip("langchain_core")

    def order_status(order_id: str) -> str:
        """Look up the status of an order."""
        return f"{order_id} is shipped"

    house = site(sqlite, home, fake, Toolbox([order_status], seconds=5))
    with served(house.app) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key=house.key("ann"), max_retries=0)
        ask = partial(client.chat.completions.create, model="apprentice", messages=HELLO)
        call = ("order_status", '{"order_id": "7"}')
        fake.calls = [[call], [], [call]]
        whole = ask()
        stream = list(ask(stream=True, stream_options={"include_usage": True}))
    assert not whole.choices[0].message.tool_calls
    assert whole.choices[0].model_extra["tool_steps"][0]["result"] == "7 is shipped"
    assert whole.usage.completion_tokens == 2 * fake.words
    choices = [chunk.choices[0] for chunk in stream if chunk.choices]
    said = "".join(choice.delta.content or "" for choice in choices)
    assert house.store.turn(stream[0].id).answer == said
    assert not any(choice.delta.tool_calls for choice in choices)
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    told = [choice.model_extra["tool_steps"][0] for choice in choices if "tool_steps" in choice.model_extra]
    assert [step["status"] for step in told] == ["running", "done"]
    assert [chunk.usage for chunk in stream if chunk.usage] == [stream[-1].usage]
    assert stream[-1].usage.completion_tokens == 2 * fake.words
