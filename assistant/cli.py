"""The command line: puts the commands together and turns our errors into one sentence and an exit status.

0 is success, 1 a failure, 2 wrong use. Knows no command's inside.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from assistant.commands import (
    adapters,
    audit,
    compare,
    documents,
    feedback,
    monitor,
    people,
    runs,
    serve,
    simulate,
    status,
    tools,
)
from assistant.errors import AssistantError
from assistant.request_ids import log_ids

app = typer.Typer(
    name="apprentice",
    help="A chat assistant for one domain that learns on the job from the people who rate it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
serve.register(app)
status.register(app)
monitor.register(app)
runs.register(app)
adapters.register(app)
audit.register(app)
documents.register(app)
feedback.register(app)
people.register(app)
simulate.register(app)
compare.register(app)
tools.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("apprentice"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A chat assistant for one domain that learns on the job from the people who rate it."""


def main() -> None:
    """Run a command; our own errors become a sentence on standard error and exit status 1."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s%(of_request)s: %(message)s"
    )
    log_ids()
    for noisy in ("httpx", "alembic", "sentence_transformers", "chromadb"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It sets its own level, as low as it goes, when it is imported.
    logging.getLogger("bm25s").propagate = False
    try:
        app()
    except AssistantError as error:
        _fail(error)
    except Exception as error:
        # The other packages' errors are imported late, to start fast; anything else is a bug and is shown.
        if not _is_ours(error):
            raise
        _fail(error)


def _is_ours(error: Exception) -> bool:
    from feedback.records import FeedbackError
    from retrieval.records import RetrievalError
    from training.records import TrainingError

    return isinstance(error, FeedbackError | RetrievalError | TrainingError)


def _fail(error: Exception) -> None:
    from assistant.settings import BadSetting

    typer.echo(f"apprentice: {error}", err=True)
    sys.exit(2 if isinstance(error, BadSetting) else 1)


if __name__ == "__main__":
    main()
