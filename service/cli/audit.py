"""audit: what an outsider verifies, and verifying it here."""

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer
from sqlalchemy.exc import SQLAlchemyError

from service.audit import use_cases, verify_audit
from service.audit.sequencer import LATE_SECONDS, count_waiting, number_all
from service.audit.signing import SigningKeys
from service.cli.runtime import Tenant, console, open_database, operator, tenant_session
from service.errors import Conflict, Problem
from service.identity.use_cases import own_organisation
from service.kit.db import Author
from service.kit.embedded_postgres import EmbeddedPostgresError
from service.settings import Settings

log = typer.Typer(help="The audit log: exports, checkpoints, verification.", no_args_is_help=True)
Out = Annotated[Path, typer.Option(help="Where to write it.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(log, name="audit")


_KEPT = "{out} is there already, and may be what somebody kept. Name another file, or remove that one."


@contextmanager
def _whole(out: Path) -> Iterator[BinaryIO]:
    """Open a file that has its name once it is whole, and then in the place of no other."""
    if out.exists():
        raise Conflict(_KEPT.format(out=out))
    draft = out.with_name(f"{out.name}.{os.urandom(4).hex()}.part")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _take_name(out)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def _take_name(out: Path) -> None:
    try:
        out.touch(exist_ok=False)
    except FileExistsError:
        raise Conflict(_KEPT.format(out=out)) from None


@log.command("export")
def export(
    out: Annotated[Path, typer.Option(help="Where to write it; gzipped if the name ends in .gz.")],
    tenant: Tenant = None,
) -> None:
    """Write every numbered entry, one a line, for `verify_audit.py`.

    Example: clustercredit audit export --out audit.ndjson.gz --tenant luqiao-community-bank
    """
    settings = Settings()
    lines = 0
    with tenant_session(open_database(settings), settings, tenant) as session, ExitStack() as stack:
        raw = stack.enter_context(_whole(out))
        # The same log gives the same bytes: no name and no time in the header.
        packed = gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) if out.suffix == ".gz" else None
        file = raw if packed is None else cast("BinaryIO", stack.enter_context(packed))
        for line in use_cases.export(session):
            file.write(line)
            lines += 1
    console.print(f"{lines:,} entries in {out}", soft_wrap=True)


@log.command("checkpoint")
def checkpoint(
    out: Out,
    *,
    with_leaves: Annotated[
        bool,
        typer.Option(
            "--with-leaves", help="Also the leaf hashes, 43 bytes an entry: they name which entry was changed."
        ),
    ] = False,
    is_restored: Annotated[
        bool,
        typer.Option(
            "--restored",
            help="Sign the log as it is though it does not continue what was signed last: after a restored backup, or "
            "the loss of the keys. That is an entry.",
        ),
    ] = False,
    tenant: Tenant = None,
) -> None:
    """Sign a checkpoint of all that is committed and write it: to be kept where the service cannot write.

    Example: clustercredit audit checkpoint --out 2026-11-27.json --with-leaves
    """
    settings = Settings()
    database = open_database(settings)
    with _whole(out) as file:
        number_all(database)
        with tenant_session(database, settings, tenant) as session:
            keys = SigningKeys(settings.signing)
            signed = use_cases.make_checkpoint(session, keys, own_organisation(session).name, is_restored=is_restored)
            file.write(use_cases.checkpoint_file(session, signed, with_leaves=with_leaves))
    console.print(f"{signed.size:,} entries, key {signed.key_id}: {out}", soft_wrap=True)


@log.command("verifier")
def verifier(out: Out) -> None:
    """Write `verify_audit.py`: one file that needs Python and the package cryptography, and nothing of this service.

    Example: clustercredit audit verifier --out verify_audit.py
    """
    shutil.copyfile(verify_audit.__file__, out)
    console.print(f"{out}: python {out.name} EXPORT --checkpoint FILE --key-id ID", soft_wrap=True)


@log.command("verify")
def verify(
    kept: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="A checkpoint that was kept elsewhere; repeat it.")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Verify the live log: entries, kept hashes, and every checkpoint in the database and given.

    What the database says of itself proves little: give checkpoints that were kept elsewhere.

    Status 0: intact; 1: not; 2: there was nothing to verify, or nothing to verify with.

    Example: clustercredit audit verify --checkpoint 2026-11-27.json
    """
    settings = Settings()
    try:
        words, is_intact = _verified(settings, kept or [], tenant)
    except (verify_audit.UnusableError, Problem, EmbeddedPostgresError, OSError) as error:
        # A script must not take for damage that something was not there to verify with.
        typer.echo(f"Error: {verify_audit.plain(str(error))}", err=True)
        raise typer.Exit(verify_audit.UNUSABLE) from None
    except SQLAlchemyError as error:
        typer.echo(f"Error: the database cannot be read: {getattr(error, 'orig', error)}", err=True)
        raise typer.Exit(verify_audit.UNUSABLE) from None
    for line in words:
        console.print(verify_audit.plain(line), highlight=False, markup=False, soft_wrap=True)
    if not is_intact:
        raise typer.Exit(verify_audit.NOT_INTACT)


def _verified(settings: Settings, kept: list[Path], tenant: str | None) -> tuple[list[str], bool]:
    """Return what was found, in words, and whether all is as it was signed."""
    trusted = {key.id for key in SigningKeys(settings.signing).public_keys()}
    checkpoints = [verify_audit.read_checkpoint(path.read_bytes(), trusted) for path in kept]
    wrong: list[str] = []
    with tenant_session(open_database(settings), settings, tenant) as session:
        for row in use_cases.list_checkpoints(session, None, None):
            try:
                checkpoints.append(verify_audit.read_checkpoint(use_cases.as_file(row, None), trusted))
            except verify_audit.UnusableError as error:
                wrong.append(f"NOT INTACT: the database's checkpoint {row.id}: {error}")
        if not checkpoints:
            raise Conflict(
                "\n".join(wrong)
                or "There is no checkpoint to verify against. Sign one: clustercredit audit checkpoint --out FILE"
            )
        verdict = verify_audit.verify(use_cases.export(session), checkpoints)
        damaged = use_cases.damaged_nodes(session) if verdict.finding is None else []
    if damaged:
        wrong.append(f"{len(damaged)} kept hashes of the tree are wrong, first: {damaged[0]}")
    return [*verify_audit.say(verdict, checkpoints), *wrong], verdict.finding is None and not wrong


@log.command("waiting")
def waiting() -> None:
    """Tell how many entries, of whatever tenants, wait for a number, and for how long; status 1 if over a minute.

    Example: clustercredit audit waiting
    """
    found = count_waiting(open_database(Settings()))
    console.print(f"{found.entries:,} entries wait for a number, the oldest for {found.seconds:.0f} s", soft_wrap=True)
    if found.seconds > LATE_SECONDS:
        raise typer.Exit(1)


@log.command("rotate-key")
def rotate_key() -> None:
    """Make a new signing key, sign it with the one before, and destroy that one's private half.

    Every organisation's log gets an entry with the old key's signature over the new one. Hand the new key's id to those
    who verify, by the way on which they got the first.

    Example: clustercredit audit rotate-key
    """
    settings = Settings()
    database = open_database(settings)
    keys = SigningKeys(settings.signing)
    handover = keys.rotate()
    tenants = use_cases.record_handovers(database, keys.handovers(), Author(operator()))
    console.print(
        f"Checkpoints are signed by the key {handover.new.id} now; it is on record in {tenants} logs.", soft_wrap=True
    )
