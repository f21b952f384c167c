"""What is found and where it comes from, as plain frozen values: documents, sections, passages, hits.

They are what the other modules of this package take and give. Nothing here knows a database, a model, a
page or a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

DocumentState = Literal["waiting", "indexing", "ready", "refused", "removing"]
Kind = Literal["document", "answer"]
"""A passage stands in a document, or it is an answer that staff approved."""

EVERYBODY = ""
"""The audience of what everybody may see; any other audience is the name of a group."""


class RetrievalError(Exception):
    """Base of every error that this package raises; the message is one sentence for a person."""


class NotFound(RetrievalError):
    """The document does not exist, or is not for this person: the two are not told apart."""


class Unreadable(RetrievalError):
    """A file can't be taken in; the message says why, without the file's name."""


class Refused(RetrievalError):
    """What was asked can't be done with this document; the message says why."""


class Unavailable(RetrievalError):
    """Nothing can be searched now: the extra is not installed, the index is busy, a server is away."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a file under one heading. `title` is the path of headings, ` › ` between them."""

    title: str
    text: str
    page: int | None = None
    """From 1, where the format has pages."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file of the knowledge base. `name` is unique within its audience: a file of the same name
    replaces it. `digest` is the SHA-256 of its bytes in hex."""

    id: str
    name: str
    title: str
    audience: str
    digest: str
    size: int
    """Bytes."""
    state: DocumentState
    passages: int
    """How many of its passages stand in the index by now."""
    expected: int | None
    """How many it has, once it has been read."""
    reason: str | None
    """Why it was refused."""
    added_by: str
    watched: bool
    """Whether it came from the watched folder, and goes with its file there."""
    created_at: datetime
    updated_at: datetime

    @property
    def progress(self) -> float:
        """How much of it can be found already, 0 to 1."""
        if self.state == "ready":
            return 1.0
        return min(1.0, self.passages / self.expected) if self.expected else 0.0


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that is found as a whole. Its id hangs on what it says and where it stands."""

    id: str
    source_id: str
    """The id of its document; of an approved answer, of its approval."""
    kind: Kind
    audience: str
    title: str
    text: str
    page: int | None
    place: int
    """Its position in its document, from 0."""

    @property
    def searched(self) -> str:
        """What is embedded and indexed: the title path and the text. Of an approved answer its question."""
        return self.title if self.kind == "answer" else f"{self.title}\n{self.text}".strip()


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found. `score` is its cosine similarity to the question, -1 to 1."""

    passage: Passage
    score: float
    rank: float
    """By which hits are ordered, the highest first; of no meaning beside another question's."""
    block: Passage | None = None
    """Under the same id, where that was asked for: the passage with what stands around it, or the nearest of
    its lines alone."""
    covers: tuple[Hit, ...] = ()
    """What was found as well, not as good, and stands in the block."""

    @property
    def whole(self) -> Passage:
        """What was asked for."""
        return self.block or self.passage


def as_json(hit: Hit, number: int, alone: bool = False) -> dict[str, Any]:
    """A hit as a turn keeps it: everything that showing it, and training with it, needs later.

    The block that was asked for, unless the passage is taken `alone`.
    """
    one = hit.passage if alone else hit.whole
    kept = {
        "number": number,
        "id": one.id,
        "source": one.source_id,
        "kind": one.kind,
        "audience": one.audience,
        "title": one.title,
        "text": one.text,
        "page": one.page,
        "score": round(hit.score, 4),
    }
    # Where people are shown a little of it, they are shown what was found
    return kept if one is hit.passage else kept | {"excerpt": hit.passage.text}


def is_restricted(passage: Mapping[str, Any]) -> bool:
    """Whether a kept passage is not for everybody."""
    return bool(passage.get("audience"))
