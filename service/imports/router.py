"""The route of imports."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator

from features.kinds import KINDS
from service.errors import InvalidPayload, UnsupportedMediaType
from service.identity.guard import Acting
from service.imports.jobs import start_import
from service.imports.uploads import Uploads
from service.jobs.router import accept, accepting
from service.kit.http import Session, Text
from service.kit.idempotency import OnceOnly
from service.kit.receive import FILES

router = APIRouter(prefix="/v1", tags=["imports"])
_EXAMPLE = "firm_id,observed_on,name\nE00001,2024-01-31,路桥鞋业\n"
_BODY: Final[dict[str, Any]] = {
    "description": (
        "A file of CSV or NDJSON, plain or gzipped, or of XLSX or Parquet. Its content decides which, whatever type is"
        " named, and the ending of its name must not contradict it. Columns: docs/reference/kinds.md; formats:"
        " docs/import-files.md."
    ),
    "required": True,
    "content": {
        "text/csv": {"schema": {"type": "string", "minLength": 1}, "examples": {"firms": {"value": _EXAMPLE}}},
        **{
            media: {"schema": {"type": "string", "format": "binary", "minLength": 1}}
            for media in FILES
            if media != "text/csv"
        },
    },
}


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return kind


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/imports",
    **accepting(HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    summary="Import a file",
    openapi_extra={"requestBody": _BODY},
)
def post_import(
    request: Request,
    session: Session,
    actor: Acting,
    once: OnceOnly,
    content: Annotated[bytes, Depends(_body)],
    kind: Annotated[
        str,
        AfterValidator(_known),
        Query(description="Kind of the rows.", examples=["firm"], json_schema_extra={"enum": list(KINDS)}),
    ],
    name: Annotated[Text, Query(description="What the file is called in the result.", examples=["firms.csv"])] = "file",
) -> Response:
    """Start a job that loads a file, whole or not at all: good rows are loaded, bad ones counted and named.

    It loads firms of every branch; those that it adds belong to none until they are handed over. Loading a file again
    adds nothing. The file waits encrypted, and is gone when the job is over. The result has the counts, and the first
    100 rejected rows with line, column, value and reason.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in FILES:
        raise UnsupportedMediaType(f"Send the file itself as the body, with Content-Type {' or '.join(FILES)}.")
    if not content:
        raise InvalidPayload("The body is empty. Send the file itself as the body.")
    uploads = Uploads(request.app.state.keyring)
    return accept(session, actor, once, lambda: start_import(session, actor, uploads, content, kind=kind, name=name))
