"""Wire shapes of model versions."""

from datetime import date, datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, StrictInt

from models.fitted import EstimatorName
from service.kit.http import Code, Day, Schema, Text
from service.training.use_cases import Version


class CentralTendencyIn(Schema):
    """A long-run default rate, to which the PDs of a sample without dates are anchored."""

    rate: float = Field(gt=0, lt=1, strict=True, description="Share of loans that default within the horizon.")
    source: Text = Field(description="Where the rate comes from.")


class ModelIn(Schema):
    """What to train."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "product": "credit-score",
                    "as_of": "2025-12-31",
                    "seed": 1,
                    "estimator": "auto",
                    "central_tendency": {"rate": 0.02, "source": "our book 2010-2019"},
                }
            ]
        }
    )

    product: Code = Field(description="Code of a loan product.")
    as_of: Day = Field(description="What was known on this day is what it is trained on.")
    seed: StrictInt = Field(1, ge=0, le=2**31 - 1, description="Of every random choice.")
    estimator: EstimatorName | Literal["auto"] = Field("auto", description="`auto` chooses by the sample's size.")
    central_tendency: CentralTendencyIn | None = Field(None, description="Empty: the product's own.")


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
