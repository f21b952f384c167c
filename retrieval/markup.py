"""HTML to Markdown and to sections: what a reader of the page sees of its text, by its headings.

Scripts, styles, menus, forms and what is hidden go, and where a page marks its main part, all around it.
Links keep addresses that lead somewhere by themselves. Knows nothing of files.
"""

from __future__ import annotations

import re
from typing import Any

from bs4 import BeautifulSoup, Tag

from retrieval.decoding import decode
from retrieval.markdown import Block, arranged
from retrieval.records import Section, Unreadable

_CHARSET = re.compile(
    rb"""(?:<meta[^>]*?charset|<\?xml[^>]*?encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE
)
_GONE = (
    "script, style, noscript, template, svg, canvas, iframe, object, embed, audio, video, title, nav, "
    "dialog, button, input, select, textarea, [hidden], [aria-hidden='true'], [role='navigation'], "
    "[role='search'], [style*='display:none'], [style*='display: none'], [style*='visibility:hidden'], "
    "body > footer, [role='contentinfo']"
)
_BLOCKS = (
    "address article aside blockquote div dl fieldset footer form h1 h2 h3 h4 h5 h6 header hr main ol p pre "
    "section table ul"
)
# Tag -> the tags that it ends by beginning: HTML lets these go without an end of their own
_ENDS = {
    **{key: {"p"} for key in _BLOCKS.split()},
    "li": {"li", "p"},
    **{key: {"dt", "dd", "p"} for key in ("dt", "dd")},
    **{key: {"td", "th", "p"} for key in ("td", "th")},
    **{key: {"tr", "td", "th", "p", "thead", "tbody"} for key in ("tr", "tbody", "tfoot")},
}
_DEEPEST = 500
_TOO_DEEP = "its parts are nested too deep"
_LONGEST_ADDRESS = 200
# Around a heading on its way through Markdown; private characters, which no text means anything by
_OPEN, _CLOSE = "\ue000", "\ue001"
_HEADING = re.compile(f"{_OPEN}([1-6])(.*?){_CLOSE}", re.DOTALL)
_BLANK = re.compile(r"\n(?:[ \t]*\n){2,}")


def sections(content: bytes, fallback: str) -> list[Section]:
    """The sections of a web page. Its title, else `fallback`, names it unless just one main heading does."""
    charset = _CHARSET.search(content[:4096])
    soup = _soup(decode(content, charset[1].decode("ascii", "replace") if charset else ""))
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    return of_page(soup, title or fallback)


def of_html(html: str, fallback: str) -> list[Section]:
    """The sections of HTML that another format was turned into; `<p class="title">` declares its title."""
    soup = _soup(html)
    named = soup.select_one("p.title")
    declared = " ".join(named.get_text().split()) if named else ""
    if named:
        named.decompose()
    return of_page(soup, fallback, declared) or ([Section(declared, declared)] if declared else [])


def of_page(soup: BeautifulSoup, fallback: str, declared: str = "") -> list[Section]:
    """The sections of a parsed page."""
    _tidy(soup)
    for heading in soup.find_all(["h1", "h2", "h3", "h4", "h5", "h6"]):
        text = " ".join(heading.get_text().split())
        # A heading inside of a list or a table titles no more than a part of it
        if heading.find_parent(["table", "li", "blockquote"]) or not text:
            heading.name = "b"
            continue
        level, heading.name = heading.name[1], "p"
        heading.string = f"{_OPEN}{level}{text}{_CLOSE}"
    lead, *rest = _HEADING.split(_markdown(_main(soup)))
    parts = zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    blocks = [Block(0, "", lead), *(Block(int(level), heading, text) for level, heading, text in parts)]
    return arranged(blocks, fallback, declared)


def as_markdown(html: str) -> str:
    """A piece of HTML as Markdown."""
    soup = _soup(html)
    _tidy(soup)
    return _markdown(soup)


class _Soup(BeautifulSoup):
    """Ends what HTML lets go without an end of its own, where the parser would go on inside of it."""

    def handle_starttag(self, name: str, *args: Any, **options: Any) -> Tag | None:
        """Called by the parser at the beginning of a tag."""
        while self.currentTag is not None and self.currentTag.name in _ENDS.get(name, ()):
            self.handle_endtag(self.currentTag.name)
        if len(self.tagStack) > _DEEPEST:
            raise Unreadable(_TOO_DEEP)
        return super().handle_starttag(name, *args, **options)


def _soup(html: str) -> BeautifulSoup:
    return _Soup(html.replace(_OPEN, "").replace(_CLOSE, ""), "html.parser")


def _tidy(soup: BeautifulSoup) -> None:
    """Take out what a reader does not see, or what is no text."""
    for gone in soup.select(_GONE):
        # One inside of another has gone with it
        if not gone.decomposed:
            gone.decompose()
    for image in soup.find_all("img"):
        image.replace_with(str(image.get("alt") or ""))
    for link in soup.find_all("a"):
        address = str(link.get("href") or "")
        if not address.startswith(("http://", "https://", "mailto:")) or len(address) > _LONGEST_ADDRESS:
            link.unwrap()


def _main(soup: BeautifulSoup) -> Tag:
    """The part that the page itself calls its main one, if there is text in it."""
    for part in (*soup.select("main, [role='main']")[:1], *_only(soup.find_all("article")), soup.body):
        if part is not None and part.get_text(strip=True):
            return part
    return soup


def _only(tags: list[Tag]) -> list[Tag]:
    return tags if len(tags) == 1 else []


def _markdown(part: Tag) -> str:
    from markdownify import MarkdownConverter

    converter = MarkdownConverter(
        bullets="-",
        escape_asterisks=False,
        escape_underscores=False,
        heading_style="atx",
        newline_style="backslash",
        table_infer_header=True,
    )
    text = str(converter.convert_soup(part))
    return _BLANK.sub("\n\n", re.sub(r"[ \t\\]+\n", "\n", text)).strip("\n").rstrip()
