"""Imports as jobs."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from uuid import UUID

from features.kinds import KINDS
from service.identity.actor import Actor
from service.imports.adapters.contract import Options
from service.imports.chunks import ImportFailedError
from service.imports.uploads import Uploads, check_size
from service.imports.use_cases import FileSummary, ImportSummary, import_stream
from service.jobs.context import Context, Kind
from service.jobs.tables import Job
from service.jobs.use_cases import start
from service.kit import clock
from service.kit.db import Database, TenantSession, tenant_of
from service.kit.keyring import Keyring
from service.settings import Settings

KIND = "import"
SHOWN_REJECTS = 100
_COUNTS = [field.name for field in fields(FileSummary) if field.name not in {"file", "kind"}]


def start_import(
    session: TenantSession, actor: Actor, uploads: Uploads, content: bytes, *, kind: str, name: str
) -> Job:
    """Start the import of a file of a canonical kind."""

    def parts(job_id: UUID) -> Iterable[bytes]:
        return uploads.seal(tenant_of(session), job_id, content)

    return start(session, actor, KIND, {"kind": kind, "name": name}, parts)


def _run(context: Context) -> None:
    """Load the file whole or not at all; the load and the job's end are one transaction."""
    kind, name = KINDS[context.args["kind"]], context.args["name"]
    uploads = Uploads(Keyring(context.settings.keyring))
    with context.session() as session:
        file = uploads.open(context.tenant_id, context.job_id, context.upload(session))
    check_size(file, name)
    with context.session() as session:
        summary = import_stream(session, kind, file, name, Options(today=clock.today()), context.progress)
        context.finish(session, _result(summary), _counts(summary))
    if summary.added:
        context.database.analyze()


def _result(summary: ImportSummary) -> dict[str, object]:
    """Return what is shown: of rejected rows the first, each value with persons' numbers hidden by the reader."""
    rejects = summary.rejects.head(SHOWN_REJECTS).drop("file").to_dicts()
    return {"files": [asdict(line) for line in summary.files], "rejects": rejects}


def _counts(summary: ImportSummary) -> dict[str, int]:
    return {name: sum(getattr(line, name) for line in summary.files) for name in _COUNTS}


def _forget(settings: Settings, tenant_id: UUID, job_id: UUID) -> None:
    Uploads(Keyring(settings.keyring)).forget(tenant_id, job_id)


def _tidy(settings: Settings, database: Database) -> None:
    Uploads(Keyring(settings.keyring)).tidy(database)


IMPORT = Kind(
    KIND,
    _run,
    {ImportFailedError: ("import-failed", "The file cannot be imported; nothing was loaded")},
    on_end=_forget,
    tidy=_tidy,
)
