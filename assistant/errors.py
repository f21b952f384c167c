"""The errors of the application: one base, few children. Foreign errors are translated where they arise.

Knows no other module.
"""

from __future__ import annotations


class AssistantError(Exception):
    """Base of every error that this package raises; its text is one sentence for a person."""


class EngineUnavailable(AssistantError):
    """No engine can answer now; nothing was generated, and the same request may succeed later."""


class EngineInterrupted(AssistantError):
    """The engine went away in the middle of an answer; what came before is all there will be."""


class EngineRefused(AssistantError):
    """The engine is well and won't do this: `status` is the HTTP status that fits, the text says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
