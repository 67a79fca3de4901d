"""What a database holds, as one hash a table."""

import hashlib

import psycopg

from service.kit.db import Database

TABLES = """
    select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not like 'pg\\_%'
      and n.nspname <> 'information_schema'
"""


def content_of(database: Database) -> dict[str, str]:
    """Return each table's name and the SHA-256 of its rows, in the order of their text."""
    url = database.url.replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        names = [name for (name,) in connection.execute(TABLES)]
        return {name: _hash(connection, name) for name in names}


def _hash(connection: psycopg.Connection, table: str) -> str:
    digest = hashlib.sha256()
    with connection.cursor().copy(
        f'copy (select t::text from {table} t order by t::text collate "C") to stdout'
    ) as rows:
        for block in rows:
            digest.update(block)
    return digest.hexdigest()
