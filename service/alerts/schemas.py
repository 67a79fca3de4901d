"""Wire shapes of alerts."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from service.alerts.tables import Alert
from service.kit.http import Schema, Text


class AcknowledgeIn(Schema):
    """What the officer has to say about an alert."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "Called the owner: order book is full again."}]})

    note: Text | None = None


class AlertOut(Schema):
    """A finding of a rule."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "9f1c1d7e-3b7e-4d0b-8a51-1f2f3a4b5c6d",
                    "rule": "grade_drop",
                    "firm_id": "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",
                    "product": "credit-score",
                    "severity": "H",
                    "as_of": "2024-06-30",
                    "raised_at": "2024-07-01T00:12:03Z",
                    "run_id": "5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22",
                    "text": {
                        "zh-CN": "2024-03-31 至 2024-06-30，评级由 9 级降至 11 级（PD 2.0% 升至 5.0%）",
                        "en": "grade fell from 9 to 11 (PD 2.0% to 5.0%) between 2024-03-31 and 2024-06-30",
                    },
                    "evidence": {"grade": "11", "previous_grade": "9", "notches": 2},
                    "acknowledged_at": None,
                    "acknowledged_by": None,
                    "note": None,
                    "withdrawn_at": None,
                    "version": 1,
                }
            ]
        }
    )

    id: UUID
    rule: str
    firm_id: UUID
    product: str
    severity: str = Field(description="L, M, H or C (critical).")
    as_of: date
    raised_at: datetime
    run_id: UUID | None
    text: dict[str, str] = Field(description="In `zh-CN` and `en`.")
    evidence: dict[str, Any]
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    withdrawn_at: datetime | None = Field(description="When the run that raised it was rolled back.")
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """Show an alert."""
        return cls(**alert.model_dump(include=set(cls.model_fields)))


class AlertsOut(Schema):
    """A page of alerts, newest first."""

    items: list[AlertOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
