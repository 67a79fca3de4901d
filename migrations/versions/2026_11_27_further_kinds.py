"""The ledger's further kinds: statements, bills, accounts, debts, guarantees, assessments, events, documents, figures.

A table a kind; a row's identity is its content's hash, within its firm. Nothing that was there is touched.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

RUNTIME_ROLE = "clustercredit_app"
TENANT = "nullif(current_setting('app.tenant', true), '')::uuid"
TEXT, DAY, WHOLE, FLAG, NUMBER = sa.Text, sa.Date, sa.BigInteger, sa.Boolean, sa.Double
OPTIONAL = "?"
OF_FIRMS = {
    "capital": [
        (WHOLE, "registered_fen paid_in_fen?"),
    ],
    "ownership": [
        (TEXT, "holder_kind holder? person_id?"),
        (WHOLE, "share_bp voting_bp? pledged_bp?"),
        (FLAG, "is_controller"),
        (DAY, "ended_on?"),
    ],
    "relation": [
        (TEXT, "relation partner_kind partner? person_id? label?"),
        (WHOLE, "amount_fen?"),
        (DAY, "ended_on?"),
    ],
    "financial_statement": [
        (DAY, "period_from"),
        (FLAG, "is_audited"),
        (
            WHOLE,
            "cash_fen? short_investments_fen? notes_receivable_fen? accounts_receivable_fen? prepayments_fen? dividends_receivable_fen? interest_receivable_fen? other_receivables_fen? inventories_fen? other_current_assets_fen? current_assets_fen? long_bonds_fen? long_equity_fen? fixed_assets_fen? construction_fen? construction_materials_fen? fixed_asset_disposal_fen? biological_assets_fen? intangible_assets_fen? development_costs_fen? deferred_expenses_fen? other_noncurrent_assets_fen? noncurrent_assets_fen? assets_fen short_loans_fen? notes_payable_fen? accounts_payable_fen? advances_fen? wages_payable_fen? taxes_payable_fen? interest_payable_fen? profit_payable_fen? other_payables_fen? other_current_liabilities_fen? current_liabilities_fen? long_loans_fen? long_payables_fen? deferred_income_fen? other_noncurrent_liabilities_fen? noncurrent_liabilities_fen? liabilities_fen paid_in_capital_fen? capital_reserve_fen? surplus_reserve_fen? retained_profit_fen? equity_fen revenue_fen cost_fen? surcharges_fen? selling_expenses_fen? admin_expenses_fen? finance_expenses_fen? interest_expense_fen? investment_income_fen? operating_profit_fen? other_income_fen? other_expenses_fen? profit_before_tax_fen? income_tax_fen? net_profit_fen depreciation_fen? operating_cash_flow_fen? investing_cash_flow_fen? financing_cash_flow_fen?",
        ),
    ],
    "tax_bill": [
        (DAY, "period_from"),
        (TEXT, "tax"),
        (WHOLE, "declared_sales_fen? due_fen paid_fen arrears_fen?"),
        (TEXT, "tax_grade?"),
    ],
    "utility_bill": [
        (DAY, "period_from"),
        (TEXT, "utility meter?"),
        (NUMBER, "quantity"),
        (WHOLE, "amount_fen"),
        (DAY, "paid_on?"),
    ],
    "account_month": [
        (TEXT, "account_id account_kind"),
        (WHOLE, "credits_fen debits_fen credit_count? debit_count? payroll_fen? mean_balance_fen? closing_balance_fen"),
    ],
    "product_held": [
        (TEXT, "product_type contract_id?"),
        (DAY, "ended_on?"),
    ],
    "instalment": [
        (TEXT, "loan_id"),
        (WHOLE, "number principal_due_fen interest_due_fen principal_paid_fen interest_paid_fen"),
        (DAY, "paid_on?"),
    ],
    "debt_elsewhere": [
        (TEXT, "lender lender_kind debt_kind reference?"),
        (WHOLE, "limit_fen? balance_fen"),
        (DAY, "matures_on?"),
        (WHOLE, "days_past_due?"),
        (TEXT, "five_class? collateral?"),
    ],
    "guarantee_observation": [
        (TEXT, "contract_id loan_id? guarantor_kind guarantor? person_id? guarantee_type share_type"),
        (WHOLE, "coverage_bp cap_fen?"),
        (DAY, "ends_on? released_on?"),
    ],
    "fund_membership": [
        (TEXT, "fund"),
        (DAY, "joined_on"),
        (WHOLE, "contribution_fen deposit_fen? limit_fen?"),
        (DAY, "left_on?"),
    ],
    "external_rating": [
        (TEXT, "agency grade"),
        (FLAG, "is_default is_withdrawn"),
    ],
    "inventory": [
        (TEXT, "item lot? warehouse?"),
        (NUMBER, "quantity"),
        (TEXT, "unit"),
        (WHOLE, "value_fen"),
        (TEXT, "pledged_to?"),
    ],
    "receivable": [
        (TEXT, "counterparty invoice_number?"),
        (DAY, "issued_on due_on?"),
        (WHOLE, "amount_fen open_fen"),
        (DAY, "paid_on?"),
        (FLAG, "is_confirmed"),
        (TEXT, "pledged_to?"),
    ],
    "soft_assessment": [
        (TEXT, "officer instrument occasion"),
        (WHOLE, "q01? q02? q03? q04? q05? q06? q07? q08? q09? q10? q11? q12?"),
        (TEXT, "note?"),
    ],
    "soft_claim": [
        (TEXT, "claim_id officer claim proxy"),
        (WHOLE, "expected_bp? horizon_months"),
        (TEXT, "check_source outcome"),
        (DAY, "checked_on?"),
    ],
    "association_act_observation": [
        (TEXT, "association act"),
        (WHOLE, "severity"),
        (TEXT, "words?"),
        (DAY, "ended_on?"),
    ],
    "peer_report_observation": [
        (TEXT, "reporter report words? verified_by?"),
        (DAY, "verified_on?"),
    ],
    "digital_maturity": [
        (TEXT, "instrument"),
        (WHOLE, "d01? d02? d03? d04? d05? d06? d07? d08? d09? d10? d11? d12?"),
    ],
    "patent": [
        (TEXT, "number patent_type state"),
        (DAY, "filed_on?"),
        (TEXT, "title?"),
    ],
    "research": [
        (DAY, "period_from"),
        (WHOLE, "spend_fen staff? new_product_sales_fen?"),
        (TEXT, "partner?"),
    ],
    "training": [
        (DAY, "period_from"),
        (TEXT, "subject"),
        (WHOLE, "participants hours? spend_fen?"),
    ],
    "event": [
        (TEXT, "source event reference?"),
        (WHOLE, "amount_fen?"),
        (TEXT, "counterparty? cause?"),
        (DAY, "ended_on?"),
        (TEXT, "document_sha256?"),
    ],
    "document_observation": [
        (TEXT, "document_type title media_type"),
        (WHOLE, "size_bytes"),
        (TEXT, "sha256 words?"),
    ],
}
"""Columns of tables of rows about a firm, by type; those with a question mark may be null."""
OF_THE_WORLD = {
    "counterparty_tag": [
        (TEXT, "counterparty tag name?"),
        (DAY, "ended_on?"),
    ],
    "industry_statistic": [
        (TEXT, "industry statistic"),
        (NUMBER, "value"),
        (TEXT, "unit source place?"),
    ],
    "place_statistic": [
        (TEXT, "place statistic"),
        (NUMBER, "value"),
        (TEXT, "unit source"),
    ],
}


def protect(table: str) -> None:
    """Let the run-time role see one tenant's rows, and add to them."""
    op.execute(f"grant select, insert on {table} to {RUNTIME_ROLE}")
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(
        f"create policy tenant_isolation on {table} using (tenant_id = {TENANT}) with check (tenant_id = {TENANT})"
    )


def create_ledger(table: str, columns: list[tuple[type, str]], *keys: sa.Constraint) -> None:
    op.create_table(
        table,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("observed_on", sa.Date(), nullable=False),
        sa.Column("known_on", sa.Date(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        *(
            sa.Column(name.rstrip(OPTIONAL), kind(), nullable=name.endswith(OPTIONAL))
            for kind, names in columns
            for name in names.split()
        ),
        *keys,
    )
    protect(table)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table, columns in OF_FIRMS.items():
        create_ledger(
            table,
            columns,
            sa.Column("firm_id", sa.Uuid(), nullable=False),
            sa.PrimaryKeyConstraint("tenant_id", "firm_id", "content_sha256", name=op.f(f"pk_{table}")),
            sa.ForeignKeyConstraint(
                ["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"], name=op.f(f"fk_{table}_tenant_id_firm_id")
            ),
        )
    for table, columns in OF_THE_WORLD.items():
        create_ledger(table, columns, sa.PrimaryKeyConstraint("tenant_id", "content_sha256", name=op.f(f"pk_{table}")))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (*OF_THE_WORLD, *OF_FIRMS):
        op.drop_table(table)
