"""Markdown to sections: one for each heading that has text, titled by the path of headings above it.

The text between two headings stays as it was written, lists, tables and code included. What is no text goes:
front matter, comments, embedded images, HTML around blocks. HTML and DOCX are arranged here too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from retrieval.records import Section

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

BETWEEN = " › "
"""Stands between two headings of a title path."""
LONGEST_TITLE = 120
"""Characters of one heading in a path; a longer one is cut there and stands whole in the text."""

_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)^(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"^title\s*[:=]\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_KEYED = re.compile(r"^[\w\"'.-]+\s*[:=]", re.MULTILINE)
_ANCHOR = re.compile(r"\s*\{#[^{}]*\}\s*$")
_EMBEDDED = re.compile(r"!\[([^\]\n]*)\]\(\s*data:[^)\n]*\)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A heading and the text below it, up to the next heading of whatever level."""

    level: int
    """1 to 6; 0 for what stands before the first heading."""
    heading: str
    text: str


def sections(text: str, fallback: str) -> list[Section]:
    """The sections of a Markdown text. `fallback` is its title where it names none itself."""
    declared, text = _without_front_matter(text)
    return arranged(_blocks(_EMBEDDED.sub(r"\1", text)), fallback, declared)


def arranged(blocks: Sequence[Block], fallback: str, declared: str = "") -> list[Section]:
    """Sections of a document's blocks. Its title is the `declared` one, else its only first heading, else
    `fallback`; it stands at the beginning of every path."""
    headings = [block for block in blocks if block.level]
    tops = [block for block in headings if block.level == 1]
    root = declared or (tops[0].heading if len(tops) == 1 and headings[0] is tops[0] else fallback)
    path: list[Block] = []
    found = []
    for number, block in enumerate(blocks):
        path = [*(above for above in path if above.level < block.level), block] if block.level else []
        titles = [one.heading for one in path]
        if not titles or titles[0].casefold() != root.casefold():
            titles.insert(0, root)
        text = block.text.strip("\n").rstrip()
        if not text and not any(below.level > block.level for below in blocks[number + 1 : number + 2]):
            # Nothing stands below it, so what the heading says is all that there is
            text = block.heading
        elif len(block.heading) > LONGEST_TITLE:
            text = f"{block.heading}\n\n{text}".rstrip()
        found.append(Section(path_of(titles), text))
    return [one for one in found if one.text]


def path_of(titles: Sequence[str]) -> str:
    """A title path, of the titles that are not empty."""
    return BETWEEN.join(_short(title) for title in titles if title)


def _short(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1].rstrip() + "…"


def _without_front_matter(text: str) -> tuple[str, str]:
    """The title that the front matter declares, and the text without it."""
    front = _FRONT.match(text)
    if front is None or not _KEYED.search(front[2]):
        return "", text
    title = _TITLE.search(front[2])
    return title[1].strip("\"'").strip() if title else "", text[front.end() :]


def _blocks(text: str) -> list[Block]:
    """The text by its headings, HTML blocks in it as plain text."""
    parser, _ = _parsers()
    lines = text.split("\n")
    tokens = parser.parse(text)
    found: list[Block] = []
    level, heading, start = 0, "", 0
    for token, inside in zip_longest(tokens, tokens[1:]):
        if token.level or not token.map:
            continue
        first, end = token.map
        if token.type == "heading_open" and inside and (content := _plain(inside.content)):
            found.append(Block(level, heading, "\n".join(lines[start:first])))
            level, heading, start = int(token.tag[1]), content, end
        elif token.type == "html_block":
            # As many lines as before, so that the places of the others hold
            plain = _without_markup("\n".join(lines[first:end]))
            lines[first:end] = [plain, *[""] * (end - first - 1)]
    return [*found, Block(level, heading, "\n".join(lines[start:]))]


def _plain(heading: str) -> str:
    """A heading's words without their markup."""
    _, parser = _parsers()
    token = parser.parseInline(_ANCHOR.sub("", heading))[0]
    words = (
        child.content
        if child.type in ("text", "code_inline", "image")
        else " " * child.type.endswith("break")
        for child in token.children or []
    )
    return " ".join("".join(words).split())


def _without_markup(block: str) -> str:
    without = _COMMENT.sub("", block)
    if not without.strip():
        return ""
    from retrieval.markup import as_markdown

    return as_markdown(without)


@cache
def _parsers() -> tuple[MarkdownIt, MarkdownIt]:
    """One for blocks, which leaves what is inside them alone, and one for the insides of a heading."""
    from markdown_it import MarkdownIt

    blocks = MarkdownIt("commonmark")
    blocks.core.ruler.enableOnly(["normalize", "block"])
    return blocks, MarkdownIt("commonmark")
