"""The raw observations that features are made of: one table a kind, each row with its two business dates.

``observed_on`` is when the fact was true, ``known_on`` when the lender could know it. Money is whole fen (Int64),
so that sums are exact in any order.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final

import polars as pl

DAYS_PAST_DUE_AT_DEFAULT = 90
"""More days past due than this are a default (methods.md section 1, Basel)."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a kind, described for readers, importers and checks."""

    name: str
    dtype: pl.DataType
    is_required: bool
    unit: str
    en: str
    zh: str
    example: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of observation: its name, version and columns."""

    name: str
    version: int
    columns: tuple[Column, ...]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column names and types, in order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """Return a table of this kind without rows."""
        return pl.DataFrame(schema=self.schema)

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Check a table against the kind.

        Parameters
        ----------
        frame
            Any table; columns the kind does not know are left out of the result.

        Returns
        -------
        polars.DataFrame
            The kind's columns, in its order.

        Raises
        ------
        ValueError
            Naming the first column that is missing, of another type, null where a value is required, or
            outside its list of values.

        Examples
        --------
        >>> LOAN.check(LOAN.empty().drop("loan_id"))
        Traceback (most recent call last):
        ...
        ValueError: loan.loan_id: column is missing
        """
        for column in self.columns:
            problem = _problem(column, frame)
            if problem:
                raise ValueError(f"{self.name}.{column.name}: {problem}")
        return frame.select(self.schema.keys())


def _problem(column: Column, frame: pl.DataFrame) -> str | None:
    if column.name not in frame.columns:
        return "column is missing"
    values = frame[column.name]
    if values.dtype != column.dtype:
        return f"type {values.dtype} where {column.dtype} is expected"
    if column.is_required and values.null_count():
        return f"null in {values.null_count()} rows where a value is required"
    if column.choices:
        strange = values.filter(~values.is_in(column.choices))
        if len(strange):
            return f"{strange[0]!r} is not one of {', '.join(column.choices)}"
    return None


_TEXT, _DATE, _FEN, _COUNT, _FLAG = pl.String(), pl.Date(), pl.Int64(), pl.Int64(), pl.Boolean()


def _column(
    name: str,
    dtype: pl.DataType,
    en: str,
    zh: str,
    example: str,
    *,
    is_required: bool = True,
    unit: str = "",
    choices: tuple[str, ...] = (),
) -> Column:
    return Column(
        name=name,
        dtype=dtype,
        is_required=is_required,
        unit=unit,
        en=en,
        zh=zh,
        example=example,
        choices=choices,
    )


_COMMON = (
    _column("firm_id", _TEXT, "the firm's id", "企业编号", "F000123"),
    _column("observed_on", _DATE, "date the fact was true", "发生日期", "2024-05-31"),
    _column("known_on", _DATE, "date the lender could know it", "可知日期", "2024-06-15"),
)

FIRM = Kind(
    "firm",
    1,
    (
        *_COMMON,
        _column("name", _TEXT, "name", "企业名称", "Luqiao Fittings Co."),
        _column("industry", _TEXT, "trade", "行业", "valves", is_required=False),
        _column("cluster", _TEXT, "industrial cluster", "产业集群", "Yuhuan valves", is_required=False),
        _column("place", _TEXT, "place", "所在地", "Yuhuan", is_required=False),
        _column("founded_on", _DATE, "date of foundation", "成立日期", "2009-04-01", is_required=False),
        _column("is_lead", _FLAG, "is a lead firm of its cluster", "是否龙头企业", "false", is_required=False),
    ),
)

PERSON = Kind(
    "person",
    1,
    (
        *_COMMON,
        _column("person_id", _TEXT, "pseudonym, never a national id", "人员代号", "P000123"),
        _column(
            "role",
            _TEXT,
            "role in the firm",
            "角色",
            "owner",
            choices=("owner", "legal_representative", "manager", "guarantor"),
        ),
        _column("trade_since", _DATE, "in this trade since", "入行日期", "2001-01-01", is_required=False),
    ),
)

INVOICE = Kind(
    "invoice",
    1,
    (
        *_COMMON,
        _column(
            "direction",
            _TEXT,
            "output: the firm sells; input: the firm buys",
            "方向（销项 output、进项 input）",
            "output",
            choices=("output", "input"),
        ),
        _column("number", _TEXT, "invoice number", "发票号码", "11459356", is_required=False),
        _column("counterparty", _TEXT, "buyer or seller", "交易对方", "B03711"),
        _column(
            "has_linked_codes",
            _FLAG,
            "the counterparty has one code as buyer and as seller",
            "交易对方购销代码是否一致",
            "true",
        ),
        _column("net_fen", _FEN, "amount without VAT; a credit note is negative", "不含税金额", "940171", unit="fen"),
        _column("vat_fen", _FEN, "VAT", "税额", "159829", unit="fen"),
        _column("gross_fen", _FEN, "amount with VAT", "价税合计", "1100000", unit="fen"),
        _column("is_void", _FLAG, "void", "是否作废", "false"),
    ),
)

LOAN = Kind(
    "loan",
    1,
    (
        *_COMMON,
        _column("loan_id", _TEXT, "loan", "贷款编号", "L000123"),
        _column("product", _TEXT, "loan product", "贷款产品", "credit_score"),
        _column("principal_fen", _FEN, "amount lent", "贷款本金", "50000000", unit="fen"),
        _column("matures_on", _DATE, "date of maturity", "到期日", "2025-05-31", is_required=False),
    ),
)

REPAYMENT_STATUS = Kind(
    "repayment_status",
    1,
    (
        *_COMMON,
        _column("loan_id", _TEXT, "loan; empty: about the firm", "贷款编号", "L000123", is_required=False),
        _column("days_past_due", _COUNT, "days past due", "逾期天数", "0", is_required=False, unit="days"),
        _column("balance_fen", _FEN, "balance", "余额", "42000000", is_required=False, unit="fen"),
        _column(
            "default_event",
            _TEXT,
            "event that is a default by itself",
            "违约事件",
            "write_off",
            is_required=False,
            choices=(
                "non_accrual",
                "credit_loss_sale",
                "bankruptcy",
                "distressed_restructuring",
                "write_off",
                "guarantee_paid",
                "cross_default",
                "unspecified",
            ),
        ),
        _column("is_closed", _FLAG, "the loan has ended", "是否结清", "false"),
        _column("is_undated", _FLAG, "the event's own date is unknown", "日期是否未知", "false"),
    ),
)

CONSENT = Kind(
    "consent",
    1,
    (
        _column("firm_id", _TEXT, "the firm's id", "企业编号", "F000123"),
        _column("observed_on", _DATE, "day it was given, withdrawn or refused", "同意或撤回日期", "2024-05-31"),
        _column("known_on", _DATE, "date the lender could know it", "可知日期", "2024-06-15"),
        _column(
            "person_id", _TEXT, "whose; empty: the firm's own", "人员代号（空：企业自身）", "P000123", is_required=False
        ),
        _column(
            "scope",
            _TEXT,
            "what may be used, or done",
            "授权范围",
            "owner_data",
            choices=("owner_data", "bureau", "automated_decision"),
        ),
        _column(
            "purpose",
            _TEXT,
            "what for; further purposes come with what uses them",
            "用途",
            "credit_assessment",
            choices=("credit_assessment",),
        ),
        _column("is_given", _FLAG, "true: given; false: withdrawn or refused", "是否同意", "true"),
    ),
)
"""Append-only: a withdrawal is a later row."""

NOTHING_ON_FILE: Final = "none"
PERSONAL_RECORD = Kind(
    "personal_record",
    1,
    (
        _column("firm_id", _TEXT, "the firm's id", "企业编号", "F000123"),
        _column("observed_on", _DATE, "day the record began; of none: day of asking", "起始日期", "2021-03-15"),
        _column("known_on", _DATE, "date the lender could know this row", "可知日期", "2024-06-15"),
        _column("person_id", _TEXT, "pseudonym, never a national id", "人员代号", "P000123"),
        _column(
            "record",
            _TEXT,
            "negative record of the person; none: asked, and nothing is on file",
            "不良记录类型（none：已查询，无记录）",
            "late_payment",
            choices=("late_payment", "write_off", "judgment", "enforcement", "guarantee_called", NOTHING_ON_FILE),
        ),
        _column("days_past_due", _COUNT, "most days past due", "最高逾期天数", "45", is_required=False, unit="days"),
        _column("ended_on", _DATE, "day it ended; empty: still running", "终止日期", "2021-06-15", is_required=False),
    ),
)
"""A record is one firm's person, record and ``observed_on``; a later row of the same record carries its end.

A row of ``none`` says that the bureau was asked on a day and had nothing; it ends no record.
"""

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (FIRM, PERSON, INVOICE, LOAN, REPAYMENT_STATUS, CONSENT, PERSONAL_RECORD)
}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Every observation of some firms: one table a kind.

    Examples
    --------
    >>> Inputs.empty().of_firms(["F1"]).invoices.height
    0
    """

    firms: pl.DataFrame
    persons: pl.DataFrame
    invoices: pl.DataFrame
    loans: pl.DataFrame
    repayment_statuses: pl.DataFrame
    consents: pl.DataFrame
    personal_records: pl.DataFrame

    @classmethod
    def of_frames(cls, frames: Mapping[str, pl.DataFrame]) -> "Inputs":
        """Make inputs of checked tables by kind name; a kind left out has no rows.

        Raises
        ------
        ValueError
            If a kind is unknown or a table breaks its kind's contract.
        """
        unknown = sorted(set(frames) - set(KINDS))
        if unknown:
            raise ValueError(f"unknown kinds: {', '.join(unknown)}")
        tables = [kind.check(frames[name]) if name in frames else kind.empty() for name, kind in KINDS.items()]
        return cls(**dict(zip(cls._table_names(), tables, strict=True)))

    @classmethod
    def empty(cls) -> "Inputs":
        """Return inputs without rows."""
        return cls.of_frames({})

    @classmethod
    def concat(cls, parts: Iterable["Inputs"]) -> "Inputs":
        """Stack several inputs; the order of rows carries no meaning."""
        parts = [cls.empty(), *parts]
        return cls(**{name: pl.concat([getattr(part, name) for part in parts]) for name in cls._table_names()})

    def frames(self) -> dict[str, pl.DataFrame]:
        """Tables by kind name."""
        return dict(zip(KINDS, (getattr(self, name) for name in self._table_names()), strict=True))

    def only(self, *kinds: str) -> "Inputs":
        """Keep the rows of some kinds; the others have none."""
        return Inputs.of_frames({name: frame for name, frame in self.frames().items() if name in kinds})

    def of_firms(self, firm_ids: Collection[str]) -> "Inputs":
        """Keep the rows of some firms."""
        wanted = pl.Series(list(firm_ids), dtype=pl.String)
        return self.filter(pl.col("firm_id").is_in(wanted.implode()))

    def filter(self, *predicates: pl.Expr) -> "Inputs":
        """Keep the rows of every table that satisfy the predicates."""
        return Inputs(**{name: getattr(self, name).filter(*predicates) for name in self._table_names()})

    @classmethod
    def _table_names(cls) -> list[str]:
        """Name the tables, in the order of KINDS."""
        return [field.name for field in fields(cls)]
