"""The command line: thin commands over the use cases that HTTP calls too."""

import sys

import typer
from rich.console import Console

from models.train import TrainingError
from service.cli import data, database, demo, modelling, reference
from service.errors import Problem
from service.imports.csv_reader import ImportFailedError
from service.kit.embedded_postgres import EmbeddedPostgresError

app = typer.Typer(
    name="clustercredit",
    help="Explained credit grades and alerts for small firms in industrial clusters.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
for part in (database, data, modelling, demo, reference):
    part.add_to(app)


def main() -> None:
    """Run the command line; say what went wrong in a sentence, not a traceback."""
    try:
        app()
    except (Problem, ImportFailedError, TrainingError, EmbeddedPostgresError) as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
