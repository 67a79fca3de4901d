"""What a kind of observation is: its columns, described for readers and importers, and what its rows must satisfy."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import polars as pl

EARLIEST: Final = date(1949, 10, 1)
LARGEST_FEN: Final = 10**15
SHORT, LONG = 200, 2_000
LONGEST_CODE: Final = 64
CODE: Final = rf"^[A-Za-z0-9][A-Za-z0-9._:-]{{0,{LONGEST_CODE - 1}}}$"


@dataclass(frozen=True)
class Words:
    """What a reader is told, in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with a value, and what to do about it."""

    reason: Words
    remedy: Words


Group = Literal["value", "balance", "time"]
"""What a rule is about, for the data-quality report: one value, several that must add up, or the order of days."""


@dataclass(frozen=True, eq=False)
class Rule:
    """A row that must not be: true where it is at fault; null counts as no fault.

    Attributes
    ----------
    column
        The column that is named.
    is_bad
        Over the kind's typed columns.
    is_secret
        Whether the value may not be repeated, not even in the list of rejected rows.
    is_later
        Whether the column is a later day of the same fact, its end for one: before it the row was not known.
    """

    column: str
    is_bad: pl.Expr
    fault: Fault
    group: Group = "value"
    is_secret: bool = False
    is_later: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a kind.

    Attributes
    ----------
    choices
        The only values there are; empty: any.
    low, high
        The least and greatest value, of numbers.
    most_characters
        The length of the longest text.
    is_code
        Whether the text is a code: letters, digits, '.', '_', ':' and '-'.
    example
        As a file has it; together a kind's examples are a row. Empty: it has no value in that row.
    """

    name: str
    dtype: pl.DataType
    is_required: bool
    unit: str
    en: str
    zh: str
    example: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    most_characters: int = SHORT
    is_code: bool = False


AT_ONCE: Final = Words("the lender knows it at once", "当日即知")


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of observation: its name, the version of its layout, its columns and rules.

    Attributes
    ----------
    table
        The ledger's table.
    earliest
        No row is of a day before.
    known_after
        Days after ``observed_on`` at which a lender usually learns of such a row: what is taken where it does not
        say when it was known (docs/adr/0033).
    known_why
        Why so many.
    known_with
        Further days before which such a row cannot be known, besides those of `known_by`.
    """

    name: str
    version: int
    words: Words
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    table: str = ""
    earliest: date = EARLIEST
    known_after: int = 0
    known_why: Words = AT_ONCE
    known_with: tuple[pl.Expr, ...] = ()

    def __post_init__(self) -> None:
        """Name the table as the kind, unless it has another name."""
        object.__setattr__(self, "table", self.table or self.name)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column names and types, in order."""
        return {column.name: column.dtype for column in self.columns}

    @property
    def is_of_firms(self) -> bool:
        """Whether each row is about a firm; else it is about the lender's whole world."""
        return self.columns[0].name == "firm_id"

    def known_on(self, today: date) -> pl.Expr:
        """Return the day on which a row was known, or the usual one where it has none.

        That is ``known_after`` days after ``observed_on``, no earlier than any day that the row tells of, and today
        at the latest: whoever sends the row today knows it today.

        Parameters
        ----------
        today
            The day on which the rows come in.

        Examples
        --------
        >>> note = Kind("note", 1, Words("a note", "备注"), OF_FIRM, known_after=30)
        >>> days = pl.DataFrame({"observed_on": [date(2024, 1, 1), date(2024, 5, 31)], "known_on": [None, None]})
        >>> days.select(note.known_on(date(2024, 6, 15))).to_series().to_list()
        [datetime.date(2024, 1, 31), datetime.date(2024, 6, 15)]
        """
        usual = pl.col("observed_on") + timedelta(days=self.known_after)
        told = (pl.col(rule.column) for rule in self.rules if rule.is_later)
        earliest = pl.max_horizontal(usual, *told, *self.known_with)
        return pl.col("known_on").cast(pl.Date).fill_null(pl.min_horizontal(earliest, pl.lit(today)))

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
        >>> kind = Kind("note", 1, Words("a note", "备注"), (text("words", "words", "内容", "x"),))
        >>> kind.check(pl.DataFrame())
        Traceback (most recent call last):
        ...
        ValueError: note.words: column is missing
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


def text(name: str, en: str, zh: str, example: str, *, is_required: bool = True, most: int = SHORT) -> Column:
    """Describe a column of words."""
    return Column(
        name=name, dtype=pl.String(), is_required=is_required, unit="", en=en, zh=zh, example=example,
        most_characters=most,
    )  # fmt: skip


def code(name: str, en: str, zh: str, example: str, *, is_required: bool = True) -> Column:
    """Describe a column of codes."""
    return Column(
        name=name, dtype=pl.String(), is_required=is_required, unit="", en=en, zh=zh, example=example, is_code=True,
        most_characters=LONGEST_CODE,
    )  # fmt: skip


def choice(name: str, en: str, zh: str, example: str, choices: tuple[str, ...], *, is_required: bool = True) -> Column:
    """Describe a column of few values."""
    return Column(
        name=name, dtype=pl.String(), is_required=is_required, unit="", en=en, zh=zh, example=example, choices=choices
    )


def day(name: str, en: str, zh: str, example: str, *, is_required: bool = True) -> Column:
    """Describe a column of days."""
    return Column(name=name, dtype=pl.Date(), is_required=is_required, unit="", en=en, zh=zh, example=example)


def flag(name: str, en: str, zh: str, example: str, *, is_required: bool = True) -> Column:
    """Describe a column that is true or false."""
    return Column(name=name, dtype=pl.Boolean(), is_required=is_required, unit="", en=en, zh=zh, example=example)


def fen(
    name: str, en: str, zh: str, example: str, *, is_required: bool = True, low: float | None = 1 - LARGEST_FEN
) -> Column:
    """Describe a column of money, in whole fen."""
    return Column(
        name=name, dtype=pl.Int64(), is_required=is_required, unit="fen", en=en, zh=zh, example=example, low=low,
        high=LARGEST_FEN - 1,
    )  # fmt: skip


def count(
    name: str, en: str, zh: str, example: str, *, is_required: bool = True, unit: str = "", low: float = 0,
    high: float = 10**9,
) -> Column:  # fmt: skip
    """Describe a column of whole numbers."""
    return Column(
        name=name, dtype=pl.Int64(), is_required=is_required, unit=unit, en=en, zh=zh, example=example, low=low,
        high=high,
    )  # fmt: skip


def share(name: str, en: str, zh: str, example: str, *, is_required: bool = True) -> Column:
    """Describe a column of shares, in whole basis points of 1."""
    return count(name, en, zh, example, is_required=is_required, unit="bp", high=10_000)


def number(
    name: str, en: str, zh: str, example: str, *, is_required: bool = True, unit: str = "", low: float = -1e15,
    high: float = 1e15,
) -> Column:  # fmt: skip
    """Describe a column of numbers that need not be whole."""
    return Column(
        name=name, dtype=pl.Float64(), is_required=is_required, unit=unit, en=en, zh=zh, example=example, low=low,
        high=high,
    )  # fmt: skip


OBSERVED_ON = day("observed_on", "date the fact was true", "发生日期", "2024-05-31")
KNOWN_ON = day(
    "known_on",
    "date the lender could know it; empty: when one usually does, today at the latest",
    "可知日期（空：按该类通常时滞，最迟为当日）",
    "2024-06-15",
)
OF_FIRM = (code("firm_id", "the firm's id", "企业编号", "F000123"), OBSERVED_ON, KNOWN_ON)
"""What every row about a firm begins with."""
CORRECT_ONE_DAY: Final = Words("correct one of the two days", "请更正两个日期之一")
PERIOD_FROM = day("period_from", "first day of the period; observed_on is its last", "期间起始日", "2024-05-01")
PERIOD_IN_ORDER = Rule(
    "period_from",
    pl.col("period_from") > pl.col("observed_on"),
    Fault(
        Words("the period ends before it begins", "期间起始日晚于发生日期"),
        Words(
            "correct one of the two days: period_from is the first, observed_on the last",
            "请更正其中一个日期：period_from 为首日，observed_on 为末日",
        ),
    ),
    "time",
)


def not_before(column: str, first: str = "observed_on") -> Rule:
    """Make the rule that a day is not before another."""
    return Rule(
        column,
        pl.col(column) < pl.col(first),
        Fault(
            Words(f"before {first}", f"早于 {first}"),
            CORRECT_ONE_DAY,
        ),
        "time",
    )


def known_by(column: str, *, is_later: bool = True, is_required: bool = False) -> Rule:
    """Make the rule that the day of a fact is not after the row could be known: no row knows its own future.

    Not for days that are planned, such as a maturity. A later day of the same fact, its end for one, also puts off the
    day that is taken where a row does not say when it was known; any other day that is later is a mistake.

    Examples
    --------
    >>> days = pl.DataFrame({"paid_on": [date(2024, 6, 1), date(2024, 6, 3), None], "known_on": [date(2024, 6, 2)] * 3})
    >>> days.select(known_by("paid_on").is_bad).to_series().to_list()
    [False, True, None]
    """
    return Rule(
        column,
        pl.col(column) > pl.col("known_on"),
        Fault(
            Words("after known_on", "晚于可知日期"),
            CORRECT_ONE_DAY
            if is_required
            else Words(
                f"correct one of the two days, or leave {column} empty until it has happened",
                f"请更正两个日期之一；尚未发生的，{column} 请留空",
            ),
        ),
        "time",
        is_later=is_later,
    )


def person_or_name(is_person: pl.Expr, name: str) -> tuple[Rule, Rule]:
    """Make the rules that a person has a pseudonym and no name, and anybody else a name and no pseudonym.

    What is refused is not repeated: it may name a person.

    Parameters
    ----------
    is_person
        Whether the other is a person.
    name
        The column of the other's code or name, where the other is none.
    """
    named = Fault(
        Words("a person's name is never kept here", "此处从不保存自然人姓名"),
        Words(
            f"leave {name} empty, enter the person over HTTP, and give the pseudonym as person_id",
            f"请将 {name} 留空，通过接口登记人员，并以其代号填写 person_id",
        ),
    )
    strange = Fault(
        Words("only a person has a pseudonym", "仅自然人有人员代号"),
        Words("leave person_id empty, or say that it is a person", "请将 person_id 留空，或将类型改为自然人"),
    )
    return (
        Rule(name, is_person & pl.col(name).is_not_null(), named, is_secret=True),
        Rule("person_id", ~is_person & pl.col("person_id").is_not_null(), strange, is_secret=True),
    )


def needed(column: str, when: pl.Expr, en: str, zh: str) -> Rule:
    """Make the rule that a column has a value where a condition holds, which the words name."""
    return Rule(
        column,
        when & pl.col(column).is_null(),
        Fault(Words(f"a value is required {en}", f"{zh}时必填"), Words(f"fill in {column}", f"请填写 {column}")),
    )


def adds_up(total: str, parts: pl.Expr, en: str, zh: str, *, within: int) -> Rule:
    """Make the rule that parts sum to a total, where all of them are given, within so many fen."""
    return Rule(
        total,
        (parts - pl.col(total)).abs() > within,
        Fault(
            Words(f"{en} (more than {within / 100:.2f} yuan apart)", f"{zh}（相差超过 {within / 100:.2f} 元）"),
            Words("correct the amounts", "请更正金额"),
        ),
        "balance",
    )
