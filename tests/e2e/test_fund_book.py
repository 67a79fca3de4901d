"""A fund's book shows the batch's scores of the loans that it guarantees, and of no other."""

import pytest
from http_client import make_client
from sqlalchemy import text

from features.build import CATALOG
from service.identity.access import Organisation, Role
from service.identity.use_cases import create_tenant

pytestmark = pytest.mark.xdist_group("bank")
FUND = "fund of the demo"
LOANS = """
    select loan.loan_id, firm.key, s.pd, s.pd_basis, s.grade, s.as_of::text, s.reason_families
    from loan join firm on firm.id = loan.firm_id
    join current_score c on c.firm_id = firm.id and c.product = loan.product
    join score s on s.id = c.score_id
    order by s.pd desc, loan.loan_id limit 12
"""


def test_the_book_shows_the_scores_of_the_guaranteed_loans(app, database, bank):
    with database.session() as session:
        create_tenant(session, FUND, Organisation.FUND)
    manager = make_client(app, database, bank.name, Role.RISK_MANAGER)
    auditor = make_client(app, database, FUND, Role.FUND_AUDITOR)
    with database.session(bank.tenant_id) as session:
        loans = {row["loan_id"]: dict(row) for row in session.execute(text(LOANS)).mappings()}
    guaranteed = sorted(loans)[::2]
    assert manager.post("/v1/guarantee-grants", {"fund": FUND}).status_code == 201
    for loan_id in guaranteed:
        body = {"fund": FUND, "coverage": "0.8", "starts_on": "2025-01-01", "ends_on": None}
        assert manager.post(f"/v1/loans/{loan_id}/guarantees", body).status_code == 201
    items = {item["loan_id"]: item for item in auditor.get("/v1/book").json()["items"]}
    assert sorted(items) == guaranteed
    for loan_id, item in items.items():
        loan = loans[loan_id]
        assert item["firm_key"] == loan["key"]
        shown = ("pd", "pd_basis", "grade", "as_of", "reason_families")
        assert {name: item[name] for name in shown} == {name: loan[name] for name in shown}
        assert set(item["reason_families"]) <= {spec.family for spec in CATALOG.values()} | {"default"}
    assert any(item["reason_families"] for item in items.values())
    row = auditor.get("/v1/book/summary").json()["banks"][0]
    assert (row["bank"], row["loans"], row["scored"]) == (bank.name, len(guaranteed), len(guaranteed))
