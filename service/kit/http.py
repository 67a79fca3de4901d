"""What every router shares: the request's session, field types, and the Idempotency-Key."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from service.kit.db import Database, TenantSession

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\ufeff]")


def get_session(request: Request) -> Iterator[TenantSession]:
    """Open the request's one transaction; it commits before the answer is sent."""
    database: Database = request.app.state.database
    with database.session() as session:
        yield session


Session = Annotated[TenantSession, Depends(get_session, scope="function")]


class Schema(BaseModel):
    """Base of every wire shape: unknown fields, NaN and Infinity are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control or invisible characters")
    return text


def _not_boolean_or_float(value: object) -> object:
    if isinstance(value, bool | float) and not (isinstance(value, float) and value == round(value, 2)):
        raise ValueError("must be a decimal number of yuan with at most two decimal places")
    return value


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Day = Annotated[date, Field(ge=date(1990, 1, 1), le=date(2199, 12, 31))]
Yuan = Annotated[
    Decimal,
    BeforeValidator(_not_boolean_or_float),
    Field(max_digits=15, decimal_places=2, description="Amount in yuan (CNY), at most two decimal places."),
]


def fen_of(amount: Decimal) -> int:
    """Return an amount of yuan as a whole number of fen.

    Examples
    --------
    >>> fen_of(Decimal("12.34"))
    1234
    """
    return int(amount * 100)


def yuan_of(fen: int) -> Decimal:
    """Return a number of fen as yuan.

    Examples
    --------
    >>> yuan_of(1234)
    Decimal('12.34')
    """
    return Decimal(fen).scaleb(-2)
