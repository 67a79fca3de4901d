"""export."""

from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from features.kinds import KINDS
from features.kinds.contract import Kind
from features.kinds.world import DOCUMENT
from service.cli.runtime import Tenant, console, open_database, operator, progress_bar, tenant_session
from service.errors import Conflict
from service.exports.use_cases import export_kind
from service.exports.writers import FORMS, Form
from service.identity.use_cases import tenant_id_of
from service.imports.chunks import no_such, sentence
from service.imports.folder import ALL
from service.kit import clock
from service.kit.db import Author
from service.kit.files import folder_written_whole, written_whole
from service.settings import Settings

_FORMATS = ", ".join(FORMS)
_WITHOUT_FILES = (
    "files of documents are not in here: GET /v1/documents/{sha256}/content"
    " / 文件本身不在导出之列，请用 GET /v1/documents/{sha256}/content 获取"
)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("export")(export_command)


def export_command(
    kind: Annotated[str, typer.Argument(help="A canonical kind (`import --list`), or `all`.")],
    path: Annotated[Path, typer.Argument(help="The file to write; of `all`, a folder. It must not be there yet.")],
    *,
    form_name: Annotated[
        str | None, typer.Option("--format", help=f"{_FORMATS}; by the file's ending if not given, of `all` csv.")
    ] = None,
    known_by: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Leave out what became known after this day; today if not given."),
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Write all rows of a kind, or every kind, for an import to take back: whole or not at all, of one moment.

    Rows of people who withdrew are left out (docs/exports.md). It goes into the audit log, with the file's hash.

    Example: clustercredit export invoice invoices.parquet
    """
    kinds, form = _kinds_of(kind), _form_of(kind, path, form_name)
    settings = Settings()
    day = clock.today() if known_by is None else known_by.date()
    database = open_database(settings)
    with tenant_session(database, settings, tenant):
        tenant_id = tenant_id_of(tenant or settings.tenant)
    try:
        with ExitStack() as stack:
            report = stack.enter_context(progress_bar())
            places = dict.fromkeys(kinds, path)
            if kind == ALL:
                folder = stack.enter_context(folder_written_whole(path))
                places = {name: folder / f"{name}.{form.ending}" for name in kinds}
            files = {name: stack.enter_context(written_whole(place)) for name, place in places.items()}
            # Committed before the files get their names: what is there is on record.
            with database.session(tenant_id, Author(operator())) as session:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                done = {
                    name: export_kind(session, of_kind, form, files[name], day, progress=report)
                    for name, of_kind in kinds.items()
                }
    except FileExistsError:
        raise Conflict(f"{path} is there already. Name another, or remove that one.") from None
    for name, exported in done.items():
        where = path / places[name].name if kind == ALL else path
        console.print(f"{name}: {exported.rows:,} rows in {where}", highlight=False, soft_wrap=True)
        if name == DOCUMENT.name and exported.rows:
            console.print(_WITHOUT_FILES, highlight=False, soft_wrap=True, markup=False)


def _kinds_of(name: str) -> dict[str, Kind]:
    if name == ALL:
        return KINDS
    if name not in KINDS:
        raise typer.BadParameter(sentence(no_such("kind", "种类", name, [*KINDS, ALL])))
    return {name: KINDS[name]}


def _form_of(kind: str, path: Path, name: str | None) -> Form:
    name = name or ("csv" if kind == ALL else path.suffix.removeprefix(".").lower())
    if name not in FORMS:
        raise typer.BadParameter(f"'{name}' is no form of a file; give --format or an ending of {_FORMATS}")
    return FORMS[name]
