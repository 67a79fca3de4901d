"""The route of imports."""

import base64
import binascii
import re
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse

from features.kinds import KINDS
from service.errors import MAX_REPORTED, InvalidPayload, UnsupportedMediaType, field_name, responses
from service.identity.guard import Acting
from service.imports.chunks import sentence
from service.imports.jobs import report_of, start_import
from service.imports.mapping_file import MappingError, parse_mapping
from service.imports.page import page_of
from service.imports.report import Report
from service.imports.uploads import Uploads
from service.jobs.router import JobId, accept, accepting
from service.jobs.tables import Job
from service.kit.http import Content, Session, Text, one_of
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
_LONGEST_MAPPING: Final = 8192
"""Characters of a mapping in the request's line, of which proxies take no more."""
_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The report: JSON, or a page if `Accept` prefers `text/html`.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    }
}
_PAGE_HEADERS: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Vary": "Accept"}


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
    content: Content,
    kind: Annotated[
        str,
        one_of(KINDS),
        Query(description="Kind of the rows.", examples=["firm"], json_schema_extra={"enum": list(KINDS)}),
    ],
    name: Annotated[Text, Query(description="What the file is called in the result.", examples=["firms.csv"])] = "file",
    *,
    preview: Annotated[bool, Query(description="Do all but load; the result says what would become of it.")] = False,
    mapping: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_LONGEST_MAPPING,
            pattern="^[A-Za-z0-9_-]+={0,2}$",
            description="A YAML mapping of the file's own columns to the kind's (docs/import-door.md), in base64url.",
        ),
    ] = None,
) -> Response:
    """Start a job that loads a file, whole or not at all: good rows are loaded, bad ones counted and named.

    It loads firms of every branch; those that it adds belong to none until they are handed over. Loading a file again
    adds nothing. The file waits encrypted, and is gone when the job is over. The result has the counts, and the first
    100 rejected rows with line, column, value, reason and remedy; GET /v1/imports/{job_id}/report has the rest.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in FILES:
        raise UnsupportedMediaType(f"Send the file itself as the body, with Content-Type {' or '.join(FILES)}.")
    if not content:
        raise InvalidPayload("The body is empty. Send the file itself as the body.")
    told = None if mapping is None else _checked(mapping, kind)
    uploads = Uploads(request.app.state.keyring)

    def start() -> Job:
        return start_import(session, actor, uploads, content, kind=kind, name=name, mapping=told, is_preview=preview)

    return accept(session, actor, once, start)


@router.get(
    "/imports/{job_id}/report",
    response_model=Report,
    responses=_PAGE | responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    summary="Show the quality of an imported file",
)
def get_report(
    session: Session, job_id: JobId, accept: Annotated[str, Header(include_in_schema=False)] = ""
) -> Report | Response:
    """Return what was imported, or would have been, is like: counts, gaps, ranges and faults, each with examples."""
    report = report_of(session, job_id)
    return HTMLResponse(page_of(report), headers=_PAGE_HEADERS) if _prefers_page(accept) else report


def _checked(mapping: str, kind: str) -> str:
    """Return the YAML of a mapping in base64url, once it has been found good for a kind."""
    try:
        content = base64.urlsafe_b64decode(mapping.rstrip("=") + "=" * (-len(mapping.rstrip("=")) % 4))
        parsed = parse_mapping(content, "mapping")
    except binascii.Error:
        raise InvalidPayload("query.mapping: not base64url. Encode the YAML file as it is.") from None
    except MappingError as error:
        errors = [
            {"field": field_name(("query", "mapping", mistake.path)), "row": None, "reason": sentence(mistake.fault)}
            for mistake in error.mistakes[:MAX_REPORTED]
        ]
        raise InvalidPayload(str(error), errors=errors) from None
    if parsed.kind.name != kind:
        raise InvalidPayload(f"query.mapping: it is for kind '{parsed.kind.name}', not '{kind}'.")
    return content.decode()


def _prefers_page(accept: str) -> bool:
    """Tell whether an Accept header names HTML, and no other type of ours before it.

    Examples
    --------
    >>> _prefers_page("text/html,application/xhtml+xml,*/*;q=0.8"), _prefers_page("application/json"), _prefers_page("")
    (True, False, False)
    """
    weights = {"text/html": 0.0, "application/json": 0.0}
    for part in accept.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() in weights:
            weights[name.strip()] = _weight(parameters)
    return weights["text/html"] > weights["application/json"]


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if re.fullmatch(r"[01](\.[0-9]{0,3})?", value.strip()) else 0.0
    return 1.0
