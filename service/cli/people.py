"""person: erase, sweep."""

from typing import Annotated
from uuid import UUID

import typer

from service.cli.runtime import Tenant, console, open_database, tenant_session
from service.kit.keyring import Keyring
from service.people import use_cases
from service.settings import Settings

persons = typer.Typer(help="Natural persons: erasure, and bringing it to its end.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(persons, name="person")


@persons.command("erase")
def erase(
    person_id: Annotated[UUID, typer.Argument(help="The person's pseudonym: `id` in the API's answers.")],
    tenant: Tenant = None,
) -> None:
    """Erase a person for good: number and name are forgotten, and its key is destroyed.

    Scores and observations stay, under the pseudonym. Run `clustercredit person sweep --purge` afterwards to drop
    what the database's files and write-ahead log still have of the keyed hash.

    Example: clustercredit person erase 5d2c7c1e-2b5a-4c0f-8f43-0d1a6f2e9b04 --tenant luqiao-community-bank
    """
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        person = use_cases.erase(session, Keyring(settings.keyring), person_id)
    console.print(
        f"{person.id}: erased at {person.erased_at:%Y-%m-%d %H:%M:%S} UTC; its key is destroyed.", soft_wrap=True
    )


@persons.command("sweep")
def sweep(
    *,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Also rewrite the tables and end the log's segments; blocks persons' routes."),
    ] = False,
) -> None:
    """Finish erasures of every tenant that a kill broke off, or that restoring a backup undid.

    `serve` does the same when it starts. This command also destroys keys of nobody's, older than an hour: do not run it
    on a database that was restored from before persons were entered whom you want back.

    Example: clustercredit person sweep --purge
    """
    settings = Settings()
    database = open_database(settings)
    swept = use_cases.sweep(database, Keyring(settings.keyring), with_orphans=True)
    done = (
        f"{swept.keys} keys destroyed, {swept.persons} persons erased again, {swept.orphans} keys of nobody's destroyed"
    )
    console.print(f"{done}.", highlight=False, soft_wrap=True)
    if purge:
        is_gone = database.rewrite(*use_cases.PURGED)
        log = "its log of before is gone" if is_gone else "its log ends as docs/operating.md says: this role may not"
        console.print(f"The tables are written anew; {log}.", soft_wrap=True)
