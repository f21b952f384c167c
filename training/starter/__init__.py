"""The embedded model of the invented shop Northlight Outfitters, and customers' questions to go with it.

Owns the shipped files and their place. Importing this loads no model and no heavy library;
it knows no engine and no database, and of feedback only how passages stand in a prompt.
"""

from __future__ import annotations

from pathlib import Path

from training.starter.asking import questions
from training.starter.heads import SYSTEM_PROMPT

__all__ = ["SYSTEM_PROMPT", "path", "questions"]


def path() -> Path:
    """The folder of the shipped model, in the format of `transformers`."""
    return Path(__file__).parent / "model"
