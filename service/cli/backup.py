"""db: dump, restore, maintain."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from service.audit.signing import SigningKeys
from service.cli.database import db
from service.cli.runtime import console, open_database, operator, progress_bar
from service.kit import backup, clock
from service.kit.db import Author, Database
from service.kit.embedded_postgres import EmbeddedPostgres
from service.kit.keyring import Keyring, KeyringError
from service.kit.partitions import partition
from service.people.use_cases import sweep
from service.retention import use_cases
from service.settings import Settings


def add_to(_app: typer.Typer) -> None:
    """Add these commands to `db`."""
    db.command("dump")(dump)
    db.command("restore")(restore)
    db.command("maintain")(maintain)


def dump(
    out: Annotated[Path, typer.Option(help="The file to write; it must not be there yet.")],
) -> None:
    """Write the whole database, as of one moment, to a file and its manifest, `<file>.json`; others may go on.

    The keyring of persons is not in it, by design: copy its folder to another place (docs/operating.md).

    Example: clustercredit db dump --out backups/2026-11-27.dump
    """
    database = open_database(Settings())
    with progress_bar() as report:
        manifest = backup.dump(database, out, report)
    rows = sum(manifest.rows.values())
    console.print(f"{out}: {rows:,} rows of {len(manifest.rows)} tables, {manifest.size:,} bytes.", soft_wrap=True)
    console.print("The keys of persons are not in it: back the keyring up apart from it.", soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(help="A dump, its manifest beside it.")],
    replace: Annotated[
        str | None, typer.Option(help="Name of the database, if it is not empty: all that is in it is lost.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that restore side by side.", min=1, max=64)] = 2,
    *,
    revoke_keys: Annotated[
        bool, typer.Option("--revoke-keys", help="End every API key: those revoked since the dump are good again else.")
    ] = False,
) -> None:
    """Restore a dump; the database changes in one step at the end, or stays as it was.

    Nothing may be connected: stop what serves and works on it. Who was erased since the dump is erased again, if the
    keyring knows. Everybody must sign in anew. The restore goes into each tenant's audit log.

    Example: clustercredit db restore backups/2026-11-27.dump --replace clustercredit
    """
    settings = Settings()
    url = settings.database_url
    database = Database(EmbeddedPostgres(settings.local_dir).start() if url is None else url.get_secret_value())
    ended: list[use_cases.Settled] = []

    def settle(fresh: Database, manifest: backup.Manifest) -> None:
        author = Author(operator())
        ended.append(
            use_cases.settle_restored(fresh, manifest.sha256, manifest.made_at, author, revoke_keys=revoke_keys)
        )

    with progress_bar() as report:
        manifest = backup.restore(database, file, report, replace=replace, jobs=jobs, settle=settle)
    rows = sum(manifest.rows.values())
    console.print(f"{rows:,} rows of {len(manifest.rows)} tables are back, counted; the schema is up to date.")
    for done in ended:
        console.print(f"{done.sessions} sessions ended, {done.revoked} API keys revoked.")
        if done.good:
            console.print(
                f"[yellow]{done.good} API keys are good, also such as were revoked after the dump was made.[/] Revoke "
                "those again (DELETE /v1/keys/{id}), or restore with --revoke-keys. Users disabled since are enabled.",
                soft_wrap=True,
            )
    if SigningKeys(settings.signing).has_heads():
        console.print(
            f"[yellow]The keys in {escape(str(settings.signing))} have signed logs.[/] If another database goes on "
            "being signed with them, as in a drill, set CLUSTERCREDIT_SIGNING_DIR to another folder before this one is "
            "served or signed: else nothing more is signed of the other.",
            soft_wrap=True,
        )
    try:
        swept = sweep(database, Keyring(settings.keyring))
        console.print(f"{swept.persons} persons erased again, {swept.keys} keys destroyed.")
    except KeyringError as error:
        console.print(f"[yellow]Persons cannot be read until the keyring is back:[/] {error}", soft_wrap=True)
    finally:
        database.dispose()


def maintain(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would be made and go.")] = False,
) -> None:
    """Make the partitions of the coming years, and drop the years that need not be kept, on record in the audit log.

    Run it once a month, as the tables' owner. How long is kept: CLUSTERCREDIT_INVOICE_YEARS, CLUSTERCREDIT_SCORE_YEARS.

    Example: clustercredit db maintain --dry-run
    """
    settings = Settings()
    years = {"invoice": settings.invoice_years, "score": settings.score_years}
    database, author = open_database(settings), Author(operator())
    done = use_cases.maintain(database, clock.today(), years, author, is_dry_run=dry_run)
    would = "would be " if dry_run else ""
    for name in done.made:
        console.print(f"{name}: {would}made")
    for found in done.expired:
        of_whom = f"{found.rows - found.kept:,} rows of {found.tenants} tenants {would}dropped"
        kept = f", {found.kept:,} kept: something points to them" if found.kept else ""
        console.print(f"{partition(found.table, found.year)}: {of_whom}{kept}", soft_wrap=True)
    if not done.made and not done.expired:
        console.print("There is nothing to make and nothing to drop.")
