"""The route of exports."""

from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, BinaryIO, Final, Literal, cast

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from features.kinds import KINDS
from service.errors import responses
from service.exports.use_cases import export_kind
from service.exports.writers import FORMS
from service.kit import clock
from service.kit.http import Day, Session, one_of

router = APIRouter(prefix="/v1", tags=["exports"])
MOST_ROWS: Final = 100_000
_IN_MEMORY, _PART = 1 << 20, 1 << 16
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file",
        "content": {form.media_type: _BYTES for form in FORMS.values()},
        "headers": {
            "Content-Disposition": {
                "description": "The file's name: kind, day and ending.",
                "required": True,
                "schema": {"type": "string"},
                "example": 'attachment; filename="loan-2024-06-30.csv"',
            }
        },
    }
}


@router.get(
    "/exports/{kind}", response_class=StreamingResponse, responses=_FILE | responses(), summary="Export a kind's rows"
)
def get_export(
    session: Session,
    kind: Annotated[
        str,
        one_of(KINDS),
        Path(description="Kind of the rows.", examples=["loan"], json_schema_extra={"enum": list(KINDS)}),
    ],
    form: Annotated[
        Literal["csv", "xlsx", "ndjson", "parquet"], Query(alias="format", description="Form of the file.")
    ] = "csv",
    known_by: Annotated[
        Day | None, Query(description="Leave out rows that became known after this day; today if not given.")
    ] = None,
) -> StreamingResponse:
    """Return a file of all rows of a kind, at most 100,000; for more there is `clustercredit export`.

    An import takes it back, in another organisation too. Rows of people who withdrew are left out, and records past
    their years say `none`. A text that a spreadsheet would take for a formula begins with an apostrophe in CSV and
    XLSX. That it was made, and the file's hash, goes into the audit log.
    """
    day, chosen = known_by or clock.today(), FORMS[form]
    name = f"{kind}-{day}.{chosen.ending}"
    instead = f"On the server: clustercredit export {kind} {name}"
    with ExitStack() as stack:
        file = cast("BinaryIO", stack.enter_context(SpooledTemporaryFile(_IN_MEMORY)))
        export_kind(session, KINDS[kind], chosen, file, day, most_rows=MOST_ROWS, instead=instead)
        size = file.tell()
        file.seek(0)
        stack.pop_all()  # it is closed when it is sent
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return StreamingResponse(_parts(file), media_type=chosen.media_type, headers=headers)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(_PART):
            yield part
