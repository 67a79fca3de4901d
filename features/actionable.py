"""Which features a firm can be advised to change.

Only features with an expected direction: of the others a model knows that they go with risk, not that changing them
lowers it. Left out besides:

- what only time changes: `firm_age`, `owner_yrs`, `owner_dpd` (a record lapses), `invoice_history`, `top_cust_tenure`,
  `top_supp_tenure`;
- what is not the firm's doing: `cl_dr`;
- what can be changed without a better business, by splitting invoices or buying what is not needed: `ln_invoices`,
  `ln_purchases`.

A new feature is no advice until it is named here.
"""

from typing import Final

ACTIONABLE: Final = frozenset(
    {
        # sell more, and steadily
        "ln_sales",
        "ln_sales_24m",
        "growth",
        "sales_trend",
        "sales_cv",
        "sales_cv_24m",
        "zero_months",
        "zero_months_24m",
        "sales_gap",
        # buy steadily
        "purchase_cv",
        "purchase_gap",
        # invoice without corrections and circles
        "void_rate",
        "dilution",
        "round_trip",
        # depend on more customers and suppliers, and keep them
        "cust_hhi",
        "active_cust",
        "cust_churn",
        "loyal_cust",
        "supp_hhi",
        "active_supp",
        "supp_churn",
    }
)
