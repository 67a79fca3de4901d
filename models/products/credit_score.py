"""The credit-score loan (信用评分型贷款): a signature loan that leans on the firm's invoices and its owner."""

from typing import Final

from models.product import CentralTendency, Product

CREDIT_SCORE: Final = Product(
    code="credit-score",
    title_zh="信用评分型贷款",
    title_en="credit-score loan",
    target="default of the obligor (first of the events of the default definition, or over 90 days past due)",
    horizon_months=12,
    features=(
        # sales and purchases
        "ln_sales",
        "growth",
        "growth_surge",
        "sales_trend",
        "ln_purchases",
        "ln_invoices",
        "ln_ticket",
        # stability
        "sales_cv",
        "purchase_cv",
        "zero_months",
        "sales_gap",
        "purchase_gap",
        "seasonality",
        "invoice_history",
        # invoicing
        "void_rate",
        "red_amt",
        "dilution",
        "round_trip",
        # buyers
        "cust_hhi",
        "active_cust",
        "anchor_share",
        "top_cust_tenure",
        "cust_churn",
        "loyal_cust",
        # suppliers
        "supp_hhi",
        "active_supp",
        "top_supp_share",
        "top_supp_tenure",
        "supp_churn",
        # margin
        "vat_burden",
        "gross_margin",
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
