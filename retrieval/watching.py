"""Keeps the documents like a folder of this machine: what is new there comes in, what is gone goes.

Files at its top are for everybody, those in a subfolder for the group of its name. A file that is still being
written waits until it has been quiet from one look to the next. What can't be seen is no reason to throw
documents away: a disk may be away for a while. Owns no thread; links are not followed.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from retrieval.files import clean_name
from retrieval.records import EVERYBODY, Document, NotFound, Refused, Unreadable
from retrieval.shelf import Change, NewDocument, Shelf, new_id

log = logging.getLogger(__name__)

BY = "the watched folder"
_SKIPPED = ("~", ".tmp", ".part", ".swp", ".crdownload")


class BringsIn(Protocol):
    """Takes a file in: name, path, audience, by whom."""

    def __call__(
        self, name: str, content: Path, audience: str, by: str, *, watched: bool
    ) -> tuple[Document, Change]: ...


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str
    audience: str
    mark: tuple[int, int]
    """Time of the last change in nanoseconds, and size."""


class Watching:
    """One folder. Call `look` every few seconds."""

    def __init__(
        self,
        folder: Path,
        shelf: Shelf,
        bring_in: BringsIn,
        take_out: Callable[[Document, str], Document],
    ) -> None:
        self._folder, self._shelf = folder.expanduser(), shelf
        self._bring_in, self._take_out = bring_in, take_out
        self._seen: dict[Path, tuple[int, int]] = {}
        self._taken: dict[Path, tuple[int, int]] = {}
        self._complained: set[str] = set()

    def look(self) -> None:
        """Compare the folder with the documents, once."""
        unread: set[str] = set()
        try:
            if not self._folder.is_dir():
                self._complain(f"the watched folder {self._folder} is not there")
                return
            found = {file.path: file for file in self._walk(unread)}
        except OSError as error:
            self._complain(f"the watched folder can't be read, and its documents stay: {error}")
            return
        for path, file in found.items():
            if self._seen.get(path) == file.mark and self._taken.get(path) != file.mark:
                self._take(file)
        gone = self._gone(found.values(), unread)
        if not found and len(gone) > 1:
            # So does the place look where a disk is to be mounted.
            why = "its documents stay until there is a file in it again"
            self._complain(f"the watched folder {self._folder} is empty; {why}")
            return
        self._seen = {path: file.mark for path, file in found.items()}
        self._taken = {path: mark for path, mark in self._taken.items() if path in found}
        for document in gone:
            self._forget(document)

    def _take(self, file: _File) -> None:
        try:
            self._bring_in(file.name, file.path, file.audience, BY, watched=True)
        except Refused as problem:
            self._complain(f"{file.path} is left out: {problem}")
        except Unreadable as problem:
            if not file.path.exists():
                return
            # Nobody waits for an answer here: the list of documents says what is wrong with it.
            digest = f"{file.mark[0]:x}-{file.mark[1]:x}"
            size, reason = file.mark[1], str(problem)
            self._shelf.add(NewDocument(new_id(), file.name, file.audience, digest, size, BY, True, reason))
        self._taken[file.path] = file.mark

    def _gone(self, found: Collection[_File], unread: Collection[str]) -> list[Document]:
        """The documents whose files are not there any more."""
        there = {(file.name, file.audience) for file in found}
        return [
            document
            for document in self._shelf.all()
            if document.watched
            and document.state != "removing"
            and document.audience not in unread
            and (document.name, document.audience) not in there
        ]

    def _forget(self, document: Document) -> None:
        with suppress(NotFound):  # somebody was faster
            self._take_out(document, BY)

    def _walk(self, unread: set[str]) -> Iterator[_File]:
        """The files that are there. The audiences of which some may be missing are added to `unread`.

        Raises `OSError` when nothing at all can be seen.
        """

        def skip(error: OSError) -> None:
            inside = Path(error.filename).relative_to(self._folder).parts
            if not inside:
                raise error
            unread.add(inside[0])
            self._complain(f"{error.filename} can't be read, and its documents stay: {error.strerror}")

        for folder, folders, names in os.walk(self._folder, onerror=skip):
            inside = PurePosixPath(Path(folder).relative_to(self._folder).as_posix())
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.startswith((".", "~")) or name.endswith(_SKIPPED):
                    continue
                path, parts = Path(folder) / name, inside.parts
                audience = parts[0] if parts else EVERYBODY
                try:
                    found = path.lstat()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    unread |= {audience, name}  # it may be a group's folder
                    self._complain(f"{path} can't be read, and its documents stay: {error.strerror}")
                    continue
                if not stat.S_ISREG(found.st_mode):
                    continue
                try:
                    short = clean_name("/".join((*parts[1:], name)))
                except Unreadable as error:
                    self._complain(f"{str(path)!r} is left out: {error}")
                    continue
                yield _File(path, short, audience, (found.st_mtime_ns, found.st_size))

    def _complain(self, sentence: str) -> None:
        if sentence not in self._complained:
            self._complained.add(sentence)
            log.warning("%s", sentence)
