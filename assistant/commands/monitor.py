"""`apprentice monitor`: the figures of the last days by adapter, with intervals, and the alerts that last.

Reads the days that workers keep, brings them up to date first, and changes nothing else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.commands.common import Home, Json, house_of, show

if TYPE_CHECKING:
    from feedback.alerts import Alert

Days = Annotated[int, typer.Option("--days", min=1, max=3_650, help="How many days, today included (UTC).")]
_COLUMNS = (
    *("adapter", "answers", "satisfied_asked", "satisfied_unasked", "corrected", "regenerated", "stopped"),
    *("failed", "refused", "first_token", "length", "cost"),
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(monitor)


def monitor(days: Days = 7, home: Home = None, as_json: Json = False) -> None:
    """Figures of the last days by adapter, with 95 % intervals, and open alerts."""
    from feedback.figures import summary, total
    from training.registry import BASE

    with house_of(home) as house:
        watching, now = house.monitor, datetime.now(UTC)
        while watching.days.refresh(now):
            pass
        found = watching.days.between(now.date() - timedelta(days=days - 1), now.date())
        alerts, price = watching.alerts.open(), house.settings.monitoring.cost_per_hour
    names = sorted({day.adapter for day in found})
    sums = {name: total(day.figures for day in found if day.adapter == name) for name in names}
    rows = [{"adapter": name or BASE, **summary(figures, price)} for name, figures in sums.items()]
    rows.sort(key=lambda row: (-row["answers"], row["adapter"]))
    if as_json:
        shown = {"days": days, "adapters": rows, "alerts": [_plain(alert) for alert in alerts]}
        typer.echo(json.dumps(shown, indent=2))
        return
    for alert in alerts:
        typer.echo(f"ALERT {alert.name}{f' ({alert.adapter})' if alert.adapter else ''}: {alert.detail}")
    columns = _COLUMNS if price else _COLUMNS[:-1]
    show([_in_words(row) for row in rows], columns, False, f"no answer in the last {days} days")


def _plain(alert: Alert) -> dict[str, Any]:
    return {
        "name": alert.name,
        "adapter": alert.adapter,
        "detail": alert.detail,
        "begun_at": alert.begun_at.isoformat(),
    }


def _in_words(row: dict[str, Any]) -> dict[str, str]:
    """A row as the table shows it: shares in percent, the votes with their interval and number."""
    words = {"adapter": row["adapter"], "answers": f"{row['answers']:,}"}
    for name in ("satisfied_asked", "satisfied_unasked"):
        if found := row[name]:
            bounds = f"{100 * found['low']:.0f}-{100 * found['high']:.0f}"
            words[name] = f"{100 * found['mean']:.0f} % ({bounds}, of {found['of']:,})"
    for name in ("corrected", "regenerated", "stopped", "failed", "refused"):
        if found := row[name]:
            words[name] = f"{100 * found['mean']:.1f} %"
    if row["first_token_median"] is not None:
        words["first_token"] = f"{row['first_token_median']:.2f} s (p90 {row['first_token_p90']:.2f})"
    if row["length_median"] is not None:
        words["length"] = f"{row['length_median']} characters"
    if row.get("cost_per_answer"):
        words["cost"] = f"{row['cost_per_answer']:.2g} an answer"
    return words
