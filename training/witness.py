"""Who did what, told in the very transaction in which it is done: there is no deed without its record.

The application keeps the record (`assistant/audit.py`); here is only what it must be able to take.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection


class Witness(Protocol):
    """Keeps a deed. Called last in its transaction; what it raises undoes the deed."""

    def __call__(
        self,
        connection: Connection,
        who: str,
        what: str,
        subject: str,
        before: str = "",
        after: str = "",
        reason: str = "",
    ) -> None: ...


def unseen(
    connection: Connection,
    who: str,
    what: str,
    subject: str,
    before: str = "",
    after: str = "",
    reason: str = "",
) -> None:
    """Keeps nothing: for whoever uses a ledger or a registry outside of the application."""
