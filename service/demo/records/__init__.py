"""Rows of every further kind for a made-up economy, in step with what is there: `generate_records`.

Each kind draws from a stream of its own, so that one more kind, or a change to one, leaves the others as they are, and
the economy's own rows too. Amounts follow the invoices: statements add up and state the invoiced sales; tax,
electricity and account turnover are those of the months; instalments are paid as the repayment statuses say. What goes
wrong at courts, tax offices and among peers goes wrong more often in the nine months before a default; officers and
rating agencies see some of the true default probability, each officer with a leniency of its own.
"""

from collections.abc import Callable
from datetime import date
from typing import Final
from zlib import crc32

import numpy as np
import polars as pl

from features.kinds import KINDS
from service.demo.economy import Economy
from service.demo.records import books, credit, innovation, parties, soft, trade, world
from service.demo.records.ground import Ground
from service.demo.window import Window

_MAKERS: Final[dict[str, Callable[[Ground, np.random.Generator], pl.DataFrame]]] = {
    "capital": parties.capital,
    "ownership": parties.ownership,
    "relation": parties.relation,
    "financial_statement": books.financial_statement,
    "tax_bill": books.tax_bill,
    "utility_bill": books.utility_bill,
    "account_month": books.account_month,
    "product_held": books.product_held,
    "instalment": credit.instalment,
    "debt_elsewhere": credit.debt_elsewhere,
    "guarantee": credit.guarantee,
    "fund_membership": credit.fund_membership,
    "external_rating": credit.external_rating,
    "counterparty_tag": trade.counterparty_tag,
    "inventory": trade.inventory,
    "receivable": trade.receivable,
    "soft_assessment": soft.soft_assessment,
    "soft_claim": soft.soft_claim,
    "association_act": soft.association_act,
    "peer_report": soft.peer_report,
    "digital_maturity": soft.digital_maturity,
    "patent": innovation.patent,
    "research": innovation.research,
    "training": innovation.training,
    "event": world.event,
    "document": world.document,
    "industry_statistic": world.industry_statistic,
    "place_statistic": world.place_statistic,
}


def generate_records(economy: Economy, seed: int, *, end_on: date, months: int) -> dict[str, pl.DataFrame]:
    """Make the rows of the kinds that an economy does not have by itself.

    Parameters
    ----------
    economy, end_on, months
        As `service.demo.economy.generate` made it.
    seed
        Same seed and economy, same rows.

    Returns
    -------
    dict of polars.DataFrame
        By the name of the kind; nothing in them became known after the last day.

    Examples
    --------
    >>> from service.demo.economy import generate
    >>> window = {"end_on": date(2024, 12, 31), "months": 12}
    >>> rows = generate_records(generate(40, seed=1, **window), 1, **window)
    >>> len(rows), rows["capital"]["firm_id"].n_unique()
    (28, 40)
    """
    ground = Ground.of(economy, Window(end_on, months), seed)
    return {
        name: KINDS[name].check(make(ground, np.random.default_rng([seed, crc32(name.encode())])))
        for name, make in _MAKERS.items()
    }
