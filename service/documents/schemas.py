"""Wire shapes of documents."""

from datetime import date, datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field

from features.kinds.world import DOCUMENT_TYPES
from service.documents.use_cases import DocumentView
from service.firms.use_cases import ObservationView
from service.kit.http import Schema

DocumentType: Final[Any] = Literal.__getitem__(DOCUMENT_TYPES)


class DocumentFactsOut(Schema):
    """What is known of a document about a firm."""

    firm_id: UUID
    document_type: str
    title: str
    words: str | None
    observed_on: date
    known_on: date

    @classmethod
    def of(cls, view: ObservationView) -> Self:
        """Show it."""
        facts = {name: view.values[name] for name in ("document_type", "title", "words")}
        return cls(firm_id=view.firm_id, observed_on=view.observed_on, known_on=view.known_on, **facts)


class DocumentOut(Schema):
    """A document."""

    sha256: str = Field(description="SHA-256 of the file: its name wherever a row refers to it.")
    media_type: str = Field(description="Its type; of a file that is not here, as the newest row says.")
    size_bytes: int = Field(description="Its size; of a file that is not here, as the newest row says.")
    stored_at: datetime | None = Field(description="When the file came in; null: only its hash is known here.")
    destroyed_at: datetime | None = Field(description="When it was destroyed for good.")
    about: list[DocumentFactsOut] = Field(
        description="What is known of it about firms within your reach, newest first."
    )

    @classmethod
    def of(cls, view: DocumentView) -> Self:
        """Show a document."""
        file, newest = view.file, view.observations[0].values
        return cls(
            sha256=view.sha256,
            media_type=newest["media_type"] if file is None else file.media_type,
            size_bytes=newest["size_bytes"] if file is None else file.size_bytes,
            stored_at=None if file is None else file.stored_at,
            destroyed_at=None if file is None else file.destroyed_at,
            about=list(map(DocumentFactsOut.of, view.observations)),
        )
