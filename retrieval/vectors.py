"""Vectors in Chroma: embedded in a folder that one process holds, or on a server.

Each kind and audience has a collection of its own, so what is not asked for can't come back, and no query
pays for a filter. Chroma holds ids and vectors and no word of a text. Knows no table.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from retrieval.embeddings import Embedder
from retrieval.records import Kind, Passage, Unavailable

if TYPE_CHECKING:
    from langchain_chroma import Chroma

    from retrieval.embeddings import Vectors as Rows

Place = tuple[Kind, str]
"""A kind and an audience: what a collection holds."""

HNSW = {"space": "cosine", "ef_construction": 200, "ef_search": 400, "max_neighbors": 32}
"""Chroma's own numbers (100, 100, 16) miss one in six of the ten nearest of 100,000 crowded vectors; these
miss one in 500, for a millisecond more."""
_PREFIX = "apprentice"
LOOK_SECONDS = 5.0
"""How soon a collection that another process made on the server is noticed."""
_PAGE = 1_000
"""Ids that one call to Chroma names."""


class Vectors:
    """The collections of one owner, filled by one embedding model. Safe to share between threads."""

    def __init__(self, client: Any, owner: str, embedder: Embedder, held: FileLock | None) -> None:
        self._client = client
        self._owner = owner
        self._embedder = embedder
        self._held = held
        self.shared = held is None
        """Whether other processes may write here too."""
        self._opening = threading.Lock()
        self._mine: dict[Place, Any] = {}
        self._foreign: list[str] = []
        self._looked = 0.0
        self._look()

    def namespaces(self) -> dict[str, Place]:
        """The collections of this model. A name is never used again for another collection."""
        if self.shared:
            self._look()
        return {self._namespace(one): place for place, one in self._mine.items()}

    def foreign(self) -> bool:
        """Whether collections of another model are here."""
        return bool(self._foreign)

    def namespace(self, place: Place) -> str:
        """The name of the collection of this kind and audience, which is made if there is none."""
        return self._namespace(self._collection(place))

    def store(self, place: Place, passages: Mapping[str, Passage]) -> Chroma:
        """The collection for langchain: a document's content is the id of one of `passages`, and what is
        embedded is the text of that one."""
        from langchain_chroma import Chroma

        one = self._collection(place)
        return Chroma(
            client=self._client,
            collection_name=one.name,
            # Chroma is typed for lists of numbers; an array goes through as it is
            embedding_function=_Searched(self._embedder, passages),
            collection_metadata=one.metadata,
            create_collection_if_not_exists=False,
        )

    def near(self, place: Place, vector: Any, most: int) -> list[tuple[str, float]]:
        """Ids and cosines of the nearest, nearest first."""
        one = self._known(place)
        if one is None:
            return []
        with foreign_errors():
            found = one.query(query_embeddings=[vector], n_results=most, include=["distances"])
        return [(key, 1.0 - apart) for key, apart in zip(found["ids"][0], found["distances"][0], strict=True)]

    def rows(self, place: Place, ids: Sequence[str]) -> dict[str, Any]:
        """The vectors of those of `ids` that are here."""
        one = self._known(place)
        if one is None or not ids:
            return {}
        with foreign_errors():
            found = one.get(ids=list(ids), include=["embeddings"])
        return dict(zip(found["ids"], found["embeddings"], strict=True))

    def present(self, place: Place, ids: Sequence[str]) -> set[str]:
        """Which of `ids` have a vector."""
        one = self._known(place)
        if one is None:
            return set()
        with foreign_errors():
            return {key for part in _pages(ids) for key in one.get(ids=part, include=[])["ids"]}

    def ids(self, place: Place) -> Iterator[list[str]]:
        """All that have a vector, some at a time. Nothing may be deleted meanwhile."""
        one, start = self._known(place), 0
        while one is not None:
            with foreign_errors():
                part = one.get(limit=_PAGE, offset=start, include=[])["ids"]
            if not part:
                return
            yield part
            start += len(part)

    def count(self, place: Place) -> int:
        """How many vectors there are."""
        one = self._known(place)
        with foreign_errors():
            return int(one.count()) if one is not None else 0

    def delete(self, place: Place, ids: Iterable[str]) -> None:
        """Their vectors are gone, whether they were there or not."""
        one = self._known(place)
        if one is None:
            return
        with foreign_errors():
            for part in _pages(list(ids)):
                one.delete(ids=part)

    def drop_foreign(self) -> None:
        """The collections of other models are gone."""
        while self._foreign:
            with foreign_errors():
                self._client.delete_collection(self._foreign[-1])
            self._foreign.pop()

    def close(self) -> None:
        """Give the folder back."""
        self._client.close()
        if self._held is not None:
            self._held.release()

    def _known(self, place: Place) -> Any:
        """The collection of this kind and audience, or None."""
        if self.shared and place not in self._mine and time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        return self._mine.get(place)

    def _collection(self, place: Place) -> Any:
        with self._opening:
            if place not in self._mine:
                kind, audience = place
                text = f"{self._embedder.name}\n{self._embedder.dimension}\n{kind}\n{audience}"
                name = f"{self._label()}-{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
                with foreign_errors():
                    made = self._client.get_or_create_collection(
                        name,
                        embedding_function=None,
                        metadata={
                            "model": self._embedder.name,
                            "dimension": self._embedder.dimension,
                            "kind": kind,
                            "audience": audience,
                        },
                        configuration={"hnsw": HNSW},
                    )
                self._mine = {**self._mine, place: made}
            return self._mine[place]

    def _look(self) -> None:
        """See which collections there are."""
        mine, foreign = {}, []
        with foreign_errors():
            found = [
                one for one in self._client.list_collections() if one.name.startswith(f"{self._label()}-")
            ]
        for one in found:
            about = one.metadata or {}
            if (about.get("model"), about.get("dimension")) == (
                self._embedder.name,
                self._embedder.dimension,
            ):
                mine[about["kind"], about["audience"]] = one
            else:
                foreign.append(one.name)
        self._mine, self._foreign = mine, foreign
        self._looked = time.monotonic()

    def _label(self) -> str:
        return f"{_PREFIX}-{self._owner}"

    def _namespace(self, one: Any) -> str:
        return f"{self._embedder.name[-100:]} {self._embedder.dimension} {one.id}"


class _Searched:
    """langchain's `Embeddings`: told an id, it embeds the text that the passage of that id is found by."""

    def __init__(self, embedder: Embedder, passages: Mapping[str, Passage]) -> None:
        self._embedder = embedder
        self._passages = passages

    def embed_documents(self, texts: list[str]) -> Rows:
        return self._embedder.documents([self._passages[key].searched for key in texts])

    def embed_query(self, text: str) -> Rows:
        return self._embedder.question(text)


def open_vectors(location: str, folder: Path, owner: str, embedder: Embedder) -> Vectors:
    """Chroma at the URL `location`, or without one in `folder`. Raises `Unavailable`: also where another
    process holds the folder."""
    try:
        import chromadb
        from chromadb.config import Settings
    except ImportError as error:
        raise Unavailable(f"the index needs the extra `documents`: {error}") from error
    quiet = Settings(anonymized_telemetry=False)
    if location:
        parts = urlsplit(location)
        secure = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unavailable(f"{location!r} is no address of a Chroma server such as http://127.0.0.1:8000")
        port = parts.port or (443 if secure else 80)
        with foreign_errors():
            client = chromadb.HttpClient(host=parts.hostname, port=port, ssl=secure, settings=quiet)
        return Vectors(client, owner, embedder, None)
    folder.mkdir(parents=True, exist_ok=True)
    held = FileLock(folder / "owner.lock", timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise Unavailable(
            f"the index in {folder} is in use by another process; stop that one first"
        ) from None
    try:
        with foreign_errors():
            return Vectors(chromadb.PersistentClient(folder / "chroma", quiet), owner, embedder, held)
    except BaseException:
        held.release()
        raise


@contextmanager
def foreign_errors() -> Iterator[None]:
    """What Chroma and its connection raise becomes `Unavailable`."""
    import httpx
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, httpx.HTTPError) as error:
        raise Unavailable(f"the index does not answer: {' '.join(str(error).split())[:300]}") from error
    except ValueError as error:
        # The client's own word for a server that is away
        if "connect" not in str(error):
            raise
        raise Unavailable("the Chroma server does not answer") from error


def places(kinds: Collection[Kind], audiences: Collection[str]) -> list[Place]:
    """Every kind with every audience, each once, in order."""
    return [(kind, audience) for kind in dict.fromkeys(kinds) for audience in sorted(set(audiences))]


def _pages(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _PAGE):
        yield list(ids[start : start + _PAGE])
