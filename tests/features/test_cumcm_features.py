"""The real invoices of 425 firms (CUMCM 2020 C), against plain Python for a handful of them."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.build import CATALOG, build_matrix
from features.context import build_context
from features.inputs import Inputs
from features.kinds.parties import FIRM
from features.kinds.trade import INVOICE
from features.sufficiency import insufficient
from tests.features import oracle

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "cumcm2020c"
AS_OF = date(2020, 2, 21)
HANDFUL = ["E1", "E5", "E99", "E115", "E121", "E300", "E419"]

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the CUMCM 2020 C invoices are not in ../shared/data")


def read(part, direction):
    raw = pl.read_csv(DATA / f"{part}_{direction}_invoices.csv.gz", schema_overrides={"发票号码": pl.String})
    on = pl.col("开票日期").str.to_date()
    return raw.select(
        firm_id="企业代号",
        observed_on=on,
        known_on=on,
        direction=pl.lit(direction),
        number="发票号码",
        counterparty=pl.col(raw.columns[3]),
        has_linked_codes=pl.lit(value=False),
        net_fen=(pl.col("金额") * 100).round().cast(pl.Int64),
        vat_fen=(pl.col("税额") * 100).round().cast(pl.Int64),
        gross_fen=(pl.col("价税合计") * 100).round().cast(pl.Int64),
        is_void=pl.col("发票状态").str.strip_chars() == "作废发票",
    )


@pytest.fixture(scope="module")
def data():
    invoices = pl.concat([read(part, way) for part in ("labelled", "unlabelled") for way in ("output", "input")])
    firms = invoices.group_by("firm_id").agg(pl.col("observed_on", "known_on").min()).with_columns(name="firm_id")
    nothing = {name: pl.lit(None, dtype) for name, dtype in FIRM.schema.items() if name not in firms.columns}
    return Inputs.of_frames({"firm": firms.with_columns(**nothing), "invoice": INVOICE.check(invoices)})


@pytest.fixture(scope="module")
def matrix(data):
    return build_matrix(data, build_context(data, AS_OF), list(CATALOG), AS_OF)


def test_every_firm_can_be_scored(data, matrix):
    assert len(matrix.firm_ids) == 425
    assert insufficient(data, AS_OF).filter(pl.col("missing").list.len() > 0).is_empty()
    assert not np.isinf(matrix.values).any()


@pytest.mark.parametrize("firm_id", HANDFUL)
def test_against_plain_python(data, matrix, firm_id):
    expected = oracle.features(data.of_firms([firm_id]).invoices.to_dicts(), AS_OF)
    row = matrix.values[matrix.firm_ids.index(firm_id)]
    for name, value in expected.items():
        assert row[matrix.names.index(name)] == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_round_trips_cannot_be_seen(matrix):
    assert matrix.missing[:, matrix.names.index("round_trip")].all()


def test_a_firm_that_stopped_selling_still_has_its_history(matrix):
    row = dict(zip(matrix.names, matrix.values[matrix.firm_ids.index("E121")], strict=True))
    assert row["ln_sales"] == 0
    assert row["sales_gap"] == (AS_OF - date(2018, 12, 2)).days
    assert row["zero_months"] == 1


def test_one_firm_alone_is_its_row_among_all(data, matrix):
    context = build_context(data, AS_OF)
    for firm_id in HANDFUL:
        alone = build_matrix(data.of_firms([firm_id]), context, list(CATALOG), AS_OF)
        assert alone.values[0].tobytes() == matrix.values[matrix.firm_ids.index(firm_id)].tobytes()
