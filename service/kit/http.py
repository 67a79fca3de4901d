"""What every router shares: the request's session, field types, and the Idempotency-Key."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from service.kit.db import Database, TenantSession
from service.kit.personal_id import holds_national_id

_AMOUNT = re.compile(r"[+-]?[0-9]{1,13}(\.[0-9]{1,2})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\ufeff]")


def get_session(request: Request) -> Iterator[TenantSession]:
    """Open the request's one transaction; it commits before the answer is sent."""
    database: Database = request.app.state.database
    with database.session() as session:
        yield session


Session = Annotated[TenantSession, Depends(get_session, scope="function")]


class Schema(BaseModel):
    """Base of every wire shape: unknown fields, NaN and Infinity are errors, whose words never repeat a value."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control or invisible characters")
    return _impersonal(text)


def _impersonal(text: str) -> str:
    if holds_national_id(text):
        raise ValueError("must not contain a person's identity number; that goes to /v1/firms/{firm_id}/people alone")
    return text


def _plain_amount(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not _AMOUNT.fullmatch(str(value)) or not (is_number or isinstance(value, str)):
        raise ValueError("must be an amount in yuan with at most 2 decimal places, such as 9401.71")
    return str(value)


def _day_text(value: object) -> object:
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError("must be a date YYYY-MM-DD")
    return value


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"), AfterValidator(_impersonal)]
Day = Annotated[date, BeforeValidator(_day_text), Field(ge=date(1990, 1, 1), le=date(2199, 12, 31))]
Yuan = Annotated[
    Decimal,
    BeforeValidator(_plain_amount),
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
