"""Limits in fixed windows of time, shared by all processes of a database, and not written to on every request.

A process leases allowance from the window's row, a twentieth of the limit at a time, in a transaction of its own on a
pool of its own: no request waits for another's commit. What is leased is handed out from memory; what is refused is
refused from memory. The row's sum never exceeds the limit (docs/adr/0019).
"""

import hashlib
import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from uuid import UUID

from fastapi import Request
from sqlalchemy import DateTime, Text, text
from sqlmodel import Field

from service.errors import TooManyRequests
from service.kit import clock
from service.kit.db import Database
from service.kit.rows import TenantRow

NOBODY = UUID(int=0)
"""Tenant of what is counted before it is known who asks."""
CONNECTIONS = 2
LEASES = 20
"""Leases a window if one process uses all of it; what another process may hold unused is a twentieth of the limit."""
SWEPT_EVERY = timedelta(minutes=1)
KEPT = timedelta(minutes=5)
"""How long an ended window is kept, for a process whose clock is late."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RateWindow(TenantRow, table=True):
    """What a subject has used of a window; ordered by its end, so that ended windows are found at once."""

    __tablename__ = "rate_window"

    window_end: datetime = Field(primary_key=True, sa_type=DateTime(timezone=True))
    window_start: datetime = Field(primary_key=True, sa_type=DateTime(timezone=True))
    subject: str = Field(primary_key=True, sa_type=Text)
    used: int
    last_lease: int


@dataclass(frozen=True)
class Window:
    """A stretch of time, its end excluded."""

    start: datetime
    end: datetime

    def seconds_left(self, now: datetime) -> int:
        """Return when to come back: whole seconds, so many that the window has ended by then."""
        return -((now - self.end) // timedelta(seconds=1))


def window_at(now: datetime, seconds: int) -> Window:
    """Return the window of a length that an instant is in; windows are aligned to the clock.

    Examples
    --------
    >>> window_at(datetime(2026, 3, 1, 9, 30, 59, tzinfo=UTC), 60).start.isoformat()
    '2026-03-01T09:30:00+00:00'
    """
    length = timedelta(seconds=seconds)
    start = _EPOCH + (now - _EPOCH) // length * length
    return Window(start, start + length)


@dataclass
class _Lease:
    """What this process holds of a subject's window."""

    lock: Lock = field(default_factory=Lock)
    left: int = 0
    is_last: bool = False


_LEASE = text("""
    insert into rate_window (tenant_id, window_end, window_start, subject, used, last_lease)
    values (:tenant, :end, :start, :subject, least(:wanted, :limit), least(:wanted, :limit))
    on conflict (tenant_id, window_end, window_start, subject) do update
    set used = least(rate_window.used + :wanted, :limit), last_lease = least(:wanted, :limit - rate_window.used)
    where rate_window.used < :limit
    returning last_lease
""")
_PRUNE = text("""
    delete from rate_window where (tenant_id, window_end, window_start, subject) in (
        select tenant_id, window_end, window_start, subject from rate_window
        where tenant_id = :tenant and window_end < :before for update skip locked
    )
""")


class Limiter:
    """Hands out allowance, in every thread of a process.

    Parameters
    ----------
    database
        Shared by all processes that share the limits.
    now
        The clock; processes whose clocks differ count by different windows.
    """

    def __init__(self, database: Database, now: Callable[[], datetime] = clock.now) -> None:
        self._database = database.beside(CONNECTIONS)
        self._now = now
        self._lock = Lock()
        self._leases: dict[tuple[UUID, str, Window], _Lease] = {}
        self._pruned: set[UUID] = set()
        self._swept_at = _EPOCH

    def take(self, tenant_id: UUID, subject: str, limit: int, seconds: int, cost: int = 1) -> None:
        """Use up some of a subject's allowance.

        If the database cannot be reached the error is the database's own: nothing is let through uncounted.

        Parameters
        ----------
        tenant_id
            Whose subject; NOBODY before that is known. Ended windows are forgotten when the same tenant comes again.
        subject
            What is counted, such as ``key:<id>``; stored as it is, so no secret and nobody's name.
        limit
            Allowance a window; 0 if there is no limit.
        seconds
            Length of the window.

        Raises
        ------
        TooManyRequests
            If too little is left, with the seconds until the window ends.
        """
        if limit == 0:
            return
        now = self._now()
        window = window_at(now, seconds)
        lease = self._lease_of(tenant_id, subject, window, now)
        with lease.lock:
            if lease.left < cost and not lease.is_last:
                wanted = max(cost - lease.left, limit // LEASES)
                granted = self._lease(tenant_id, subject, window, limit, wanted)
                lease.left += granted
                lease.is_last = granted < wanted
            if lease.left < cost:
                raise _refusal(limit, seconds, window, now)
            lease.left -= cost

    def check(self, tenant_id: UUID, subject: str, limit: int, seconds: int) -> None:
        """Refuse if this process knows that nothing is left; use up nothing and ask nobody.

        Raises
        ------
        TooManyRequests
            As ``take`` does.
        """
        now = self._now()
        window = window_at(now, seconds)
        with self._lock:
            lease = self._leases.get((tenant_id, subject, window))
        if limit and lease is not None and lease.is_last and lease.left == 0:
            raise _refusal(limit, seconds, window, now)

    def _lease_of(self, tenant_id: UUID, subject: str, window: Window, now: datetime) -> _Lease:
        """Return what is held of the window; forget, once a minute, what is held of windows that have ended."""
        with self._lock:
            if now - self._swept_at >= SWEPT_EVERY:
                self._leases = {key: lease for key, lease in self._leases.items() if key[-1].end > now}
                self._pruned.clear()
                self._swept_at = now
            return self._leases.setdefault((tenant_id, subject, window), _Lease())

    def _lease(self, tenant_id: UUID, subject: str, window: Window, limit: int, wanted: int) -> int:
        """Return how much of the wanted was left; committed before it is handed out."""
        with self._lock:
            is_due = tenant_id not in self._pruned
            self._pruned.add(tenant_id)
        if is_due:
            with self._database.session(tenant_id) as session:
                session.execute(_PRUNE, {"tenant": tenant_id, "before": self._now() - KEPT})
        values = {"tenant": tenant_id, "subject": subject, "start": window.start, "end": window.end}
        with self._database.session(tenant_id) as session:
            session.execute(text("set local synchronous_commit = off"))
            granted = session.execute(_LEASE, {**values, "limit": limit, "wanted": wanted}).scalar_one_or_none()
        return int(granted or 0)


def _refusal(limit: int, seconds: int, window: Window, now: datetime) -> TooManyRequests:
    left = window.seconds_left(now)
    return TooManyRequests(f"The limit is {limit} in {seconds} seconds. Come back in {left} seconds.", left)


class Failures:
    """Limits how often an address may fail to say who it is, before its next guess is looked at.

    Many people may share an address, that of a proxy. So a secret that was good from this very address is let through
    to be looked at even when others at the address have used up its failures.

    Parameters
    ----------
    limit
        Failures of an address a minute; 0 if there is no limit.
    """

    SECONDS = 60
    REMEMBERED = 10_000

    def __init__(self, limiter: Limiter, limit: int) -> None:
        self._limiter, self._limit = limiter, limit
        self._lock = Lock()
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def check(self, address: str, secret: str) -> None:
        """Refuse to look at a secret if its address has failed too often.

        Raises
        ------
        TooManyRequests
            If it has.
        """
        with self._lock:
            is_good = self._digest(address, secret) in self._good
        if not is_good:
            self._limiter.check(NOBODY, f"address:{address}", self._limit, self.SECONDS)

    def note_good(self, address: str, secret: str) -> None:
        """Remember that a secret was good from this address."""
        digest = self._digest(address, secret)
        with self._lock:
            self._good[digest] = None
            self._good.move_to_end(digest)
            if len(self._good) > self.REMEMBERED:
                self._good.popitem(last=False)

    def note_bad(self, address: str, secret: str) -> None:
        """Count a failure.

        Raises
        ------
        TooManyRequests
            If the address has no failures left.
        """
        with self._lock:
            self._good.pop(self._digest(address, secret), None)
        self._limiter.take(NOBODY, f"address:{address}", self._limit, self.SECONDS)

    @staticmethod
    def _digest(address: str, secret: str) -> bytes:
        return hashlib.sha256(f"{address}\n{secret}".encode()).digest()


def address_of_peer(request: Request) -> str:
    """Return what is counted of the other end of a request's connection; never what a header of the client's says."""
    return address_of(request.client.host) if request.client else "local"


def address_of(peer: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that an IPv6 host may choose from.

    Parameters
    ----------
    peer
        The other end of the connection, never what a header says.

    Examples
    --------
    >>> address_of("192.0.2.7"), address_of("::ffff:192.0.2.7"), address_of("2001:db8::1:2:3:4")
    ('192.0.2.7', '192.0.2.7', '2001:db8::/64')
    """
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), 64), strict=False))
