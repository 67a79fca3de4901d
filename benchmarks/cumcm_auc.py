"""How well the product's pipeline ranks real firms, beside two peers in the same folds.

123 firms of the 2020 modelling contest with a known default (27), their VAT invoices only; the bank's grade is never
read. 20 x 5 stratified folds of firms; every choice of a pipeline is made on the other four fifths. Shown at
three invoice cut-offs, because the defaults are undated and invoices may follow them.

- product: the estimator that the size rule admits, on the credit-score product's own matrix.
- logistic: scikit-learn's, C = 1, medians for missing values, on eight features of 24 months: sales (log), their
  variation, months without sales, growth, void rate, customers' and suppliers' concentration, customers (log).
- LightGBM: its defaults, on the product's matrix and those eight features side by side.

`python benchmarks/cumcm_auc.py [--repeats 20] [--out FILE]`; needs ../shared/data/cumcm2020c.
"""

import argparse
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.as_of import months_ago
from features.build import CATALOG, build_matrix
from features.context import build_context
from features.inputs import Inputs
from features.kinds.parties import FIRM
from features.kinds.trade import INVOICE
from features.supply_chain import valid_invoices
from models.products.credit_score import CREDIT_SCORE
from models.train import ESTIMATORS, eligible
from models.validation import grouped_folds, mean_auc, out_of_fold, paired_standard_error

DATA = Path(__file__).parents[1].parent / "shared" / "data" / "cumcm2020c"
CUT_OFFS = (date(2020, 2, 21), date(2019, 6, 30), date(2018, 12, 31))
REFERENCE = "measured before on these files at the first cut-off: logistic .893, LightGBM .907"
N_FOLDS = 5


def read() -> tuple[Inputs, np.ndarray]:
    """Return the labelled firms' observations and whether each firm (sorted by id) defaulted."""
    labels = pl.read_csv(DATA / "labelled_firms.csv").select(firm_id="企业代号", is_default=pl.col("是否违约") == "是")
    labels = labels.sort("firm_id")
    begin = pl.lit(date(2016, 1, 1))
    absent = {column.name: pl.lit(None, column.dtype) for column in FIRM.columns}
    firms = labels.select(**absent | {"firm_id": "firm_id", "name": "firm_id", "observed_on": begin, "known_on": begin})
    invoices = INVOICE.check(pl.concat([_invoices("output"), _invoices("input")]))
    inputs = Inputs.of_frames({"firm": FIRM.check(firms), "invoice": invoices})
    return inputs, labels["is_default"].to_numpy()


def _invoices(direction: str) -> pl.DataFrame:
    raw = pl.read_csv(DATA / f"labelled_{direction}_invoices.csv.gz", infer_schema=False).with_columns(
        pl.col("发票状态").str.strip_chars()
    )
    fen = {name: (pl.col(zh).cast(pl.Float64) * 100).round().cast(pl.Int64) for name, zh in _AMOUNTS.items()}
    day = pl.col("开票日期").str.to_date("%Y-%m-%d")
    return raw.unique().select(
        firm_id="企业代号",
        observed_on=day,
        known_on=day,
        direction=pl.lit(direction),
        number="发票号码",
        counterparty=raw.columns[3],
        has_linked_codes=pl.lit(value=False),
        **fen,
        is_void=pl.col("发票状态") == "作废发票",
    )


_AMOUNTS = {"net_fen": "金额", "vat_fen": "税额", "gross_fen": "价税合计"}


def peer_matrix(inputs: Inputs, as_of: date) -> np.ndarray:
    """Return eight features of the 24 months to a day, shape (firms, 8), NaN where unknown."""
    window = inputs.invoices.filter(pl.col("observed_on") <= as_of).with_columns(month=months_ago("observed_on", as_of))
    window = window.filter(pl.col("month") < 24)
    valid = valid_invoices(window).with_columns(pl.col("net_fen").cast(pl.Float64))
    sold = valid.filter(pl.col("direction") == "output")
    firms = inputs.firms.select("firm_id")
    grid = firms.join(pl.DataFrame({"month": range(24)}, schema={"month": pl.Int32}), how="cross")
    monthly = grid.join(sold.group_by("firm_id", "month").agg(pl.col("net_fen").sum()), ["firm_id", "month"], "left")
    by_month = pl.col("net_fen").fill_null(0).clip(lower_bound=0)
    year = pl.col("month") < 12
    sales = monthly.group_by("firm_id").agg(
        by_month.sum().truediv(100).log1p().alias("ln_sales"),
        (by_month.std(ddof=0) / by_month.mean()).alias("sales_cv"),
        (by_month <= 0).mean().alias("zero_months"),
        ((by_month.filter(year).sum() + 100) / (by_month.filter(~year).sum() + 100)).log().clip(-1.5, 1.5),
    )
    void = window.filter(pl.col("direction") == "output").group_by("firm_id").agg(pl.col("is_void").mean())
    customers, suppliers = (_partners(valid, direction) for direction in ("output", "input"))
    table = firms.sort("firm_id")
    for part in (sales, void, customers, suppliers.drop("partners")):
        table = table.join(part, "firm_id", "left", suffix=f"_{len(table.columns)}")
    table = table.with_columns(pl.col("partners").fill_null(0).cast(pl.Float64).log1p())
    matrix = table.drop("firm_id").cast(pl.Float64).to_numpy()
    return np.where(np.isfinite(matrix), matrix, np.nan)


def _partners(valid: pl.DataFrame, direction: str) -> pl.DataFrame:
    """Return each firm's number of partners with a positive balance and their concentration."""
    balance = valid.filter(pl.col("direction") == direction).group_by("firm_id", "counterparty")
    net = pl.col("net_fen")
    positive = balance.agg(net.sum()).filter(net > 0)
    return positive.group_by("firm_id").agg(hhi=(net / net.sum()).pow(2).sum(), partners=pl.len())


def product_matrix(inputs: Inputs, as_of: date) -> np.ndarray:
    return build_matrix(inputs, build_context(inputs, as_of), CREDIT_SCORE.features, as_of).values


def fit_product(X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    (name,) = eligible(int(y.sum()), len(y), CREDIT_SCORE.small_sample_limit)
    catalog = [CATALOG[feature] for feature in CREDIT_SCORE.features]
    learner = ESTIMATORS[name](signs=[f.sign for f in catalog], seed=0)
    return learner.fit(X, y, groups).decision_function


def fit_logistic(X: np.ndarray, y: np.ndarray, _: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    steps = (SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
    return make_pipeline(*steps).fit(X, y).decision_function


def fit_lightgbm(X: np.ndarray, y: np.ndarray, _: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    booster = LGBMClassifier(n_jobs=1, random_state=0, deterministic=True, verbose=-1).fit(X, y)
    return lambda rows: booster.predict_proba(rows)[:, 1]


def compare(inputs: Inputs, y: np.ndarray, as_of: date, repeats: int) -> list[str]:
    """Return the lines of one cut-off."""
    firms = np.arange(len(y))
    own, eight = product_matrix(inputs, as_of), peer_matrix(inputs, as_of)
    folds = [grouped_folds(y, firms, n_folds=N_FOLDS, seed=repeat) for repeat in range(repeats)]
    both = np.hstack([own, eight])
    pipelines = (("product", fit_product, own), ("logistic", fit_logistic, eight), ("LightGBM", fit_lightgbm, both))
    scores = {name: out_of_fold(fit, X, y, firms, folds) for name, fit, X in pipelines}
    aucs = {name: mean_auc(y, score) for name, score in scores.items()}
    best = max(("logistic", "LightGBM"), key=lambda name: aucs[name].value)
    gap = aucs["product"].value - aucs[best].value
    error = paired_standard_error(y, scores["product"], scores[best])
    cells = "  ".join(f"{n} {a.value:.3f} [{a.low:.3f}, {a.high:.3f}]" for n, a in aucs.items())
    verdict = "within one paired standard error" if gap >= -error else "BELOW by more than one paired standard error"
    return [
        f"{as_of}  {cells}",
        f"            product - {best} {gap:+.3f}, paired standard error {error:.3f}: {verdict}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not DATA.exists():
        print(f"{DATA} is not here: nothing to measure")
        return
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    inputs, y = read()
    lines = [f"{len(y)} firms, {y.sum()} defaults, {arguments.repeats} x {N_FOLDS} folds; {REFERENCE}"]
    for as_of in CUT_OFFS:
        lines += compare(inputs, y, as_of, arguments.repeats)
        print("\n".join(lines[-3 if len(lines) == 3 else -2 :]), flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
