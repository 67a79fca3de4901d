"""document: add, sweep."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from features.kinds.world import DOCUMENT_TYPES
from service.cli.runtime import Tenant, checked_name, console, open_database, tenant_session
from service.documents import use_cases
from service.documents.rules import SUFFIXES
from service.errors import InvalidPayload
from service.firms.use_cases import firm_id_of
from service.kit import clock
from service.kit.db import tenant_of
from service.kit.keyring import Keyring
from service.settings import Settings

documents = typer.Typer(help="Documents about firms: files, kept encrypted.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(documents, name="document")


@documents.command("add")
def add(
    firm: Annotated[str, typer.Argument(help="The firm's key: unified social credit code or local id.")],
    path: Annotated[Path, typer.Argument(help="The file: " + ", ".join(sorted(SUFFIXES)) + ".", exists=True)],
    *,
    document_type: Annotated[str, typer.Option("--type", help=f"What it is: {', '.join(DOCUMENT_TYPES)}.")],
    title: Annotated[str | None, typer.Option(help="Its title; the file's name if not given.")] = None,
    observed_on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day that it is of; today if not given.")
    ] = None,
    words: Annotated[str | None, typer.Option(help="What it shows.")] = None,
    tenant: Tenant = None,
) -> None:
    """Store a document about a firm, encrypted, and print its hash: an event names it as its document_sha256.

    Example: clustercredit document add 91350211M000100Y46 order.pdf --type contract --title "Order of 2024-05"
    """
    settings = Settings()
    media_type = SUFFIXES.get(path.suffix.lower().removeprefix("."))
    if media_type is None:
        raise typer.BadParameter(f"the file's name ends in one of: {', '.join(sorted(SUFFIXES))}")
    if document_type not in DOCUMENT_TYPES:
        raise typer.BadParameter(f"--type is one of: {', '.join(DOCUMENT_TYPES)}")
    if path.stat().st_size > settings.max_document_bytes:
        raise InvalidPayload(f"A document may have {settings.max_document_bytes:,} bytes (max_document_bytes).")
    facts = {
        "document_type": document_type,
        "title": checked_name(title or path.name),
        "observed_on": clock.today() if observed_on is None else observed_on.date(),
        "known_on": None if observed_on is None else clock.today(),
        "words": words,
    }
    vault = use_cases.vault_of(Keyring(settings.keyring))
    with tenant_session(open_database(settings), settings, tenant) as session:
        firm_id = firm_id_of(tenant_of(session), firm)
        view = use_cases.add_document(session, vault, firm_id, path.read_bytes(), media_type, facts)
    console.print(view.sha256, highlight=False, soft_wrap=True)


@documents.command("sweep")
def sweep() -> None:
    """Destroy keys, older than an hour, that no document goes with: of requests that failed, or were killed.

    Do not run it on a copy of the database that shares the keyring with another one.

    Example: clustercredit document sweep
    """
    settings = Settings()
    count = use_cases.sweep(open_database(settings), use_cases.vault_of(Keyring(settings.keyring)))
    console.print(f"{count} keys of nobody's destroyed.", highlight=False)
