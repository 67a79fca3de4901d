"""The one place that reads the clock and makes random identifiers."""

import uuid
from datetime import UTC, date, datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")


def now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """Return the present business date: the calendar date in China, where the lenders are."""
    return datetime.now(CHINA).date()


def new_id() -> uuid.UUID:
    """Return a fresh random identifier."""
    return uuid.uuid4()
