"""The credit-score loan (信用评分型贷款): a signature loan that leans on the firm's invoices and its owner."""

from typing import Final

from models.product import CentralTendency, Product

CREDIT_SCORE: Final = Product(
    code="credit-score",
    title_zh="信用评分型贷款",
    title_en="credit-score loan",
    target="default of the obligor (first of the events of the default definition, or over 90 days past due)",
    horizon_months=12,
    features=(  # the most trusted first: a small sample takes the first eight that it can use (docs/adr/0014)
        "ln_sales_24m",
        "sales_cv_24m",
        "zero_months_24m",
        "growth",
        "void_rate",
        "cust_hhi",
        "owner_yrs",
        "firm_age",
        "supp_hhi",
        "active_cust",
        "sales_gap",
        "round_trip",
        "cl_dr",
        "owner_dpd",
        # the last year of the same, and what else the invoices tell
        "ln_sales",
        "sales_cv",
        "zero_months",
        "sales_trend",
        "ln_invoices",
        "ln_purchases",
        "ln_ticket",
        "growth_surge",
        "purchase_cv",
        "invoice_history",
        "purchase_gap",
        "seasonality",
        "dilution",
        "red_amt",
        "cust_churn",
        "loyal_cust",
        "top_cust_tenure",
        "anchor_share",
        "active_supp",
        "supp_churn",
        "top_supp_tenure",
        "top_supp_share",
        "gross_margin",
        "vat_burden",
    ),
    requirements=("invoices", "invoice_history_6m", "sales_invoices_3"),
    central_tendency=CentralTendency(
        rate=0.03,
        source="an assumption of this project, 3% of small firms a year: state the lender's own long-run default rate",
    ),
)
