"""The command line: thin commands over the use cases that HTTP calls too."""

import sys

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import OperationalError

from models.train import TrainingError
from service.cli import (
    audit,
    backup,
    data,
    database,
    demo,
    documents,
    exports,
    modelling,
    people,
    reference,
    runs,
    users,
    worker,
)
from service.errors import Problem
from service.imports.chunks import ImportFailedError
from service.kit.backup import BackupError
from service.kit.embedded_postgres import EmbeddedPostgresError

app = typer.Typer(
    name="clustercredit",
    add_completion=False,
    help="Explained credit grades and alerts for small firms in industrial clusters.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)
for part in (
    database,
    backup,
    worker,
    users,
    data,
    documents,
    exports,
    modelling,
    runs,
    people,
    audit,
    demo,
    reference,
):
    part.add_to(app)


def main() -> None:
    """Run the command line; say what went wrong in a sentence, not a traceback."""
    try:
        app()
    except ValidationError as error:
        for item in error.errors():
            _fail(f"CLUSTERCREDIT_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}")
        sys.exit(1)
    except OperationalError as error:
        _fail(f"The database cannot be reached: {error.orig}")
        sys.exit(1)
    except (Problem, ImportFailedError, TrainingError, BackupError, EmbeddedPostgresError, OSError) as error:
        _fail(str(error))
        sys.exit(1)


def _fail(words: str) -> None:
    Console(stderr=True).print(f"[bold red]Error:[/] {escape(words)}", highlight=False, soft_wrap=True)
