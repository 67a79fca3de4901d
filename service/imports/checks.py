"""Turn text columns into a kind's typed columns; a row that cannot be is rejected, with column, value and reason."""

import re
from dataclasses import dataclass
from datetime import date

import polars as pl

from features.inputs import NOTHING_ON_FILE, Kind
from service.firms.use_cases import check_firm_key, is_national_id
from service.imports.csv_reader import HIDDEN, REJECTS, hidden
from service.kit.personal_id import BETWEEN, PSEUDONYM, holds_national_id

EARLIEST = date(1990, 1, 1)
LARGEST_FEN = 10**15
CODE = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
_MANY_DIGITS = BETWEEN.join([r"\d"] * 17)
_LOOKS_LIKE = re.compile(r"\d{17}[\dXx]|\d{15}")
CONTROL = r"[\x00-\x1f\x7f-\x9f]"


@dataclass(frozen=True)
class Check:
    """A reason to reject a row: the column at fault, where it is at fault, and the words.

    ``is_secret``: the value may not be repeated, not even in the list of rejected rows.
    """

    column: str
    is_bad: pl.Expr
    reason: str
    is_secret: bool = False


def split(frame: pl.DataFrame, checks: list[Check], file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part rows that pass every check from those that do not; a rejected row names its first fault.

    Parameters
    ----------
    frame
        Rows with ``line`` and the columns that the checks read.

    Returns
    -------
    tuple
        The good rows, and a table of rejects.
    """
    if not checks:
        return frame, pl.DataFrame(schema=REJECTS)
    fault = pl.coalesce(
        pl.when(check.is_bad.fill_null(value=False)).then(pl.lit(number, dtype=pl.Int32))
        for number, check in enumerate(checks)
    )
    marked = frame.with_columns(fault.alias("__fault"))
    bad = marked.filter(pl.col("__fault").is_not_null())
    rejects = [
        bad.filter(pl.col("__fault") == number).select(
            pl.lit(file).alias("file"),
            "line",
            pl.lit(checks[number].column).alias("column"),
            _shown(bad.filter(pl.col("__fault") == number)[checks[number].column], checks[number]),
            pl.lit(checks[number].reason).alias("reason"),
        )
        for number in bad["__fault"].unique().sort()
    ]
    good = marked.filter(pl.col("__fault").is_null()).drop("__fault")
    return good, pl.concat([pl.DataFrame(schema=REJECTS), *rejects]).sort("line")


def _shown(values: pl.Series, check: Check) -> pl.Series:
    texts = values.cast(pl.String).fill_null("")
    shown = [HIDDEN if check.is_secret else hidden(text)[:200] for text in texts]
    return pl.Series("value", shown, dtype=pl.String)


def parse_yuan(column: str) -> pl.Expr:
    """Read yuan with at most two decimal places as whole fen (Int64); null where it is not such a number."""
    is_amount = pl.col(column).str.contains(r"^[+-]?[0-9]{1,13}(\.[0-9]{1,2})?$")
    fen = pl.when(is_amount).then(pl.col(column)).cast(pl.Float64, strict=False) * 100
    return fen.round().cast(pl.Int64)


def parse_day(column: str) -> pl.Expr:
    """Read ``YYYY-MM-DD``; null where it is not such a date."""
    is_day = pl.col(column).str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    return pl.when(is_day).then(pl.col(column)).str.to_date("%Y-%m-%d", strict=False)


def typed(texts: pl.DataFrame, kind: Kind, file: str, today: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Type the columns of a canonical file, and check each row.

    Parameters
    ----------
    texts
        ``line`` and the kind's columns as text; optional columns may be absent, and so may ``known_on``, which
        is then ``observed_on``.
    """
    absent = [pl.lit(None, dtype=pl.String).alias(name) for name in kind.schema if name not in texts.columns]
    stripped = [_text_or_null(name) for name in texts.columns if name != "line"]
    frame = texts.with_columns(stripped).with_columns(absent)
    frame = frame.with_columns(pl.col("known_on").fill_null(pl.col("observed_on")))
    parsed = {name: _parse(name, dtype) for name, dtype in kind.schema.items()}
    values = frame.with_columns(expression.alias(f"__{name}") for name, expression in parsed.items())
    unread = [
        Check(name, pl.col(name).is_not_null() & pl.col(f"__{name}").is_null(), _expected(dtype))
        for name, dtype in kind.schema.items()
    ]
    absent_values = [
        Check(column.name, pl.col(column.name).is_null(), "a value is required")
        for column in kind.columns
        if column.is_required
    ]
    strange = [
        Check(c.name, ~pl.col(c.name).is_in(list(c.choices)), f"not one of {', '.join(c.choices)}")
        for c in kind.columns
        if c.choices
    ]
    good, bad = split(values, [*absent_values, *unread, *strange], file)
    rows = good.select("line", *(pl.col(f"__{name}").alias(name) for name in kind.schema))
    fine, wrong = split(rows, canonical_checks(rows, kind, today), file)
    return fine, pl.concat([bad, wrong])


def canonical_checks(rows: pl.DataFrame, kind: Kind, today: date) -> list[Check]:
    """Return what every row of a kind must satisfy, wherever it comes from."""
    checks = [
        Check("observed_on", ~pl.col("observed_on").is_between(EARLIEST, today), f"not between {EARLIEST} and today"),
        Check("known_on", pl.col("known_on") < pl.col("observed_on"), "known before it was true"),
        Check("known_on", pl.col("known_on") > today, "lies in the future"),
        *_key_checks(rows),
        *(_person_checks(rows) if "person_id" in kind.schema else []),
    ]
    for name, dtype in kind.schema.items():
        if dtype == pl.String:
            checks.append(Check(name, pl.col(name).str.contains(CONTROL), "has control characters"))
            checks.append(Check(name, pl.col(name).str.len_chars() > 200, "longer than 200 characters"))
            checks.append(_impersonal(rows, name))
        if name.endswith("_fen"):
            checks.append(
                Check(
                    name, ~pl.col(name).is_between(1 - LARGEST_FEN, LARGEST_FEN - 1), "ten million million yuan or more"
                )
            )
    return checks + _OF_KIND.get(kind.name, [])


_OF_KIND = {
    "invoice": [
        Check(
            "gross_fen",
            (pl.col("net_fen") + pl.col("vat_fen") - pl.col("gross_fen")).abs() > 1,
            "amount and VAT do not add up to the total (more than 0.01 apart)",
        )
    ],
    "loan": [
        Check("principal_fen", pl.col("principal_fen") <= 0, "must be above zero"),
        Check("loan_id", ~pl.col("loan_id").str.contains(CODE), "up to 64 letters, digits, '.', '_', ':' or '-'"),
        Check("matures_on", pl.col("matures_on") <= pl.col("observed_on"), "not after the loan's start"),
    ],
    "repayment_status": [
        Check("days_past_due", ~pl.col("days_past_due").is_between(0, 20_000), "not between 0 and 20,000"),
        Check("balance_fen", pl.col("balance_fen") < 0, "must not be negative"),
        Check(
            "days_past_due",
            pl.col("days_past_due").is_null()
            & pl.col("default_event").is_null()
            & ~pl.col("is_closed")
            & ~pl.col("is_undated"),
            "says nothing: give days_past_due, default_event or is_closed",
        ),
    ],
    "personal_record": [
        Check("days_past_due", ~pl.col("days_past_due").is_between(0, 20_000), "not between 0 and 20,000"),
        Check(
            "days_past_due",
            (pl.col("record") == "late_payment") & pl.col("days_past_due").is_null(),
            "a late payment needs its days past due",
        ),
        *(
            Check(
                name, (pl.col("record") == NOTHING_ON_FILE) & pl.col(name).is_not_null(), "nothing on file has no such"
            )
            for name in ("days_past_due", "ended_on")
        ),
        Check("ended_on", pl.col("ended_on") < pl.col("observed_on"), "ended before it began"),
        Check(
            "known_on",
            pl.col("known_on") < pl.col("ended_on"),
            "known before it ended; give the day on which the end could be known",
        ),
    ],
}


def _key_checks(rows: pl.DataFrame) -> list[Check]:
    faults: dict[str, list[str]] = {}
    for key in rows["firm_id"].drop_nulls().unique():
        try:
            check_firm_key(key)
        except ValueError as error:
            faults.setdefault(str(error), []).append(key)
    return [Check("firm_id", pl.col("firm_id").is_in(keys), reason) for reason, keys in faults.items()]


def _person_checks(rows: pl.DataFrame) -> list[Check]:
    plain = [text for text in rows["person_id"].drop_nulls().unique() if _is_plain_id(text)]
    reason = "is, looks like or holds a national identity number, which is never kept; give a pseudonym"
    return [Check("person_id", pl.col("person_id").is_in(plain), reason, is_secret=True)]


def _impersonal(rows: pl.DataFrame, name: str) -> Check:
    long = rows.filter(pl.col(name).str.contains(_MANY_DIGITS))[name].unique()
    numbers = [text for text in long if holds_national_id(text)]
    reason = "holds a person's identity number, which is never kept; people are entered over HTTP"
    return Check(name, pl.col(name).is_in(numbers), reason, is_secret=True)


def _is_plain_id(text: str) -> bool:
    if re.fullmatch(PSEUDONYM, text):
        return False
    return is_national_id(text) or bool(_LOOKS_LIKE.fullmatch(text)) or hidden(text) != text


def _text_or_null(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def _parse(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Date:
        return parse_day(name)
    if dtype == pl.Boolean:
        lower = pl.col(name).str.to_lowercase()
        return pl.when(lower.is_in(["true", "1"])).then(True).when(lower.is_in(["false", "0"])).then(False)
    if dtype == pl.Int64:
        return pl.col(name).cast(pl.Int64, strict=False)
    return pl.col(name)


def _expected(dtype: pl.DataType) -> str:
    words = {pl.Date: "a date YYYY-MM-DD", pl.Boolean: "true or false", pl.Int64: "a whole number"}
    return f"not {words.get(type(dtype), 'text')}"
