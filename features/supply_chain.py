"""Features of a firm's invoices: sales, purchases, partners, corrections.

Amounts are net of VAT and of credit notes: "sales" are the valid output invoices' net amounts, credit notes
(negative) included, "purchases" the input invoices'. A void invoice counts nowhere but in ``void_rate``. The last 12
months are ``(as_of - 12 months, as_of]`` in whole months counted back from the day (``as_of.months_ago``), never
calendar months cut short.

Three passes over the invoices (by month, by partner, by corrected amount) and one over sale sizes leave one row a
firm of integers; features are expressions over that row. Sums are Int64 fen and Int128 fen squared, so they are
exact in any order; each float is made by one division, root or logarithm of its own row. A partner's share counts
the partners with a positive balance of trade over the window. Formulas, signs and missing rules: methods.md
section 1; those marked "standard" there follow common practice in cash-flow lending.

Duplicates are the ledger's business: two identical rows are two invoices here.
"""

from collections.abc import Iterator
from datetime import date

import polars as pl

from features.as_of import months_ago
from features.context import Context
from features.inputs import Inputs
from features.spec import ValueFormat, feature

YEAR = 12
CLIP = 1.5
GROWTH_CAP = 0.4
FEN = 100.0

_INVOICE_KEY = (
    "firm_id",
    "direction",
    "number",
    "counterparty",
    "observed_on",
    "net_fen",
    "vat_fen",
    "gross_fen",
)
_IS_SALE = pl.col("direction") == "output"
_LAST_YEAR = pl.col("month") < YEAR
_TWO_YEARS = pl.col("month") < 2 * YEAR
_YEAR_BEFORE = pl.col("month").is_between(YEAR, 2 * YEAR - 1)


# --- shared passes: one row a firm each --------------------------------------------------------------------------


def valid_invoices(invoices: pl.DataFrame) -> pl.DataFrame:
    """Leave out void invoices, and valid rows that a void row of the same invoice cancels.

    A void row cancels the rows that agree with it in firm, direction, number, counterparty, date and the three
    amounts; without a number it cancels nothing.

    Examples
    --------
    >>> valid_invoices(Inputs.empty().invoices).height
    0
    """
    void = invoices.filter("is_void").select(_INVOICE_KEY)
    valid = invoices.filter(~pl.col("is_void"))
    may_be_void = pl.col("number").is_in(void["number"].drop_nulls().unique().implode()).fill_null(value=False)
    suspects = valid.filter(may_be_void)
    return pl.concat([valid.filter(~may_be_void), suspects.join(void, on=_INVOICE_KEY, how="anti")])


def passes(inputs: Inputs, context: Context, as_of: date, wanted: frozenset[str]) -> Iterator[pl.LazyFrame]:
    """Yield the wanted tables, each with ``firm_id`` and its integers.

    Parameters
    ----------
    inputs
        Known observations.
    context
        Not read here.
    as_of
        The day the months are counted from.
    wanted
        Names among "months", "partners", "corrections", "sizes".
    """
    del context
    if not wanted & {"months", "partners", "corrections", "sizes"}:
        return
    valid = valid_invoices(inputs.invoices).with_columns(month=months_ago("observed_on", as_of)).lazy()
    if "months" in wanted:
        yield months(valid)
    if "partners" in wanted:
        yield partners(valid)
    if "corrections" in wanted:
        yield corrections(valid, inputs.invoices.lazy().filter("is_void"), as_of)
    if "sizes" in wanted:
        yield sizes(valid)


def _where(condition: pl.Expr, column: str = "net_fen") -> pl.Expr:
    return pl.when(condition).then(pl.col(column)).otherwise(0)


def _squares(column: str) -> pl.Expr:
    return (pl.col(column).cast(pl.Int128) * pl.col(column)).sum()


def months(valid: pl.LazyFrame) -> pl.LazyFrame:
    """Sum invoices by firm, direction and month, and these sums by firm."""
    net = pl.col("net_fen")
    monthly = valid.group_by("firm_id", "direction", "month").agg(
        net.sum(),
        pl.col("vat_fen").sum(),
        _where(net > 0).sum().alias("positive_fen"),
        _where(net < 0).sum().neg().alias("negative_fen"),
        (net > 0).sum().cast(pl.Int64).alias("positive_count"),
        pl.when(net > 0).then("observed_on").max().alias("last_on"),
    )
    sums = {
        "sales_12m": _where(_IS_SALE & _LAST_YEAR),
        "sales_24m": _where(_IS_SALE & _TWO_YEARS),
        "sales_year_before": _where(_IS_SALE & _YEAR_BEFORE),
        "sales_3m": _where(_IS_SALE & (pl.col("month") < 3)),
        "sales_3m_year_before": _where(_IS_SALE & pl.col("month").is_between(YEAR, YEAR + 2)),
        "purchases_12m": _where(~_IS_SALE & _LAST_YEAR),
        "vat_out_12m": _where(_IS_SALE & _LAST_YEAR, "vat_fen"),
        "vat_in_12m": _where(~_IS_SALE & _LAST_YEAR, "vat_fen"),
        "positive_sales_12m": _where(_IS_SALE & _LAST_YEAR, "positive_fen"),
        "credit_notes_12m": _where(_IS_SALE & _LAST_YEAR, "negative_fen"),
        "positive_sales_3m": _where(_IS_SALE & (pl.col("month") < 3), "positive_fen"),
        "credit_notes_3m": _where(_IS_SALE & (pl.col("month") < 3), "negative_fen"),
        "sales_count_12m": _where(_IS_SALE & _LAST_YEAR, "positive_count"),
        "months_with_sales_12m": _where(_IS_SALE & _LAST_YEAR & (pl.col("positive_fen") > 0), "one"),
        "months_with_sales_24m": _where(_IS_SALE & _TWO_YEARS & (pl.col("positive_fen") > 0), "one"),
    }
    monthly = monthly.with_columns(one=pl.lit(1, pl.Int64)).with_columns(
        sale_month_fen=_where(_IS_SALE & _LAST_YEAR),
        sale_month_24m_fen=_where(_IS_SALE & _TWO_YEARS),
        purchase_month_fen=_where(~_IS_SALE & _LAST_YEAR),
    )
    return (
        monthly.group_by("firm_id")
        .agg(
            pl.col("month").max().alias("first_month"),
            *[amount.sum().alias(name) for name, amount in sums.items()],
            _squares("sale_month_fen").alias("sales_squares_12m"),
            _squares("sale_month_24m_fen").alias("sales_squares_24m"),
            _squares("purchase_month_fen").alias("purchases_squares_12m"),
            pl.when(_IS_SALE).then("last_on").max().alias("last_sale_on"),
            pl.when(~_IS_SALE).then("last_on").max().alias("last_purchase_on"),
        )
        .join(_season(monthly), on="firm_id", how="left")
    )


def _season(monthly: pl.LazyFrame) -> pl.LazyFrame:
    """Return each firm's sales of 24 months and the part of its three best months of the year."""
    by_month = (
        monthly.filter(_IS_SALE & (pl.col("month") < 2 * YEAR))
        .group_by("firm_id", (pl.col("month") % YEAR).alias("month_of_year"))
        .agg(pl.col("positive_fen").sum())
    )
    return by_month.group_by("firm_id").agg(
        pl.col("positive_fen").sum().alias("positive_sales_24m"),
        pl.col("positive_fen").top_k(3).sum().alias("best_months_24m"),
    )


def partners(valid: pl.LazyFrame) -> pl.LazyFrame:
    """Sum invoices by firm and counterparty, and these sums by firm."""
    is_trade = pl.col("net_fen") > 0
    trades = valid.group_by("firm_id", "counterparty").agg(
        _where(_IS_SALE & _LAST_YEAR).sum().alias("sold"),
        _where(_IS_SALE & _YEAR_BEFORE).sum().alias("sold_before"),
        _where(~_IS_SALE & _LAST_YEAR).sum().alias("bought"),
        _where(~_IS_SALE & _YEAR_BEFORE).sum().alias("bought_before"),
        pl.when(_IS_SALE & is_trade).then("month").max().alias("first_sale_month"),
        pl.when(~_IS_SALE & is_trade).then("month").max().alias("first_purchase_month"),
        (pl.col("has_linked_codes") | ~_LAST_YEAR).all().alias("is_linked"),
    )
    trades = trades.with_columns(pl.col("sold", "sold_before", "bought", "bought_before").clip(lower_bound=0))
    return trades.group_by("firm_id").agg(
        *_partner_sums("cust", "sold", "sold_before", "first_sale_month"),
        *_partner_sums("supp", "bought", "bought_before", "first_purchase_month"),
        pl.min_horizontal("sold", "bought").sum().alias("round_trip_fen"),
        (pl.col("sold") + pl.col("bought")).sum().alias("flow_fen"),
        pl.col("is_linked").all(),
    )


def _partner_sums(side: str, amount: str, before: str, first_month: str) -> list[pl.Expr]:
    top = pl.col(amount).max()
    is_top = (pl.col(amount) == top) & (top > 0)
    return [
        pl.col(amount).sum().alias(f"{side}_sum"),
        _squares(amount).alias(f"{side}_squares"),
        (pl.col(amount) > 0).sum().cast(pl.Int64).alias(f"{side}_count"),
        top.alias(f"{side}_top"),
        pl.when(is_top).then(first_month).max().alias(f"{side}_top_first_month"),
        _where(pl.col(first_month) >= YEAR, amount).sum().alias(f"{side}_returning"),
        pl.col(before).sum().alias(f"{side}_before"),
        _where(pl.col(amount) <= 0, before).sum().alias(f"{side}_lost"),
    ]


def corrections(valid: pl.LazyFrame, void: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """Count the output invoices of 12 months, and the void and the fully reversed among them."""
    sales = valid.filter(_IS_SALE)
    voids = void.filter(_IS_SALE, months_ago("observed_on", as_of) < YEAR)
    key = ["firm_id", "counterparty", "net_fen", "vat_fen"]
    reds = sales.filter(_LAST_YEAR, pl.col("net_fen") < 0).with_columns(-pl.col("net_fen"), -pl.col("vat_fen"))
    blues = sales.filter(pl.col("net_fen") > 0).join(reds.select(key).unique(), on=key, how="semi")
    pairs = reds.group_by(key).len("reds").join(blues.group_by(key).len("blues"), on=key)
    reversals = pairs.group_by("firm_id").agg(
        pl.min_horizontal("reds", "blues").sum().cast(pl.Int64).alias("reversed_count")
    )
    counts = sales.filter(_LAST_YEAR).group_by("firm_id").agg(pl.len().cast(pl.Int64).alias("valid_count"))
    void_counts = voids.group_by("firm_id").agg(pl.len().cast(pl.Int64).alias("void_count"))
    joined = counts.join(void_counts, on="firm_id", how="full", coalesce=True)
    return joined.join(reversals, on="firm_id", how="left").with_columns(
        pl.col("valid_count", "void_count", "reversed_count").fill_null(0)
    )


def sizes(valid: pl.LazyFrame) -> pl.LazyFrame:
    """Return each firm's median sale of 12 months (the lower of two)."""
    sales = valid.filter(_IS_SALE, _LAST_YEAR, pl.col("net_fen") > 0)
    return sales.group_by("firm_id").agg(
        pl.col("net_fen").quantile(0.5, interpolation="lower").cast(pl.Int64).alias("median_sale")
    )


# --- expressions several features share --------------------------------------------------------------------------


def _ln_yuan(fen: str) -> pl.Expr:
    """Return ln(1 + yuan) of an amount in fen; a negative balance counts as nothing."""
    return (pl.col(fen).clip(lower_bound=0) / FEN).log1p()


def _share(part: str, whole: str) -> pl.Expr:
    """Return part / whole, unknown where the whole is not positive."""
    return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))


def _months_seen(window: int = YEAR) -> pl.Expr:
    """Return how many of the window's months lie in the firm's invoice history."""
    return pl.min_horizontal(pl.col("first_month") + 1, window).cast(pl.Int64)


def _if_seen(months_back: int, value: pl.Expr) -> pl.Expr:
    """Return the value where invoice history reaches that many months back."""
    return pl.when(pl.col("first_month") + 1 >= months_back).then(value)


def _variation(total: str, squares: str, window: int = YEAR) -> pl.Expr:
    """Return sd / mean of n monthly sums: sqrt(n (n Σx² - (Σx)²) / ((n - 1) (Σx)²)), integers up to the division."""
    n = _months_seen(window).cast(pl.Int128)
    s = pl.col(total).cast(pl.Int128)
    spread = (n * (n * pl.col(squares) - s * s)).cast(pl.Float64)
    level = ((n - 1) * s * s).cast(pl.Float64)
    return _if_seen(3, pl.when(pl.col(total) > 0).then((spread / level).sqrt()))


def _concentration(side: str) -> pl.Expr:
    """Return Σ share² of partners."""
    total = pl.col(f"{side}_sum").cast(pl.Float64)
    return pl.when(pl.col(f"{side}_sum") > 0).then(pl.col(f"{side}_squares").cast(pl.Float64) / (total * total))


def _ln_ratio(now: str, before: str) -> pl.Expr:
    """Return ln((now + 1) / (before + 1)) of two amounts, in yuan, clipped at ±1.5."""
    return (_ln_yuan(now) - _ln_yuan(before)).clip(-CLIP, CLIP)


def _days_since(on: str) -> pl.Expr:
    return (pl.col("as_of") - pl.col(on)).dt.total_days()


def _over_sales(amount: pl.Expr) -> pl.Expr:
    """Return an amount in fen as a share of net sales, clipped to ±1; unknown without net sales."""
    return pl.when(pl.col("sales_12m") > 0).then((amount / pl.col("sales_12m")).clip(-1.0, 1.0))


# --- features ----------------------------------------------------------------------------------------------------


@feature(
    tables=("months",),
    unit="ln(1 + yuan)",
    family="sales",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_YUAN,
    en="sales, last 12 months",
    zh="近 12 个月销售额",
    worse_en="sales of the last 12 months are low",
    worse_zh="近 12 个月销售额偏低",
    better_en="sales of the last 12 months are high",
    better_zh="近 12 个月销售额较高",
    source="methods.md section 1",
)
def ln_sales() -> pl.Expr:
    """ln(1 + valid output invoices of 12 months), net of VAT."""
    return _ln_yuan("sales_12m")


@feature(
    tables=("months",),
    unit="ln(1 + yuan)",
    family="sales",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_YUAN,
    en="sales, last 24 months",
    zh="近 24 个月销售额",
    worse_en="sales of the last 24 months are low",
    worse_zh="近 24 个月销售额偏低",
    better_en="sales of the last 24 months are high",
    better_zh="近 24 个月销售额较高",
    source="methods.md section 1, over two years",
)
def ln_sales_24m() -> pl.Expr:
    """ln(1 + valid output invoices of 24 months), net of VAT.

    Steadier than ``ln_sales`` for a small firm, whose one bad season is half of it and not all.
    """
    return _ln_yuan("sales_24m")


@feature(
    tables=("months",),
    unit="ln ratio",
    family="sales",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_CHANGE,
    en="sales growth on the year before",
    zh="销售额同比增长",
    worse_en="sales are falling or barely growing on the year before",
    worse_zh="销售额同比下降或增长乏力",
    better_en="sales are growing soundly on the year before",
    better_zh="销售额同比稳健增长",
    source="methods.md section 1",
)
def growth() -> pl.Expr:
    """ln((S₁₂ + 1) / (S₁₃₋₂₄ + 1)), clipped to [-1.5, .4]; unknown unless history covers both years.

    The direction holds up to +.4 only; what exceeds it is ``growth_surge``, which is free.
    """
    return _if_seen(2 * YEAR, _ln_ratio("sales_12m", "sales_year_before").clip(upper_bound=GROWTH_CAP))


@feature(
    tables=("months",),
    unit="ln ratio",
    family="sales",
    sign=0,
    missing="B",
    value_format=ValueFormat.LN_CHANGE,
    en="sales growth beyond 49%",
    zh="销售额超常增长幅度",
    worse_en="sales growth beyond the usual range calls for care",
    worse_zh="销售额增长超出常态，需审慎看待",
    better_en="sales growth stays within the usual range",
    better_zh="销售额增长处于正常区间",
    source="methods.md section 1",
)
def growth_surge() -> pl.Expr:
    """max(0, ln((S₁₂ + 1) / (S₁₃₋₂₄ + 1)) - .4), at most 1.1: the part of growth above +.4."""
    return _if_seen(2 * YEAR, (_ln_ratio("sales_12m", "sales_year_before") - GROWTH_CAP).clip(lower_bound=0.0))


@feature(
    tables=("months",),
    unit="ln ratio",
    family="sales",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_CHANGE,
    en="sales of the last 3 months on the same months a year before",
    zh="近 3 个月销售额同比",
    worse_en="sales of the last 3 months are below the same months a year before",
    worse_zh="近 3 个月销售额较去年同期下滑",
    better_en="sales of the last 3 months hold up against a year before",
    better_zh="近 3 个月销售额较去年同期保持良好",
    source="standard",
)
def sales_trend() -> pl.Expr:
    """ln((S of the last 3 months + 1) / (S of the same months a year before + 1)), clipped to ±1.5."""
    return _if_seen(YEAR + 3, _ln_ratio("sales_3m", "sales_3m_year_before"))


@feature(
    tables=("months",),
    unit="ln(1 + yuan)",
    family="sales",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_YUAN,
    en="purchases, last 12 months",
    zh="近 12 个月采购额",
    worse_en="purchases of the last 12 months are low",
    worse_zh="近 12 个月采购额偏低",
    better_en="purchases of the last 12 months are high",
    better_zh="近 12 个月采购额较高",
    source="standard",
)
def ln_purchases() -> pl.Expr:
    """ln(1 + valid input invoices of 12 months), net of VAT."""
    return _ln_yuan("purchases_12m")


@feature(
    tables=("months",),
    unit="ln(1 + count)",
    family="sales",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_COUNT,
    en="sales invoices, last 12 months",
    zh="近 12 个月销项发票张数",
    worse_en="few sales invoices in the last 12 months",
    worse_zh="近 12 个月开票笔数偏少",
    better_en="many sales invoices in the last 12 months",
    better_zh="近 12 个月开票笔数较多",
    source="standard",
)
def ln_invoices() -> pl.Expr:
    """ln(1 + number of valid positive output invoices of 12 months)."""
    return pl.col("sales_count_12m").cast(pl.Float64).log1p()


@feature(
    tables=("sizes",),
    unit="ln(1 + yuan)",
    family="sales",
    sign=0,
    missing="B",
    value_format=ValueFormat.LN_YUAN,
    en="typical sale",
    zh="典型单笔销售额",
    worse_en="the usual size of a sale is less favourable",
    worse_zh="单笔销售规模不够理想",
    better_en="the usual size of a sale is favourable",
    better_zh="单笔销售规模较为理想",
    source="standard",
)
def ln_ticket() -> pl.Expr:
    """ln(1 + median positive output invoice of 12 months, the lower of two), net of VAT."""
    return _ln_yuan("median_sale")


@feature(
    tables=("months",),
    unit="ratio",
    family="stability",
    sign=+1,
    missing="B",
    value_format=ValueFormat.RATIO,
    en="variation of monthly sales",
    zh="月销售额波动系数",
    worse_en="monthly sales swing widely",
    worse_zh="月销售额波动大",
    better_en="monthly sales are steady",
    better_zh="月销售额平稳",
    source="methods.md section 1",
)
def sales_cv() -> pl.Expr:
    """Variation of monthly sales: sd ÷ mean over 12 months (sample sd; a month without sales counts as 0).

    A history shorter than 12 months uses its own months, at least 3; unknown without net sales.
    """
    return _variation("sales_12m", "sales_squares_12m")


@feature(
    tables=("months",),
    unit="ratio",
    family="stability",
    sign=+1,
    missing="B",
    value_format=ValueFormat.RATIO,
    en="variation of monthly sales, 24 months",
    zh="近两年月销售额波动系数",
    worse_en="monthly sales swing widely over two years",
    worse_zh="近两年月销售额波动大",
    better_en="monthly sales are steady over two years",
    better_zh="近两年月销售额平稳",
    source="methods.md section 1, over two years",
)
def sales_cv_24m() -> pl.Expr:
    """Variation of monthly sales: sd ÷ mean over 24 months, like ``sales_cv``."""
    return _variation("sales_24m", "sales_squares_24m", 2 * YEAR)


@feature(
    tables=("months",),
    unit="ratio",
    family="stability",
    sign=+1,
    missing="B",
    value_format=ValueFormat.RATIO,
    en="variation of monthly purchases",
    zh="月采购额波动系数",
    worse_en="monthly purchases swing widely",
    worse_zh="月采购额波动大",
    better_en="monthly purchases are steady",
    better_zh="月采购额平稳",
    source="standard",
)
def purchase_cv() -> pl.Expr:
    """Variation of monthly purchases: sd ÷ mean over 12 months, like ``sales_cv``."""
    return _variation("purchases_12m", "purchases_squares_12m")


@feature(
    tables=("months",),
    unit="share",
    family="stability",
    sign=+1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="months without sales",
    zh="无销售月份占比",
    worse_en="too many months without any sale",
    worse_zh="无销售的月份偏多",
    better_en="sales in nearly every month",
    better_zh="几乎每月均有销售",
    source="methods.md section 1",
)
def zero_months() -> pl.Expr:
    """Share of the last 12 months (of those in the history, at least 3) without a valid positive output invoice."""
    return _if_seen(3, 1 - pl.col("months_with_sales_12m") / _months_seen())


@feature(
    tables=("months",),
    unit="share",
    family="stability",
    sign=+1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="months without sales, 24 months",
    zh="近 24 个月无销售月份占比",
    worse_en="too many months without any sale in two years",
    worse_zh="近两年无销售的月份偏多",
    better_en="sales in nearly every month of two years",
    better_zh="近两年几乎每月均有销售",
    source="methods.md section 1, over two years",
)
def zero_months_24m() -> pl.Expr:
    """Share of the last 24 months without a valid positive output invoice, like ``zero_months``."""
    return _if_seen(3, 1 - pl.col("months_with_sales_24m") / _months_seen(2 * YEAR))


@feature(
    tables=("months",),
    unit="days",
    family="stability",
    sign=+1,
    missing="B",
    value_format=ValueFormat.DAYS,
    en="days since the last sale",
    zh="距最近一笔销售天数",
    worse_en="no sale for a long time",
    worse_zh="较长时间没有新的销售",
    better_en="sold very recently",
    better_zh="近期持续有销售",
    source="methods.md section 1",
)
def sales_gap() -> pl.Expr:
    """Days since the last valid positive output invoice, of any date; unknown if there never was one."""
    return _days_since("last_sale_on")


@feature(
    tables=("months",),
    unit="days",
    family="stability",
    sign=+1,
    missing="B",
    value_format=ValueFormat.DAYS,
    en="days since the last purchase",
    zh="距最近一笔采购天数",
    worse_en="no purchase for a long time",
    worse_zh="较长时间没有新的采购",
    better_en="bought very recently",
    better_zh="近期持续有采购",
    source="standard",
)
def purchase_gap() -> pl.Expr:
    """Days since the last valid positive input invoice, of any date; unknown if there never was one."""
    return _days_since("last_purchase_on")


@feature(
    tables=("months",),
    unit="share",
    family="stability",
    sign=0,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="sales in the three best months of the year",
    zh="旺季三个月销售占比",
    worse_en="the seasonal pattern of sales is less favourable",
    worse_zh="销售的季节分布不够理想",
    better_en="the seasonal pattern of sales is favourable",
    better_zh="销售的季节分布较为理想",
    source="standard",
)
def seasonality() -> pl.Expr:
    """Share of the positive sales of 24 months made in the three best months of the year; even sales give 25%."""
    return _if_seen(2 * YEAR, _share("best_months_24m", "positive_sales_24m"))


@feature(
    tables=("months",),
    unit="ln(1 + months)",
    family="stability",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_MONTHS,
    en="invoice history",
    zh="发票历史时长",
    worse_en="invoice history is short",
    worse_zh="开票历史较短",
    better_en="invoice history is long",
    better_zh="开票历史较长",
    source="standard",
)
def invoice_history() -> pl.Expr:
    """ln(1 + months since the first valid invoice of either direction)."""
    return pl.col("first_month").cast(pl.Float64).log1p()


@feature(
    tables=("corrections",),
    unit="share",
    family="invoicing",
    sign=+1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="void and fully reversed invoices",
    zh="作废及全额冲红发票占比",
    worse_en="many invoices are voided or fully reversed",
    worse_zh="作废或全额冲红发票偏多",
    better_en="few invoices are voided or reversed",
    better_zh="作废及冲红发票很少",
    source="methods.md section 1",
)
def void_rate() -> pl.Expr:
    """(void + fully reversed) ÷ all output invoices of 12 months, by number.

    Fully reversed: a credit note of the window that matches, in customer, net amount and VAT, a valid positive
    invoice of any date, each invoice matched once. Fully digital e-invoices cannot be voided, only reversed, so the
    two are counted together and stay comparable across the date a firm moves to them.
    """
    issued = pl.col("void_count") + pl.col("valid_count")
    return pl.when(issued > 0).then((pl.col("void_count") + pl.col("reversed_count")) / issued)


@feature(
    tables=("months",),
    unit="share",
    family="invoicing",
    sign=0,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="credit notes to sales, last 12 months",
    zh="近 12 个月红字金额占比",
    worse_en="the amount of credit notes is less favourable",
    worse_zh="红字发票金额水平不够理想",
    better_en="the amount of credit notes is unremarkable",
    better_zh="红字发票金额处于正常水平",
    source="methods.md section 1",
)
def red_amt() -> pl.Expr:
    """|negative| ÷ positive amount of the output invoices of 12 months."""
    return _share("credit_notes_12m", "positive_sales_12m")


@feature(
    tables=("months",),
    unit="share",
    family="invoicing",
    sign=+1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="dilution, last 3 months",
    zh="近 3 个月应收稀释率",
    worse_en="recent sales are diluted by returns and credit notes",
    worse_zh="近期退货及红字冲减较多",
    better_en="recent sales are hardly diluted by credit notes",
    better_zh="近期销售很少被红字冲减",
    source="methods.md section 1",
)
def dilution() -> pl.Expr:
    """Credit notes ÷ positive sales of the last 3 months, at most 1: the rolling ratio of receivables lending."""
    return _share("credit_notes_3m", "positive_sales_3m").clip(upper_bound=1.0)


@feature(
    tables=("partners",),
    unit="index",
    family="buyers",
    sign=+1,
    missing="B",
    value_format=ValueFormat.INDEX,
    en="concentration of customers",
    zh="客户集中度",
    worse_en="sales rest on too few customers",
    worse_zh="客户过于集中",
    better_en="sales are spread over many customers",
    better_zh="客户分散",
    source="methods.md section 1",
)
def cust_hhi() -> pl.Expr:
    """Σ share² of sales by customer over 12 months, customers with positive sales.

    Confirmed anchors are to be left out; no kind of observation confirms one yet, so all customers count.
    """
    return _concentration("cust")


@feature(
    tables=("partners",),
    unit="ln(1 + count)",
    family="buyers",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_COUNT,
    en="active customers",
    zh="活跃客户数",
    worse_en="few active customers",
    worse_zh="活跃客户数偏少",
    better_en="many active customers",
    better_zh="活跃客户数较多",
    source="methods.md section 1",
)
def active_cust() -> pl.Expr:
    """ln(1 + customers with positive sales in 12 months)."""
    return pl.col("cust_count").cast(pl.Float64).log1p()


@feature(
    tables=("partners",),
    unit="share",
    family="buyers",
    sign=0,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="share of the largest customer",
    zh="第一大客户占比",
    worse_en="the weight of the largest customer is less favourable",
    worse_zh="第一大客户占比不够理想",
    better_en="the weight of the largest customer is favourable",
    better_zh="第一大客户占比较为理想",
    source="methods.md section 1",
)
def anchor_share() -> pl.Expr:
    """Sales to the largest customer ÷ sales to all customers with positive sales, 12 months."""
    return _share("cust_top", "cust_sum")


@feature(
    tables=("partners",),
    unit="months",
    family="buyers",
    sign=-1,
    missing="B",
    value_format=ValueFormat.MONTHS,
    en="trade with the largest customer",
    zh="与第一大客户合作时长",
    worse_en="the largest customer is a recent one",
    worse_zh="与第一大客户合作时间较短",
    better_en="long trade with the largest customer",
    better_zh="与第一大客户长期合作",
    source="standard",
)
def top_cust_tenure() -> pl.Expr:
    """Months since the first sale to the present largest customer; among equals, the longest known."""
    return pl.col("cust_top_first_month")


@feature(
    tables=("partners",),
    unit="share",
    family="buyers",
    sign=+1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="customers lost, by last year's sales",
    zh="客户流失率（按上年销售额）",
    worse_en="customers of the year before have been lost",
    worse_zh="上年客户流失较多",
    better_en="customers of the year before stay",
    better_zh="上年客户基本留存",
    source="standard",
)
def cust_churn() -> pl.Expr:
    """Share of the sales of months 13-24 made to customers without positive sales in the last 12."""
    return _share("cust_lost", "cust_before")


@feature(
    tables=("months", "partners"),
    unit="share",
    family="buyers",
    sign=-1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="sales to customers of more than a year",
    zh="老客户销售占比",
    worse_en="little is sold to customers of more than a year",
    worse_zh="老客户销售占比偏低",
    better_en="most is sold to customers of more than a year",
    better_zh="以老客户销售为主",
    source="standard",
)
def loyal_cust() -> pl.Expr:
    """Share of 12 months' sales to customers first sold to before them; unknown in the first year of history."""
    return _if_seen(YEAR + 1, _share("cust_returning", "cust_sum"))


@feature(
    tables=("partners",),
    unit="index",
    family="suppliers",
    sign=+1,
    missing="B",
    value_format=ValueFormat.INDEX,
    en="concentration of suppliers",
    zh="供应商集中度",
    worse_en="purchases rest on too few suppliers",
    worse_zh="供应商过于集中",
    better_en="purchases are spread over many suppliers",
    better_zh="供应商分散",
    source="methods.md section 1",
)
def supp_hhi() -> pl.Expr:
    """Σ share² of purchases by supplier over 12 months, like ``cust_hhi``."""
    return _concentration("supp")


@feature(
    tables=("partners",),
    unit="ln(1 + count)",
    family="suppliers",
    sign=-1,
    missing="B",
    value_format=ValueFormat.LN_COUNT,
    en="active suppliers",
    zh="活跃供应商数",
    worse_en="few active suppliers",
    worse_zh="活跃供应商数偏少",
    better_en="many active suppliers",
    better_zh="活跃供应商数较多",
    source="standard",
)
def active_supp() -> pl.Expr:
    """ln(1 + suppliers with positive purchases in 12 months)."""
    return pl.col("supp_count").cast(pl.Float64).log1p()


@feature(
    tables=("partners",),
    unit="share",
    family="suppliers",
    sign=0,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="share of the largest supplier",
    zh="第一大供应商占比",
    worse_en="the weight of the largest supplier is less favourable",
    worse_zh="第一大供应商占比不够理想",
    better_en="the weight of the largest supplier is favourable",
    better_zh="第一大供应商占比较为理想",
    source="standard",
)
def top_supp_share() -> pl.Expr:
    """Purchases from the largest supplier ÷ purchases from all with positive purchases, 12 months."""
    return _share("supp_top", "supp_sum")


@feature(
    tables=("partners",),
    unit="months",
    family="suppliers",
    sign=-1,
    missing="B",
    value_format=ValueFormat.MONTHS,
    en="trade with the largest supplier",
    zh="与第一大供应商合作时长",
    worse_en="the largest supplier is a recent one",
    worse_zh="与第一大供应商合作时间较短",
    better_en="long trade with the largest supplier",
    better_zh="与第一大供应商长期合作",
    source="standard",
)
def top_supp_tenure() -> pl.Expr:
    """Months since the first purchase from the present largest supplier; among equals, the longest known."""
    return pl.col("supp_top_first_month")


@feature(
    tables=("partners",),
    unit="share",
    family="suppliers",
    sign=+1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="suppliers lost, by last year's purchases",
    zh="供应商流失率（按上年采购额）",
    worse_en="suppliers of the year before have been lost",
    worse_zh="上年供应商流失较多",
    better_en="suppliers of the year before stay",
    better_zh="上年供应商基本留存",
    source="standard",
)
def supp_churn() -> pl.Expr:
    """Share of the purchases of months 13-24 from suppliers without positive purchases in the last 12."""
    return _share("supp_lost", "supp_before")


@feature(
    tables=("partners",),
    unit="share",
    family="invoicing",
    sign=+1,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="flows that come back",
    zh="对开（环开）交易占比",
    worse_en="sales come back as purchases from the same partners",
    worse_zh="与同一交易对方互开发票偏多",
    better_en="hardly any sales come back as purchases",
    better_zh="几乎没有互开发票",
    source="methods.md section 1",
)
def round_trip() -> pl.Expr:
    """Σ min(sold to, bought from) ÷ all flow (sold + bought) over 12 months, 0 to 50%.

    Unknown unless every invoice of the window carries codes that link sellers with buyers. No pairs of legitimate
    processing are listed yet.
    """
    return pl.when("is_linked").then(_share("round_trip_fen", "flow_fen"))


@feature(
    tables=("months",),
    unit="share",
    family="margin",
    sign=0,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="VAT burden",
    zh="增值税税负率",
    worse_en="the VAT burden is out of line",
    worse_zh="增值税税负率不够理想",
    better_en="the VAT burden is in line",
    better_zh="增值税税负率较为正常",
    source="standard",
)
def vat_burden() -> pl.Expr:
    """(output VAT - input VAT) ÷ sales of 12 months, clipped to ±1."""
    return _over_sales(pl.col("vat_out_12m") - pl.col("vat_in_12m"))


@feature(
    tables=("months",),
    unit="share",
    family="margin",
    sign=0,
    missing="B",
    value_format=ValueFormat.PERCENT,
    en="gross margin by invoices",
    zh="发票口径毛利率",
    worse_en="the margin between sales and purchases is less favourable",
    worse_zh="购销毛利水平不够理想",
    better_en="the margin between sales and purchases is favourable",
    better_zh="购销毛利水平较为理想",
    source="standard",
)
def gross_margin() -> pl.Expr:
    """(sales - purchases) ÷ sales of 12 months, clipped to ±1.

    No direction is imposed: unbilled purchases and stock-building move it either way.
    """
    return _over_sales(pl.col("sales_12m") - pl.col("purchases_12m"))
