"""Build the HTTP application: routers and handlers, nothing else."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi_offline import FastAPIOffline

from service.alerts.router import router as alerts
from service.errors import ProblemOut, install_handlers, responses
from service.firms.router import router as firms
from service.identity.access import ACCESS, PUBLIC
from service.identity.guard import guard
from service.identity.router import router as identity
from service.kit.admission import Admission
from service.kit.body_limit import BodyLimit
from service.kit.db import Database
from service.kit.keyring import Keyring
from service.kit.logs import loggable_path
from service.people.router import router as people
from service.scoring.router import router as scores
from service.settings import Settings

log = structlog.get_logger()

ROUTERS: Final[tuple[APIRouter, ...]] = (identity, firms, people, scores, alerts)
ANY_ROUTE: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
GUARDED_ROUTE: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
DESCRIPTION = """Explained risk grades and alerts for small firms in industrial clusters.

Every request carries `Authorization: Bearer <API key>` (`clustercredit key create`); `x-roles` of an operation says
which roles may use it. A changing request carries `If-Match`, the ETag of what it changes. Every creating POST
carries an `Idempotency-Key` of your own choice: send the request again with it and nothing is done twice. Errors are
RFC 9457 problem documents. Money is yuan (CNY) with two decimal places, days are `YYYY-MM-DD`, instants are UTC.
"""


def create_app(settings: Settings, database: Database) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    settings
        Limits.
    database
        An open one, with every migration.
    """
    app = FastAPIOffline(
        title="clustercredit",
        version="1",
        description=DESCRIPTION,
        redoc_url=None,
    )
    app.state.database = database
    app.state.keyring = Keyring(settings.keyring)
    install_handlers(app)
    app.add_middleware(Admission, limit=settings.pool_size)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.middleware("http")(_with_request_id)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(guard)])
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _with_request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    request_id = request.state.request_id = uuid4().hex
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        response = await call_next(request)
        log.info("request", method=request.method, path=loggable_path(request.url.path), status=response.status_code)
    response.headers["X-Request-Id"] = request_id
    return response


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Add what every route may answer, and the problem document's schema."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    schema = FastAPI.openapi(app)
    components = schema["components"]["schemas"]
    problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    components |= problem.pop("$defs", {})
    components["ProblemOut"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            roles = ACCESS[f"{method.upper()} {path}"]
            any_route = ANY_ROUTE if roles is PUBLIC else (*ANY_ROUTE, *GUARDED_ROUTE)
            if "requestBody" in operation:
                any_route = (*any_route, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            more = {str(status): answer for status, answer in responses(*any_route).items()}
            operation["responses"] = dict(sorted((operation["responses"] | more).items()))
            operation["x-roles"] = sorted(roles)
            if roles is PUBLIC:
                operation["security"] = []
    return schema
