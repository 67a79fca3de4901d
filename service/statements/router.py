"""Routes of statements."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from service.audit.signing import SigningKeys
from service.audit.use_cases import check_signable
from service.errors import responses
from service.kit.db import tenant_of
from service.kit.http import Code, Session
from service.kit.paging import Count
from service.statements import use_cases
from service.statements.schemas import NotYetOut, StatementOut

router = APIRouter(prefix="/v1", tags=["statements"])
RETRY_SECONDS = 1
_NOT_YET: dict[int | str, dict[str, Any]] = {
    int(HTTPStatus.ACCEPTED): {
        "model": NotYetOut,
        "description": "An entry of the audit log that it rests on has no number yet",
        "headers": {
            "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer"}, "example": 1}
        },
    }
}


@router.get(
    "/firms/{firm_id}/statement",
    response_model=StatementOut,
    responses={**responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE), **_NOT_YET},
    summary="Make a firm's signed credit history",
)
def get_statement(
    request: Request,
    session: Session,
    firm_id: Annotated[UUID, Path(description="Id of a firm.", examples=["0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11"])],
    *,
    product: Annotated[Code | None, Query(description="Only scores of this loan product; all if not given.")] = None,
    limit: Annotated[Count, Query(ge=1, le=48, description="Of its newest scores.")] = 36,
    from_size: Annotated[
        Count | None,
        Query(
            alias="from",
            ge=1,
            le=10**15,
            description="`size` of a checkpoint that you keep: the statement proves that its log begins with that"
            " one's. The newest checkpoint if not given.",
        ),
    ] = None,
    with_reasons: Annotated[
        bool, Query(description="Whether reasons are written out: `false` for a statement that others will see.")
    ] = True,
) -> StatementOut | JSONResponse:
    """Return the firm's scores, each proven by the audit log, its loans and repayments: signed, and verified offline.

    That it was made, and the hash of what it says, goes into the log. 202 while a score's entry has no number yet.
    """
    keys: SigningKeys = request.app.state.signing_keys
    statement = use_cases.make_statement(
        session,
        check_signable(session, keys, tenant_of(session)),
        firm_id,
        product=product,
        limit=limit,
        from_size=from_size,
        with_reasons=with_reasons,
    )
    if statement is not None:
        return StatementOut.of(statement)
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return JSONResponse(NotYetOut(state="pending").model_dump(mode="json"), HTTPStatus.ACCEPTED, headers=headers)
