"""The whole circle on real parts: one `apprentice up`, its real engine, real training, and kill -9.

The tests stand in the order in which a home grows up; each leaves the home fit for the next.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from tokenizers import Tokenizer

from assistant.engine.client import AdapterRef, Engines, locate_home
from examples.raters import courteous
from feedback.records import Message
from tests.running import Running, running, wait_for
from training import screening, starter

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

DUE = 64
PEOPLE = 4


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("loop")
    with running(home, APPRENTICE_TRAINING__MIN_EXAMPLES=str(DUE), APPRENTICE_PROMOTION__MODE="auto") as up:
        yield up


@pytest.fixture(scope="module")
def people(house: Running) -> list[httpx.Client]:
    return [house.person(f"person-{number}") for number in range(PEOPLE)]


@pytest.fixture(scope="module")
def admin(house: Running) -> httpx.Client:
    return house.person("chief", "admin")


def ask(person: httpx.Client, question: str, **more: Any) -> httpx.Response:
    body = {"model": "apprentice", "messages": [{"role": "user", "content": question}], **more}
    reply = person.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    return reply


def said(reply: httpx.Response) -> str:
    return str(reply.json()["choices"][0]["message"]["content"])


def vote(person: httpx.Client, reply: httpx.Response, thumb: str | None, **more: Any) -> None:
    body = {"completion_id": reply.json()["id"], "rating": thumb, **more}
    assert person.post("/v1/feedback", json=body).status_code == 200


def live(house: Running) -> str:
    return str(json.loads(house.command("status", "--json"))["live"])


def test_the_first_start_makes_an_admin_and_a_page_answers(house: Running) -> None:
    link = house.first_link()
    with httpx.Client(base_url=house.url, follow_redirects=True) as browser:
        assert "password" in browser.get(link).text
        form = {"token": link.split("token=")[1], "name": "first"}
        form |= {"password": "correct horse", "again": "correct horse"}
        browser.post("/setup", data=form, headers={"origin": house.url})
        page = browser.get("/")
    assert page.status_code == 200
    assert "gradio" in page.text
    account = json.loads(house.command("user", "list", "--json"))[0]
    assert (account["name"], account["role"]) == ("first", "admin")


def test_official_clients_speak_with_it(house: Running) -> None:
    house.command("user", "add", "coder")
    key = house.command("user", "key", "coder")
    client = openai.OpenAI(base_url=f"{house.url}/v1", api_key=key)
    question: Any = [{"role": "user", "content": "How do I return a tent?"}]
    whole = client.chat.completions.create(model="apprentice", messages=question, temperature=0)
    assert whole.id.startswith("turn-")
    assert whole.usage
    assert whole.usage.completion_tokens > 0
    stream = client.chat.completions.create(
        model="apprentice",
        messages=question,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt-4", messages=question)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{house.url}/v1", api_key="sk-wrong").models.list()
    chain = ChatOpenAI(
        base_url=f"{house.url}/v1",
        api_key=key,
        model="apprentice",
        temperature=0,
        stream_usage=True,
        use_responses_api=False,
    )  # type: ignore[arg-type]
    answer = chain.invoke("How do I return a tent?")
    assert answer.content == text
    assert answer.usage_metadata
    parts = list(chain.stream("How do I return a tent?"))
    assert "".join(str(part.content) for part in parts) == text


def test_a_long_seeded_prompt_does_not_kill_the_engine(house: Running, people: list[httpx.Client]) -> None:
    """vLLM 0.32 dies on a CPU when a request with a seed is read in pieces; ours must not."""
    before = house.pids("assistant.engine.server")
    with ThreadPoolExecutor(8) as pool:
        long = ["Please read this. " * 90 + f"Number {number}?" for number in range(16)]
        replies = list(pool.map(lambda text: ask(people[0], text, seed=1, max_tokens=4), long))
    assert len({reply.json()["id"] for reply in replies}) == 16
    assert house.pids("assistant.engine.server") == before


def test_votes_become_an_adapter_that_answers(house: Running, people: list[httpx.Client]) -> None:
    """The vote that reaches the threshold leads, without a hand, to answers by a new adapter.

    The gate may find the first candidate's evidence too thin, as it should be free to: then more votes come.
    """
    asked = starter.questions(600, 5)
    questions = [q for q in asked if not screening.held_out(q)]
    shy = [q for q in asked if screening.held_out(q)]
    for batch in range(3):
        vote_on(people, shy[batch * 24 : batch * 24 + 24])
        vote_on(people, questions[batch * (DUE + 4) : (batch + 1) * (DUE + 4)])
        began = time.monotonic()
        run = house.ended(batch + 1)
        assert run["state"] == "done", run
        assert run["due_by"].startswith("threshold"), run
        print(f"run {batch + 1}: {run['reason'][:300]}")
        if (adapter := live(house)) in {one["adapter"] for one in house.runs()}:
            break
    else:
        pytest.fail(run["reason"])
    reply = ask(people[0], "How do I return a tent?")
    assert reply.headers["x-apprentice-adapter"] == adapter
    print(f"vote to live: {time.monotonic() - began:.0f} s", run["seconds"], run["counts"])
    fresh = starter.questions(660, 5)[600:]
    with ThreadPoolExecutor(8) as pool:
        old = list(pool.map(lambda q: said(ask(people[0], q, seed=1, model="apprentice-base")), fresh))
        new = list(pool.map(lambda q: said(ask(people[0], q, seed=1)), fresh))
    liked = [
        fmean(courteous(_asked(q), a) for q, a in zip(fresh, given, strict=True)) for given in (old, new)
    ]
    print(f"liked by the rater: {liked[0]:.2f} before, {liked[1]:.2f} after")
    assert liked[1] > liked[0] + 0.1


def _asked(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def vote_on(people: list[httpx.Client], questions: list[str]) -> None:
    """Each question is asked by one of `people`, who like courteous answers; once more if it was not."""

    def one(numbered: tuple[int, str]) -> None:
        number, question = numbered
        person = people[number % len(people)]
        for _ in range(2):
            reply = ask(person, question)
            good = courteous(_asked(question), said(reply)) > 0.5
            vote(person, reply, "up" if good else "down")
            if good:
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, enumerate(questions)))


def test_flips_under_streams_disturb_nobody(
    house: Running, people: list[httpx.Client], admin: httpx.Client
) -> None:
    """50 promotions and rollbacks under 20 streams: every answer is whole and from exactly one adapter."""
    adapter = live(house)
    questions = starter.questions(20, 9)
    stop, answers, errors = threading.Event(), [], []

    def stream(number: int) -> None:
        while not stop.is_set():
            try:
                answers.append(_streamed(people[number % PEOPLE], questions[number]))
            except (httpx.HTTPError, AssertionError) as error:
                errors.append(error)

    with ThreadPoolExecutor(20) as pool:
        streams = [pool.submit(stream, number) for number in range(20)]
        for flip in range(50):
            if flip % 2:
                reply = admin.post(f"/v1/adapters/{adapter}/promote", json={"reason": f"flip {flip}"})
            else:
                reply = admin.post("/v1/adapters/rollback", json={"reason": f"flip {flip}"})
            assert reply.status_code == 200, reply.text
            time.sleep(0.2)
        stop.set()
        for each in streams:
            each.result()
    assert not errors
    by = {name: sum(1 for answer in answers if answer["by"] == name) for name in ("base", adapter)}
    assert min(by.values()) >= 20, by
    assert len(answers) == sum(by.values())
    told = [answer for answer in answers if len(answer["tokens"]) > 8 and _reads_back(answer)]
    assert len(told) >= 60, f"{len(told)} of {len(answers)} answers can be told apart"
    gaps = asyncio.run(_whose(house.home, adapter, told[:80]))
    print(f"{len(answers)} answers {by}; nats a token from the named adapter and from the other: {gaps}")
    assert all(named < other for named, other in gaps)
    admin.post(f"/v1/adapters/{adapter}/promote", json={"reason": "the end of the flips"})


def _streamed(person: httpx.Client, question: str) -> dict[str, Any]:
    body = {"model": "apprentice", "messages": _asked(question), "stream": True, "logprobs": True}
    text, logprobs, tokens, finish = "", [], [], None
    with person.stream("POST", "/v1/chat/completions", json=body) as reply:
        assert reply.status_code == 200, reply.read()
        by = reply.headers["x-apprentice-adapter"]
        lines = [line[6:] for line in reply.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    for line in lines[:-1]:
        for choice in json.loads(line)["choices"]:
            text += choice["delta"].get("content") or ""
            content = (choice.get("logprobs") or {}).get("content") or ()
            logprobs += [one["logprob"] for one in content]
            tokens += [one["token"] for one in content]
            finish = choice["finish_reason"] or finish
    assert finish in ("stop", "length")
    return {"by": by, "question": question, "text": text, "logprobs": logprobs, "tokens": tokens}


def _reads_back(answer: dict[str, Any]) -> bool:
    """Whether its text is split into the very tokens that it was drawn in: at times a model draws others."""
    tokenizer = Tokenizer.from_file(str(starter.path() / "tokenizer.json"))
    tokens = [tokenizer.decode([one]) for one in tokenizer.encode(answer["text"]).ids]
    return tokens == answer["tokens"][: len(tokens)]


async def _whose(home: Path, adapter: str, answers: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """For each answer, how far its token log-probabilities are from the named adapter's and the other's."""
    engines = Engines(locate_home(home))
    await engines.start()
    try:
        path = AdapterRef(adapter, home / "adapters" / adapter)
        found = []
        for answer in answers:
            prompt: list[Message] = [{"role": "system", "content": starter.SYSTEM_PROMPT}]
            prompt += _asked(answer["question"])
            named, other = (path, None) if answer["by"] == adapter else (None, path)
            distances = []
            for which in (named, other):
                there = await engines.logprobs(prompt, answer["text"], which)
                pairs = list(zip(there, answer["logprobs"], strict=False))
                distances.append(fmean(abs(a - b) for a, b in pairs))
            found.append((round(distances[0], 3), round(distances[1], 3)))
        return found
    finally:
        await engines.close()


def test_a_stopped_stream_is_kept_and_frees_the_engine(house: Running, people: list[httpx.Client]) -> None:
    body = {"model": "apprentice", "messages": _asked("Tell me all."), "stream": True, "logit_bias": {}}
    body |= {"max_tokens": 1500, "temperature": 2.0}
    with people[0].stream("POST", "/v1/chat/completions", json=body) as reply:
        turn = json.loads(next(reply.iter_lines()).removeprefix("data: "))["id"]
    query = "select * from turns where id = ? and status != 'pending'"
    row = wait_for(lambda: next(iter(house.rows(query, turn)), None), 20)
    assert row["status"] in ("stopped", "complete")


def test_a_killed_engine_comes_back_with_the_live_adapter(house: Running, people: list[httpx.Client]) -> None:
    adapter = live(house)
    house.kill("assistant.engine.server")
    wait_for(lambda: httpx.get(f"{house.url}/readyz").status_code == 503, 30)
    refused = people[0].post("/v1/chat/completions", json={"messages": _asked("Are you there?")})
    assert refused.status_code in (200, 503)
    house.wait_ready(120)
    assert ask(people[0], "Are you back?").headers["x-apprentice-adapter"] == adapter


def test_a_killed_web_process_loses_no_acknowledged_vote(house: Running, people: list[httpx.Client]) -> None:
    replies = [ask(people[0], question) for question in starter.questions(12, 21)]
    acknowledged = []
    killer = threading.Timer(0.15, lambda: house.kill("assistant web"))
    killer.start()
    for number in range(400):
        reply = replies[number % len(replies)]
        body = {"completion_id": reply.json()["id"], "rating": "up", "comment": f"vote {number}"}
        try:
            if people[0].post("/v1/feedback", json=body).status_code == 200:
                acknowledged.append(f"vote {number}")
        except httpx.HTTPError:
            break
    killer.join()
    house.wait_ready(60)
    kept = {row["comment"] for row in house.rows("select comment from ratings where comment != ''")}
    assert acknowledged
    assert set(acknowledged) <= kept
    ask(people[0], "Are you back?")


def test_killed_trainer_and_worker_leave_a_run_that_ends_well(house: Running) -> None:
    house.command("train")
    count = len(house.runs())
    trainer = wait_for(lambda: house.pids("training.trainers"), 120)
    house.kill("training.trainers")
    again = "select attempts from runs order by id desc"
    wait_for(lambda: house.rows(again)[0]["attempts"] >= 2 and house.pids("training.trainers"), 120)
    assert house.pids("training.trainers") != trainer
    house.kill("assistant worker")
    wait_for(lambda: not set(house.pids("training.trainers")) & set(trainer), 10)
    run = house.ended(count)
    assert run["state"] == "done", run
    assert run["attempts"] <= 3
    folders = {folder.name for folder in (house.home / "adapters").iterdir()}
    rows = {row["name"] for row in house.rows("select name from adapters")}
    assert folders == rows, "no half adapter, none without a row"


def test_a_tampered_adapter_is_refused_and_the_live_one_goes_on(
    house: Running, people: list[httpx.Client], admin: httpx.Client
) -> None:
    adapter = live(house)
    weights = house.home / "adapters" / adapter / "adapter_model.safetensors"
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:-100])
        reply = admin.post(f"/v1/adapters/{adapter}/promote", json={"reason": "try"})
        assert reply.status_code == 400, reply.text
        assert reply.json()["error"]["message"]
        assert ask(people[0], "Still there?").headers["x-apprentice-adapter"] == adapter
    finally:
        weights.write_bytes(content)
    for trick in ("..%2F..%2Fetc", "lora-zzzzzzzzzzzz", "base%00"):
        refused = admin.post(f"/v1/adapters/{trick}/promote", json={"reason": "try"})
        assert refused.status_code in (400, 401, 404), refused.text
    assert live(house) == adapter
