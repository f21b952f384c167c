"""`apprentice compare`: prompt, retrieval or fine-tuning? Which of them helps here, and what it costs.

Owns the options, the table and the Markdown. What is measured and what that allows to say stands in
`training.comparison`, what it needs of the home in `assistant.comparisons`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from assistant.commands.common import Home, Json, house_of, progress

if TYPE_CHECKING:
    from assistant.app import House
    from assistant.comparisons import Wish
    from training.comparing import Lay
    from training.comparison import Comparison, Estimate, Row


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(compare)


def compare(
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts", help='JSONL, one {"messages": [...]} a line (default: what was asked here).'
        ),
    ] = None,
    questions: Annotated[int, typer.Option("--questions", min=2, help="At most so many questions.")] = 40,
    rater: Annotated[
        str | None,
        typer.Option(
            "--rater", help="FILE.py:FUNCTION judges, as in simulate (default: a model of the votes)."
        ),
    ] = None,
    cost_per_hour: Annotated[
        float | None, typer.Option("--cost-per-hour", min=0, help="Price of the machine, in any currency.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides the order, and how answers fall.")] = 0,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write a report here.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Prompt, retrieval or fine-tuning? Ask the same held-out questions with and without each."""
    from assistant import comparisons
    from training.questions import NoPrompts
    from training.raters import BadRater

    if markdown and (not markdown.absolute().parent.is_dir() or markdown.is_dir()):
        _wrong(f"--markdown {markdown}: expected a file in a folder that is there")
    try:
        wish = _wish(prompts, questions, rater, cost_per_hour, seed)
    except (BadRater, NoPrompts) as error:
        _wrong(str(error))
    with house_of(home) as house:
        found = asyncio.run(_compare(house, wish))
        file = comparisons.keep(house.settings.home, found)
    if markdown:
        markdown.write_text(report(found), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        show(found)
        typer.echo(f"kept in {file}; /admin shows it")


def _wrong(sentence: str) -> NoReturn:
    """Wrong use: one sentence, exit status 2."""
    typer.echo(f"apprentice: {sentence}", err=True)
    raise typer.Exit(2)


def _wish(prompts: Path | None, most: int, rater: str | None, cost_per_hour: float | None, seed: int) -> Wish:
    """What is wanted. Raises `BadRater`, `NoPrompts`."""
    from assistant.comparisons import Wish
    from training import questions, raters

    judge = None
    if rater is not None:
        spec = raters.parse(rater)
        if spec.share is not None:
            raise raters.BadRater(f"{rater!r}: one judge judges all; leave the share out")
        judge = raters.load(spec)
    if prompts is None:
        return Wish(most, rater=judge, price=cost_per_hour, seed=seed)
    try:
        asked = questions.read(prompts.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise questions.NoPrompts(f"--prompts {prompts} can't be read: {error}") from None
    except questions.NoPrompts as error:
        raise questions.NoPrompts(f"--prompts {prompts}: {error}") from None
    if not asked:
        raise questions.NoPrompts(f"--prompts {prompts}: there is no question in it")
    return Wish(most, asked, prompts.name, judge, cost_per_hour, seed)


async def _compare(house: House, wish: Wish) -> Comparison:
    from assistant import app, comparisons
    from assistant.errors import AssistantError

    engines = app.engines_of(house.settings)
    await engines.start()
    try:
        if (reason := engines.ready()) is not None:
            raise AssistantError(f"{reason}; start it with `apprentice up`")
        async with _laying(house) as (passages, examples):
            with progress() as tell:
                speaker = app.streaming_of(house, engines)
                return await comparisons.compare(house, speaker, wish, passages, tell, examples)
    finally:
        await engines.close()


@asynccontextmanager
async def _laying(house: House) -> AsyncIterator[tuple[Lay | None, Lay | None]]:
    """What lays passages and approved answers into prompts, each if the home has any."""
    from assistant import app, laying
    from assistant.simulation import running
    from feedback.approved import Approved

    library, url = app.library_of(house), running(house.settings.home)
    if url is None or library.empty:
        yield None, None
        return
    some = await asyncio.to_thread(Approved(house.database).open)
    async with laying.through(url, house.accounts, house.settings.documents.most) as found:
        yield None if library.bookless else found.passages, found.examples if some else None


# -- the table ---------------------------------------------------------------------------------------


def show(found: Comparison) -> None:
    """Print the verdict, the table, and how to read it."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    for line in found.verdict:
        console.print(line, markup=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    heads, *rows = lines(found)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # A table that a narrow terminal wraps can still be read; one with its figures cut off can't.
    wanted = console.measure(table, options=console.options.update(width=240)).maximum
    console.width = max(console.width, wanted)
    console.print()
    console.print(table)
    console.print()
    for line in found.notes:
        console.print(line, markup=False)


def report(found: Comparison) -> str:
    """The comparison as Markdown."""
    heads, *rows = lines(found)
    table = [_bars(heads), _bars(["---", *["---:"] * (len(heads) - 1)]), *map(_bars, rows)]
    asked = f"{found.questions} held-out questions from {found.source}, {found.made_at:%Y-%m-%d %H:%M} UTC"
    who = f"Model {found.model}, adapter {found.adapter or 'none'}."
    parts = [
        "# Prompt, retrieval or fine-tuning?",
        "\n".join(f"- {line}" for line in found.verdict),
        "\n".join(table),
        f"{asked}. {who}",
        "\n".join(f"- {line}" for line in found.notes),
    ]
    return "\n\n".join(parts) + "\n"


def _bars(texts: Sequence[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def lines(found: Comparison) -> list[list[str]]:
    """The table as text, its heads first. What nobody measured is a dash."""
    liked = "liked (95 %)" if found.judge.abstains is None else "liked (judge abstains)"
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("asked with", lambda row: row.cell.name),
        (liked, lambda row: _interval(row.liked)),
        ("against base", lambda row: _signed(row.gain)),
        ("tokens read", lambda row: _number(row.prompt_tokens, ".0f")),
        ("written", lambda row: _number(row.answer_tokens, ".1f")),
        ("characters", lambda row: _number(row.characters, ".0f")),
        ("first token s (p90)", lambda row: _first_token(row)),
        ("seconds", lambda row: _number(row.seconds, ".2f")),
        ("faulty", lambda row: "–" if row.faulty is None else f"{row.faulty:.0%}"),
    ]
    if any(row.cost is not None for row in found.rows):
        columns.insert(-1, ("cost", lambda row: _cost(row.cost)))
    if any(row.failed for row in found.rows):
        columns.append(("failed", lambda row: str(row.failed)))
    return [[head for head, _ in columns], *([text(row) for _, text in columns] for row in found.rows)]


def _interval(found: Estimate | None) -> str:
    return "–" if found is None else f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _signed(found: Estimate | None) -> str:
    from training.comparison_verdict import figures

    return "–" if found is None else figures(found)


def _first_token(row: Row) -> str:
    if row.first_token is None or row.first_token_p90 is None:
        return "–"
    return f"{row.first_token:.3f} ({row.first_token_p90:.3f})"


def _cost(cost: float | None) -> str:
    from training.comparison_verdict import money

    return "–" if cost is None else money(cost)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
