"""From conversations to batches: encoding, packing into rows, and a process beside the build that does both.

Owns labels, row lengths and the stream's order, which hangs on the seed and the plan alone, never on time.
Does not know what the conversations say, nor the model.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import random
import signal
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import parent_process
from types import TracebackType
from typing import TYPE_CHECKING, Any

from training.starter import corpus
from training.starter.records import Conversation

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
# Few shapes: each one is a graph to compile. Shorter rows cost less attention.
LENGTHS = (256, 512, 768, 1024)
# Batches in a chunk, the piece of the stream that is made from one random state.
CHUNK = 32
# Scored places come in blocks of this many, so that one graph does for all batches.
BLOCK = 512
# Share of a chunk's places that its conversations are to fill; the rest is what packing loses.
_FILL = 0.975
_AT_ONCE = 128

Encoded = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Batch:
    """Rows of packed conversations, (rows, length), and which places are scored.

    `segments` numbers the conversations of a row from 1, 0 is filling. `places` are flat positions whose
    next token is `targets`, filled up with place 0 and IGNORED to a multiple of BLOCK.
    """

    ids: np.ndarray[Any, Any]
    segments: np.ndarray[Any, Any]
    places: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]


def render(made: Conversation, template: str) -> tuple[str, list[tuple[int, int]]]:
    """A conversation as text, and where in it the answers stand: (first, behind the last) characters."""
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, spans = render_jinja_template(
        conversations=[made.messages],
        tools=made.tools,
        chat_template=template,
        return_assistant_tokens_mask=True,
    )
    return texts[0], [(low, high) for low, high in spans[0]]


def encode(tok: PreTrainedTokenizerFast, conversations: Sequence[Conversation]) -> list[Encoded]:
    """Token ids and labels of each conversation; labels are -100 outside the answers.

    The same as `apply_chat_template(..., return_assistant_tokens_mask=True)` gives, many times quicker.
    """
    rendered = [render(one, tok.chat_template) for one in conversations]
    made = tok.backend_tokenizer.encode_batch([text for text, _ in rendered], add_special_tokens=False)
    return [
        (one.ids, _labels(one.ids, one.offsets, spans))
        for one, (_, spans) in zip(made, rendered, strict=True)
    ]


def _labels(ids: list[int], offsets: list[tuple[int, int]], spans: list[tuple[int, int]]) -> list[int]:
    labels, place = [IGNORED] * len(ids), 0
    for low, high in spans:
        while place < len(ids) and offsets[place][1] <= low:
            place += 1
        while place < len(ids) and offsets[place][0] < high:
            labels[place] = ids[place]
            place += 1
    return labels


def pack(pool: Sequence[Encoded], batch_tokens: int, count: int) -> list[Batch]:
    """At most `count` batches of about `batch_tokens` places, filled first-fit, longest first.

    A conversation opens a batch of the shortest rows that hold it, unless it fits into an open row; those
    that fit nowhere once `count` batches are open are left out.
    """
    opened: list[tuple[int, list[list[Encoded]], list[int]]] = []
    for one in sorted(pool, key=lambda one: -len(one[0])):
        size = len(one[0])
        fitting = (
            (rows, room, at) for _, rows, room in opened for at, left in enumerate(room) if left >= size
        )
        found = next(fitting, None)
        if not found:
            length = next((length for length in LENGTHS if length >= size), 0)
            if not length or len(opened) == count:
                continue
            high = max(1, batch_tokens // length)
            opened.append((length, [[] for _ in range(high)], [length] * high))
            found = (*opened[-1][1:], 0)
        rows, room, place = found
        rows[place].append(one)
        room[place] -= size
    return [_batch(length, rows) for length, rows, _ in opened]


def _batch(length: int, rows: list[list[Encoded]]) -> Batch:
    import numpy as np

    ids = np.zeros((len(rows), length), np.int64)
    segments = np.zeros((len(rows), length), np.int32)
    places: list[int] = []
    targets: list[int] = []
    for at, row in enumerate(rows):
        low = 0
        for number, (one, labels) in enumerate(row, 1):
            ids[at, low : low + len(one)] = one
            segments[at, low : low + len(one)] = number
            kept = [place for place in range(1, len(one)) if labels[place] != IGNORED]
            places += [at * length + low + place - 1 for place in kept]
            targets += [labels[place] for place in kept]
            low += len(one)
    short = -len(places) % BLOCK if places else BLOCK
    return Batch(
        ids,
        segments,
        np.array(places + [0] * short, np.int64),
        np.array(targets + [IGNORED] * short, np.int64),
    )


def chunk(
    tok: PreTrainedTokenizerFast, seed: int, number: int, progress: float, batch_tokens: int
) -> list[Batch]:
    """The batches `number * CHUNK` and on, in random order; the same whenever they are made."""
    rng = random.Random(f"build {seed} {number}")
    pool: list[Encoded] = []
    wanted = _FILL * CHUNK * sum(max(1, batch_tokens // length) * length for length in LENGTHS) / len(LENGTHS)
    while wanted > 0:
        fresh = encode(tok, [corpus.conversation(rng, progress) for _ in range(_AT_ONCE)])
        for one in fresh:
            if len(one[0]) <= LENGTHS[-1] and wanted > 0:
                pool.append(one)
                wanted -= len(one[0])
    made = pack(pool, batch_tokens, CHUNK)
    while len(made) < CHUNK:
        # Only where rows are few and conversations short can the pool have filled too few batches.
        more = encode(tok, [corpus.conversation(rng, progress) for _ in range(_AT_ONCE)])
        made += pack([one for one in more if len(one[0]) <= LENGTHS[-1]], batch_tokens, CHUNK - len(made))
    rng.shuffle(made)
    return made


@dataclass(frozen=True)
class Order:
    """What the stream hangs on."""

    folder: str
    seed: int
    batch_tokens: int
    begin: float = 0.0
    """How far the corpus is at the first step, 0 to 1: a model that goes on needs only its last part."""


class Stream:
    """Batches without end, from step `first` on, made two chunks ahead in a process of low priority.

    `plan` is the number of steps of the whole build, 0 while it is unknown; it may be set later, and what
    is made after that goes by it.
    """

    def __init__(self, order: Order, plan: int, first: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self._plan = context.Value("q", plan)
        self._chunks: Any = context.Queue(maxsize=2)
        self._skip = first % CHUNK
        self._process = context.Process(
            target=_produce, args=(order, self._plan, first // CHUNK, self._chunks), daemon=True
        )
        # Tokenizers' own threads would take the step's cores.
        kept = os.environ.get("TOKENIZERS_PARALLELISM")
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            self._process.start()
        finally:
            if kept is None:
                del os.environ["TOKENIZERS_PARALLELISM"]
            else:
                os.environ["TOKENIZERS_PARALLELISM"] = kept

    @property
    def plan(self) -> int:
        """Steps of the whole build; 0: not known yet."""
        return int(self._plan.value)

    @plan.setter
    def plan(self, steps: int) -> None:
        self._plan.value = steps

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        self._chunks.cancel_join_thread()
        self._chunks.close()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            made = self._next()
            yield from made[self._skip :]
            self._skip = 0

    def _next(self) -> list[Batch]:
        while True:
            try:
                made = self._chunks.get(timeout=5)
            except queue.Empty:
                if not self._process.is_alive():
                    raise RuntimeError(
                        f"the process that makes the batches ended with code {self._process.exitcode}"
                    ) from None
                continue
            if isinstance(made, str):
                raise RuntimeError(f"the process that makes the batches failed:\n{made}")
            return list(made)


def _produce(order: Order, plan: Any, number: int, chunks: Any) -> None:
    # Ctrl-C reaches every process of the terminal; the build ends this one itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The step's threads wait for each other: one that has to queue for its core holds up both.
    os.nice(19)
    try:
        from transformers import PreTrainedTokenizerFast

        tok = PreTrainedTokenizerFast.from_pretrained(order.folder)
        while True:
            done = min(1.0, number * CHUNK / plan.value) if plan.value else 0.0
            progress = order.begin + (1 - order.begin) * done
            made = chunk(tok, order.seed, number, progress, order.batch_tokens)
            if not _hand_over(chunks, made):
                return
            number += 1
    except Exception:  # noqa: BLE001 - it is handed over as text and raised again on the other side
        _hand_over(chunks, traceback.format_exc())


def _hand_over(chunks: Any, made: Any) -> bool:
    parent = parent_process()
    while parent is None or parent.is_alive():
        try:
            chunks.put(made, timeout=5)
            return True
        except queue.Full:
            continue
    # Nobody is left to read it; without this, the queue's thread would wait for a reader for ever.
    chunks.cancel_join_thread()
    return False
