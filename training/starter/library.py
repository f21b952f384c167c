"""The shop's knowledge base as passages: the sections of the shipped Markdown documents.

Owns their place, how they are cut, and which sections tell a fact. Does not know retrieval or conversations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.starter.facts import Fact
from training.starter.reading import holds


@dataclass(frozen=True)
class Section:
    """One section of a document, its heading in front of its text."""

    document: str
    heading: str
    text: str
    stem: str
    """Of the document's file."""

    @property
    def title(self) -> str:
        """Document and heading: Shipping to Norway: Cost."""
        return f"{self.document}: {self.heading}" if self.heading else self.document


def folder() -> Path:
    """Where the Markdown documents are."""
    return Path(__file__).parent / "documents"


@cache
def sections() -> tuple[Section, ...]:
    """Every section of every document, in a stable order."""
    paths = sorted(folder().glob("*.md"))
    return tuple(one for path in paths for one in _cut(path.stem, path.read_text("utf-8")))


@cache
def of(stem: str) -> tuple[Section, ...]:
    """The sections of one document, by the name of its file without its ending."""
    return tuple(one for one in sections() if one.stem == stem)


@cache
def telling(fact: Fact) -> tuple[Section, ...]:
    """The sections that state `fact`, in documents about its subject where it has one."""
    return tuple(
        one for one in sections() if fact.subject.lower() in one.document.lower() and holds(fact, one.text)
    )


def _cut(stem: str, text: str) -> list[Section]:
    head, *rest = text.split("\n## ")
    title, _, lead = head.partition("\n")
    document = title.removeprefix("#").strip()
    found = [Section(document, "", lead.strip(), stem)] if lead.strip() else []
    for part in rest:
        heading, _, body = part.partition("\n")
        found.append(Section(document, heading.strip(), body.strip(), stem))
    return found
