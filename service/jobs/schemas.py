"""Wire shapes of jobs."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from service.identity.access import Role
from service.identity.actor import Actor
from service.jobs.rules import State
from service.jobs.tables import Job
from service.kit.http import Schema

UNTOLD = "report"
"""Key of a result's part that is too long for lists and events, and has a route of its own."""


class ProgressOut(Schema):
    """How far a job is."""

    phase: str = Field(description="What it does at the moment; empty before it begins.")
    done: int = Field(description="How much of the phase is done, in its own unit: bytes, snapshots, chunks.")
    total: int = Field(description="How much there is; 0 if that is not known.")


class JobErrorOut(Schema):
    """Why a job failed, as in a problem document."""

    type: str
    title: str
    detail: str


class JobOut(Schema):
    """A job: long work that was asked for, and what became of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "6f1f5a53-4f0e-4f4e-9a51-6a1d9a2f7b10",
                    "kind": "import",
                    "args": {"kind": "invoice", "name": "invoices-2024-06.csv.gz"},
                    "state": "succeeded",
                    "progress": {"phase": "invoices-2024-06.csv.gz", "done": 182044, "total": 182044},
                    "attempt": 1,
                    "counts": {"read": 4120, "added": 4101, "already_known": 12, "repeated": 5, "rejected": 2},
                    "result": {
                        "files": [
                            {
                                "file": "invoices-2024-06.csv.gz",
                                "kind": "invoice",
                                "read": 4120,
                                "added": 4101,
                                "already_known": 12,
                                "repeated": 5,
                                "rejected": 2,
                            }
                        ],
                        "rejects": [
                            {
                                "line": 93,
                                "column": "firm_id",
                                "value": "E9",
                                "reason": "no such firm",
                                "remedy": "import firms first",
                                "reason_zh": "没有该企业",
                                "remedy_zh": "请先导入企业（kind firm）",
                            },
                        ],
                        "quality": {"reference": {"rejected": 1}, "duplicate": {"note": 17}, "value": {"rejected": 1}},
                    },
                    "error": None,
                    "is_cancel_requested": False,
                    "created_at": "2026-07-01T00:10:00Z",
                    "created_by": "nightly",
                    "started_at": "2026-07-01T00:10:01Z",
                    "finished_at": "2026-07-01T00:10:05Z",
                }
            ]
        }
    )

    id: UUID
    kind: str = Field(description="`import`, `training` or `rescoring`.")
    args: dict[str, Any] = Field(description="What it was started with.")
    state: State
    progress: ProgressOut
    attempt: int = Field(description="How often a worker has taken it; more than once where workers ended before it.")
    counts: dict[str, int] = Field(description="What was done, in numbers.")
    result: dict[str, Any] | None = Field(
        description="What was done; null until it has succeeded, and to administrators, who see no firm's data."
    )
    error: JobErrorOut | None = Field(description="Why it failed.")
    is_cancel_requested: bool = Field(description="Somebody asked to cancel it; a finished job stays finished.")
    created_at: datetime
    created_by: str
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job, actor: Actor) -> Self:
        """Show a job to somebody."""
        return cls(
            id=job.id,
            kind=job.kind,
            args=job.args,
            state=State(job.state),
            progress=ProgressOut(phase=job.phase, done=job.done, total=job.total),
            attempt=job.attempt,
            counts=job.counts,
            result=None if actor.role is Role.ADMINISTRATOR else _told(job.result),
            error=None if job.error is None else JobErrorOut.model_validate(job.error),
            is_cancel_requested=job.cancel_requested_at is not None,
            created_at=job.created_at,
            created_by=job.actor,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )


def _told(result: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if result is None else {key: value for key, value in result.items() if key != UNTOLD}


class JobsOut(Schema):
    """A page of jobs, the newest first."""

    items: list[JobOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
