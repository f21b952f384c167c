"""Turns an answer's Markdown into HTML that is safe to put into a page.

Pure. What the text says is kept to the letter: tags in it are shown, not obeyed, and nothing is loaded from
elsewhere (an image becomes a link). Knows no page and no turn.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_SAFE_LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)
_CITED = re.compile(r"\[(\d{1,3})\]")
_LANGUAGE = re.compile(r"[A-Za-z0-9+#._-]{1,30}")


def _fence(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    """A block of code under a line that names its language and offers to copy it."""
    token = tokens[index]
    named = _LANGUAGE.match(token.info.strip())
    language = named.group() if named else "text"
    return (
        f'<div class="code"><div class="code-head"><span>{escape(language)}</span>'
        '<button type="button" class="quiet" data-copy="code">Copy code</button></div>'
        f'<pre tabindex="0"><code>{escape(token.content)}</code></pre></div>\n'
    )


def _link_open(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    """Links open beside the page, and the place they lead to does not learn where they came from."""
    tokens[index].attrSet("target", "_blank")
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    return self.renderToken(tokens, index, options, env)


def _table_open(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    """A wide table scrolls by itself, so that the page does not."""
    return '<div class="table" tabindex="0">' + self.renderToken(tokens, index, options, env)


def _table_close(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    return self.renderToken(tokens, index, options, env) + "</div>"


def _text(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    """Words, with links where they name a source."""
    sources = env.get("sources", {})

    def linked(mark: re.Match[str]) -> str:
        place = sources.get(int(mark[1]))
        if place is None:
            return mark[0]
        return (
            f'<a class="cite" href="#{place}" data-cite="{place}" aria-label="Source {mark[1]}">{mark[0]}</a>'
        )

    return _CITED.sub(linked, escape(tokens[index].content))


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    # A picture is fetched without a click: an answer could tell a foreign server who reads it.
    parser.disable("image")
    parser.validateLink = lambda url: bool(_SAFE_LINK.match(url))  # type: ignore[method-assign]
    for name, rule in (
        ("text", _text),
        ("fence", _fence),
        ("code_block", _fence),
        ("link_open", _link_open),
        ("table_open", _table_open),
        ("table_close", _table_close),
    ):
        parser.add_render_rule(name, rule)
    return parser


_PARSER = _parser()


def render(text: str) -> str:
    """Safe HTML of a text that may still be growing."""
    return str(_PARSER.render(text))


@lru_cache(maxsize=4096)
def render_settled(text: str, sources: tuple[tuple[int, str], ...] = ()) -> str:
    """The same for a text that will not change any more: a page is drawn again after every click.

    Where it names a source by its number, such as [1], a link leads to the element of that id.
    """
    return str(_PARSER.render(text, {"sources": dict(sources)}))
