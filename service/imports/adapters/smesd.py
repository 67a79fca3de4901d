"""SMEsD: Chinese small firms with their relations, lawsuits and bankruptcies (Wei and others, 2024).

The source has one clock a firm: months before its own end, which is the month of bankruptcy, or December 2021 for
firms that live. It dates no bankruptcy, so all clocks end on one declared day: ``--outcome-on``, or 2021-12-31. Firms
are numbered below 3976, people from there on; both get a prefix, so that they meet no other firm of the lender's.
docs/adapters/smesd.md says what was mapped to what.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from features.kinds.credit import REPAYMENT_STATUS
from features.kinds.parties import CAPITAL, FIRM, RELATION
from features.kinds.world import EVENT
from service.imports.adapters.common import CHECK_SOURCE, filled_in, one_of, rows_of, settled, whole
from service.imports.adapters.contract import Adapter, Batch, Options
from service.imports.checks import Check, split
from service.imports.chunks import Advance, Chunk, fault, no_rejects

ENDS_ON = date(2021, 12, 31)
"""The authors observe living firms in December 2021; clocks count whole months back from its last day."""
FIRST_PERSON = 3976
"""The authors number 3,976 firms from 0, and after them the people."""
FEN_IN_UNIT = 1_000_000
"""Capital and amounts invested are in ten thousand yuan."""
FIRM_FILES = ("train_firms.csv", "validate_firms.csv")
RELATION_FILES = ("train_relations.csv.gz", "validate_relations.csv.gz")
LAWSUIT_FILES = ("train_lawsuits.csv.gz", "validate_lawsuits.csv.gz")
FIRM_COLUMNS = (
    "firm_id", "registered_capital", "paid_in_capital", "age_months", "industry", "area", "bankrupt",
)  # fmt: skip
RELATION_COLUMNS = ("source_id", "target_id", "relation", "weight")
LAWSUIT_COLUMNS = ("firm_id", "cause", "court", "result", "months_before_observation")
OF_PEOPLE = {
    "executed": "executed_by",
    "supervised": "supervised_by",
    "stakeholderd": "owned_by",
    "invested_CP": "owned_by",
}
"""From firm to person: the source's word, and what the person is to the firm."""
MIRRORS = {"execute": "executed", "supervise": "supervised", "stakeholder": "stakeholderd", "invest_CP": "invested_CP"}
"""The same facts told from person to firm."""
OF_FIRMS = {
    "invest_CC": "invests_in",
    "invested_CC": "owned_by",
    "branch": "has_branch",
    "branched": "branch_of",
    "loan": "lends_to",
    "loaned": "borrows_from",
    "creditor": "lends_to",
    "creditored": "borrows_from",
    "deal": "other",
    "dealed": "other",
    "rent": "other",
    "rented": "other",
}
INVESTING = ("invest_CC", "invested_CC", "invest_CP", "invested_CP")
RESULTS = {
    "plaintiff_won": "judgment_won",
    "plaintiff_lost": "judgment_lost",
    "defendant_won": "judgment_won",
    "defendant_lost": "judgment_lost",
}
_NO_ID = fault(
    f"not the number of a firm, which is below {FIRST_PERSON}",
    f"不是企业编号（小于 {FIRST_PERSON} 的整数）",
    *CHECK_SOURCE,
)
_NO_PERSON = fault(
    f"not the number of a person, which is {FIRST_PERSON} or more",
    f"不是人员编号（不小于 {FIRST_PERSON} 的整数）",
    *CHECK_SOURCE,
)
_NO_AMOUNT = fault("not an amount in ten thousand yuan", "不是以万元计的金额", *CHECK_SOURCE)
_NO_MONTHS = fault("not a whole number of months", "不是整数月数", *CHECK_SOURCE)


@dataclass(frozen=True)
class _Clock:
    """When things are taken to have been.

    Attributes
    ----------
    ends_on
        The end of every firm's clock, to which labels belong.
    facts_on
        The day of facts without any time, a month before: what a label is learned from was known before it.
    today
        Business date of the import.
    """

    ends_on: date
    facts_on: date
    today: date


def read(folder: Path, options: Options, advance: Advance) -> Iterator[Batch]:
    """Read firms with their labels, firms that only relations name, relations, then lawsuits.

    Raises
    ------
    ImportFailedError
        If a file is absent, damaged or lacks a column.
    """
    ends_on = options.outcome_on or ENDS_ON
    month_before = pl.select(pl.lit(ends_on).dt.offset_by("-1mo")).item()
    clock = _Clock(ends_on, month_before, options.today)
    listed: set[str] = set()
    for name in FIRM_FILES:
        for batch in _firms(name, whole(folder / name, FIRM_COLUMNS, advance), clock):
            listed.update(batch.rows["firm_id"])
            yield batch
    batches = [_relations(name, whole(folder / name, RELATION_COLUMNS, advance), clock) for name in RELATION_FILES]
    for batch in batches:
        unlisted = _named_only(batch, listed, clock)
        listed.update(unlisted.rows["firm_id"])
        yield unlisted
    yield from batches
    for name in LAWSUIT_FILES:
        yield from _lawsuits(name, whole(folder / name, LAWSUIT_COLUMNS, advance), clock)


def _firms(file: str, chunk: Chunk, clock: _Clock) -> Iterator[Batch]:
    capitals = ("registered_capital", "paid_in_capital")
    checks = [
        *filled_in(*(name for name in FIRM_COLUMNS if name != "area")),
        Check("firm_id", ~_is_firm("firm_id"), _NO_ID),
        *(Check(name, _fen(name).is_null(), _NO_AMOUNT) for name in capitals),
        Check("age_months", _months("age_months").is_null(), _NO_MONTHS),
        one_of("bankrupt", ("0", "1")),
    ]
    texts, bad = split(chunk.rows, checks, file)
    industry = pl.when(pl.col("industry") != "-").then(pl.col("industry"))
    key, facts_on = _key("firm_id"), pl.lit(clock.facts_on)
    founded_on = _before(clock.ends_on, "age_months")
    firms = rows_of(
        FIRM, texts, firm_id=key, observed_on=facts_on, known_on=facts_on, name=_name("firm_id"), industry=industry,
        place=pl.col("area"),
        cluster=pl.concat_str(pl.col("area"), industry, separator=" "),
        founded_on=pl.when(founded_on <= facts_on).then(founded_on),
    )  # fmt: skip
    capital = rows_of(
        CAPITAL, texts, firm_id=key, observed_on=facts_on, known_on=facts_on, registered_fen=_fen("registered_capital"),
        paid_in_fen=_fen("paid_in_capital"),
    )  # fmt: skip
    labels = rows_of(
        REPAYMENT_STATUS, texts, firm_id=key, observed_on=pl.lit(clock.ends_on), known_on=pl.lit(clock.ends_on),
        is_closed=pl.lit(value=False), is_undated=pl.lit(value=True),
        default_event=pl.when(pl.col("bankrupt") == "1").then(pl.lit("bankruptcy")),
    )  # fmt: skip
    tables = [(FIRM, firms), (CAPITAL, capital), (REPAYMENT_STATUS, labels)]
    return settled(file, pl.concat([chunk.rejects, bad]), tables, clock.today)


def _relations(file: str, chunk: Chunk, clock: _Clock) -> Batch:
    """Turn each row to its firm; a person's row then equals the one from the firm's end, and is repeated."""
    is_turned = pl.col("relation").is_in(list(MIRRORS))
    is_of_person = is_turned | pl.col("relation").is_in(list(OF_PEOPLE))
    ends = (("source_id", is_of_person & is_turned), ("target_id", is_of_person & ~is_turned))
    checks = [
        *filled_in(*RELATION_COLUMNS),
        one_of("relation", [*OF_PEOPLE, *MIRRORS, *OF_FIRMS]),
        *(Check(end, is_person & ~_is_person(end), _NO_PERSON) for end, is_person in ends),
        *(Check(end, ~is_person & ~_is_firm(end), _NO_ID) for end, is_person in ends),
        Check("weight", _fen("weight").is_null(), _NO_AMOUNT),
    ]
    texts, bad = split(chunk.rows, checks, file)
    turned = texts.with_columns(
        firm=pl.when(is_turned).then("target_id").otherwise("source_id"),
        other=pl.when(is_turned).then("source_id").otherwise("target_id"),
        label=pl.col("relation").replace(MIRRORS),
    )
    is_person = pl.col("label").is_in(list(OF_PEOPLE))
    rows = rows_of(
        RELATION, turned, firm_id=_key("firm"), observed_on=pl.lit(clock.facts_on), known_on=pl.lit(clock.facts_on),
        label=pl.col("label"),
        relation=pl.col("label").replace_strict(OF_PEOPLE | OF_FIRMS, return_dtype=pl.String),
        partner_kind=pl.when(is_person).then(pl.lit("person")).otherwise(pl.lit("firm")),
        partner=pl.when(~is_person).then(_key("other")),
        person_id=pl.when(is_person).then(pl.format("smesd-p{}", "other")),
        amount_fen=pl.when(pl.col("relation").is_in(INVESTING)).then(_fen("weight")),
    )  # fmt: skip
    (batch,) = settled(file, pl.concat([chunk.rejects, bad]), [(RELATION, rows)], clock.today)
    return batch


def _named_only(relations: Batch, listed: set[str], clock: _Clock) -> Batch:
    """Return the firms that stand in no list: all that is known of them is that they are some firm's relation."""
    ends = [relations.rows.select("line", key=end) for end in ("firm_id", "partner")]
    keys = pl.concat(ends).filter(~pl.col("key").is_in(sorted(listed))).sort("line")
    firms = keys.unique("key", keep="first", maintain_order=True)
    number = pl.col("key").str.strip_prefix("smesd-")
    facts_on, name = pl.lit(clock.facts_on), pl.format("SMEsD {}", number)
    rows = rows_of(FIRM, firms, firm_id=pl.col("key"), observed_on=facts_on, known_on=facts_on, name=name)
    return Batch(relations.file, FIRM, rows, no_rejects(), 0)


def _lawsuits(file: str, chunk: Chunk, clock: _Clock) -> Iterator[Batch]:
    """Keep equal lawsuits apart: the source left out who sued, so rows that look the same need not be."""
    checks = [
        *filled_in(*LAWSUIT_COLUMNS),
        Check("firm_id", ~_is_firm("firm_id"), _NO_ID),
        one_of("result", list(RESULTS)),
        Check("months_before_observation", _months("months_before_observation").is_null(), _NO_MONTHS),
    ]
    texts, bad = split(chunk.rows, checks, file)
    ordinal = pl.int_range(1, pl.len() + 1).over(LAWSUIT_COLUMNS)
    on = _before(clock.ends_on, "months_before_observation")
    rows = rows_of(
        EVENT, texts, firm_id=_key("firm_id"), observed_on=on, known_on=on,
        source=pl.lit("court"), event=pl.col("result").replace_strict(RESULTS, return_dtype=pl.String),
        cause=pl.col("cause"), reference=pl.format("{}:{}:{}", "court", "result", ordinal),
    )  # fmt: skip
    return settled(file, pl.concat([chunk.rejects, bad]), [(EVENT, rows)], clock.today)


def _key(column: str) -> pl.Expr:
    return pl.format("smesd-{}", column)


def _name(column: str) -> pl.Expr:
    return pl.format("SMEsD {}", column)


def _number(column: str) -> pl.Expr:
    is_number = pl.col(column).str.contains("^(0|[1-9][0-9]{0,8})$")
    return pl.when(is_number).then(pl.col(column)).cast(pl.Int64, strict=False)


def _is_firm(column: str) -> pl.Expr:
    return (_number(column) < FIRST_PERSON).fill_null(value=False)


def _is_person(column: str) -> pl.Expr:
    return (_number(column) >= FIRST_PERSON).fill_null(value=False)


def _fen(column: str) -> pl.Expr:
    """Read ten thousand yuan, in whatever decimals a float was printed, as whole fen."""
    is_amount = pl.col(column).str.contains(r"^[0-9]{1,9}(\.[0-9]{1,15})?$")
    value = pl.when(is_amount).then(pl.col(column)).cast(pl.Float64, strict=False)
    return (value * FEN_IN_UNIT).round().cast(pl.Int64)


def _months(column: str) -> pl.Expr:
    is_months = pl.col(column).str.contains(r"^[0-9]{1,4}(\.0+)?$")
    return pl.when(is_months).then(pl.col(column)).cast(pl.Float64, strict=False).cast(pl.Int64)


def _before(day: date, months: str) -> pl.Expr:
    return pl.lit(day).dt.offset_by(pl.format("-{}mo", _months(months)))


ADAPTER = Adapter(
    name="smesd",
    summary="SMEsD: a folder with lists of firms, relations and lawsuits, of train and validate, as they are.",
    left_out=(
        "which firm is of train and which of validate: a model's split, not a fact of a firm",
        "relations weight, but of investments: it is 1 everywhere else",
        "lawsuits time_label: months_before_observation in steps of 48",
        "calendar dates of bankruptcies: the source has none, so every clock ends on one declared day",
    ),
    files=lambda folder: [folder / name for name in (*FIRM_FILES, *RELATION_FILES, *LAWSUIT_FILES)],
    read=read,
)
