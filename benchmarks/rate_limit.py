"""What counting a request costs, as a part of an authenticated GET /v1/me in the same run.

Peer: the obvious way, one upsert a request. `python benchmarks/rate_limit.py`; the limit is 5% of the request.
"""

import asyncio
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import uuid4

import httpx
from fastapi import FastAPI

from service.app import create_app
from service.identity.access import Role
from service.identity.keys import create_key
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres
from service.kit.logs import configure_logging
from service.kit.rate_limit import Limiter
from service.settings import Settings

ROOT = Path(__file__).parents[1]
REQUESTS, LIMIT, REPEATS, LARGEST_PART = 300, 600, 5, 0.05


def main() -> None:
    configure_logging("ERROR")
    server = EmbeddedPostgres(ROOT / ".local" / "bench")
    try:
        database = Database(server.start())
        migrations.upgrade(database.engine)
        part = measure(database)
        database.dispose()
    finally:
        server.stop()
        shutil.rmtree(server.home, ignore_errors=True)
        shutil.rmtree(server.local_dir, ignore_errors=True)
    assert part < LARGEST_PART


def measure(database: Database) -> float:
    """Return the part of a request that counting it twice, for its key and its tenant, takes."""
    with database.session() as session:
        tenant = f"bench-{uuid4().hex}"
        create_tenant(session, tenant)
    with database.session(tenant_id_of(tenant)) as session:
        _, token = create_key(session, "bench", Role.LOAN_OFFICER, all_branches=True)
    unlimited = Settings(requests_per_minute=0, tenant_requests_per_minute=0, failed_requests_per_minute=0)
    request = median(asyncio.run(seconds_a_request(create_app(unlimited, database), token)) for _ in range(REPEATS))
    lease = median(seconds_a_take(database, LIMIT) for _ in range(REPEATS))
    upsert = median(seconds_a_take(database, 19) for _ in range(REPEATS))
    print(f"GET /v1/me, no limits                         {request * 1e6:9.0f} µs")
    print(f"take, all of a limit of {LIMIT}, leased by {LIMIT // 20}     {lease * 1e6:9.0f} µs  {lease / request:6.1%}")
    print(f"take, one upsert each                         {upsert * 1e6:9.0f} µs  {upsert / request:6.1%}")
    part = 2 * lease / request
    print(f"a request takes twice (key, tenant): {part:.1%} of it; limit {LARGEST_PART:.0%}")
    return part


async def seconds_a_request(app: FastAPI, token: str) -> float:
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://bench", headers=headers) as client:
        assert (await client.get("/v1/me")).status_code == 200
        begun = time.perf_counter()
        for _ in range(REQUESTS):
            await client.get("/v1/me")
        return (time.perf_counter() - begun) / REQUESTS


def seconds_a_take(database: Database, limit: int) -> float:
    """Use up whole windows; the clock goes on when one is used up, so pruning is counted, too."""
    now, tenant_id = datetime(2026, 3, 1, 12, tzinfo=UTC), uuid4()
    limiter = Limiter(database, lambda: now)
    limiter.take(tenant_id, "warm", limit, 60)
    windows = max(1, 2 * LIMIT // limit)
    begun = time.perf_counter()
    for _ in range(windows):
        for _ in range(limit):
            limiter.take(tenant_id, "asker", limit, 60)
        now += timedelta(minutes=1)
    return (time.perf_counter() - begun) / (windows * limit)


if __name__ == "__main__":
    main()
