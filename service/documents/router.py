"""Routes of documents."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from features.kinds.contract import LONG
from service.documents import use_cases
from service.documents.rules import TYPES
from service.documents.schemas import DocumentOut, DocumentType
from service.documents.use_cases import vault_of
from service.errors import CREATING, UnsupportedMediaType, responses
from service.firms.router import FirmId
from service.kit.http import AnyDay, Content, Session, Text, text_of
from service.kit.idempotency import OnceOnly
from service.kit.vault import Vault

router = APIRouter(prefix="/v1", tags=["documents"])
NO_KEYS = HTTPStatus.SERVICE_UNAVAILABLE
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_BODY: Final[dict[str, Any]] = {
    "description": "The file itself, of the type that Content-Type says: its first bytes are compared.",
    "required": True,
    "content": {name: {"schema": {"type": "string", "format": "binary", "minLength": 1}} for name in TYPES}
    | {
        "text/plain": {
            "schema": {"type": "string", "minLength": 1},
            "examples": {"order": {"value": "Order of 40,000 fittings, Luqiao, 2024-05-31"}},
        }
    },
}
_CONTENT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file.",
        "content": dict.fromkeys(TYPES, _BINARY),
        "headers": {
            "Content-Disposition": {
                "description": "`attachment`, and a name for the file.",
                "schema": {"type": "string"},
                "required": True,
            }
        },
    }
}
Sha256 = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of a file, in hexadecimal.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    ),
]
Words: Any = text_of(LONG)


def _vault(request: Request) -> Vault:
    return vault_of(request.app.state.keyring)


Sealed = Annotated[Vault, Depends(_vault)]


@router.post(
    "/firms/{firm_id}/documents",
    status_code=HTTPStatus.CREATED,
    response_model=DocumentOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, NO_KEYS),
    summary="Add a document about a firm",
    openapi_extra={"requestBody": _BODY},
)
def post_document(
    request: Request,
    session: Session,
    vault: Sealed,
    once: OnceOnly,
    content: Content,
    firm_id: FirmId,
    document_type: Annotated[DocumentType, Query(description="What it is.", examples=["contract"])],
    title: Annotated[Text, Query(description="Its title.", examples=["Order of 2024-05"])],
    observed_on: Annotated[AnyDay, Query(description="The day that it is of.", examples=["2024-05-31"])],
    known_on: Annotated[
        AnyDay | None, Query(description="When the lender could know it; the kind's usual day if none.")
    ] = None,
    words: Annotated[Words | None, Query(description="What it shows.")] = None,
) -> Response:
    """Store a file, and add an observation of kind document with its hash and size. The same file is stored once.

    It is kept encrypted, under a key of its own. Rows refer to it by `sha256`, an event as its `document_sha256`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in TYPES:
        raise UnsupportedMediaType(f"Send the file itself as the body, with Content-Type {' or '.join(TYPES)}.")
    facts = {
        "document_type": document_type,
        "title": title,
        "observed_on": observed_on,
        "known_on": known_on,
        "words": words,
    }
    return once.answer(
        session,
        lambda: DocumentOut.of(use_cases.add_document(session, vault, firm_id, content, media_type, facts)),
    )


@router.get("/documents/{sha256}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a document")
def get_document(session: Session, sha256: Sha256) -> DocumentOut:
    """Return what is known of a document about firms within reach, without its content."""
    return DocumentOut.of(use_cases.get_document(session, sha256))


@router.get(
    "/documents/{sha256}/content",
    response_class=Response,
    responses={**responses(HTTPStatus.NOT_FOUND, HTTPStatus.GONE, NO_KEYS), **_CONTENT},
    summary="Get a document's file",
)
def get_content(session: Session, vault: Sealed, sha256: Sha256) -> Response:
    """Return the file, for saving and not for showing, and put into the audit log who got it.

    410 once it has been destroyed.
    """
    file, content = use_cases.read_document(session, vault, sha256)
    headers = {
        "Content-Type": file.media_type,
        "Content-Disposition": f'attachment; filename="{sha256[:16]}.{TYPES[file.media_type].suffix}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, headers=headers)


@router.delete(
    "/documents/{sha256}/content",
    status_code=HTTPStatus.NO_CONTENT,
    responses=responses(HTTPStatus.NOT_FOUND, NO_KEYS),
    summary="Destroy a document's file",
)
def delete_content(session: Session, vault: Sealed, sha256: Sha256) -> None:
    """Destroy the file's key, and with it the file in every backup. What the ledger says of it stays.

    Sent again, it changes nothing and answers the same. The same file sent in anew is stored under a new key.
    """
    use_cases.destroy_document(session, vault, sha256)
