"""One document from waiting to ready or refused, or from removing to gone: the whole way, on this page.

Every step may be killed at any line. What a dead one left is claimed again and goes on: passages that stand
in the index already are not embedded again. Knows no person and no format.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from feedback.database import DatabaseUnavailable
from retrieval.files import Files
from retrieval.records import Document, NotFound, Passage, Section, Unavailable, Unreadable
from retrieval.shelf import Lost, Shelf

if TYPE_CHECKING:
    from retrieval.index import Index

log = logging.getLogger(__name__)

Reads = Callable[[Path, str], Sequence[Section]]
"""The sections of a file of that name. Raises `Unreadable`."""
Cuts = Callable[[Document, Sequence[Section]], Sequence[Passage]]
_TELL_SECONDS = 0.3


class Stopped(Exception):
    """The process is being ended in the middle of a document, which waits for the next one."""


class Indexing:
    """Works on the documents of a shelf, one at a time."""

    def __init__(
        self,
        shelf: Shelf,
        files: Files,
        index: Index,
        read: Reads,
        cut: Cuts,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._shelf, self._files, self._index = shelf, files, index
        self._read, self._cut = read, cut
        self._stopping = stopping

    def step(self, *, alone: bool) -> bool:
        """Take one document as far as it goes; False when none waits. `alone`: nobody else can be at it."""
        document = self._shelf.claim(alone=alone)
        if document is None:
            return False
        try:
            if document.state == "removing":
                self.remove(document)
            elif document.state == "refused":
                self.leave_out(document)
            else:
                self.take_in(document)
        except Lost:
            self._tidy(document)
        except (Stopped, Unavailable, DatabaseUnavailable):
            raise
        except Exception:
            # One document that nothing was prepared for must not keep the others from coming in.
            log.exception("%s (%s) could not be indexed", document.name, document.id)
            if document.state != "indexing":
                raise
            self._give_up(document)
        return True

    def take_in(self, document: Document) -> None:
        """Read, cut, embed, index. Raises `Lost`, and `Stopped` with the document back in the queue."""
        told = _Told(self._shelf, document, self._stopping)
        try:
            sections = self._read(self._files.place(document), document.name)
            passages = self._cut(document, sections)
            if not passages:
                raise Unreadable("there is no text in it")
        except Unreadable as problem:
            # What an earlier version of it said must not be found any more either.
            self._index.drop(document.id)
            self._shelf.refuse(document, str(problem))
            log.info("%s (%s) was refused: %s", document.name, document.id, problem)
            return
        told.note(passages=0, expected=len(passages))
        try:
            self._index.put(document.id, passages, told)
        except Unavailable:
            self._shelf.put_back(told.document)
            raise
        self._shelf.ready(told.document, _title(document, sections), len(passages))
        self._sweep(document)
        log.info("%s (%s) is ready: %d passages", document.name, document.id, len(passages))

    def leave_out(self, document: Document) -> None:
        """Take what an earlier version of a refused one said out of the index. Raises `Lost`."""
        self._index.drop(document.id)
        self._shelf.refuse(document, document.reason or "")

    def remove(self, document: Document) -> None:
        """Take it out of the index, then delete its file and its row. Added again meanwhile, it stays."""
        self._index.drop(document.id)
        with self._files.held():
            if self._shelf.get(document.id).state == "removing":
                self._files.delete(document)
                self._shelf.forget(document)
        log.info("%s (%s) is gone", document.name, document.id)

    def _sweep(self, document: Document) -> None:
        """Delete the files of earlier versions. By the row as it is now: a newer one may have come since."""
        with self._files.held(), suppress(NotFound):
            self._files.sweep(self._shelf.get(document.id))

    def _give_up(self, document: Document) -> None:
        try:
            now = self._shelf.get(document.id)
            if now.state == "indexing" and now.digest == document.digest:
                why = "something went wrong while it was indexed; the log says what"
                self._shelf.refuse(now, why, passages=max(1, now.passages))
        except (Lost, NotFound):
            pass

    def _tidy(self, document: Document) -> None:
        """It was taken from us; if nobody has it any more, nothing of it may stay in the index."""
        try:
            # Whoever removes it may have dropped it before we wrote the last of it
            going = self._shelf.get(document.id).state == "removing"
        except NotFound:
            going = True
        if going:
            self._index.drop(document.id)


class _Told:
    """Hears how many passages stand in the index, and writes it down now and then."""

    def __init__(self, shelf: Shelf, document: Document, stopping: Callable[[], bool]) -> None:
        self.document = document
        self._shelf, self._stopping = shelf, stopping
        self._last = 0.0

    def __call__(self, count: int) -> None:
        if self._stopping():
            self._shelf.put_back(self.document)
            raise Stopped
        if time.monotonic() - self._last >= _TELL_SECONDS:
            self.note(passages=count)

    def note(self, **values: int) -> None:
        """Write it down now. Raises `Lost`."""
        self.document = self._shelf.progress(self.document, **values)
        self._last = time.monotonic()


def _title(document: Document, sections: Sequence[Section]) -> str:
    """Its first heading, or else its name without the ending."""
    first = next((part.title.split(" › ")[0] for part in sections if part.title), "")
    return first or Path(document.name).stem
