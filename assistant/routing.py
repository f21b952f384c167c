"""Decides which adapter answers: the one that is asked for by name, else whatever is live.

Pure. If the live adapter can't be served, the one before it answers, and in the end the bare base model;
what was rolled back from does not come back this way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.errors import AssistantError
from feedback.records import Role
from training.records import Adapter, Promotion
from training.registry import lineage

LIVE = "apprentice"
BASE = "apprentice-base"
_ADAPTER = re.compile(r"lora-[0-9a-f]{12}")


class NoSuchModel(AssistantError):
    """There is no such model for this person."""


def order(model: str, role: Role, live: Adapter | None, history: Sequence[Promotion]) -> list[str | None]:
    """Names of the adapters to try, the best first; None is the bare base model.

    `model` is `apprentice`, `apprentice-base` or, for staff, an adapter's name; `history` the newest first.
    Raises `NoSuchModel`.
    """
    if model == BASE:
        return [None]
    if model != LIVE:
        if role == "user" or not _ADAPTER.fullmatch(model):
            raise NoSuchModel(f"the model `{model}` does not exist; there are `{LIVE}` and `{BASE}`")
        return [model]
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
