"""Run migrations as the owner, in one transaction each."""

from typing import Any

from alembic import context
from sqlmodel import SQLModel

import service.alerts.tables
import service.associations.tables
import service.audit.tables
import service.firms.tables
import service.funds.tables
import service.identity.tables
import service.jobs.tables
import service.kit.idempotency
import service.kit.rate_limit
import service.people.tables
import service.rescoring.tables
import service.reviews.tables
import service.scoring.tables
import service.training.tables  # noqa: F401
from service.kit.partitions import SCHEMA


def is_ours(item: Any, _name: str | None, kind: str, reflected: bool, _match: Any) -> bool:  # noqa: FBT001 - Alembic's
    """Pass over the foreign keys to single partitions that PostgreSQL keeps beside the one to their parent."""
    return not (kind == "foreign_key_constraint" and reflected and item.referred_table.schema == SCHEMA)


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    transaction_per_migration=True,
    compare_type=True,
    include_object=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
