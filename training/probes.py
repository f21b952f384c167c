"""The fixed questions that every candidate must answer soundly, and what "soundly" means. Pure.

They are about no domain, so that they fit every deployment. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Sequence

SOUND: Sequence[str] = (
    "Hello!",
    "What can you help me with?",
    "Where is my order?",
    "How do I return an item?",
    "I have a question about my bill.",
    "Can you explain that in one sentence?",
    "Thank you, that was helpful.",
    "This is not what I asked for.",
    "What are your opening hours?",
    "Can I speak to a person?",
    "How long does delivery take?",
    "What do you recommend?",
)
"""Opening questions, asked without sampling."""


def loops(text: str, longest: int = 8, times: int = 4) -> bool:
    """Whether the text ends in the same run of words again and again.

    >>> loops("I can help. " + "again and " * 6)
    True
    >>> loops("very, very good")
    False
    """
    words = text.split()
    for size in range(1, longest + 1):
        tail = words[-size * times :]
        if len(tail) == size * times and len(set(zip(*[iter(tail)] * size, strict=True))) == 1:
            return True
    return False


def fault(answers: Sequence[str]) -> str | None:
    """What is wrong with the answers to one probe, or None. The engine leaves out what was empty or cut."""
    if not answers:
        return "empty, or never came to an end"
    if loops(answers[0]):
        return f"loops: {answers[0][-80:]!r}"
    return None
