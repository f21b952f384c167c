"""What people have typed into the feedback form and not sent: kept in memory, by person and turn.

Closing the form, paging away or reloading the page loses nothing. A restart of the server does: a draft
is no opinion yet, so it never reaches the store.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from feedback.store import Verdict

MOST = 2_000


class Drafts:
    """The newest `MOST` drafts. Safe to share between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, person_id: str, turn_id: str, draft: Verdict) -> None:
        """Remember a draft in place of the one before."""
        with self._lock:
            self._kept[person_id, turn_id] = draft
            self._kept.move_to_end((person_id, turn_id))
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def get(self, person_id: str, turn_id: str) -> Verdict | None:
        """The draft, if there is one."""
        with self._lock:
            return self._kept.get((person_id, turn_id))

    def drop(self, person_id: str, turn_id: str) -> None:
        """Forget a draft that has been sent."""
        with self._lock:
            self._kept.pop((person_id, turn_id), None)
