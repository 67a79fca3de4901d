"""Short ways to write observations in tests: amounts in yuan, everything known at once unless said otherwise.

Flags: linked, void (invoices); closed, undated (statuses).
"""

from datetime import date

import polars as pl

from features.build import build_matrix
from features.context import build_context
from features.inputs import INPUT_KINDS, Inputs

DAY = date(2024, 6, 15)


def firm(firm_id="F", on=date(2020, 1, 1), known=None, **other):
    row = dict.fromkeys(("industry", "cluster", "place", "founded_on", "is_lead"))
    return "firm", row | {"firm_id": firm_id, "observed_on": on, "known_on": known or on, "name": firm_id} | other


def person(person_id, since, role="owner", firm_id="F", on=date(2020, 1, 1), known=None):
    return "person", {
        "firm_id": firm_id,
        "observed_on": on,
        "known_on": known or on,
        "person_id": person_id,
        "role": role,
        "trade_since": since,
    }


def consent(person_id, scope="owner_data", firm_id="F", on=date(2020, 1, 1), **other):
    return "consent", {
        "firm_id": firm_id,
        "observed_on": on,
        "known_on": other.get("known") or on,
        "person_id": person_id,
        "scope": scope,
        "purpose": "credit_assessment",
        "is_given": other.get("given", True),
    }


def record(person_id, days=None, ended=None, firm_id="F", on=date(2018, 1, 1), **other):
    return "personal_record", {
        "firm_id": firm_id,
        "observed_on": on,
        "known_on": other.get("known") or ended or on,
        "person_id": person_id,
        "record": other.get("kind", "late_payment"),
        "days_past_due": days,
        "ended_on": ended,
    }


def nothing(person_id, firm_id="F", on=date(2020, 1, 1)):
    return record(person_id, None, None, firm_id, on, kind="none")


def invoice(direction, on, yuan, partner="A", firm_id="F", vat=0.0, number=None, known=None, **flags):
    net, tax = round(yuan * 100), round(vat * 100)
    return "invoice", {
        "firm_id": firm_id,
        "observed_on": on,
        "known_on": known or on,
        "direction": direction,
        "number": number,
        "counterparty": partner,
        "has_linked_codes": flags.get("linked", True),
        "net_fen": net,
        "vat_fen": tax,
        "gross_fen": net + tax,
        "is_void": flags.get("void", False),
    }


def sale(on, yuan, partner="A", **other):
    return invoice("output", on, yuan, partner, **other)


def buy(on, yuan, partner="S", **other):
    return invoice("input", on, yuan, partner, **other)


def loan(on, firm_id="F", loan_id="L", matures=None, known=None):
    return "loan", {
        "firm_id": firm_id,
        "observed_on": on,
        "known_on": known or on,
        "loan_id": loan_id,
        "product": "credit_score",
        "principal_fen": 100_000_00,
        "matures_on": matures,
    }


def status(on, days=0, firm_id="F", loan_id="L", event=None, known=None, **flags):
    return "repayment_status", {
        "firm_id": firm_id,
        "observed_on": on,
        "known_on": known or on,
        "loan_id": loan_id,
        "days_past_due": days,
        "balance_fen": None,
        "default_event": event,
        "is_closed": flags.get("closed", False),
        "is_undated": flags.get("undated", False),
    }


def inputs(*rows):
    return Inputs.of_frames(
        {
            name: pl.DataFrame([row for kind_name, row in rows if kind_name == name], schema=kind.schema)
            for name, kind in INPUT_KINDS.items()
        }
    )


def value(name, *rows, as_of=DAY):
    """One feature of firm F, which need not be given."""
    data = inputs(firm(), *rows)
    matrix = build_matrix(data, build_context(data, as_of), [name], as_of)
    return matrix.values[matrix.firm_ids.index("F"), 0].item()
