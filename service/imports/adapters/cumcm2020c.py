"""The national modelling contest's 2020 C data: VAT invoices of 123 firms with a default label and 302 without.

Invoices keep their day as both business dates. The labels have no date: they belong to ``--outcome-on``, which is
one day after the last invoice unless given. Counterparty codes differ between the two directions, so no round trip
can be computed from them.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from features.kinds.credit import REPAYMENT_STATUS
from features.kinds.parties import FIRM
from features.kinds.trade import INVOICE
from service.imports.adapters.common import CHECK_SOURCE, NO_DAY, filled_in, rows_of
from service.imports.adapters.contract import Adapter, Batch, Options
from service.imports.checks import Check, canonical_checks, parse_day, parse_yuan, split
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault
from service.imports.readers.csv import read_csv

BOOKS_OPEN_ON = date(2016, 10, 1)
"""The files date no firm; this is the month of their first invoice."""
FIRM_FILES = ("labelled_firms.csv", "unlabelled_firms.csv")
INVOICE_FILES = {
    "labelled_output_invoices.csv.gz": ("output", "购方单位代号"),
    "labelled_input_invoices.csv.gz": ("input", "销方单位代号"),
    "unlabelled_output_invoices.csv.gz": ("output", "购方单位代号"),
    "unlabelled_input_invoices.csv.gz": ("input", "销方单位代号"),
}
KEY, NAME, LABEL = "企业代号", "企业名称", "是否违约"
NUMBER, ISSUED, NET, VAT, GROSS, STATUS = "发票号码", "开票日期", "金额", "税额", "价税合计", "发票状态"
VALID, VOID = "有效发票", "作废发票"
_NO_AMOUNT = fault(
    "not an amount in yuan with at most two decimal places", "不是最多两位小数的金额（元）", *CHECK_SOURCE
)
_UNLISTED = fault("no such firm in the lists of firms", "企业名单中没有该企业", *CHECK_SOURCE)
_DOES_NOT_ADD_UP = fault(
    f"{NET} and {VAT} do not add up to {GROSS} (more than 0.01 apart)",
    f"{NET}与{VAT}之和不等于{GROSS}（相差超过 0.01 元）",
    *CHECK_SOURCE,
)
_NO_INVOICE = fault("no invoice can be read", "没有可读取的发票", *CHECK_SOURCE)
_NO_STATUS = fault(f"neither {VALID} nor {VOID}", f"既非{VALID}也非{VOID}", *CHECK_SOURCE)
_NO_LABEL = fault("neither 是 nor 否", "既非“是”也非“否”", *CHECK_SOURCE)


def read(folder: Path, options: Options, advance: Advance) -> Iterator[Batch]:
    """Read firms, then their invoices, then the labels.

    Raises
    ------
    ImportFailedError
        If a file is absent, damaged or lacks a column.
    """
    firms: set[str] = set()
    for name in FIRM_FILES:
        for chunk in read_csv(folder / name, (KEY, NAME), advance):
            batch = _firms(name, chunk, options)
            firms.update(batch.rows["firm_id"])
            yield batch
    last: date | None = None
    for name, (direction, counterparty) in INVOICE_FILES.items():
        columns = (KEY, NUMBER, ISSUED, counterparty, NET, VAT, GROSS, STATUS)
        for chunk in read_csv(folder / name, columns, advance):
            batch = _invoices(name, chunk, direction, counterparty, firms, options)
            days = [day for day in (last, batch.rows["observed_on"].max()) if isinstance(day, date)]
            last = max(days, default=None)
            yield batch
    if last is None:
        raise ImportFailedError(str(folder), _NO_INVOICE)
    outcome_on = options.outcome_on or last + timedelta(days=1)
    for chunk in read_csv(folder / FIRM_FILES[0], (KEY, LABEL), advance):
        yield _labels(FIRM_FILES[0], chunk, outcome_on, firms, options)


def _firms(file: str, chunk: Chunk, options: Options) -> Batch:
    opened = pl.lit(BOOKS_OPEN_ON)
    name = pl.col(NAME).str.strip_chars()
    rows = rows_of(FIRM, chunk.rows, firm_id=pl.col(KEY), observed_on=opened, known_on=opened, name=name)
    required = filled_in("firm_id", "name")
    good, bad = split(rows, [*required, *canonical_checks(rows, FIRM, options.today)], file)
    return Batch(file, FIRM, good, pl.concat([chunk.rejects, bad]), len(chunk.rows) + len(chunk.rejects))


def _invoices(file: str, chunk: Chunk, direction: str, counterparty: str, firms: set[str], options: Options) -> Batch:
    status = pl.col(STATUS).str.strip_chars()
    texts = chunk.rows.with_columns(status, *(pl.col(name).str.strip_chars() for name in (KEY, NUMBER, counterparty)))
    columns = (KEY, NUMBER, ISSUED, counterparty, NET, VAT, GROSS, STATUS)
    amounts = [Check(name, parse_yuan(name).is_null(), _NO_AMOUNT) for name in (NET, VAT, GROSS)]
    readable, bad = split(
        texts,
        [
            *filled_in(*columns),
            Check(KEY, ~pl.col(KEY).is_in(sorted(firms)), _UNLISTED),
            Check(ISSUED, parse_day(ISSUED).is_null(), NO_DAY),
            *amounts,
            Check(
                GROSS,
                (parse_yuan(NET) + parse_yuan(VAT) - parse_yuan(GROSS)).abs() > 1,
                _DOES_NOT_ADD_UP,
            ),
            Check(STATUS, ~pl.col(STATUS).is_in([VALID, VOID]), _NO_STATUS),
        ],
        file,
    )
    rows = rows_of(
        INVOICE,
        readable,
        firm_id=pl.col(KEY),
        observed_on=parse_day(ISSUED),
        known_on=parse_day(ISSUED),
        direction=pl.lit(direction),
        number=pl.col(NUMBER),
        counterparty=pl.col(counterparty),
        has_linked_codes=pl.lit(value=False),
        net_fen=parse_yuan(NET),
        vat_fen=parse_yuan(VAT),
        gross_fen=parse_yuan(GROSS),
        is_void=pl.col(STATUS) == VOID,
    )
    good, wrong = split(rows, canonical_checks(rows, INVOICE, options.today), file)
    rejects = pl.concat([chunk.rejects, bad, wrong])
    return Batch(file, INVOICE, good, rejects, len(chunk.rows) + len(chunk.rejects))


def _labels(file: str, chunk: Chunk, outcome_on: date, firms: set[str], options: Options) -> Batch:
    texts = chunk.rows.filter(pl.col(KEY).is_in(sorted(firms)))
    readable, bad = split(texts, [Check(LABEL, ~pl.col(LABEL).is_in(["是", "否"]), _NO_LABEL)], file)
    rows = rows_of(
        REPAYMENT_STATUS,
        readable,
        firm_id=pl.col(KEY),
        observed_on=pl.lit(outcome_on),
        known_on=pl.lit(outcome_on),
        default_event=pl.when(pl.col(LABEL) == "是").then(pl.lit("unspecified")),
        is_closed=pl.lit(value=False),
        is_undated=pl.lit(value=True),
    )
    good, wrong = split(rows, canonical_checks(rows, REPAYMENT_STATUS, options.today), file)
    return Batch(file, REPAYMENT_STATUS, good, pl.concat([bad, wrong]), 0)


ADAPTER = Adapter(
    name="cumcm2020c",
    summary="Contest CUMCM 2020 C: a folder with the firms' lists and the four gzipped invoice files, as they are.",
    left_out=(
        "labelled_firms.csv 信誉评级: the bank's grade is almost the label, so it is never read",
        "rate_churn.csv: loan rates against churn are for pricing, not for scoring",
    ),
    files=lambda folder: [folder / name for name in (*FIRM_FILES, *INVOICE_FILES, FIRM_FILES[0])],
    read=read,
)
