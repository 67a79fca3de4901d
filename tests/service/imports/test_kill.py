"""A kill in the middle of an import leaves nothing, and the same import then loads everything."""

import os
import signal
import subprocess
import sys
import time
from datetime import date

from sqlalchemy import text

from service.identity.use_cases import tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source

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
def slow(self, at):
    added = insert(self, at)
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
