"""What commands share: the open database, the tenant's session, progress bars, days."""

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from service.errors import Conflict, InvalidPayload
from service.identity.use_cases import create_tenant, enter_named_tenant
from service.kit import migrations
from service.kit.db import Author, Database, TenantSession
from service.kit.embedded_postgres import EmbeddedPostgres, Keeper
from service.kit.http import Text
from service.settings import Settings

console = Console()
Report = Callable[[str, int, int], None]

Day = Annotated[
    datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Business date; nothing known later is used.")
]
Tenant = Annotated[
    str | None, typer.Option("--tenant", help="Whose data; the setting CLUSTERCREDIT_TENANT if not given.")
]
AllBranches = Annotated[bool, typer.Option("--all-branches", help="An officer's: every branch's firms.")]


def open_database(settings: Settings) -> Database:
    """Open the database; the embedded one is started and migrated first.

    Raises
    ------
    Conflict
        If a database of one's own lacks migrations.
    """
    if settings.database_url is None:
        database = Database(EmbeddedPostgres(settings.local_dir).start(), settings.pool_size)
        if not migrations.is_current(database.engine):
            migrations.upgrade(database.engine)
        return database
    database = Database(settings.database_url.get_secret_value(), settings.pool_size)
    if not migrations.is_current(database.engine):
        raise Conflict("The database's schema is not up to date. Run: clustercredit migrate")
    return database


@contextmanager
def kept_running(settings: Settings) -> Iterator[None]:
    """Start the embedded server again whenever it is gone meanwhile; one's own is a service manager's to keep."""
    if settings.database_url is not None:
        yield
        return
    with Keeper(EmbeddedPostgres(settings.local_dir)):
        yield


@contextmanager
def tenant_session(database: Database, settings: Settings, tenant: str | None) -> Iterator[TenantSession]:
    """Open a transaction for a tenant by name; the default tenant is made when it is first needed."""
    name = tenant or settings.tenant
    with database.session(author=Author(operator())) as session:
        if name == Settings.model_fields["tenant"].default:
            create_tenant(session, name)
        else:
            enter_named_tenant(session, name)
        yield session


def checked_name(name: str) -> str:
    """Check a name that goes on record, as HTTP does.

    Raises
    ------
    InvalidPayload
        If it is empty, too long, cannot be seen, or holds a person's identity number.
    """
    try:
        return TypeAdapter[str](Text).validate_python(name)
    except ValidationError as error:
        raise InvalidPayload(f"The name: {error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None


@contextmanager
def progress_bar() -> Iterator[Report]:
    """Show a bar while something long runs; the report is called with what is done, how far, and of how much."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total or None)


def operator() -> str:
    """Return the name that goes on record for what is done on the command line."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"
