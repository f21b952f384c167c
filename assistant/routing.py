"""Decides which adapter answers: the one that is asked for by name, else the canary's in its share of
conversations, else whatever is live.

Pure. If the live adapter can't be served, the one before it answers, and in the end the bare base model;
what was rolled back from does not come back this way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.errors import AssistantError
from feedback.records import Role
from training.canary import Canary, arm
from training.records import Adapter, Promotion
from training.registry import lineage

LIVE = "apprentice"
BASE = "apprentice-base"
_ADAPTER = re.compile(r"lora-[0-9a-f]{12}")


class NoSuchModel(AssistantError):
    """There is no such model for this person."""


def check(model: str, role: Role) -> None:
    """Raise `NoSuchModel` unless there may be such a model for this person."""
    if model not in (LIVE, BASE) and (role not in ("staff", "admin") or not _ADAPTER.fullmatch(model)):
        raise NoSuchModel(f"the model `{model}` does not exist; there are `{LIVE}` and `{BASE}`")


def order(
    model: str,
    role: Role,
    live: Adapter | None,
    history: Sequence[Promotion],
    canary: Canary | None = None,
    conversation_id: str = "",
) -> list[str | None]:
    """Names of the adapters to try, the best first; None is the bare base model.

    `model` is `apprentice`, `apprentice-base` or, for staff, an adapter's name; `history` the newest first;
    `canary` the one that runs, which has its share of the conversations. Raises `NoSuchModel`.
    """
    check(model, role)
    if model == BASE:
        return [None]
    if model != LIVE:
        return [model]
    usual = _usual(live, history)
    # A canary is tried against what was live at its start: beside anything else it says nothing.
    if canary is None or canary.against != (live.name if live else None):
        return usual
    return [canary.adapter, *usual] if arm(conversation_id, canary.adapter, canary.share) else usual


def _usual(live: Adapter | None, history: Sequence[Promotion]) -> list[str | None]:
    """What is live, then what was before it, then the base."""
    if live is None:
        return [None]
    tried: list[str | None] = [live.name]
    for name in reversed(lineage(history)):
        if name is None:
            break
        if name not in tried:
            tried.append(name)
    # Two that fail are a broken disk rather than a broken adapter: then the base answers, at once.
    return [*tried[:2], None]
