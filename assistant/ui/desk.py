"""What an admin works with, as one value: the composition root fills it, the admin page's parts share it.

Holds services and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.audit import Audit
from assistant.notices import Notices
from assistant.origins import Setting
from training.canaries import Canaries
from training.comparison import Comparison
from training.due import Outlook
from training.monitor import Monitor
from training.preview import Previews
from training.registry import Registry
from training.runs import Runs


@dataclass(frozen=True, slots=True)
class Desk:
    """The services behind the admin page. `ready` says what keeps the engine from answering, or None;
    `comparison` gives the newest comparison, if there is one."""

    runs: Runs
    registry: Registry
    canaries: Canaries
    monitor: Monitor
    outlook: Outlook
    previews: Previews
    notices: Notices
    audit: Audit
    settings: Sequence[Setting]
    home: Path
    ready: Callable[[], str | None]
    comparison: Callable[[], Comparison | None] = lambda: None
    cost_per_hour: float = 0.0

    def folder(self, run_id: str) -> Path:
        """The directory of a run; on another machine than the worker's it may not be there."""
        return self.home / "runs" / run_id
