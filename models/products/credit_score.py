"""The credit-score loan (信用评分型贷款): a signature loan that leans on the firm's invoices and its owner."""

from typing import Final

from models.product import CentralTendency, Product

CREDIT_SCORE: Final = Product(
    code="credit-score",
    title_zh="信用评分型贷款",
    title_en="credit-score loan",
    target="default of the obligor (first of the events of the default definition, or over 90 days past due)",
    horizon_months=12,
    features=(  # in each family the most trusted first: small samples take them in this order
        # sales and purchases
        "ln_sales",
        "sales_trend",
        "growth",
        "ln_invoices",
        "ln_purchases",
        "ln_ticket",
        "growth_surge",
        # stability
        "sales_cv",
        "zero_months",
        "sales_gap",
        "purchase_cv",
        "invoice_history",
        "purchase_gap",
        "seasonality",
        # invoicing
        "void_rate",
        "dilution",
        "round_trip",
        "red_amt",
        # buyers
        "active_cust",
        "cust_hhi",
        "cust_churn",
        "loyal_cust",
        "top_cust_tenure",
        "anchor_share",
        # suppliers
        "active_supp",
        "supp_hhi",
        "supp_churn",
        "top_supp_tenure",
        "top_supp_share",
        # margin
        "gross_margin",
        "vat_burden",
        # firm, owner, cluster
        "firm_age",
        "owner_yrs",
        "cl_dr",
    ),
    requirements=("invoices", "invoice_history_6m", "sales_invoices_3"),
    central_tendency=CentralTendency(
        rate=0.03,
        source="an assumption of this project, 3% of small firms a year: state the lender's own long-run default rate",
    ),
)
