"""Markdown to sections: one for each heading that has text, titled by the path of headings above it.

The text between two headings stays as it was written, lists, tables and code included. What is no text goes:
front matter, comments, embedded images, markup of blocks. HTML and DOCX come down to this path too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
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
_EMBEDDED = re.compile(r"!\[([^\]\n]*)\]\(\s*data:[^)\s]*[^)\n]*\)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Heading:
    level: int
    text: str
    start: int
    """The first of its lines, from 0."""
    end: int
    """The line after it."""


def sections(text: str, fallback: str) -> list[Section]:
    """The sections of a Markdown text. `fallback` is its title where it names none itself."""
    declared, text = _without_front_matter(text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _EMBEDDED.sub(r"\1", text)
    lines, headings = _blocks(text)
    root = _root(declared, headings, fallback)
    path: list[_Heading] = []
    found = [_section([root], None, lines[: headings[0].start if headings else len(lines)])]
    for number, heading in enumerate(headings):
        following = headings[number + 1] if number + 1 < len(headings) else None
        path = [*(above for above in path if above.level < heading.level), heading]
        body = lines[heading.end : following.start if following else len(lines)]
        titles = [one.text for one in path]
        if root and titles[0].casefold() != root.casefold():
            titles.insert(0, root)
        # A heading that others stand under needs no section of its own: it is in their titles
        leads = following is not None and following.level > heading.level
        found.append(_section(titles, None if leads else heading, body))
    return [one for one in found if one.text]


def path_of(titles: list[str]) -> str:
    """A title path, of headings that are not empty."""
    return BETWEEN.join(_short(title) for title in titles if title)


def _section(titles: list[str], leaf: _Heading | None, lines: list[str]) -> Section:
    text = "\n".join(lines).strip("\n").rstrip()
    cut_off = [title for title in titles[-1:] if len(title) > LONGEST_TITLE]
    if not text.strip():
        # Nothing below it, so what the heading says is all that there is
        return Section(path_of(titles), leaf.text if leaf else "")
    return Section(path_of(titles), "\n\n".join([*cut_off, text]))


def _short(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1].rstrip() + "…"


def _root(declared: str, headings: list[_Heading], fallback: str) -> str:
    """What every path begins with: the declared title, else the only first heading, else `fallback`."""
    if declared:
        return declared
    tops = [heading for heading in headings if heading.level == 1]
    if len(tops) == 1 and headings[0] is tops[0]:
        return tops[0].text
    return fallback


def _without_front_matter(text: str) -> tuple[str, str]:
    """The title that the front matter declares, and the text without it."""
    front = _FRONT.match(text)
    if front is None or not _KEYED.search(front[2]):
        return "", text
    title = _TITLE.search(front[2])
    return title[1].strip("\"'").strip() if title else "", text[front.end() :]


def _blocks(text: str) -> tuple[list[str], list[_Heading]]:
    """The lines, those of HTML blocks as plain text, and the headings among them."""
    blocks, _ = _parsers()
    lines = text.split("\n")
    found: list[_Heading] = []
    tokens = blocks.parse(text)
    for number, token in enumerate(tokens):
        if token.level or not token.map:
            continue
        start, end = token.map
        if token.type == "heading_open":
            content = _plain(tokens[number + 1].content)
            if content:
                found.append(_Heading(int(token.tag[1]), content, start, end))
        elif token.type == "html_block":
            plain = _without_markup("\n".join(lines[start:end]))
            # As many lines as before, so that the places of the others hold
            lines[start:end] = [plain, *[""] * (end - start - 1)]
    return lines, found


def _plain(heading: str) -> str:
    """A heading's words without their markup."""
    _, inline = _parsers()
    token = inline.parseInline(_ANCHOR.sub("", heading))[0]
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

    return as_markdown(without).strip()


@cache
def _parsers() -> tuple[MarkdownIt, MarkdownIt]:
    """One for blocks, which leaves what is inside them alone, and one for the insides of a heading."""
    from markdown_it import MarkdownIt

    blocks = MarkdownIt("commonmark")
    blocks.core.ruler.enableOnly(["normalize", "block"])
    return blocks, MarkdownIt("commonmark")
