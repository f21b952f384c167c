"""A fake engine: vLLM's protocol without vLLM, in milliseconds, with faults on order. For tests.

    with fake_engine.serve() as fake:                 # a thread; port and key in fake.url, fake.key
        engines = Engines(fake.locate)                # or fake.announce(home), as `run/engine.json`
        fake.fail("die", token=3)                     # the next chat answer breaks after three tokens
        fake.stop(); fake.start()                     # killed, and back on the same port, empty
        fake.requests, fake.adapters, fake.aborted    # what was seen
        fake.reset()                                  # as new: one server for all tests of a module

Answers are words of the form `word@WHO`, WHO being `base` or the adapter's name, so that an answer shows who
gave it; they depend on the messages, the seed and the choice's index alone. Tokens are bytes for `/tokenize`
(ChatML, 256 `<|im_start|>`, 257 `<|im_end|>`) and words for `max_tokens` and the usage. Log-probabilities
depend on token and adapter. `python -m tests.fake_engine --home HOME` serves in a process of its own.

Faults, each for the next `times` requests that fit: `hang` (nothing ever comes), `500`, `reset` (the
connection breaks before a reply), `die` (it breaks after `token` tokens), `stall` (nothing comes after
`token` tokens), `error` (an error event after `token` tokens) and `gone` (the adapter is forgotten first)
for answers; `slow_load` (`seconds`) and `load_500` for loading; `unwell` for `/health`.
Over HTTP: `POST /faults {"kind": …}`. The status codes of refused adapters are those of vLLM 0.32.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from assistant.engine.pool import Server

BASE = "apprentice-base"
START, END = 256, 257
_WORDS = "gladly please thanks order parcel today soon help sure never maybe always blue seven paper river"
WORDS = _WORDS.split()
LOAD_FAULTS, HEALTH_FAULTS = ("slow_load", "load_500"), ("unwell",)


@dataclass
class Fault:
    """One scripted fault, see the module's docstring."""

    kind: str
    times: int = 1
    token: int = 0
    seconds: float = 0.0


@dataclass
class FakeEngine:
    """What the tests hold: settings that may be changed while it serves, and a record of what happened."""

    key: str
    model: str = BASE
    words: int = 8
    rate: float = 2000.0
    """Tokens a second of each stream."""
    max_model_len: int = 2048
    max_lora_rank: int = 32
    port: int = 0
    adapters: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: list[list[tuple[str, str]]] | None = None
    """What requests with tools call, (name, arguments) each, one list a request; after the last, words. None:
    the first tool, unless it has just answered."""
    preamble: str = ""
    """Said before a scripted call."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the chat requests and completions, warm-ups included."""
    loads: list[str] = field(default_factory=list)
    """Names of the adapters that were loaded, in order, once for each time."""
    running: int = 0
    aborted: int = 0
    """Streams that the client closed before their end."""
    connections: set[Any] = field(default_factory=set)
    """Client addresses seen with chat requests: how many connections were used."""
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def server(self) -> Server:
        return Server(self.url, self.key)

    def locate(self) -> Sequence[Server]:
        """To be given to `Engines`."""
        return [self.server]

    def announce(self, home: Path) -> None:
        """Write the home's `run/engine.json`, as if it were the home's own engine."""
        (home / "run").mkdir(parents=True, exist_ok=True)
        content = {"url": self.url, "key": self.key, "model": self.model, "pid": os.getpid()}
        (home / "run" / "engine.json").write_text(json.dumps(content))

    def fail(self, kind: str, *, times: int = 1, token: int = 0, seconds: float = 0.0) -> None:
        """Order a fault."""
        self.faults.append(Fault(kind, times, token, seconds))

    def fault(self, fits: Callable[[str], bool]) -> Fault | None:
        """The fault for this request, used up by one."""
        for fault in self.faults:
            if fits(fault.kind):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def reset(self) -> None:
        """As new, on the same port with the same key; faster than another one."""
        self.break_connections()
        fresh = FakeEngine(key=self.key, model=self.model)
        for name in vars(fresh):
            if name not in ("key", "model", "port", "_server", "_thread", "running"):
                setattr(self, name, getattr(fresh, name))
        if self._server is None:
            self.start()

    def break_connections(self) -> None:
        """Break every connection that is open, idle or not."""
        for connection in list(self._server.server_state.connections if self._server else ()):
            connection.loop.call_soon_threadsafe(connection.transport.abort)

    def start(self) -> None:
        """Listen, on the same port as before if it ran before, without adapters."""
        self.adapters.clear()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            _Edge(self, app_of(self)), log_level="critical", lifespan="off", timeout_graceful_shutdown=0
        )
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        while not server.started:
            time.sleep(0.005)

    def stop(self) -> None:
        """Vanish at once, as if killed: open connections break."""
        if self._server is None or self._thread is None:
            return
        self.break_connections()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._server = self._thread = None


@contextmanager
def serve(port: int = 0, **settings: Any) -> Iterator[FakeEngine]:
    """A fake engine on loopback in a thread of its own; `settings` are fields of `FakeEngine`."""
    fake = FakeEngine(**{"key": secrets.token_hex(8), **settings}, port=port)
    fake.start()
    try:
        yield fake
    finally:
        fake.stop()


def app_of(fake: FakeEngine) -> FastAPI:
    """The application that answers for `fake`."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> Response:
        return Response(status_code=503 if fake.fault(HEALTH_FAULTS.__contains__) else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(f'vllm:num_requests_running{{engine="0"}} {float(fake.running)}\n')

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        base = {"id": fake.model, "parent": None, "root": "/model", "max_model_len": fake.max_model_len}
        return {
            "data": [base]
            + [{"id": n, "parent": fake.model, "root": path} for n, path in fake.adapters.items()]
        }

    @app.post("/faults")
    async def faults(request: Request) -> dict[str, bool]:
        fake.faults.append(Fault(**await request.json()))
        return {"ok": True}

    @app.post("/tokenize")
    async def tokenize(request: Request) -> dict[str, Any]:
        body = await request.json()
        tokens = list(body["prompt"].encode()) if "prompt" in body else _render(body)
        return {"count": len(tokens), "max_model_len": fake.max_model_len, "tokens": tokens}

    _adapters(app, fake)
    _answers(app, fake)
    return app


def _adapters(app: FastAPI, fake: FakeEngine) -> None:
    @app.post("/v1/load_lora_adapter")
    async def load(request: Request) -> Response:
        body = await request.json()
        name, path = body["lora_name"], Path(body["lora_path"])
        fault = fake.fault(LOAD_FAULTS.__contains__)
        if fault is not None and fault.kind == "load_500":
            return _error(500, "Call to add_lora method failed: something odd")
        await asyncio.sleep(fault.seconds if fault is not None else 0)
        if name in fake.adapters:
            return _error(400, f"The lora adapter '{name}' has already been loaded.")
        if problem := _problem(path, fake.max_lora_rank):
            return _error(*problem)
        fake.adapters[name] = str(path)
        fake.loads.append(name)
        return PlainTextResponse(f"Success: LoRA adapter '{name}' added successfully.")

    @app.post("/v1/unload_lora_adapter")
    async def unload(request: Request) -> Response:
        name = (await request.json())["lora_name"]
        if fake.adapters.pop(name, None) is None:
            return _error(404, f"The lora adapter '{name}' cannot be found.")
        return PlainTextResponse("Success")


def _problem(path: Path, largest_rank: int) -> tuple[int, str] | None:
    """Why vLLM would refuse the adapter, and with which status."""
    try:
        config = json.loads((path / "adapter_config.json").read_text())
    except FileNotFoundError:
        return 404, "Loading lora failed: No adapter found for <path>"
    except ValueError as error:
        return 500, f"Call to add_lora method failed: {error}"
    weights = path / "adapter_model.safetensors"
    if not weights.exists():
        return 500, "Call to add_lora method failed: <path> doesn't contain tensors"
    if config["r"] > largest_rank:
        rank = f"LoRA rank {config['r']} is greater than max_lora_rank {largest_rank}."
        return 500, f"Call to add_lora method failed: {rank}"
    raw = weights.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    broken = "Call to add_lora method failed: Error while deserializing header: {}"
    if length > len(raw) - 8:
        return 500, broken.format("header too large")
    tensors = json.loads(raw[8 : 8 + length])
    ends = [entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__"]
    if max(ends, default=0) != len(raw) - 8 - length:
        return 500, broken.format("incomplete metadata, file not fully covered")
    return None


def _answers(app: FastAPI, fake: FakeEngine) -> None:
    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await _answer(fake, request, chat=True)

    @app.post("/v1/completions")
    async def complete(request: Request) -> Response:
        return await _answer(fake, request, chat=False)


async def _answer(fake: FakeEngine, request: Request, *, chat: bool) -> Response:
    body = await request.json()
    fake.requests.append(body)
    fake.connections.add(request.client)
    fault = None
    if chat:
        fault = fake.fault(lambda kind: kind not in (*LOAD_FAULTS, *HEALTH_FAULTS)) or Fault("")
        if fault.kind == "gone":
            fake.adapters.pop(body["model"], None)
        elif fault.kind == "500":
            return _error(500, "EngineCore encountered an issue. See stack trace (above) for the root cause.")
        elif fault.kind == "reset":
            request.scope["abort"]()
        elif fault.kind == "hang":
            await asyncio.sleep(3600)
    if body["model"] != fake.model and body["model"] not in fake.adapters:
        return _error(404, f"The model `{body['model']}` does not exist.")
    used = _prompt_tokens(body)
    if used >= fake.max_model_len:
        text = f"This model's maximum context length is {fake.max_model_len} tokens. However, your prompt"
        return _error(400, f"{text} contains at least {used} input tokens. (parameter=input_tokens)")
    if chat and body.get("stream"):
        events = _stream(fake, request, body, fault or Fault(""))
        return StreamingResponse(events, media_type="text/event-stream")
    plans = [plan(fake, body, index) for index in range(body.get("n") or 1)]
    fake.running += 1
    try:
        await asyncio.sleep(max(len(words) for words, _ in plans) / fake.rate)
    finally:
        fake.running -= 1
    return JSONResponse(_whole(fake, body, plans, used, chat))


def plan(fake: FakeEngine, body: dict[str, Any], index: int) -> tuple[list[str], str]:
    """The words of one choice, and its finish reason."""
    who = "base" if body["model"] == fake.model else body["model"]
    said = json.dumps([body.get("messages") or body.get("prompt"), body.get("seed"), index])
    noise = hashlib.sha256(said.encode()).digest()
    words = [f"{WORDS[noise[i % 32] % len(WORDS)]}@{who} " for i in range(fake.words)]
    words[-1] = words[-1].strip()
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = "".join(words)
        if stop in text:
            words = [text.partition(stop)[0]]
    most = body.get("max_tokens") or body.get("max_completion_tokens") or len(words)
    return words[:most], "length" if most < len(words) else "stop"


def _whole(
    fake: FakeEngine, body: dict[str, Any], plans: Sequence[tuple[list[str], str]], used: int, chat: bool
) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    for index, (words, reason) in enumerate(plans):
        choice: dict[str, Any] = {"index": index, "finish_reason": reason}
        if chat:
            choice["message"] = {"role": "assistant", "content": "".join(words)}
            if calls := _tool_calls(fake, body):
                choice |= {"finish_reason": "tool_calls"}
                choice["message"] = {"role": "assistant", "content": None, "tool_calls": calls}
        else:
            choice["text"] = "".join(words)
            if body.get("prompt_logprobs") is not None:
                choice["prompt_logprobs"] = _prompt_logprobs(body)
        choices.append(choice)
    return {
        "id": f"fake-{secrets.token_hex(4)}",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": choices,
        "usage": _usage(used, plans),
    }


async def _stream(
    fake: FakeEngine, request: Request, body: dict[str, Any], fault: Fault
) -> AsyncIterator[str]:
    common = {
        "id": f"fake-{secrets.token_hex(4)}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": body["model"],
    }

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**common, 'choices': choices, **more})}\n\n"

    plans = [plan(fake, body, index) for index in range(body.get("n") or 1)]
    fake.running += 1
    try:
        for index in range(len(plans)):
            yield event([{"index": index, "delta": {"role": "assistant", "content": ""}}])
        if calls := _tool_calls(fake, body):
            if fake.calls is not None and fake.preamble:
                yield event([{"index": 0, "delta": {"content": fake.preamble}}])
            for place, call in enumerate(calls):
                yield event([{"index": 0, "delta": {"tool_calls": [{"index": place, **call}]}}])
            yield event([{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
        else:
            for at in range(max(len(words) for words, _ in plans)):
                if at == fault.token:
                    if fault.kind == "die":
                        request.scope["abort"]()
                    elif fault.kind == "stall":
                        await asyncio.sleep(3600)
                    elif fault.kind == "error":
                        yield f"data: {json.dumps({'error': {'message': 'it broke', 'code': 500}})}\n\n"
                        yield "data: [DONE]\n\n"
                        return
                await asyncio.sleep(1 / fake.rate)
                for index, (words, reason) in enumerate(plans):
                    if at < len(words):
                        last = reason if at == len(words) - 1 else None
                        choice = {"index": index, "delta": {"content": words[at]}, "finish_reason": last}
                        yield event([choice | _logprobs(body, words[at])])
        if (body.get("stream_options") or {}).get("include_usage"):
            yield event([], usage=_usage(_prompt_tokens(body), plans))
        yield "data: [DONE]\n\n"
    except (asyncio.CancelledError, GeneratorExit):
        fake.aborted += 1
        raise
    finally:
        fake.running -= 1


def _logprobs(body: dict[str, Any], word: str) -> dict[str, Any]:
    """The log-probability of a word, and of as many others as are asked for; as vLLM has them in a chunk."""
    if not body.get("logprobs"):
        return {}
    others = [word, *WORDS][: body.get("top_logprobs") or 0]
    told = [
        {"token": one, "logprob": -0.5 - at, "bytes": list(one.encode())} for at, one in enumerate(others)
    ]
    first = {"token": word, "logprob": -0.5, "bytes": list(word.encode()), "top_logprobs": told}
    return {"logprobs": {"content": [first]}}


def _tool_calls(fake: FakeEngine, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of the script; without one a call of the first tool, the last message its argument."""
    if not body.get("tools"):
        return []
    if fake.calls is not None:
        wanted = fake.calls.pop(0) if fake.calls else []
    elif body["messages"][-1]["role"] == "tool":
        wanted = []
    else:
        arguments = json.dumps({"echo": body["messages"][-1]["content"]})
        wanted = [(body["tools"][0]["function"]["name"], arguments)]
    return [
        {
            "id": f"call-{secrets.token_hex(4)}",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }
        for name, arguments in wanted
    ]


def _prompt_logprobs(body: dict[str, Any]) -> list[dict[str, Any] | None]:
    rows: list[dict[str, Any] | None] = [None]
    for token in body["prompt"][1:]:
        noise = hashlib.sha256(f"{token} {body['model']}".encode()).digest()[0]
        rows.append({str(token): {"logprob": -0.01 - noise / 64, "rank": 1}})
    return rows


def _render(body: dict[str, Any]) -> list[int]:
    tokens: list[int] = list(json.dumps(body["tools"]).encode()) if body.get("tools") else []
    for message in body["messages"]:
        content = message.get("content") or ""
        if isinstance(content, list):
            content = " ".join(part.get("text", "") for part in content)
        tokens += [START, *f"{message['role']}\n{content}".encode(), END, 10]
    if body.get("add_generation_prompt", True):
        tokens += [START, *b"assistant\n"]
    return tokens


def _prompt_tokens(body: dict[str, Any]) -> int:
    if "messages" in body:
        return len(_render(body))
    prompt = body.get("prompt") or ""
    return len(prompt)


def _usage(used: int, plans: Sequence[tuple[list[str], str]]) -> dict[str, int]:
    made = sum(len(words) for words, _ in plans)
    return {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}


def _error(status: int, message: str) -> Response:
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return JSONResponse({"error": error}, status)


class _Edge:
    """Wants the key, and puts into the scope how to break the connection: only uvicorn has its transport."""

    def __init__(self, fake: FakeEngine, app: FastAPI) -> None:
        self._fake = fake
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"").decode()
        if scope["path"].startswith("/v1") and given != f"Bearer {self._fake.key}":
            await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)
            return
        scope["abort"] = send.__self__.transport.abort
        await self._app(scope, receive, send)


def main() -> None:
    """Serve until killed; prints url and key as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--rate", type=float, default=2000.0)
    given = parser.parse_args()
    with serve(given.port, rate=given.rate) as fake:
        if given.home:
            fake.announce(given.home)
        print(json.dumps({"url": fake.url, "key": fake.key}), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
