"""Imports as jobs."""

from collections.abc import Iterable
from dataclasses import asdict
from uuid import UUID

from features.kinds import KINDS
from service.errors import Conflict, NotFound
from service.identity.actor import Actor
from service.imports.adapters.contract import Options
from service.imports.chunks import ImportFailedError
from service.imports.door import ImportSummary
from service.imports.mapping_file import parse_mapping
from service.imports.report import Report
from service.imports.uploads import Uploads, check_size
from service.imports.use_cases import Manner, import_stream
from service.jobs.context import Context, Kind
from service.jobs.rules import FINAL, State
from service.jobs.schemas import UNTOLD
from service.jobs.tables import Job
from service.jobs.use_cases import get_job, start
from service.kit import clock
from service.kit.db import Database, TenantSession, tenant_of
from service.kit.keyring import Keyring
from service.settings import Settings

KIND = "import"
SHOWN_REJECTS = 100


def start_import(
    session: TenantSession,
    actor: Actor,
    uploads: Uploads,
    content: bytes,
    *,
    kind: str,
    name: str,
    mapping: str | None = None,
    is_preview: bool = False,
) -> Job:
    """Start the import of a file of a canonical kind.

    Parameters
    ----------
    mapping
        YAML that has been checked; None: the file's columns are the kind's.
    is_preview
        Do all but load.
    """

    def parts(job_id: UUID) -> Iterable[bytes]:
        return uploads.seal(tenant_of(session), job_id, content)

    asked = {"kind": kind, "name": name, "mapping": mapping, "preview": is_preview or None}
    args = {key: value for key, value in asked.items() if value is not None}
    return start(session, actor, KIND, args, parts)


def report_of(session: TenantSession, job_id: UUID) -> Report:
    """Return the report on the quality of what a job imported, or would have.

    Raises
    ------
    NotFound
        If the tenant has no such job, or it is no import with a report.
    Conflict
        If it is not over yet.
    """
    job = get_job(session, job_id)
    if job.kind == KIND and State(job.state) not in FINAL:
        raise Conflict("The import is not over yet. Follow it in GET /v1/jobs/{job_id}, then come back.")
    if job.kind != KIND or job.result is None or UNTOLD not in job.result:
        raise NotFound("This job has no report: it is no import, or one that did not succeed.")
    return Report.model_validate(job.result[UNTOLD])


def _run(context: Context) -> None:
    """Load the file whole or not at all; the load and the job's end are one transaction."""
    args = context.args
    kind, name = KINDS[args["kind"]], args["name"]
    mapping = parse_mapping(args["mapping"].encode(), "mapping") if "mapping" in args else None
    manner = Manner(mapping=mapping, is_preview=args.get("preview", False))
    uploads = Uploads(Keyring(context.settings.keyring))
    with context.session() as session:
        file = uploads.open(context.tenant_id, context.job_id, context.upload(session))
    check_size(file, name)
    with context.session() as session:
        summary = import_stream(session, kind, file, name, Options(today=clock.today()), context.progress, manner)
        context.finish(session, _result(summary), summary.counts())
    if summary.added:
        context.database.analyze()


def _result(summary: ImportSummary) -> dict[str, object]:
    """Return what is shown: of rejected rows the first, each value with persons' numbers hidden by the reader."""
    report = summary.report.bounded()
    return {
        "files": [asdict(line) for line in summary.files],
        "rejects": summary.rejects.head(SHOWN_REJECTS).drop("file").to_dicts(),
        "quality": report.summary(),
        UNTOLD: report.model_dump(mode="json"),
    }


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
