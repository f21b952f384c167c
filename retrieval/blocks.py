"""A passage that was found grows to the text around it, so that what it leaves unsaid is read as well. Pure.

Small pieces are found more exactly, larger ones are read with more use: search for the one, give the other.
Knows no index and no question.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from retrieval.records import Passage
from retrieval.splitting import Length

REACH = 12
"""Passages on either side that a block can take in."""
_PATH = " › "


def grown(
    found: Sequence[Passage], around: Mapping[str, Sequence[Passage]], length: Length, most: int, count: int
) -> list[tuple[Passage, list[str]]]:
    """The blocks around the first `count` of `found` that stand in no block before them, each with the ids of
    those that were passed over for it.

    A block has at most `most` tokens by `length`, and holds what is next to its passage, below it first; no
    passage is in two of them. It has the id of its passage.
    """
    # For each passage that stands in a block, the list of those passed over for that block
    taken: dict[str, list[str]] = {}
    blocks: list[tuple[Passage, list[str]]] = []
    for one in found:
        if one.id in taken:
            taken[one.id].append(one.id)
            continue
        members = _members(one, around.get(one.id, [one]), taken, length, most)
        passed_over: list[str] = []
        taken |= dict.fromkeys((member.id for member in members), passed_over)
        blocks.append((joined(one, members), passed_over))
        if len(blocks) == count:
            break
    return blocks


def _members(
    one: Passage, around: Sequence[Passage], taken: Container[str], length: Length, most: int
) -> Sequence[Passage]:
    """`one` and its neighbours, in order."""
    places = [other.id for other in around]
    low = high = places.index(one.id)
    size, grew = length(shown(one)), True
    while grew:
        grew = False
        for at in (high + 1, low - 1):
            if not 0 <= at < len(around) or around[at].id in taken or around[at].audience != one.audience:
                continue
            more = length(shown(around[at]))
            if size + more <= most:
                low, high, size, grew = min(low, at), max(high, at), size + more, True
    return around[low : high + 1]


def shown(one: Passage) -> str:
    """A passage as it counts in a block."""
    return f"{one.title}\n{one.text}"


def joined(one: Passage, members: Sequence[Passage]) -> Passage:
    """Neighbours as one passage: what their title paths share above all, the rest above each."""
    if len(members) == 1:
        return one
    paths = [member.title.split(_PATH) for member in members]
    shared = 0
    while all(len(path) > shared and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    parts, before = [], None
    for member, path in zip(members, paths, strict=True):
        head = _PATH.join(path[shared:])
        parts.append(member.text if not head or path == before else f"{head}\n{member.text}")
        before = path
    title = _PATH.join(paths[0][:shared]) or one.title
    return replace(one, title=title, text="\n\n".join(part.strip() for part in parts))
