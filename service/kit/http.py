"""What every router shares: the request's session, field types, and the Idempotency-Key."""

import re
from collections.abc import Callable, Collection, Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)

from service.errors import MAX_REPORTED, InvalidPayload, field_name
from service.kit.db import Author, Database, TenantSession
from service.kit.near import must_be_one_of
from service.kit.personal_id import CONTROL, UNSEEN, holds_national_id

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
LONGEST_TEXT = 200
_AMOUNT = re.compile(r"[+-]?[0-9]{1,13}(\.[0-9]{1,2})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CONTROL = re.compile(CONTROL)


def get_session(request: Request) -> Iterator[TenantSession]:
    """Open the request's one transaction; it commits before the answer is sent."""
    database: Database = request.app.state.database
    with database.session(author=Author("", request_id=request.state.request_id)) as session:
        yield session


Session = Annotated[TenantSession, Depends(get_session, scope="function")]


async def _content(request: Request) -> bytes:
    return await request.body()


Content = Annotated[bytes, Depends(_content)]
"""A request's body as it stands, of routes that take a file."""


_OPEN: set[object] = set()


def open_query(endpoint: Endpoint) -> Endpoint:
    """Let a route pass over query parameters that it does not know: those that another system adds."""
    _OPEN.add(endpoint)
    return endpoint


def known_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not have, and one that is given twice.

    Raises
    ------
    InvalidPayload
        Naming each; a filter that is misspelt would otherwise silently filter nothing.
    """
    known = set(_query_names(request.scope["route"].dependant))
    given = [name for name, _ in request.query_params.multi_items()]
    strange = [] if request.scope["route"].endpoint in _OPEN else [name for name in given if name not in known]
    reasons = dict.fromkeys(strange, "This route has no such query parameter")
    reasons |= {name: "Give it once" for name in known if given.count(name) > 1}
    if reasons:
        errors = [{"field": field_name(("query", name)), "row": None, "reason": why} for name, why in reasons.items()]
        first, may = errors[0], ", ".join(sorted(known)) or "none"
        words = f"{first['field']}: {first['reason']}. This route's query parameters: {may}."
        raise InvalidPayload(words, errors=errors[:MAX_REPORTED])


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for needed in dependant.dependencies:
        yield from _query_names(needed)


class Schema(BaseModel):
    """Base of every wire shape: unknown fields, NaN and Infinity are errors, whose words never repeat a value."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def _printable(text: object, most: int = LONGEST_TEXT) -> object:
    if isinstance(text, str) and len(text) > most:
        raise ValueError(f"must have at most {most} characters, blanks included")
    if isinstance(text, str) and _CONTROL.search(text):
        raise ValueError("must not contain control or invisible characters")
    return impersonal(text) if isinstance(text, str) else text


def impersonal(text: str) -> str:
    """Return a text that has no person's identity number in it.

    Raises
    ------
    ValueError
        If it has one.
    """
    if holds_national_id(text):
        raise ValueError("must not contain a person's identity number; that goes to /v1/firms/{firm_id}/people alone")
    return text


def _without_old_number(text: str) -> str:
    if holds_national_id(text, or_old=True):
        raise ValueError("must not contain what looks like a person's old identity number, of 15 digits")
    return text


def _writable(secret: SecretStr) -> SecretStr:
    if any("\ud800" <= character <= "\udfff" for character in secret.get_secret_value()):
        raise ValueError("must be text")
    return secret


def _plain_amount(value: object) -> object:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if not _AMOUNT.fullmatch(str(value)) or not (is_number or isinstance(value, str)):
        raise ValueError("must be an amount in yuan with at most 2 decimal places, such as 9401.71")
    return str(value)


def _day_text(value: object) -> object:
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError("must be a date YYYY-MM-DD")
    return value


def one_of(names: Collection[str]) -> AfterValidator:
    """Return what lets a field be one of these names alone, and lists them otherwise.

    Examples
    --------
    >>> one_of(["firm", "loan"]).func("bond")
    Traceback (most recent call last):
    ...
    ValueError: must be one of firm, loan
    """

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(must_be_one_of(name, names))
        return name

    return AfterValidator(check)


def text_of(most: int) -> Any:
    """Return the type of a text of at most so many characters, for models that are made at run time.

    A longer one than others is a note, and has no old number of a person's either.
    """
    return Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=most),
        BeforeValidator(partial(_printable, most=most)),
        AfterValidator(_without_old_number if most > LONGEST_TEXT else impersonal),
        Field(json_schema_extra={"pattern": rf"^[^{UNSEEN}]+$"}),
    ]


Reference = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT),
    BeforeValidator(_printable),  # named after the constraints, or these count blanks that are stripped later
    Field(json_schema_extra={"pattern": rf"^[^{UNSEEN}]+$"}),
]
"""What others call something: an invoice's number, a partner's code, old tax numbers of 15 digits among them."""
Text = Annotated[Reference, AfterValidator(_without_old_number)]
Secret = Annotated[
    SecretStr,
    BeforeValidator(_printable),
    AfterValidator(_writable),
    Field(json_schema_extra={"pattern": rf"^[^{UNSEEN}]+$"}),
]
"""A secret that somebody types; neither shown nor logged."""
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"), AfterValidator(impersonal)]
Day = Annotated[
    date,
    BeforeValidator(_day_text),
    Field(ge=date(1990, 1, 1), le=date(2199, 12, 31)),
    WithJsonSchema({"type": "string", "format": "date", "pattern": "^(199|20[0-9]|21[0-9])[0-9]-[0-9]{2}-[0-9]{2}$"}),
]
AnyDay = Annotated[
    date,
    BeforeValidator(_day_text),
    WithJsonSchema({"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
]
"""A day whose limits, if there are any, are others' to check."""
Yuan = Annotated[
    Decimal,
    BeforeValidator(_plain_amount),
    Field(max_digits=15, decimal_places=2, description="Amount in yuan (CNY), at most two decimal places."),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[+-]?[0-9]{1,13}(\.[0-9]{1,2})?$"},
                {"type": "number", "minimum": -9999999999999.99, "maximum": 9999999999999.99, "multipleOf": 0.01},
            ]
        },
        mode="validation",
    ),
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
