"""Build the HTTP application: routers and handlers, nothing else."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from service.alerts.router import router as alerts
from service.associations.router import router as associations
from service.audit.router import router as audit
from service.audit.signing import SigningKeys
from service.documents.router import router as documents
from service.documents.use_cases import tidy as tidy_documents
from service.errors import ProblemOut, install_handlers, problem, responses
from service.exports.router import router as exports
from service.firms.router import router as firms
from service.funds.router import router as funds
from service.identity.access import ACCESS, PUBLIC
from service.identity.guard import guard
from service.identity.router import router as identity
from service.identity.session_router import router as sessions
from service.identity.user_router import router as users
from service.identity.uses import Uses
from service.imports.jobs import IMPORT
from service.imports.router import router as imports
from service.jobs.context import Kind, Tidy
from service.jobs.events import Streams
from service.jobs.router import router as jobs
from service.kit.admission import Admission
from service.kit.db import Database
from service.kit.document import tighten
from service.kit.http import known_parameters
from service.kit.keyring import Keyring
from service.kit.logs import RequestLog
from service.kit.rate_limit import Failures, Limiter
from service.kit.receive import WholeRequest
from service.observations.router import router as observations
from service.people.router import router as people
from service.rescoring.jobs import RESCORING
from service.rescoring.router import router as rescorings
from service.reviews.router import router as reviews
from service.reviews.use_cases import follow_refusals
from service.scoring.router import router as scores
from service.settings import Settings
from service.statements.router import router as statements
from service.training.jobs import TRAINING
from service.training.router import router as models

ROUTERS: Final[tuple[APIRouter, ...]] = (
    identity,
    users,
    sessions,
    firms,
    people,
    associations,
    imports,
    observations,
    documents,
    exports,
    models,
    scores,
    rescorings,
    jobs,
    alerts,
    reviews,
    funds,
    audit,
    statements,
)
KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in (IMPORT, TRAINING, RESCORING)}
"""What workers can do."""
CHORES: Final[dict[str, Tidy]] = {"documents": tidy_documents}
"""What workers tidy now and then beside what jobs leave."""
ANY_ROUTE: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.INSUFFICIENT_STORAGE,
)
GUARDED_ROUTE: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
WITH_A_BODY: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)
DESCRIPTION = """Explained risk grades and alerts for small firms in industrial clusters.

Every request carries `Authorization: Bearer <API key>` (`clustercredit key create`), or the cookie of a person who has
signed in (`POST /v1/sessions`); `x-roles` of an operation says which roles may use it, and none is named where anybody
may. A changing request carries `If-Match`, the ETag of what it changes. Every creating POST but for signing in carries
an `Idempotency-Key` of your own choice: send the request again with it and nothing is done twice. Errors are RFC 9457
problem documents; a 429 says in `Retry-After` when to come back. While the disk is full requests get 507, while the
database is away 503: send them again later, with the same `Idempotency-Key`. Money is yuan (CNY) with two decimal
places, days are `YYYY-MM-DD`, instants are UTC.
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
    app.state.settings = settings
    app.state.database = database
    app.state.limiter = Limiter(database)
    app.state.failures = Failures(app.state.limiter, settings.failed_requests_per_minute)
    app.state.uses = Uses(database)
    app.state.keyring = Keyring(settings.keyring)
    app.state.signing_keys = SigningKeys(settings.signing)
    app.state.job_kinds = KINDS
    app.state.job_streams = Streams(database, settings.event_stream_seconds)
    app.state.follow_refusals = follow_refusals
    install_handlers(app)
    app.add_exception_handler(HTTPStatus.METHOD_NOT_ALLOWED, _on_other_method)
    app.add_middleware(Admission, limit=settings.pool_size)
    app.add_middleware(
        WholeRequest,
        seconds=settings.receive_seconds,
        max_body=settings.max_body_bytes,
        max_buffered=settings.max_buffered_bytes,
        max_files={"documents": settings.max_document_bytes},
    )
    app.add_middleware(RequestLog)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(guard), Depends(known_parameters)])
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _on_other_method(request: Request, _: Exception) -> Response:
    """Name every method that the path has, and not only those of the first route that it matches."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    may = {method for route in routes if route.path_regex.match(request.url.path) for method in route.methods or ()}
    allow = ", ".join(sorted(may))
    title, detail = "The path does not have this method", f"It has: {allow or 'GET'}."
    status = HTTPStatus.METHOD_NOT_ALLOWED
    return problem(status, "method-not-allowed", title, detail, headers={"Allow": allow or "GET"})


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Add what every route may answer, and the problem document's schema."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    schema = FastAPI.openapi(app)
    components = schema["components"]["schemas"]
    problem_schema = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    components |= problem_schema.pop("$defs", {})
    components["ProblemOut"] = problem_schema
    for unused in ("HTTPValidationError", "ValidationError"):
        components.pop(unused, None)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            roles = ACCESS[f"{method.upper()} {path}"]
            any_route = ANY_ROUTE if roles is PUBLIC else (*ANY_ROUTE, *GUARDED_ROUTE)
            if "requestBody" in operation:
                any_route = (*any_route, *WITH_A_BODY)
            more = {str(status): answer for status, answer in responses(*any_route).items()}
            operation["responses"] = dict(sorted((operation["responses"] | more).items()))
            tighten(operation, components)
            operation["x-roles"] = sorted(roles)
            if roles is PUBLIC:
                operation["security"] = []
    return schema
