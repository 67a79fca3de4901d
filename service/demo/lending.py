"""Who borrows, what the bank sees at each month end, and the true probability of what comes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.demo.hazard import Exposure, History, State, default_probabilities
from service.demo.members import Members
from service.demo.window import Floats, Ints

Flags = NDArray[np.bool_]

TERM = 12
HORIZON = 12
EVENTS = ("bankruptcy", "distressed_restructuring", "credit_loss_sale", "write_off")

_BORROWER_SHARE = 0.95
_EARLY_SHARE = 0.94
_REPAID_FOR_GOOD = 0.03
_MONTHS_KNOWN = 3
_NEVER = 100_000
_PRINCIPAL_TO_SALES = 0.12
_PRINCIPAL_YUAN = (50_000, 20_000_000)
_PRINCIPAL_GROWTH = 0.06
_MONTHS_TO_WRITE_OFF = 9

# Days past due by state; a firm's own 0 to 13 days are added from 30 days on.
_DAYS_PAST_DUE = np.array([0, 0, 0, 31, 61, 92])
_DAYS_A_MONTH = 30
_OWN_DAYS = 14
# Share of healthy, slipping and strained firms that are some days late, and how many days at most.
_LATE_SHARE = np.array([0.015, 0.15, 0.5, 0.0, 0.0, 0.0])
_LATE_DAYS = np.array([7, 12, 25, 1, 1, 1])
# Chance of each of the first three events in the month of default; otherwise only the days past due show it.
_EVENT_SHARES = np.array([0.10, 0.10, 0.05])
NO_EVENT = -1


@dataclass(frozen=True)
class Loans:
    """One row a loan: borrower, how many it had before, month at whose end it starts, amount; each of shape (k,)."""

    firm: Ints
    sequence: Ints
    month: Ints
    principal_fen: Ints


@dataclass(frozen=True)
class Statuses:
    """One row a loan and month end; `event` is a position in `EVENTS` or `NO_EVENT`; each of shape (k,)."""

    firm: Ints
    sequence: Ints
    month: Ints
    days_past_due: Ints
    balance_fen: Ints
    event: Ints
    is_closed: Flags


@dataclass(frozen=True)
class Truth:
    """One row a firm and month end with a live loan and no default; each of shape (k,)."""

    firm: Ints
    month: Ints
    true_pd: Floats


@dataclass(frozen=True)
class _Book:
    """n borrowers over T months, each array of shape (n, T).

    `sequence` is the loan live after each month end, `ended` the loan that ended at it (-1: none), `closes_in` the
    months until the borrower repays for good.
    """

    sequence: Ints
    ended: Ints
    closes_in: Ints


def lend(rng: np.random.Generator, members: Members, history: History) -> tuple[Loans, Statuses, Truth]:
    """Lend to most members, each year anew unless 30 days overdue, and record every month end.

    A loan in default is written off after nine months. A few borrowers repay for good, whatever their condition short
    of 30 days overdue; when is settled before anything happens to them.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    members : Members
        The firms.
    history : History
        What happens to them.
    """
    first_month = _first_loans(rng, members, history.states.shape[1])
    book = _keep_book(first_month, rng.geometric(_REPAID_FOR_GOOD, len(first_month)), history)
    principal = _PRINCIPAL_TO_SALES * np.exp(members.ln_sales + 0.35 * rng.standard_normal(len(first_month)))
    return (
        _loans(book, first_month, principal),
        _statuses(rng, book, history, principal),
        _truth(book, history, members.exposure),
    )


def _first_loans(rng: np.random.Generator, members: Members, months: int) -> Ints:
    """Return the month at whose end each firm gets its first loan, down to -11."""
    n = len(members.stage)
    earliest = (members.first_month + _MONTHS_KNOWN).clip(0, months - 1)
    later = earliest + (rng.random(n) * (months - earliest)).astype(np.int64)
    is_early = (members.first_month <= -TERM) & (rng.random(n) < _EARLY_SHARE)
    month = np.where(is_early, rng.integers(1 - TERM, 1, n), later)
    return np.where(rng.random(n) < _BORROWER_SHARE, month, _NEVER)


def _keep_book(first_month: Ints, terms: Ints, history: History) -> _Book:
    n, months = history.states.shape
    in_default = (history.states == State.DEFAULT).cumsum(axis=1)
    current = np.where(first_month < 0, 0, -1)
    sequence = np.empty((n, months), dtype=np.int64)
    ended = np.empty_like(sequence)
    for month in range(months):
        state = history.states[:, month]
        is_first = (first_month == month) & (state == State.HEALTHY)
        is_anniversary = (month > first_month) & ((month - first_month) % TERM == 0)
        is_due = (current >= 0) & is_anniversary & (state < State.OVERDUE_30)
        is_last = is_due & (month >= first_month + TERM * terms)
        is_written_off = (current >= 0) & (in_default[:, month] == _MONTHS_TO_WRITE_OFF)
        ended[:, month] = np.where(is_due | is_written_off, current, -1)
        current = np.where(is_last | is_written_off, -1, current + (is_first | is_due))
        sequence[:, month] = current
    elapsed = np.arange(months) - first_month[:, None]
    return _Book(sequence, ended, TERM * np.maximum(terms[:, None], elapsed // TERM + 1) - elapsed)


def _principal_fen(principal: Floats, firm: Ints, sequence: Ints) -> Ints:
    """Return the amount of each loan in fen, in steps of 10,000 yuan; later loans are larger."""
    yuan = principal[firm] * (1 + _PRINCIPAL_GROWTH * sequence)
    return np.rint(yuan.clip(*_PRINCIPAL_YUAN) / 10_000).astype(np.int64) * 1_000_000


def _loans(book: _Book, first_month: Ints, principal: Floats) -> Loans:
    before = np.where(first_month < 0, 0, -1)[:, None]
    is_new = np.diff(book.sequence, axis=1, prepend=before) > 0
    firm, month = np.nonzero(is_new)
    old = np.flatnonzero(first_month < 0)
    firm = np.concatenate([old, firm])
    sequence = np.concatenate([np.zeros_like(old), book.sequence[is_new]])
    return Loans(firm, sequence, np.concatenate([first_month[old], month]), _principal_fen(principal, firm, sequence))


def _statuses(rng: np.random.Generator, book: _Book, history: History, principal: Floats) -> Statuses:
    n, months = history.states.shape
    in_default = (history.states == State.DEFAULT).cumsum(axis=1)
    own_days = rng.integers(_OWN_DAYS, size=(n, 1))
    late_days = 1 + (rng.random((n, months)) * _LATE_DAYS[history.states]).astype(np.int64)
    days = np.where(
        history.states >= State.OVERDUE_30,
        _DAYS_PAST_DUE[history.states] + own_days + _DAYS_A_MONTH * np.maximum(in_default - 1, 0),
        late_days * (rng.random((n, months)) < _LATE_SHARE[history.states]),
    )
    drawn = np.searchsorted(_EVENT_SHARES.cumsum(), rng.random(n), side="right")
    own_event = np.where(drawn < len(_EVENT_SHARES), drawn, NO_EVENT)
    firm, month = np.nonzero(book.sequence >= 0)
    sequence = book.sequence[firm, month]
    ended_firm, ended_month = np.nonzero(book.ended >= 0)
    is_written_off = np.asarray(history.states[ended_firm, ended_month] == State.DEFAULT)
    return Statuses(
        firm=np.concatenate([firm, ended_firm]),
        sequence=np.concatenate([sequence, book.ended[ended_firm, ended_month]]),
        month=np.concatenate([month, ended_month]),
        days_past_due=np.concatenate([days[firm, month], days[ended_firm, ended_month] * is_written_off]),
        balance_fen=np.concatenate([_principal_fen(principal, firm, sequence), np.zeros_like(ended_firm)]),
        event=np.concatenate(
            [
                np.where(in_default[firm, month] == 1, own_event[firm], NO_EVENT),
                np.where(is_written_off, EVENTS.index("write_off"), NO_EVENT),
            ]
        ),
        is_closed=np.concatenate([np.zeros(len(firm), np.bool_), np.ones(len(ended_firm), np.bool_)]),
    )


def _truth(book: _Book, history: History, exposure: Exposure) -> Truth:
    firm, month = np.nonzero((book.sequence >= 0) & (history.states != State.DEFAULT))
    environment = history.environment(exposure.anchor)[firm, month]
    state = history.states[firm, month]
    true_pd = default_probabilities(exposure, HORIZON)[firm, environment, state]
    closes_in = book.closes_in[firm, month]
    soon = np.flatnonzero(closes_in < HORIZON)
    closing = default_probabilities(exposure.of(firm[soon]), HORIZON, closes_in[soon])
    true_pd[soon] = closing[np.arange(len(soon)), environment[soon], state[soon]]
    return Truth(firm, month, true_pd)
