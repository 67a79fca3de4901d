"""A made-up economy of industrial clusters in which every firm's true default probability is known.

A cluster is one trade in one town (`trades.TRADES`): firms that make materials, parts or the product, or trade it,
around one to three lead firms. Firms sell to the next stage of their cluster and to buyers outside it; a sale between
members is in both books under one number. Sales follow the trade's season, all but stop around the Spring Festival, and
carry VAT of 13%, void invoices and credit notes. Most firms have a 12-month loan that is rolled over, with a repayment
status at every month end. A few firms are too young, or have traded too briefly, to be scored; some lack a date of
foundation or an owner. Every known owner consents to the use of owner data, most to asking the credit bureau, which
then has nothing on any of them; a few come to have a negative record later.

Who defaults follows the Markov chain of `hazard`. A healthy firm enters trouble with monthly log-odds

    INTERCEPT + sum of coefficient * z + cluster effect + 0.8 * shock + 2.5 * dependence * level of the anchor's trouble

where z is a trait on the scale of its own distribution, in standard deviations:

========== ====================================== =========== ====================================
trait      quantity                               coefficient shows in (sign)
========== ====================================== =========== ====================================
size       ln(annual sales)                       -0.50       ln_sales (-)
volatility ln(sd of ln(a month's sales))          +0.35       sales_cv (+)
buyers     ln(sum of squared shares of buyers)    +0.30       cust_hhi (+), active_cust (-)
growth     annual change of ln(sales)             -0.35       growth (-)
voids      ln(share of sales invoices voided)     +0.50       void_rate (+)
owner      ln(1 + owner's years in the trade)     -0.35       owner_yrs (-)
age        ln(1 + firm's age in years)            -0.25       firm_age (-)
churn      logit(share of partners lost a year)   +0.50       cust_churn (+), loyal_cust (-)
========== ====================================== =========== ====================================

The cluster effect is normal with a standard deviation of 0.35; it and the shocks show in cl_dr (+). An anchor is the
lead firm that up to 45% of the makers of materials and parts sell a quarter to two thirds of their output to. Traits
stand as in the middle of the window. Trouble shows: over the three to nine months before most defaults sales fall, by
20% when slipping, 50% when strained, 65% and more once overdue; months grow more uneven, voids more. A shock costs
the cluster 10% of its sales, a failing anchor its suppliers' sales to it. Margins, suppliers, partial credit notes,
seasons, reciprocal trade and owners' negative records have no effect on default but what they share with the traits
above.

`Economy.truth` is the probability that a default is recorded in the 12 months after a month end given the state of the
world at that month end: exact, by backward recursion, not estimated.

A cluster depends on its arguments, the seed and its number alone, so an economy of any size can be made in pieces.
Firms, people, codes and names are invented.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from features.inputs import Inputs
from features.kinds.credit import LOAN, REPAYMENT_STATUS
from features.kinds.parties import CONSENT, FIRM, NOTHING_ON_FILE, PERSON, PERSONAL_RECORD
from features.kinds.trade import INVOICE
from service.demo import trades
from service.demo.hazard import Ints, simulate
from service.demo.invoicing import N_OUTSIDE_BUYERS, N_OUTSIDE_SUPPLIERS, Invoices, issue_invoices
from service.demo.lending import EVENTS, TERM, Loans, Statuses, Truth, lend
from service.demo.members import MIN_SIZE, Members, draw_members
from service.demo.window import Days, Window, activity

CLUSTER_SIZE = 415
PRODUCT = "credit-score"

_SERIALS_PER_CLUSTER = 4096
MAX_SIZE = _SERIALS_PER_CLUSTER - N_OUTSIDE_BUYERS - N_OUTSIDE_SUPPLIERS
# Any multiplier coprime to 31 scatters serial numbers without repeats.
_SCATTER = 402_653_189
_UNKNOWN_FOUNDATION = 0.03
_CLUSTERS_WITHOUT_FOUNDATION = 8
_WITHOUT_OWNER = 0.04
_UNKNOWN_EXPERIENCE = 0.04
_BUREAU_CONSENT = 0.9
_REFUSES_MACHINES = 0.02
_RECORDED = 0.015


@dataclass(frozen=True)
class Economy:
    """What a bank would see of the clusters, and what only their maker knows.

    Attributes
    ----------
    inputs : Inputs
        Firms, owners, invoices, loans, repayment statuses, consents and what the bureau has on owners; ``known_on``
        equals ``observed_on``, but for the end of a record, known when it comes.
    truth : polars.DataFrame
        ``firm_id``, ``snapshot_on`` (month ends), ``true_pd``: a row for each firm that then has a live loan and is not
        in default.
    clusters : polars.DataFrame
        ``cluster``, ``cluster_en``, ``place``, ``n_firms``.
    """

    inputs: Inputs
    truth: pl.DataFrame
    clusters: pl.DataFrame


def generate(
    n_firms: int = CLUSTER_SIZE,
    seed: int = 1,
    *,
    end_on: date,
    months: int = 36,
    n_clusters: int | None = None,
    invoices_per_firm_month: float = 13.0,
) -> Economy:
    """Make an economy: clusters of equal size, one after another.

    Parameters
    ----------
    n_firms : int
        Firms in all.
    seed : int
        Same seed and arguments, same economy.
    end_on : date
        The last day, a month end.
    months : int
        Length of the window, at least 6.
    n_clusters : int, optional
        By default one for every 415 firms, the average of Jiangsu (110 clusters, 45,671 firms).
    invoices_per_firm_month : float
        Mean number of a firm's invoices in a month, sales and purchases; fewer make a lean economy.

    Raises
    ------
    ValueError
        If `end_on` is no month end, the window too short, or a cluster too small or too large.

    Examples
    --------
    >>> economy = generate(40, seed=1, end_on=date(2024, 12, 31), months=12)
    >>> economy.inputs.firms.height, economy.clusters["cluster"].to_list()
    (40, ['温州鞋业集群'])
    """
    return concat(
        generate_cluster(
            seed, number, n_firms=size, end_on=end_on, months=months, invoices_per_firm_month=invoices_per_firm_month
        )
        for number, size in enumerate(cluster_sizes(n_firms, n_clusters))
    )


def cluster_sizes(n_firms: int, n_clusters: int | None = None) -> list[int]:
    """Return how many firms each cluster of an economy has.

    Examples
    --------
    >>> cluster_sizes(1000), cluster_sizes(100, 3)
    ([500, 500], [34, 33, 33])
    """
    n = max(1, round(n_firms / CLUSTER_SIZE)) if n_clusters is None else n_clusters
    quotient, remainder = divmod(n_firms, n)
    return [quotient + (number < remainder) for number in range(n)]


def concat(parts: Iterable[Economy]) -> Economy:
    """Join economies of different clusters.

    Examples
    --------
    >>> pieces = [generate_cluster(1, number, n_firms=20, end_on=date(2024, 12, 31)) for number in range(2)]
    >>> concat(pieces).inputs.firms["firm_id"].n_unique()
    40
    """
    parts = list(parts)
    return Economy(
        inputs=Inputs.concat(part.inputs for part in parts),
        truth=pl.concat([part.truth for part in parts]),
        clusters=pl.concat([part.clusters for part in parts]),
    )


def generate_cluster(
    seed: int,
    number: int,
    *,
    n_firms: int = CLUSTER_SIZE,
    end_on: date,
    months: int = 36,
    invoices_per_firm_month: float = 13.0,
) -> Economy:
    """Make one cluster; joined, the clusters of an economy are that economy.

    Parameters
    ----------
    seed : int
        Seed of the economy.
    number : int
        The cluster's place in it, from 0: decides its trade and its codes.
    n_firms : int
        Its firms, 20 to 3,196.
    end_on, months, invoices_per_firm_month
        As in `generate`. How many invoices there are has no bearing on who defaults.

    Raises
    ------
    ValueError
        As in `generate`.
    """
    if not MIN_SIZE <= n_firms <= MAX_SIZE:
        raise ValueError(f"a cluster has {MIN_SIZE} to {MAX_SIZE} firms, not {n_firms}")
    window = Window(end_on, months)
    # One stream a subject: a change to one leaves the others as they are.
    for_members, for_history, for_loans, for_invoices, for_registers, for_bureau = np.random.default_rng(
        [seed, number]
    ).spawn(6)
    members = draw_members(for_members, n_firms, window)
    history = simulate(for_history, members.exposure, members.leads, members.first_month, months)
    loans, statuses, truth = lend(for_loans, members, history)
    trade = trades.TRADES[number % len(trades.TRADES)]
    invoices = issue_invoices(
        for_invoices, members, history, window, activity(window, trade.peak_month), invoices_per_firm_month
    )
    codes = _codes(seed, number, n_firms, trade)
    firms = _firm_rows(for_registers, number, trade, members, window, codes)
    persons = _person_rows(for_registers, number, members, window, codes)
    consents = _consent_rows(for_bureau, persons, window)
    inputs = Inputs.of_frames(
        {
            FIRM.name: firms,
            PERSON.name: persons,
            INVOICE.name: _invoice_rows(for_registers, invoices, n_firms, codes),
            LOAN.name: _loan_rows(loans, window, codes),
            REPAYMENT_STATUS.name: _status_rows(statuses, window, codes),
            CONSENT.name: consents,
            PERSONAL_RECORD.name: _personal_record_rows(for_bureau, consents, window),
        }
    )
    name, name_en = trades.cluster_names(number)
    clusters = pl.DataFrame({"cluster": [name], "cluster_en": [name_en], "place": [trade.place], "n_firms": [n_firms]})
    return Economy(inputs, _truth_rows(truth, window, codes), clusters)


def _codes(seed: int, number: int, n_firms: int, trade: trades.Trade) -> pl.Series:
    """Return the social credit codes of the members, then the outside buyers, then the outside suppliers."""
    outside = N_OUTSIDE_BUYERS + N_OUTSIDE_SUPPLIERS
    serials = number * _SERIALS_PER_CLUSTER + np.arange(n_firms + outside)
    scattered = (serials * _SCATTER + seed % trades.N_SERIALS * 7_919) % trades.N_SERIALS
    places = len(trades.OUTSIDE_AREAS)
    areas = [trade.area] * n_firms + [trades.OUTSIDE_AREAS[i % places] for i in range(outside)]
    return pl.Series(trades.social_credit_codes(scattered, areas), dtype=pl.String)


def _dated(columns: dict[str, pl.Series], observed_on: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({**columns, "observed_on": observed_on, "known_on": observed_on})


def _dates(days: Days) -> pl.Series:
    return pl.Series(days.astype("datetime64[D]"), dtype=pl.Date)


def _firm_rows(
    rng: np.random.Generator, number: int, trade: trades.Trade, members: Members, window: Window, codes: pl.Series
) -> pl.DataFrame:
    n = len(members.stage)
    is_unknown = rng.random(n) < _UNKNOWN_FOUNDATION
    if number % _CLUSTERS_WITHOUT_FOUNDATION == _CLUSTERS_WITHOUT_FOUNDATION - 1:
        is_unknown[:] = True
    industries = [trade.industries[stage] for stage in members.stage.tolist()]
    return _dated(
        {
            "firm_id": codes[:n],
            "name": pl.Series(trades.firm_names(trade, members.stage, int(rng.integers(1 << 20)))),
            "industry": pl.Series(industries),
            "cluster": pl.Series([trades.cluster_names(number)[0]] * n),
            "place": pl.Series([trade.place] * n),
            "founded_on": _dates(np.where(is_unknown, np.datetime64("NaT"), members.founded_on)),
            "is_lead": pl.Series(np.isin(np.arange(n), members.leads)),
        },
        _registered_on(members, window),
    )


def _registered_on(members: Members, window: Window) -> pl.Series:
    """Return when the bank learnt of each firm: the day before the window, or its foundation."""
    eve = window.month_starts(np.zeros(1, dtype=np.int64)) - 1
    return _dates(np.maximum(members.founded_on, eve))


def _person_rows(
    rng: np.random.Generator, number: int, members: Members, window: Window, codes: pl.Series
) -> pl.DataFrame:
    n = len(members.stage)
    middle = window.month_starts(np.full(n, window.months // 2))
    since = middle - np.rint(365.25 * members.owner_years).astype(np.int64)
    since = np.where(rng.random(n) < _UNKNOWN_EXPERIENCE, np.datetime64("NaT"), since)
    rows = _dated(
        {
            "firm_id": codes[:n],
            "person_id": pl.Series([f"P{number:06d}{row:04d}" for row in range(n)]),
            "role": pl.Series(["owner"] * n),
            "trade_since": _dates(since),
        },
        _registered_on(members, window),
    )
    return rows.filter(pl.Series(rng.random(n) >= _WITHOUT_OWNER))


def _consent_rows(rng: np.random.Generator, persons: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return each owner's consents, of the day the bank learnt of them; a few firms refuse automated decisions."""
    owners = persons.select("firm_id", "person_id", "observed_on", "known_on")
    asks_bureau, refuses = rng.random((2, owners.height))
    given = {"purpose": pl.lit("credit_assessment"), "is_given": pl.lit(value=True)}
    refused_on: date = window.month_ends(np.array([window.months // 2])).astype(object)[0]
    parts = [
        owners.with_columns(**given, scope=pl.lit("owner_data")),
        owners.filter(pl.Series(asks_bureau < _BUREAU_CONSENT)).with_columns(**given, scope=pl.lit("bureau")),
        owners.filter(pl.Series(refuses < _REFUSES_MACHINES), pl.col("observed_on") <= refused_on).with_columns(
            **{**given, "is_given": pl.lit(value=False)},
            person_id=pl.lit(None, dtype=pl.String),
            scope=pl.lit("automated_decision"),
            observed_on=pl.lit(refused_on),
            known_on=pl.lit(refused_on),
        ),
    ]
    return pl.concat([part.select(CONSENT.schema.keys()) for part in parts])


def _personal_record_rows(rng: np.random.Generator, consents: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return what the bureau has on owners who let it be asked: on that day nothing; later records of a few.

    Of most of these the end comes as well.
    """
    asked = consents.filter(pl.col("scope") == "bureau").select("firm_id", "person_id", on="observed_on")
    clean = asked.with_columns(
        observed_on=pl.col("on"),
        known_on=pl.col("on"),
        record=pl.lit(NOTHING_ON_FILE),
        days_past_due=pl.lit(None, dtype=pl.Int64),
        ended_on=pl.lit(None, dtype=pl.Date),
    ).select(PERSONAL_RECORD.schema.keys())
    people = asked.filter(pl.Series(rng.random(asked.height) < _RECORDED))
    n = people.height
    began: Days = np.asarray(people["on"].to_numpy() + rng.integers(30, 360, n), dtype="datetime64[D]")
    ended: Days = np.asarray(began + rng.integers(30, 180, n), dtype="datetime64[D]")
    begun = people.with_columns(
        observed_on=_dates(began),
        known_on=_dates(began),
        record=pl.lit("late_payment"),
        days_past_due=pl.Series(rng.integers(5, 60, n)),
        ended_on=pl.lit(None, dtype=pl.Date),
    ).select(PERSONAL_RECORD.schema.keys())
    over = begun.with_columns(ended_on=_dates(ended), known_on=_dates(ended)).filter(pl.Series(rng.random(n) < 0.8))
    return pl.concat([clean, begun, over]).filter(pl.col("known_on") <= window.end_on)


def _invoice_rows(rng: np.random.Generator, invoices: Invoices, n_firms: int, codes: pl.Series) -> pl.DataFrame:
    """Return each invoice in the books of those of its parties that are members."""
    net, gross = invoices.net_fen, invoices.gross_fen
    sheet = _dated(
        {
            "seller": codes.gather(invoices.seller),
            "buyer": codes.gather(invoices.buyer),
            "number": pl.Series(invoices.numbers(rng)).cast(pl.String),
            "net_fen": pl.Series(net),
            "vat_fen": pl.Series(gross - net),
            "gross_fen": pl.Series(gross),
            "is_void": pl.Series(invoices.is_void),
        },
        _dates(invoices.day),
    )
    books = [
        sheet.filter(pl.Series(party < n_firms))
        .rename({own: "firm_id", other: "counterparty"})
        .with_columns(direction=pl.lit(direction), has_linked_codes=pl.lit(True))
        .select(INVOICE.schema.keys())
        for direction, own, other, party in (
            ("output", "seller", "buyer", invoices.seller),
            ("input", "buyer", "seller", invoices.buyer),
        )
    ]
    return pl.concat(books)


def _loan_ids(codes: pl.Series, firm: Ints, sequence: Ints) -> pl.Series:
    """Return contract numbers: the middle of the firm's code and how many loans it had."""
    stems = codes.str.slice(8, 9).gather(firm)
    return "JK" + stems + "-" + pl.Series(sequence + 1).cast(pl.String).str.zfill(2)


def _loan_rows(loans: Loans, window: Window, codes: pl.Series) -> pl.DataFrame:
    return _dated(
        {
            "firm_id": codes.gather(loans.firm),
            "loan_id": _loan_ids(codes, loans.firm, loans.sequence),
            "product": pl.Series([PRODUCT] * len(loans.firm), dtype=pl.String),
            "principal_fen": pl.Series(loans.principal_fen),
            "matures_on": _dates(window.month_ends(loans.month + TERM)),
        },
        _dates(window.month_ends(loans.month)),
    )


def _status_rows(statuses: Statuses, window: Window, codes: pl.Series) -> pl.DataFrame:
    events = pl.Series([*EVENTS, None], dtype=pl.String)
    return _dated(
        {
            "firm_id": codes.gather(statuses.firm),
            "loan_id": _loan_ids(codes, statuses.firm, statuses.sequence),
            "days_past_due": pl.Series(statuses.days_past_due),
            "balance_fen": pl.Series(statuses.balance_fen),
            "default_event": events.gather(statuses.event % len(events)),
            "is_closed": pl.Series(statuses.is_closed),
            "is_undated": pl.Series(np.zeros(len(statuses.firm), dtype=np.bool_)),
        },
        _dates(window.month_ends(statuses.month)),
    )


def _truth_rows(truth: Truth, window: Window, codes: pl.Series) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "firm_id": codes.gather(truth.firm),
            "snapshot_on": _dates(window.month_ends(truth.month)),
            "true_pd": pl.Series(truth.true_pd),
        }
    )
