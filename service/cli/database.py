"""serve, migrate, db, tenant, key."""

import socket
from contextlib import nullcontext
from typing import Annotated

import typer
from rich.console import Console

from service.app import create_app
from service.audit.sequencer import Sequencer
from service.audit.signing import SigningKeys
from service.cli.runtime import (
    AllBranches,
    Tenant,
    checked_name,
    console,
    kept_running,
    open_database,
    operator,
    tenant_session,
)
from service.cli.worker import OwnWorker
from service.errors import Conflict
from service.identity.access import Organisation, Role
from service.identity.keys import DAYS, LONGEST_DAYS, create_key
from service.identity.use_cases import create_tenant, find_branch
from service.kit import migrations, server
from service.kit.db import Author, Database
from service.kit.embedded_postgres import EmbeddedPostgres
from service.kit.keyring import Keyring
from service.kit.logs import configure_logging
from service.people.use_cases import sweep
from service.settings import Settings

db = typer.Typer(help="The database: dump, restore; the embedded server.", no_args_is_help=True)
tenants = typer.Typer(help="Tenants: lenders, funds, associations, each with its own data.", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("serve")(serve)
    app.command("migrate")(migrate)
    app.add_typer(db, name="db")
    app.add_typer(tenants, name="tenant")
    app.add_typer(keys, name="key")


def serve(
    host: Annotated[str | None, typer.Option(help="Address; CLUSTERCREDIT_HOST if not given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; CLUSTERCREDIT_PORT if not given.")] = None,
    *,
    worker: Annotated[bool, typer.Option("--worker", help="Keep a worker beside it, as a child process.")] = False,
) -> None:
    """Serve the HTTP API; the documentation is at /docs.

    Jobs wait until a worker runs: `clustercredit worker`, or `--worker` here.

    Example: clustercredit serve --port 8080 --worker
    """
    settings = Settings()
    host, port = host or settings.host, port or settings.port
    check_port(host, port)
    database = open_database(settings)
    console.print(f"Serving on http://{host}:{port}, documentation at /docs (stop with Ctrl-C)")
    with OwnWorker() if worker else nullcontext():
        run_server(settings, database, host, port)


def check_port(host: str, port: int) -> None:
    """Say so at once if something listens there already.

    Raises
    ------
    Conflict
        If it does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Conflict(
                f"Cannot listen on {host}:{port}: {error.strerror}. Choose another: --port {port + 1}"
            ) from None


def run_server(settings: Settings, database: Database, host: str, port: int) -> None:
    """Finish erasures that broke off, then serve and number the audit log until interrupted.

    Log lines are JSON on standard error.
    """
    configure_logging(settings.log_level)
    sweep(database, Keyring(settings.keyring))
    with Sequencer(database, SigningKeys(settings.signing)), kept_running(settings):
        server.run(create_app(settings, database), settings, host, port)


def migrate() -> None:
    """Bring the database's schema up to date."""
    settings = Settings()
    if settings.database_url is None:
        open_database(settings)
    else:
        migrations.upgrade(Database(settings.database_url.get_secret_value()).engine)
    console.print("The schema is up to date.")


@db.command("start")
def start() -> None:
    """Start the embedded server unless it runs, and print its URL."""
    console.print(EmbeddedPostgres(Settings().local_dir).start(), soft_wrap=True)


@db.command("stop")
def stop() -> None:
    """Stop the embedded server."""
    was_running = EmbeddedPostgres(Settings().local_dir).stop()
    console.print("Stopped." if was_running else "It was not running.")


@db.command("status")
def status() -> None:
    """Tell whether the embedded server runs, and where its data are."""
    postgres = EmbeddedPostgres(Settings().local_dir)
    state = "running" if postgres.is_ready() else "stopped"
    console.print(f"{state}; data in {postgres.data}; {postgres.url()}", soft_wrap=True)


@tenants.command("create")
def create_tenant_command(
    name: Annotated[str, typer.Argument(help="The organisation's name.")],
    kind: Annotated[Organisation, typer.Option(help="What kind of organisation it is.")] = Organisation.BANK,
) -> None:
    """Make a tenant - an organisation - unless it is there.

    Example: clustercredit tenant create luqiao-guarantee-fund --kind fund
    """
    with open_database(Settings()).session(author=Author(operator())) as session:
        console.print(f"{name}: {create_tenant(session, checked_name(name), kind)}", soft_wrap=True)


@keys.command("create")
def create_key_command(
    name: Annotated[str, typer.Option(help="Whose key it is: it goes on record with every act.")] = "officer",
    role: Annotated[Role, typer.Option(help="What the holder may do: docs/reference/access.md.")] = Role.LOAN_OFFICER,
    branch: Annotated[str | None, typer.Option(help="An officer's: the firms of this branch, by its name.")] = None,
    days: Annotated[int, typer.Option(help="How long it is good.", min=1, max=LONGEST_DAYS)] = DAYS,
    *,
    all_branches: AllBranches = False,
    tenant: Tenant = None,
) -> None:
    """Make an API key and print it, this once: only its hash is kept.

    An administrator's key makes the other people and keys, over HTTP; an approver's needs limits and a firm's its
    firm, so these are made there.

    Example: clustercredit key create --name zhang.wei --role administrator
    """
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        branch_id = None if branch is None else find_branch(session, branch).id
        _, token = create_key(
            session,
            checked_name(name),
            role,
            branch_id=branch_id,
            all_branches=all_branches,
            days=days,
            created_by=operator(),
        )
    Console(stderr=True).print(f"A key of tenant '{tenant or settings.tenant}':", highlight=False)
    print(token)  # noqa: T201 - alone on its line, for scripts
