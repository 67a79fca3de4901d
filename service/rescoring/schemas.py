"""Wire shapes of rescorings."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from service.kit.http import Code, Day, Schema, Text
from service.rescoring.use_cases import SUBSET_FIRMS, RunView

_RUN: dict[str, Any] = {
    "id": "5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22",
    "kind": "all",
    "parent_id": None,
    "product": "credit-score",
    "as_of": "2024-06-30",
    "state": "checked",
    "model_version": "credit-score/1",
    "context_id": "c7b1f6aa-6f0e-4c53-93e1-70c7c5a0d111",
    "firms": 415,
    "scored": 396,
    "refused": 19,
    "findings": 12,
    "chunks": 1,
    "chunks_done": 1,
    "history": [
        {"state": "preparing", "at": "2024-07-01T00:10:00Z", "actor": "nightly", "reason": None},
        {"state": "prepared", "at": "2024-07-01T00:12:03Z", "actor": "nightly", "reason": None},
        {"state": "checked", "at": "2024-07-01T00:12:05Z", "actor": "nightly", "reason": None},
    ],
    "version": 3,
}
_REPORT: dict[str, Any] = {
    "checks": [
        {
            "code": "migration",
            "level": "warn",
            "value": 0.18,
            "limit": 0.15,
            "text": {
                "zh-CN": "390 家企业中 70 家（18.0%）评级变动超过 2 级",
                "en": "70 of 390 firms (18.0%) move by more than 2 grades",
            },
        }
    ],
    "matrix": [{"before": "9", "after": "12", "firms": 3}],
    "movers": [
        {
            "key": "F000123",
            "before": "9",
            "after": "15",
            "pd_before": 0.021,
            "pd_after": 0.31,
            "reasons": [
                {
                    "code": "sales_cv",
                    "features": ["sales_cv"],
                    "points": -41.2,
                    "value": [1.4],
                    "text": {"zh-CN": "月销售额波动大", "en": "monthly sales swing widely"},
                }
            ],
        }
    ],
    "refusals": [
        {
            "key": "F000200",
            "missing": [
                {
                    "name": "invoices",
                    "rule": "required",
                    "text": {"zh-CN": "没有任何有效发票记录", "en": "no valid invoice is known"},
                }
            ],
        }
    ],
}


class RescoringIn(Schema):
    """What is to be scored anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"product": "credit-score", "as_of": "2024-06-30"}]})

    product: Code = Field(description="Code of a loan product.")
    as_of: Day = Field(description="Business date; nothing known later is used.")
    is_published: bool = Field(True, description="Whether the run is published by itself if no check fails.")


class PublishIn(Schema):
    """Why a run is published although a check failed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"override_reason": "Spring Festival: half the invoices are expected."}]}
    )

    override_reason: Text | None = Field(None, description="Needed if a check failed; it goes on record.")


class ReasonIn(Schema):
    """Why a run is ended."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The invoices of June were loaded twice."}]})

    reason: Text = Field(description="It goes on record.")


class RerunIn(Schema):
    """Which firms to score again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"firm_ids": ["0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11"]}]})

    firm_ids: list[UUID] = Field(
        min_length=1,
        max_length=SUBSET_FIRMS,
        description="More of them: `clustercredit rescore --firms FILE`.",
    )


class TransitionOut(Schema):
    """A state that a run entered."""

    state: str
    at: datetime
    actor: str
    reason: str | None


class CheckOut(Schema):
    """What was found about a run."""

    code: str
    level: str = Field(description="`ok`, `warn`, or `fail`, which blocks publishing unless a reason overrides it.")
    value: float | None
    limit: float | None = Field(description="From where it would be worse than `ok`; at `fail`, what it broke.")
    text: dict[str, str] = Field(description="In `zh-CN` and `en`.")


class CellOut(Schema):
    """Firms that go from one grade to another."""

    before: str | None = Field(description="Null: none before.")
    after: str | None = Field(description="Null: none now.")
    firms: int


class MoverOut(Schema):
    """A firm whose PD moves much, and the reasons of its new score."""

    key: str
    before: str
    after: str
    pd_before: float
    pd_after: float
    reasons: list[dict[str, Any]]


class RefusalOut(Schema):
    """A firm that could not be scored."""

    key: str
    missing: list[dict[str, Any]]


class RunOut(Schema):
    """A rescoring: of what, how far, and who moved it from state to state."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RUN]})

    id: UUID
    kind: str = Field(description="`all` firms, or a `subset`.")
    parent_id: UUID | None = Field(description="The run of which a subset was run again.")
    product: str
    as_of: date
    state: str = Field(
        description="`preparing`: chunks are being scored. `prepared`: all are. `checked`: fit or not, see its checks."
        " `published`: its scores count. `withdrawn`: they never will. `rolled_back`: they count no more."
    )
    model_version: str
    context_id: UUID
    firms: int = Field(description="When it was begun.")
    scored: int
    refused: int
    findings: int = Field(description="Of rules, in its scores; they become alerts when it is published.")
    chunks: int
    chunks_done: int
    history: list[TransitionOut]
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, view: RunView) -> Self:
        """Show a run."""
        return cls(**_shown(view))


class RunReportOut(RunOut):
    """A rescoring, and all that was found about it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RUN | _REPORT]})

    checks: list[CheckOut] = Field(description="Empty before it is checked; so the rest.")
    matrix: list[CellOut] = Field(description="Firms by grade in the runs that it would replace, and by grade in it.")
    movers: list[MoverOut] = Field(description="The 20 firms whose PD moves most.")
    refusals: list[RefusalOut] = Field(description="The first 100 firms that it could not score.")

    @classmethod
    def of_report(cls, view: RunView, refusals: list[dict[str, Any]]) -> Self:
        """Show a run and its report."""
        report = view.run.report or {}
        parts = {name: report.get(name, []) for name in ("checks", "matrix", "movers")}
        return cls(**_shown(view), **parts, refusals=refusals)


class RunsOut(Schema):
    """A page of rescorings, newest first."""

    items: list[RunOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


def _shown(view: RunView) -> dict[str, Any]:
    row = view.run.model_dump(include={"id", "kind", "parent_id", "product", "as_of", "state", "context_id", "firms"})
    done = view.progress
    return {
        **row,
        "model_version": view.model_version,
        "scored": done.scored,
        "refused": done.refused,
        "findings": done.findings,
        "chunks": done.chunks,
        "chunks_done": done.done,
        "history": [step.model_dump(include=set(TransitionOut.model_fields)) for step in view.history],
        "version": view.run.version,
    }
