"""What may help with a question, from both shelves: approved answers first, then passages of documents.

Knows no prompt and no page.
"""

from __future__ import annotations

from assistant.accounts import Account
from assistant.approvals import Answers, Approvals
from assistant.grounds import Found


class Finding:
    """Examples and passages for a person's question; passages alone where there are no `approvals`."""

    def __init__(self, library: Answers, approvals: Approvals | None = None) -> None:
        self._library = library
        self._approvals = approvals

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be found at all; may read a database."""
        return self._library.empty

    @property
    def bookless(self) -> bool:
        """Whether there are no documents."""
        return self._library.bookless

    async def find(self, question: str, account: Account, *, lines: int = 0, spare: bool = False) -> Found:
        """Examples, then passages or so many lines of them, each the best first. Raises `Unavailable`."""
        examples, spared = (
            await self._approvals.find(question, account, spare=spare) if self._approvals else ([], [])
        )
        passages = await self._library.find(question, account, lines=lines)
        return Found([*examples, *passages], bool(spared))
