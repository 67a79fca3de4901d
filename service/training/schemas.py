"""Wire shapes of model versions."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from service.kit.http import Schema
from service.training.use_cases import Version


class ModelOut(Schema):
    """A version of a product's model, without its tables."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "2c1b8e0a-52a4-4f11-a3df-7d5b7c1f0e22",
                    "name": "credit-score/1",
                    "product": "credit-score",
                    "number": 1,
                    "state": "live",
                    "as_of": "2025-12-31",
                    "created_at": "2026-01-01T01:02:03Z",
                    "created_by": "cli:zhang.wei",
                    "live_by": "cli:zhang.wei",
                    "artifact_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                }
            ]
        }
    )

    id: UUID
    name: str = Field(description="What scores say they were made by.")
    product: str
    number: int
    state: str = Field(description="`candidate`, `live` or `retired`.")
    as_of: date = Field(description="What was known on this day is what it was trained on.")
    created_at: datetime
    created_by: str
    live_by: str | None = Field(description="Who made it live.")
    artifact_sha256: str = Field(description="Hash of the model's file, in hexadecimal digits.")

    @classmethod
    def of(cls, version: Version) -> Self:
        """Show a version."""
        return cls.model_validate({name: getattr(version, name) for name in cls.model_fields})


class ModelReportOut(ModelOut):
    """A version of a product's model, and the report of its training."""

    report: dict[str, Any] = Field(
        description="Sample, candidates, discrimination and calibration with intervals, features, what was left out."
    )


class ModelsOut(Schema):
    """A page of model versions, the oldest first."""

    items: list[ModelOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
