"""Every kind of observation that the ledger takes, each with a documented, versioned layout."""

from features.kinds import books, credit, innovation, parties, soft, trade, world
from features.kinds.contract import Kind

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        parties.FIRM, parties.PERSON, trade.INVOICE, credit.LOAN, credit.REPAYMENT_STATUS, parties.CONSENT,
        parties.PERSONAL_RECORD, parties.CAPITAL, parties.OWNERSHIP, parties.RELATION, books.FINANCIAL_STATEMENT,
        books.TAX_BILL, books.UTILITY_BILL, books.ACCOUNT_MONTH, books.PRODUCT_HELD, credit.INSTALMENT,
        credit.DEBT_ELSEWHERE, credit.GUARANTEE, credit.FUND_MEMBERSHIP, credit.EXTERNAL_RATING,
        trade.COUNTERPARTY_TAG, trade.INVENTORY, trade.RECEIVABLE, soft.SOFT_ASSESSMENT, soft.SOFT_CLAIM,
        soft.ASSOCIATION_ACT, soft.PEER_REPORT, soft.DIGITAL_MATURITY, innovation.PATENT, innovation.RESEARCH,
        innovation.TRAINING, world.EVENT, world.DOCUMENT, world.INDUSTRY_STATISTIC, world.PLACE_STATISTIC,
    )
}  # fmt: skip
