"""Bring a database's schema up to date."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlmodel import SQLModel

from service.kit.db import FUND_ROLE, JOBS_ROLE, RUNTIME_ROLE, SEQUENCER_ROLE

ROLES = (RUNTIME_ROLE, FUND_ROLE, JOBS_ROLE, SEQUENCER_ROLE)
_CREATE_ROLE = """
    do $$ begin
      if not exists (select from pg_roles where rolname = {name}) then create role {role} nologin; end if;
    exception when duplicate_object or unique_violation then null; end $$
"""
_GRANT_ROLE = """
    do $$ declare
      may_take_on text := case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end;
    begin
      if not pg_has_role(current_user, {name}, may_take_on) then grant {role} to current_user; end if;
    exception when duplicate_object or unique_violation then null; end $$
"""
"""From PostgreSQL 16 on, whoever makes a role is a member of it that may grant it, and not take it on."""

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
SQLModel.metadata.naming_convention = NAMES


def alembic_config() -> Config:
    """Return Alembic's configuration: the project's `migrations` folder."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s")
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations up to a revision."""
    config = alembic_config()
    with engine.connect() as connection:
        connection.execute(text("select pg_advisory_lock(hashtext('clustercredit migrations'))"))
        try:
            connection.commit()
            for role in ROLES:
                ensure_role(connection, role)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock_all()"))


def ensure_role(connection: Connection, role: str) -> None:
    """Make a role that cannot log in, and let the connection's user take it on.

    Roles belong to the whole server, so databases migrated side by side may make one at the same moment. The one that
    loses is sure to see the other's row only in a new transaction: each step is one of its own.
    """
    for step in (_CREATE_ROLE, _GRANT_ROLE):
        connection.execute(text(step.format(name=sql.Literal(role).as_string(), role=sql.Identifier(role).as_string())))
        connection.commit()


def downgrade(engine: Engine, revision: str) -> None:
    """Run the migrations down to a revision."""
    config = alembic_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


def is_current(engine: Engine) -> bool:
    """Tell whether the database has every migration."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == head()


def head() -> str:
    """Return this release's last revision."""
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert revision is not None
    return revision


def is_known(revision: str) -> bool:
    """Tell whether a revision is one of this release's migrations."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())
