"""Wire shapes of kinds, observations and questionnaires."""

from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID

import polars as pl
from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from features.instruments import HALF_LIVES, Instrument, Question
from features.kinds import KINDS
from features.kinds.contract import Column, Kind, Words
from service.firms.use_cases import ObservationView
from service.kit.http import AnyDay, Code, Schema, text_of
from service.kit.near import did_you_mean, must_be_one_of, nearest
from service.observations.use_cases import ADDED, WITH_ROUTES, Observed

FIRM = "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11"
Value = date | bool | int | float | str | None


class WordsOut(Schema):
    """What a reader is told, in both languages."""

    model_config = ConfigDict(populate_by_name=True)

    zh: str = Field(alias="zh-CN")
    en: str

    @classmethod
    def of(cls, words: Words) -> Self:
        """Show words."""
        return cls(zh=words.zh, en=words.en)


class ColumnOut(Schema):
    """One column of a kind."""

    name: str
    type: Literal["text", "day", "whole", "number", "flag"]
    is_required: bool = Field(description="`known_on` never is: `known_after`.")
    unit: str
    words: WordsOut
    choices: list[str] = Field(description="The only values there are; none: any.")
    low: float | None = Field(description="Least value.")
    high: float | None = Field(description="Greatest value.")
    most_characters: int | None = Field(description="Of a text.")
    is_code: bool = Field(description="Letters, digits, '.', '_', ':' and '-' only, 64 at most.")
    example: str = Field(description="As a file has it.")

    @classmethod
    def of(cls, column: Column) -> Self:
        """Show a column."""
        return cls(
            name=column.name,
            type=_NAMES[type(column.dtype)],
            is_required=column.is_required and column.name != "known_on",
            unit=column.unit,
            words=WordsOut(zh=column.zh, en=column.en),
            choices=list(column.choices),
            low=column.low,
            high=column.high,
            most_characters=column.most_characters if column.dtype == pl.String else None,
            is_code=column.is_code,
            example=column.example,
        )


class RuleOut(Schema):
    """What a row must not be."""

    column: str = Field(description="The column that is named.")
    group: Literal["value", "balance", "time"]
    reason: WordsOut
    remedy: WordsOut


class KindOut(Schema):
    """A kind of observation and its layout."""

    name: str
    layout_version: int
    words: WordsOut
    is_of_firms: bool = Field(description="False: its rows are about the lender's whole world.")
    is_added_here: bool = Field(description="Whether `POST /v1/observations` takes it; else another route does.")
    known_after: int = Field(
        description="Days after `observed_on`, and no earlier than any day that the row tells of, that a row without"
        " `known_on` is taken to be known; today at the latest."
    )
    known_why: WordsOut = Field(description="Why so many.")
    columns: list[ColumnOut]
    rules: list[RuleOut]

    @classmethod
    def of(cls, kind: Kind) -> Self:
        """Show a kind."""
        rules = [
            RuleOut(
                column=rule.column,
                group=rule.group,
                reason=WordsOut.of(rule.fault.reason),
                remedy=WordsOut.of(rule.fault.remedy),
            )
            for rule in kind.rules
        ]
        return cls(
            name=kind.name,
            layout_version=kind.version,
            words=WordsOut.of(kind.words),
            is_of_firms=kind.is_of_firms,
            is_added_here=kind.name in ADDED,
            known_after=kind.known_after,
            known_why=WordsOut.of(kind.known_why),
            columns=list(map(ColumnOut.of, kind.columns)),
            rules=rules,
        )


class KindsOut(Schema):
    """Every kind."""

    items: list[KindOut]


_NAMES: dict[type[pl.DataType], Literal["text", "day", "whole", "number", "flag"]] = {
    pl.String: "text",
    pl.Date: "day",
    pl.Int64: "whole",
    pl.Float64: "number",
    pl.Boolean: "flag",
}


def _type_of(column: Column) -> Any:
    """Return the type of a column's value, with the limits that an import checks."""
    if column.name == "firm_id":
        return UUID
    if column.choices:
        return Literal.__getitem__(column.choices)
    if column.is_code:
        return Code
    limits = Field(ge=_plain(column.low), le=_plain(column.high))
    return {
        pl.String: text_of(column.most_characters),
        pl.Date: AnyDay,
        pl.Int64: Annotated[StrictInt, limits],
        pl.Float64: Annotated[float, Strict(), limits],
        pl.Boolean: StrictBool,
    }[type(column.dtype)]


def _plain(limit: float | None) -> float | int | None:
    return int(limit) if limit is not None and limit == int(limit) else limit


def typed_example(column: Column) -> Value:
    """Return a column's example as JSON has it.

    Examples
    --------
    >>> [typed_example(column) for column in KINDS["capital"].columns][2:4]
    ['2024-06-15', 500000000]
    """
    if not column.example:
        return None
    if column.dtype == pl.Boolean:
        return column.example == "true"
    if column.dtype == pl.Int64:
        return int(column.example)
    return float(column.example) if column.dtype == pl.Float64 else column.example


def _model_of(kind: Kind) -> type[Schema]:
    """Make the wire shape of a kind's rows from its columns."""
    fields: dict[str, Any] = {"kind": (Literal.__getitem__(kind.name), Field(description="Kind of the observation."))}
    for column in kind.columns:
        unit = f", in {column.unit}" if column.unit else ""
        words = f"{column.en}{unit}; {column.zh}"
        if column.is_required and column.name != "known_on":
            fields[column.name] = (_type_of(column), Field(description=words))
        else:
            fields[column.name] = (_type_of(column) | None, Field(None, description=words))
    config: Any = ConfigDict(json_schema_extra={"examples": [EXAMPLES[kind.name]]})
    base, create = type("_Example", (Schema,), {"model_config": config}), cast("Any", create_model)
    name, words = "".join(map(str.capitalize, kind.name.split("_"))), f"{kind.words.en}; {kind.words.zh}"
    model: type[Schema] = create(f"{name}ObservationIn", __base__=base, __module__=__name__, __doc__=words, **fields)
    return model


def _example_of(kind: Kind) -> dict[str, Any]:
    values = {column.name: typed_example(column) for column in kind.columns}
    return {"kind": kind.name} | values | ({"firm_id": FIRM} if kind.is_of_firms else {})


EXAMPLES: dict[str, dict[str, Any]] = {name: _example_of(KINDS[name]) for name in ADDED}
MODELS = {name: _model_of(KINDS[name]) for name in ADDED}
"""The wire shape of each kind that is added here."""


def _in_our_words(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Say of a kind or a column that there is none of, in both languages, which may be meant and where it goes."""
    try:
        return handler(value)
    except ValidationError as error:
        raise ValidationError.from_exception_data(error.title, list(map(_explained, error.errors()))) from None


def _explained(found: ErrorDetails) -> InitErrorDetails:
    place, words = found["loc"], found["msg"]
    if found["type"].startswith("union_tag"):
        place, words = ("kind",), _no_such_kind(str(found.get("ctx", {}).get("tag", "")))
    elif found["type"] == "extra_forbidden":
        words = _no_such_column(*map(str, place))
    return {"type": PydanticCustomError(cast("Any", found["type"]), cast("Any", words)), "loc": place, "input": None}


def _no_such_kind(name: str) -> str:
    near = nearest(name, KINDS)
    if near in WITH_ROUTES:
        return f"a row of kind '{near}' goes to {WITH_ROUTES[near]} / {near} 类数据请提交至 {WITH_ROUTES[near]}"
    return must_be_one_of(name, ADDED)


def _no_such_column(kind: str, name: str) -> str:
    en, zh = did_you_mean(name, KINDS[kind].schema)
    lists = f"GET /v1/kinds/{kind}"
    return f"there is no such column; {en.strip() or f'{lists} lists them'} / 没有该列；{zh or f'各列见 {lists}'}"


ObservationIn: Any = Annotated[reduce(or_, MODELS.values()), Discriminator("kind"), WrapValidator(_in_our_words)]
"""One observation; its kind says which."""


def facts_of(body: Schema) -> tuple[Kind, UUID | None, dict[str, Any]]:
    """Return kind, firm and columns of an observation that was sent."""
    values = body.model_dump()
    return KINDS[values.pop("kind")], values.pop("firm_id", None), values


class ObservedOut(Schema):
    """What became of an observation that was sent."""

    kind: str
    firm_id: UUID | None = Field(description="Null of a kind that is about no firm.")
    content_sha256: str = Field(description="Hash of its content, its identity: the same, however the row comes in.")
    is_new: bool = Field(description="False: a row of this content was in the ledger.")

    @classmethod
    def of(cls, observed: Observed) -> Self:
        """Show it."""
        return cls(**vars(observed))


class ObservationOut(Schema):
    """A row of the ledger."""

    firm_id: UUID | None = Field(description="Null of a kind that is about no firm.")
    content_sha256: str
    observed_on: date
    known_on: date
    ingested_at: datetime
    values: dict[str, Value] = Field(description="The kind's further columns: `GET /v1/kinds/{kind}`.")

    @classmethod
    def of(cls, view: ObservationView) -> Self:
        """Show a row."""
        return cls(**{**vars(view), "content_sha256": view.content_sha256.hex()})


class ObservationsOut(Schema):
    """A page of rows of a kind."""

    items: list[ObservationOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class AnchorOut(Schema):
    """What is seen where an answer is right."""

    answer: int
    words: WordsOut


class QuestionOut(Schema):
    """A question of a questionnaire."""

    name: str = Field(description="The column that holds the answer.")
    topic: WordsOut
    words: WordsOut
    anchors: list[AnchorOut] = Field(description="Answers between two lie between them.")
    half_life_months: int | None = Field(description="Age at which the answer weighs half.")
    stage: int | None = Field(description="The stage that it is about, if the questionnaire has stages.")

    @classmethod
    def of(cls, question: Question) -> Self:
        """Show a question."""
        anchors = [AnchorOut(answer=answer, words=WordsOut.of(words)) for answer, words in question.anchors.items()]
        return cls(
            name=question.name,
            topic=WordsOut.of(question.topic),
            words=WordsOut.of(question.words),
            anchors=anchors,
            half_life_months=None if question.half_life is None else HALF_LIVES[question.half_life],
            stage=question.stage,
        )


class InstrumentOut(Schema):
    """A questionnaire."""

    name: str = Field(description="With its version; answers name it as their `instrument`.")
    kind: str = Field(description="Kind of the observations that hold the answers.")
    words: WordsOut
    low: int
    high: int
    questions: list[QuestionOut]

    @classmethod
    def of(cls, instrument: Instrument) -> Self:
        """Show a questionnaire."""
        return cls(
            name=instrument.name,
            kind=instrument.kind,
            words=WordsOut.of(instrument.words),
            low=instrument.low,
            high=instrument.high,
            questions=list(map(QuestionOut.of, instrument.questions)),
        )


class InstrumentsOut(Schema):
    """Every questionnaire."""

    items: list[InstrumentOut]
