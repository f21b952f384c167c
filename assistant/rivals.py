"""Which adapter, if any, is put beside what is live when a person is shown two answers. Reads rows only.

Only one that the gate has passed may answer people, and only while nothing else is being tried on them.
"""

from __future__ import annotations

from training.registry import Registry


def rival(registry: Registry) -> str | None:
    """The newest adapter, if it passed the gate after what is live went live; None otherwise.

    None too while a canary runs: it has its own share of the conversations, and is judged by those alone.
    """
    if registry.canary() is not None:
        return None
    newest = next(iter(registry.all()), None)
    if newest is None or newest.retired or not registry.fits(newest) or newest.name in registry.tainted():
        return None
    live = next(iter(registry.history(1)), None)
    if live is not None and (live.adapter == newest.name or newest.created_at <= live.at):
        return None
    evaluation = registry.evaluation(newest.name)
    return newest.name if evaluation is not None and evaluation.outcome == "passed" else None
