"""The invoice features once more, in plain Python over one firm's rows: slow, and written apart from the product."""

import statistics
from collections import Counter, defaultdict
from datetime import date
from math import log

NAN = float("nan")


def month_of(on: date, as_of: date) -> int:
    """Count back month by month until the window (boundary, next boundary] holds the date."""
    k = 0
    while on <= _back(as_of, k + 1):
        k += 1
    return k


def _back(as_of: date, months: int) -> date:
    years, month = divmod(as_of.year * 12 + as_of.month - 1 - months, 12)
    for day in range(as_of.day, 27, -1):
        try:
            return date(years, month + 1, day)
        except ValueError:
            continue
    return date(years, month + 1, min(28, as_of.day))


def features(rows: list[dict], as_of: date) -> dict[str, float]:
    rows = [r for r in rows if r["known_on"] <= as_of and r["observed_on"] <= as_of]
    void = [r for r in rows if r["is_void"]]
    keys = {_key(r) for r in void if r["number"] is not None}
    valid = [r | {"m": month_of(r["observed_on"], as_of)} for r in rows if not r["is_void"] and _key(r) not in keys]
    if not valid:
        return dict.fromkeys(_corrections([], void, as_of), NAN) | _corrections([], void, as_of)
    sales = [r for r in valid if r["direction"] == "output"]
    buys = [r for r in valid if r["direction"] == "input"]
    first = max(r["m"] for r in valid)
    result = {
        **_sales(sales, buys, first, as_of),
        **_partners("cust", sales),
        **_partners("supp", buys),
        **_corrections(sales, void, as_of),
        **_flows(valid),
    }
    result["anchor_share"] = result.pop("top_cust_share")
    returning = {r["counterparty"] for r in sales if r["net_fen"] > 0 and r["m"] >= 12}
    shares = _shares(_by_partner(sales, 0, 12))
    result["loyal_cust"] = sum(shares[p] for p in shares if p in returning) if first >= 12 and shares else NAN
    return result


def _key(r):
    names = ("direction", "number", "counterparty", "observed_on", "net_fen", "vat_fen", "gross_fen")
    return tuple(r[name] for name in names)


def _total(rows, begin, end, sign=None):
    return sum(
        r["net_fen"] for r in rows if begin <= r["m"] < end and (sign is None or (r["net_fen"] > 0) == (sign > 0))
    )


def _ln(fen):
    return log(1 + max(fen, 0) / 100)


def _clip(x, low, high):
    return min(max(x, low), high)


def _ratio(a, b):
    return a / b if b > 0 else NAN


def _cv(rows, first):
    n = min(first + 1, 12)
    series = [_total(rows, m, m + 1) for m in range(n)]
    return statistics.stdev(series) / statistics.mean(series) if n >= 3 and sum(series) > 0 else NAN


def _gap(rows, as_of):
    days = [r["observed_on"] for r in rows if r["net_fen"] > 0]
    return (as_of - max(days)).days if days else NAN


def _sales(sales, buys, first, as_of):
    now, before = _total(sales, 0, 12), _total(sales, 12, 24)
    raw = _clip(_ln(now) - _ln(before), -1.5, 1.5)
    n = min(first + 1, 12)
    empty = sum(1 for m in range(n) if _total(sales, m, m + 1, +1) == 0)
    positives = sorted(r["net_fen"] for r in sales if r["net_fen"] > 0 and r["m"] < 12)
    year = sorted((_total(sales, m, m + 1, +1) + _total(sales, m + 12, m + 13, +1) for m in range(12)), reverse=True)
    vat = sum(r["vat_fen"] for r in sales if r["m"] < 12) - sum(r["vat_fen"] for r in buys if r["m"] < 12)
    return {
        "ln_sales": _ln(now),
        "growth": min(raw, 0.4) if first >= 23 else NAN,
        "growth_surge": max(raw - 0.4, 0) if first >= 23 else NAN,
        "sales_trend": _clip(_ln(_total(sales, 0, 3)) - _ln(_total(sales, 12, 15)), -1.5, 1.5) if first >= 14 else NAN,
        "ln_purchases": _ln(_total(buys, 0, 12)),
        "ln_invoices": log(1 + len(positives)),
        "ln_ticket": _ln(positives[(len(positives) - 1) // 2]) if positives else NAN,
        "sales_cv": _cv(sales, first),
        "purchase_cv": _cv(buys, first),
        "zero_months": empty / n if n >= 3 else NAN,
        "sales_gap": _gap(sales, as_of),
        "purchase_gap": _gap(buys, as_of),
        "seasonality": _ratio(sum(year[:3]), sum(year)) if first >= 23 else NAN,
        "invoice_history": log(1 + first),
        "red_amt": _ratio(-_total(sales, 0, 12, -1), _total(sales, 0, 12, +1)),
        "dilution": min(_ratio(-_total(sales, 0, 3, -1), _total(sales, 0, 3, +1)), 1)
        if _total(sales, 0, 3, +1)
        else NAN,
        "vat_burden": _clip(vat / now, -1, 1) if now > 0 else NAN,
        "gross_margin": _clip((now - _total(buys, 0, 12)) / now, -1, 1) if now > 0 else NAN,
    }


def _by_partner(rows, begin, end):
    sums = defaultdict(int)
    for r in rows:
        if begin <= r["m"] < end:
            sums[r["counterparty"]] += r["net_fen"]
    return {p: fen for p, fen in sums.items() if fen > 0}


def _shares(sums):
    return {p: fen / sum(sums.values()) for p, fen in sums.items()}


def _partners(side, rows):
    now, before = _by_partner(rows, 0, 12), _by_partner(rows, 12, 24)
    shares = _shares(now)
    top = [p for p in now if now[p] == max(now.values())]
    firsts = [r["m"] for r in rows if r["counterparty"] in top and r["net_fen"] > 0]
    return {
        f"{side}_hhi": sum(s * s for s in shares.values()) if shares else NAN,
        f"active_{side}": log(1 + len(now)),
        f"top_{side}_share": max(shares.values()) if shares else NAN,
        f"top_{side}_tenure": max(firsts) if top else NAN,
        f"{side}_churn": _ratio(sum(before[p] for p in before if p not in now), sum(before.values())),
    }


def _corrections(sales, void, as_of):
    voids = [r for r in void if r["direction"] == "output" and month_of(r["observed_on"], as_of) < 12]
    valid = [r for r in sales if r["m"] < 12]
    reds = Counter((r["counterparty"], -r["net_fen"], -r["vat_fen"]) for r in valid if r["net_fen"] < 0)
    blues = Counter((r["counterparty"], r["net_fen"], r["vat_fen"]) for r in sales if r["net_fen"] > 0)
    reversed_ = sum((reds & blues).values())
    return {"void_rate": _ratio(len(voids) + reversed_, len(voids) + len(valid))}


def _flows(valid):
    year = [r for r in valid if r["m"] < 12]
    sold = _by_partner([r for r in year if r["direction"] == "output"], 0, 12)
    bought = _by_partner([r for r in year if r["direction"] == "input"], 0, 12)
    back = sum(min(sold.get(p, 0), bought.get(p, 0)) for p in {*sold, *bought})
    flow = sum(sold.values()) + sum(bought.values())
    is_linked = all(r["has_linked_codes"] for r in year)
    return {"round_trip": _ratio(back, flow) if is_linked else NAN}


def owners(rows: list[tuple[str, dict]], firm_id: str, as_of: date) -> dict[str, float]:
    """The owner's features of one firm, from rows of any kind as the builders make them."""
    seen = [(k, r) for k, r in rows if r["firm_id"] == firm_id and r["known_on"] <= as_of and r["observed_on"] <= as_of]
    of_kind = {name: [r for k, r in seen if k == name] for name in ("person", "consent", "personal_record")}
    owning = [r for r in of_kind["person"] if r["role"] == "owner"]
    mine = [p for p in sorted({r["person_id"] for r in owning}) if _consents(of_kind["consent"], p, "owner_data")]
    since = [_newest(owning, p)["trade_since"] for p in mine]
    since = [day for day in since if day is not None and day <= as_of]
    records = {p: _records(of_kind["personal_record"], p) for p in mine if _consents(of_kind["consent"], p, "bureau")}
    is_whole = bool(mine) and all(records.get(p) for p in mine)
    worst = [_days(group) for groups in records.values() for group in groups if _counts(group, as_of)]
    return {
        "owner_yrs": (as_of - min(since)).days / 365.25 if since else NAN,
        "owner_dpd": float(max([0, *worst])) if is_whole else NAN,
    }


def _newest(rows, person_id):
    """Of equal dates the row of the last date of entry, an unknown one before all others."""
    own = [r for r in rows if r["person_id"] == person_id]
    return max(own, key=lambda r: (r["observed_on"], r["known_on"], r["trade_since"] or date.min))


def _consents(rows, person_id, scope):
    own = [r for r in rows if (r["person_id"], r["scope"], r["purpose"]) == (person_id, scope, "credit_assessment")]
    last = max((r["observed_on"] for r in own), default=None)
    return last is not None and all(r["is_given"] for r in own if r["observed_on"] == last)


def _records(rows, person_id):
    """Return each record's rows, the newest last; of equal days known, the one of more days, then the one ended."""
    of_record = {}
    for r in rows:
        if r["person_id"] == person_id:
            of_record.setdefault((r["record"], r["observed_on"]), []).append(r)
    return [sorted(group, key=_rank) for group in of_record.values()]


def _rank(record):
    days, ended = record["days_past_due"], record["ended_on"]
    return record["known_on"], -1 if days is None else days, ended or date.min


def _days(group):
    stated = [r["days_past_due"] for r in group if r["days_past_due"] is not None]
    return max(stated) if stated else 91


def _counts(group, as_of):
    record, ended = group[-1]["record"], group[-1]["ended_on"]
    return record != "none" and (ended is None or as_of < _back(ended, -60))
