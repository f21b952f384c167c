"""Keeps the adapters that answer loaded on the engines, beside whatever else the web process does.

Who answers is the registry's to say, how an adapter is loaded the engines' to know.
"""

from __future__ import annotations

import asyncio
import logging

from assistant.engine.client import AdapterRef, Engines
from feedback.database import DatabaseUnavailable
from training.registry import Registry

log = logging.getLogger(__name__)


async def keep_loaded(engines: Engines, registry: Registry) -> None:
    """Keep what answers loaded, also after an engine's restart, and let go of those that nobody uses."""
    told: str | None = None
    while True:
        try:
            await engines.keep(*await asyncio.to_thread(answering, registry))
            stranded = await asyncio.to_thread(registry.stranded)
            if stranded is not None and stranded.name != told:
                log.warning("%s was trained on another base model; the base answers", stranded.name)
            told = stranded.name if stranded is not None else None
        except DatabaseUnavailable as error:
            log.warning("%s", error)
        await asyncio.sleep(1)


def answering(registry: Registry) -> list[AdapterRef]:
    """The live adapter and the canary's."""
    live, canary = registry.live(), registry.canary()
    found = [live] if live is not None else []
    found += [registry.get(canary.adapter)] if canary is not None else []
    return [AdapterRef(adapter.name, adapter.path) for adapter in found if registry.fits(adapter)]
