"""A kill at any moment of an import leaves nothing or all, and the same import then what an undisturbed one does."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from datetime import date

from sqlalchemy import text

from service.identity.use_cases import create_tenant, tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source
from tests.service.imports.house import content_of, load, register, spawn, write_invoices

FIRMS, ROWS, KILLS = 500, 100_000, 2
HEADER = "firm_id,observed_on,direction,number,counterparty,has_linked_codes,net_fen,vat_fen,gross_fen,is_void\n"
CODE = """
import sys, time
from datetime import date
from pathlib import Path
from service.firms.use_cases import Stage
from service.identity.use_cases import tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source
from service.kit.db import Database

insert = Stage.insert
def slow(self, at, **how):
    added = insert(self, at, **how)
    print("inserted", added.added, flush=True)
    time.sleep(60)
Stage.insert = slow
with Database(sys.argv[1]).session(tenant_id_of(sys.argv[2])) as session:
    import_source(session, "invoice", Path(sys.argv[3]), Options(today=date(2024, 12, 31)))
"""


def test_a_kill_leaves_nothing_half_loaded(database, tenant, tmp_path):
    firms, invoices = tmp_path / "firms.csv", tmp_path / "invoices.csv"
    firms.write_text("firm_id,observed_on,name\nE1,2024-01-01,甲\n")
    row = "E1,2024-05-01,output,{},B1,false,1000,130,1130,false\n"
    invoices.write_text(HEADER + "".join(row.format(number) for number in range(500)))
    with database.session(tenant_id_of(tenant)) as session:
        import_source(session, "firm", firms, Options(today=date(2024, 12, 31)))
    url = database.url.replace("+psycopg", "")
    command = [sys.executable, "-c", CODE, url, tenant, str(invoices)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().strip() == "inserted 500"
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    child.stdout.close()
    count = text("select count(*) from invoice")
    with database.session(tenant_id_of(tenant)) as session:
        assert session.execute(count).scalar_one() == 0
        deadline = time.monotonic() + 30
        assert import_source(session, "invoice", invoices, Options(today=date(2024, 12, 31))).added == 500
        assert time.monotonic() < deadline
    with database.session(tenant_id_of(tenant)) as session:
        assert session.execute(count).scalar_one() == 500


def test_kills_at_any_moments_change_nothing_of_what_is_there_in_the_end(database, tenant, tmp_path):
    path, calm, killed = tmp_path / "invoices.csv", tenant_id_of(tenant), f"killed-{uuid.uuid4().hex[:12]}"
    write_invoices(path, FIRMS, ROWS)
    with database.session() as session:
        stormy = create_tenant(session, killed)
    for tenant_id in (calm, stormy):
        register(database, tenant_id, FIRMS)
    begun = time.monotonic()
    (line,) = load(database, calm, path).files
    seconds = time.monotonic() - begun
    assert (line.read, line.added, line.rejected) == (ROWS, ROWS - ROWS // 100, 0)
    whole = content_of(database, calm)
    for kill in range(KILLS):
        with spawn(database, stormy, path) as child:
            time.sleep(seconds * random.uniform(kill, kill + 1) / KILLS)
            child.send_signal(signal.SIGKILL)
        assert content_of(database, stormy)[0] in {0, whole[0]}
    load(database, stormy, path)
    assert content_of(database, stormy) == whole
