"""Build the HTTP application: routers and handlers, nothing else."""

from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from service.alerts.router import router as alerts
from service.errors import MEDIA_TYPE, ProblemOut, install_handlers
from service.firms.router import router as firms
from service.kit.admission import Admission
from service.kit.db import Database
from service.kit.logs import RequestLog
from service.kit.receive import WholeRequest
from service.scoring.router import router as scores
from service.settings import Settings

DESCRIPTION = """Explained risk grades and alerts for small firms in industrial clusters.

Every request carries `Authorization: Bearer <API key>` (`clustercredit key create`). Every creating POST carries an
`Idempotency-Key` of your own choice: send the request again with it and nothing is done twice. Errors are RFC 9457
problem documents. Money is yuan (CNY) with two decimal places, days are `YYYY-MM-DD`, instants are UTC.
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
    install_handlers(app)
    app.add_middleware(Admission, limit=settings.pool_size)
    app.add_middleware(
        WholeRequest,
        seconds=settings.receive_seconds,
        max_body=settings.max_body_bytes,
        max_buffered=settings.max_buffered_bytes,
    )
    app.add_middleware(RequestLog)
    for router in (firms, scores, alerts):
        app.include_router(router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


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
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"]["422"] = {"description": "Unprocessable Content", "content": content}
            if "requestBody" in operation:
                for status, words in (
                    ("408", "Request Timeout"),
                    ("413", "Content Too Large"),
                    ("503", "Service Unavailable"),
                ):
                    operation["responses"][status] = {"description": words, "content": content}
    return schema
