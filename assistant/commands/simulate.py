"""`apprentice simulate`: plays the loop with simulated people, and shows what came of it.

Owns the options, the progress bar, the table, the JSON and the picture. How rounds are played stands in
`training.simulate`, how the service is reached in `assistant.simulation`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from assistant.commands.common import Home, progress, settings_of

if TYPE_CHECKING:
    from assistant.settings import Settings
    from training.outcomes import Base, Round
    from training.questions import Prompt
    from training.simulate import Plan, Tell

_BLUE, _GREY, _PALE = "#1f5fa8", "#5f6368", "#e3e5e8"


@dataclass(slots=True)
class Report:
    """What is known so far."""

    base: Base | None = None
    rounds: list[Round] = field(default_factory=list)
    complaints: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The content of `--json`."""
        base = asdict(self.base) if self.base else None
        return {"rounds": [found.as_dict() for found in self.rounds], "base": base}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(simulate)


def simulate(
    rater: Annotated[
        list[str],
        typer.Option("--rater", help="FILE.py:FUNCTION[@SHARE]; several share the people between them."),
    ],
    people: Annotated[int, typer.Option("--people", min=1, max=1000, help="Simulated people in all.")] = 8,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help='JSONL, one {"messages": [...]} a line.')
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=1000, help="How often to train.")] = 3,
    votes: Annotated[int, typer.Option("--votes", min=1, help="Votes a round.")] = 96,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides who asks what, and each vote.")] = 0,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures here, a PNG beside.")] = None,
    home: Home = None,
) -> None:
    """Play the whole loop with simulated people: chat, vote, train, gate, promote, and measure."""
    from assistant import simulation
    from training.questions import NoPrompts
    from training.raters import BadRater

    settings = settings_of(home)
    picture = out.with_suffix(".png") if out else settings.home / f"simulate-{seed}.png"
    if out and (not out.absolute().parent.is_dir() or out.is_dir() or out == picture):
        _wrong(f"--json {out}: expected a file that is not named .png, in a folder that is there")
    try:
        plan = make_plan(rater, people, _prompts(prompts, rounds, votes), votes, seed)
    except (BadRater, NoPrompts) as error:
        _wrong(str(error))
    keys = _keys(settings, plan)
    report = Report()
    with (
        progress() as tell,
        simulation.service(settings.home, lambda why: tell(f"starting: {why}", 0)) as url,
    ):
        asyncio.run(_play(url, keys, plan, rounds, tell, report, out))
    show(report)
    if draw(report, plan.people[0].rater.name, len(plan.held_out), picture):
        typer.echo(f"picture: {picture}")
    if any(found.failed for found in report.rounds):
        raise typer.Exit(1)


def _wrong(sentence: str) -> NoReturn:
    """Wrong use: one sentence, exit status 2."""
    typer.echo(f"apprentice: {sentence}", err=True)
    raise typer.Exit(2)


def _prompts(file: Path | None, rounds: int, votes: int) -> list[Prompt]:
    from training import questions, starter

    if file is None:
        # Always the same ones: the seed decides who asks them, so that scores of several seeds compare.
        return questions.as_prompts(starter.questions(questions.enough(rounds, votes), seed=0))
    try:
        return questions.read(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise questions.NoPrompts(f"--prompts {file} can't be read: {error}") from None
    except questions.NoPrompts as error:
        raise questions.NoPrompts(f"--prompts {file}: {error}") from None


def make_plan(raters: Sequence[str], people: int, prompts: Sequence[Prompt], votes: int, seed: int) -> Plan:
    """Who asks what. Raises `BadRater`, `NoPrompts`."""
    from training import questions
    from training import raters as tastes
    from training.simulate import Plan

    specs = [tastes.parse(text) for text in raters]
    counts = tastes.heads(tastes.shares(specs), people)
    players = tastes.people([tastes.load(spec) for spec in specs], counts, seed)
    training, held_out = questions.split(prompts)
    return Plan(people=players, training=training, held_out=held_out, votes=votes, seed=seed)


def _keys(settings: Settings, plan: Plan) -> dict[str, str]:
    from assistant import app, simulation
    from training.simulate import ADMIN

    house = app.open_house(settings)
    try:
        return simulation.keys(house.accounts, [person.name for person in plan.people], ADMIN)
    finally:
        house.close()


async def _play(
    url: str, keys: dict[str, str], plan: Plan, rounds: int, tell: Tell, report: Report, out: Path | None
) -> None:
    """Fill the report, and write it after every step: whatever ends the program leaves what was measured."""
    from assistant import simulation
    from training.simulate import ADMIN, Simulation

    async with simulation.client(url) as client:
        play = Simulation(simulation.Http(client, keys, ADMIN), plan, tell)
        report.complaints = play.complaints
        report.base = await play.base()
        write(report, out)
        for number in range(1, rounds + 1):
            report.rounds.append(await play.round(number))
            write(report, out)


def write(report: Report, out: Path | None) -> None:
    """Write the JSON, if it is wanted, whole or not at all."""
    if out is None:
        return
    temporary = out.with_name(f".{out.name}.part")
    temporary.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    temporary.replace(out)


def show(report: Report) -> None:
    """Print the table, what each vote → live was made of, what the gate refused, and what failed."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    right = {"round", "votes", "examples", "train s", "vote → live s", "forgetting", "failed"}
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=True)
    if report.base:
        base = report.base
        score = _score(base.heldout_score, base.heldout_low, base.heldout_high)
        table.add_row("0", "base", *["-"] * 5, score, "-", str(base.failed_requests))
    for found in report.rounds:
        table.add_row(*_row(found))
    console = Console(soft_wrap=True, highlight=False)
    # A table that a narrow terminal wraps can still be read; one with its figures cut off can't.
    console.width = max(
        console.width, console.measure(table, options=console.options.update(width=200)).maximum
    )
    console.print(table)
    for line in _notes(report):
        console.print(line, markup=False)


_COLUMNS = (
    "round",
    "adapter",
    "promoted",
    "votes",
    "examples",
    "train s",
    "vote → live s",
    "held-out score",
    "forgetting",
    "failed",
)


def _row(found: Round) -> list[str]:
    return [
        str(found.round),
        found.adapter or "-",
        "yes" if found.promoted else "no",
        str(found.votes),
        _number(found.examples, "d"),
        _number(found.train_seconds, ".1f"),
        _number(found.vote_to_live_seconds, ".1f"),
        _score(found.heldout_score, found.heldout_low, found.heldout_high),
        _number(found.forgetting, "+.1f"),
        str(found.failed_requests),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _score(mean: float | None, low: float | None, high: float | None) -> str:
    return "-" if mean is None else f"{mean:.2f} [{low:.2f}, {high:.2f}]".replace("[", "(").replace("]", ")")


def _notes(report: Report) -> Iterator[str]:
    for found in report.rounds:
        if found.vote_to_live_seconds is not None:
            parts = " + ".join(f"{name} {seconds:.1f}" for name, seconds in found.parts.items())
            total = found.vote_to_live_seconds
            yield f"round {found.round}: from the last vote to the first answer {total:.1f} s = {parts}"
        if found.failed or found.verdict != "passed":
            yield f"round {found.round}: {found.verdict or 'failed'}: {'; '.join(found.reasons)}"
    if report.complaints:
        yield f"{len(report.complaints)} requests or ratings failed, the first: {report.complaints[0]}"


def draw(report: Report, taste: str, questions: int, file: Path) -> bool:
    """Draw the held-out score by round, with its interval. Returns whether there was anything to draw."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        typer.echo("no picture: matplotlib is missing (pip install 'apprentice[train]')", err=True)
        return False

    points = list(_points(report))
    if not points:
        return False
    places, labels, means, lows, highs = zip(*points, strict=True)
    figure = Figure(figsize=(7.2, 4.2), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(places, lows, highs, color=_BLUE, alpha=0.18, linewidth=0)
    axes.plot(places, means, color=_BLUE, marker="o", linewidth=2)
    # Some eight points can be told apart by their labels.
    told = slice(None, None, -(-len(places) // 8))
    for place, mean, high in zip(places[told], means[told], highs[told], strict=True):
        axes.annotate(f"{mean:.2f}", (place, high), (0, 4), textcoords="offset points", ha="center")
    axes.set_title("Held-out score by round", loc="left", fontweight="bold", pad=22)
    who = taste.rpartition("/")[2]
    note = f"{who}: mean over fresh answers to {questions} questions that nobody voted on; 95 % interval"
    axes.text(0, 1.03, note, transform=axes.transAxes, fontsize=8.5, color=_GREY)
    axes.set_xticks(places[told], labels[told])
    axes.set_xlabel("round, and votes given until then")
    axes.set_ylabel("probability of a thumbs-up")
    axes.set_ylim(0, 1.08)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.margins(x=0.08)
    axes.grid(axis="y", color=_PALE)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    figure.savefig(file, format="png")
    return True


def _points(report: Report) -> Iterator[tuple[int, str, float, float, float]]:
    """Place, tick label, mean, low and high of every score that was taken; the base is round 0."""
    base, votes = report.base, 0
    if base and base.heldout_score is not None:
        yield 0, "base\n0 votes", base.heldout_score, base.heldout_low or 0.0, base.heldout_high or 0.0
    for found in report.rounds:
        votes += found.votes
        if found.heldout_score is not None:
            label = f"{found.round}\n{votes} votes" + ("" if found.promoted else "\nnot promoted")
            yield found.round, label, found.heldout_score, found.heldout_low or 0.0, found.heldout_high or 0.0
