"""Queries of contexts and scores."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import polars as pl
from sqlalchemy import or_, text, tuple_
from sqlmodel import col, select

from service.audit.merkle import DIGEST
from service.kit.db import LockSeed, TenantSession, copy_in, read_groups, tenant_of, wait_for_lock
from service.scoring.tables import CurrentScore, DayContext, Publication, Score, ScoreBatch

_PREVIOUS = text("""
    select distinct on (s.firm_id) firm.key, s.stable_grade, s.as_of, s.pd
    from score s join firm on firm.tenant_id = s.tenant_id and firm.id = s.firm_id
    join publication p on p.tenant_id = s.tenant_id and p.run_id = s.run_id and p.rolled_back_at is null
    where s.tenant_id = :tenant and s.product = :product and s.as_of < :as_of
      and firm.key between :first and :last
    order by s.firm_id, s.as_of desc, p.started_at desc, p.run_id desc
""")
PREVIOUS = {
    "key": pl.String(),
    "previous_grade": pl.String(),
    "previous_as_of": pl.Date(),
    "previous_pd": pl.Float64(),
}
_MOVE = """
    insert into current_score (tenant_id, firm_id, product, score_id, as_of, scored_at)
    select tenant_id, firm_id, product, id, as_of, {began} from score
    where tenant_id = :tenant and {which}
    order by firm_id
    on conflict (tenant_id, firm_id, product) do update
    set score_id = excluded.score_id, as_of = excluded.as_of, scored_at = excluded.scored_at
    where (excluded.as_of, excluded.scored_at, excluded.score_id)
      > (current_score.as_of, current_score.scored_at, current_score.score_id)
"""
_POINT = text(_MOVE.format(began="scored_at", which="id = any(:ids) and as_of = any(cast(:days as date[]))"))
_POINT_TO_RUN = text(_MOVE.format(began="cast(:started_at as timestamptz)", which="run_id = :run and as_of = :as_of"))
_SCORES = """
    score s left join publication p
      on p.tenant_id = s.tenant_id and p.run_id = s.run_id and p.rolled_back_at is null
"""
_COUNTS = "(s.run_id is null or p.run_id is not null)"
"""Whether one of `_SCORES` counts: an online one, or one of a published run that was not rolled back."""
_BEGAN = "coalesce(p.started_at, s.scored_at)"
"""By what the newest of a day is told: when the run began, whenever it came to the firm; an online score is its own."""
_HOLD = text("""
    select from current_score c join score gone
      on gone.tenant_id = c.tenant_id and gone.id = c.score_id and gone.as_of = c.as_of
    where c.tenant_id = :tenant and gone.run_id = :run order by c.firm_id for update of c
""")
"""Hold the pointers to a run's scores: who makes a score of these firms has committed it by then, or waits."""
_POINT_BACK = """
    update current_score c set score_id = best.id, as_of = best.as_of, scored_at = best.began
    from score gone cross join lateral (
      select s.id, s.as_of, {began} as began from {scores}
      where s.tenant_id = gone.tenant_id and s.firm_id = gone.firm_id and s.product = gone.product and {counts}
      order by s.as_of desc, began desc, s.id desc limit 1
    ) best
    where gone.tenant_id = :tenant and gone.run_id = :run and c.tenant_id = gone.tenant_id and c.score_id = gone.id
      and c.as_of = gone.as_of
"""
_POINT_NOWHERE = text("""
    delete from current_score c using score gone
    where c.tenant_id = :tenant and gone.tenant_id = c.tenant_id and gone.id = c.score_id
      and gone.as_of = c.as_of and gone.run_id = :run
""")
_STAGE = text("create temp table staged_score (like score) with (toast_tuple_target = 8160) on commit drop")
_COLUMNS = ", ".join(Score.model_fields)
_ADD = text(f"insert into score ({_COLUMNS}) values (:{_COLUMNS.replace(', ', ', :')})")  # noqa: S608
_ROW = """
    (select batch_id, id, firm_id, as_of, (extract(epoch from scored_at) * 1000000)::bigint as scored_at, tenant_id,
       model_version_id, context_id, run_id, pd, interval_low, interval_high, points, product, grade, stable_grade,
       interval_kind, pd_basis, decision, reasons, features, missing, reason_families, actor
     from score where tenant_id = {tenant} and id = {score}) s
"""
_NEWEST_RUNS = """
    with known as (
      select run_id, product, as_of, started_at, is_whole from publication
      where tenant_id = :tenant and rolled_back_at is null and {where}
    )
    select run_id from known where not exists (
      select from known whole where whole.product = known.product and whole.is_whole
        and (whole.as_of, whole.started_at, whole.run_id) > (known.as_of, known.started_at, known.run_id)
    )
    order by as_of desc, started_at desc, run_id desc
"""
_BY_THE_DAY = "as_of < :as_of and (published_at at time zone interval '8 hours')::date <= :as_of"
_OF_OTHERS = "product = :product and as_of <= :as_of and run_id <> :run"
_BEFORE = """
    select distinct on (firm_id) firm_id, grade, pd from score
    where tenant_id = :tenant and run_id = any(:before)
    order by firm_id, array_position(cast(:before as uuid[]), run_id)
"""
_MATRIX = """
    select b.grade as before, a.grade as after, count(*) as firms
    from (select firm_id, grade from score where tenant_id = :tenant and run_id = :run) a
    full join ({before}) b on b.firm_id = a.firm_id
    group by 1, 2 order by 1, 2
"""
_MOVERS = """
    select firm.key, b.grade as before, a.grade as after, b.pd as pd_before, a.pd as pd_after, a.reasons
    from score a join ({before}) b on b.firm_id = a.firm_id
    join firm on firm.tenant_id = a.tenant_id and firm.id = a.firm_id
    where a.tenant_id = :tenant and a.run_id = :run and a.pd <> b.pd
    order by abs(a.pd - b.pd) desc, firm.key limit :limit
"""
_GRADES = """
    select firm.key, s.grade, s.pd, s.pd_basis, s.interval_low, s.interval_high, s.reasons,
      (select o.name from firm_observation o where o.tenant_id = s.tenant_id and o.firm_id = s.firm_id
       order by o.observed_on desc, o.known_on desc, o.content_sha256 limit 1) as name
    from (
      select distinct on (s.firm_id) s.* from {scores}
      where s.tenant_id = :tenant and s.product = :product and s.as_of = :as_of and {counts}
      order by s.firm_id, {began} desc, s.id desc
    ) s join firm on firm.tenant_id = s.tenant_id and firm.id = s.firm_id
    order by s.pd desc, firm.key
"""


def find_context(session: TenantSession, as_of: date) -> DayContext | None:
    """Return the newest context of a day."""
    query = select(DayContext).where(DayContext.as_of == as_of)
    return session.exec(query.order_by(col(DayContext.built_at).desc(), col(DayContext.id)).limit(1)).one_or_none()


def get_context(session: TenantSession, context_id: UUID) -> DayContext:
    """Return a context that is there."""
    return session.exec(select(DayContext).where(DayContext.id == context_id)).one()


def read_previous(session: TenantSession, product: str, as_of: date, first_key: str, last_key: str) -> pl.DataFrame:
    """Return each firm's last score of an earlier ``as_of`` from a published rescoring, for a range of keys.

    Online scores do not count: a look at a firm must not change what the next rescoring compares with.
    """
    values = {"tenant": tenant_of(session), "product": product, "as_of": as_of, "first": first_key, "last": last_key}
    rows = [tuple(row) for row in session.execute(_PREVIOUS, values)]
    return pl.DataFrame(rows, schema=PREVIOUS, orient="row")


def insert_scores(session: TenantSession, rows: pl.DataFrame, ids: Sequence[str]) -> None:
    """Add scores; those with an id in ``ids`` become current where they are newer than what is.

    Parameters
    ----------
    rows
        Columns of `Score`, ``scored_at`` in microseconds since 1970.
    """
    at = pl.col("scored_at").cast(pl.Datetime("us", "UTC"))
    columns = rows.select(at if name == "scored_at" else name for name in Score.model_fields)
    if columns.height == 1:
        session.execute(_ADD, columns.row(0, named=True))
    else:
        session.execute(_STAGE)
        copy_in(session, "staged_score", columns)
        session.execute(text("insert into score select * from staged_score"))
        session.execute(text("drop table staged_score"))
    if ids:
        days = [str(day) for day in rows["as_of"].unique()]
        session.execute(_POINT, {"tenant": tenant_of(session), "ids": list(ids), "days": days})


def lock_publications(session: TenantSession, product: str) -> None:
    """Let one transaction at a time begin a run of a product, or say which of them count."""
    wait_for_lock(session, LockSeed.PUBLICATION, product)


def publish(
    session: TenantSession, run_id: UUID, product: str, as_of: date, started_at: datetime, *, is_whole: bool
) -> None:
    """Let a run's scores count from now on, and become current where they are newer: one statement for all firms."""
    values = {"tenant": tenant_of(session), "run": run_id, "as_of": as_of, "started_at": started_at}
    session.execute(
        text(
            "insert into publication (tenant_id, run_id, product, as_of, started_at, is_whole, published_at)"
            " values (:tenant, :run, :product, :as_of, :started_at, :is_whole, clock_timestamp())"
        ),
        values | {"product": product, "is_whole": is_whole},
    )
    session.execute(_POINT_TO_RUN, values)


def find_newer(session: TenantSession, product: str, as_of: date, started_at: datetime) -> UUID | None:
    """Return a run of every firm of a product and day that counts and began later than that."""
    query = text("""
        select run_id from publication
        where tenant_id = :tenant and product = :product and as_of = :as_of and is_whole and rolled_back_at is null
          and started_at > :started_at limit 1
    """)
    values = {"tenant": tenant_of(session), "product": product, "as_of": as_of, "started_at": started_at}
    return session.execute(query, values).scalar_one_or_none()


def roll_back(session: TenantSession, run_id: UUID) -> None:
    """Let a run's scores count no more, and make those current that are without them."""
    values = {"tenant": tenant_of(session), "run": run_id}
    session.execute(
        text(
            "update publication set rolled_back_at = clock_timestamp()"
            " where tenant_id = :tenant and run_id = :run and rolled_back_at is null"
        ),
        values,
    )
    session.execute(_HOLD, values)
    session.execute(text(_POINT_BACK.format(scores=_SCORES, counts=_COUNTS, began=_BEGAN)), values)
    session.execute(_POINT_NOWHERE, values)


def runs_known(session: TenantSession, as_of: date) -> list[UUID]:
    """Return the runs of earlier days, published by the end of a day, whose PDs were the last: the newest first."""
    return list(
        session.execute(
            text(_NEWEST_RUNS.format(where=_BY_THE_DAY)), {"tenant": tenant_of(session), "as_of": as_of}
        ).scalars()
    )


def runs_before(session: TenantSession, run_id: UUID, product: str, as_of: date) -> list[UUID]:
    """Return the published runs that a run of a day would replace: the newest whole one, and subsets since."""
    values = {"tenant": tenant_of(session), "run": run_id, "product": product, "as_of": as_of}
    return list(session.execute(text(_NEWEST_RUNS.format(where=_OF_OTHERS)), values).scalars())


def runs_since(session: TenantSession, run_id: UUID) -> list[UUID]:
    """Return the runs of a run's product that were published after it and count, in that order."""
    query = text("""
        select p.run_id from publication p join publication gone
          on gone.tenant_id = p.tenant_id and gone.product = p.product and p.published_at > gone.published_at
        where p.tenant_id = :tenant and gone.run_id = :run and p.rolled_back_at is null
        order by p.published_at, p.run_id
    """)
    return list(session.execute(query, {"tenant": tenant_of(session), "run": run_id}).scalars())


def read_pds(session: TenantSession, run_ids: Sequence[UUID], keys: Collection[str] | None) -> pl.DataFrame:
    """Return ``firm_id`` (the key), ``pd`` of the firms of these keys, or of all, by the first run that has one."""
    source = "score join firm on firm.tenant_id = score.tenant_id and firm.id = score.firm_id"
    source += " where score.tenant_id = {tenant} and run_id = any({runs}::uuid[])"
    values = {"tenant": tenant_of(session), "runs": list(run_ids), "keys": None if keys is None else list(keys)}
    if keys is not None:
        source += " and firm.key = any({keys}::text[])"
    rows = read_groups(session, source, {"key": pl.String(), "pd": pl.Float64()}, "run_id", values)
    order = {str(run_id): place for place, run_id in enumerate(run_ids)}
    return (
        rows.with_columns(place=pl.col("run_id").replace_strict(order, return_dtype=pl.Int64))
        .sort("place", "key")
        .unique("key", keep="first", maintain_order=True)
        .select(pl.col("key").alias("firm_id"), "pd")
    )


def read_matrix(session: TenantSession, run_id: UUID, before: Sequence[UUID]) -> list[Any]:
    """Return how many firms went from which grade to which; None where there was, or is, none."""
    values = {"tenant": tenant_of(session), "run": run_id, "before": list(before)}
    return list(session.execute(text(_MATRIX.format(before=_BEFORE)), values))


def read_movers(session: TenantSession, run_id: UUID, before: Sequence[UUID], limit: int) -> list[Any]:
    """Return the firms whose PD moved most."""
    values = {"tenant": tenant_of(session), "run": run_id, "before": list(before), "limit": limit}
    return list(session.execute(text(_MOVERS.format(before=_BEFORE)), values))


def read_sample(session: TenantSession, run_id: UUID, limit: int) -> list[Any]:
    """Return points and features of a run's firms, the first by id: ids are hashes, so these are any of them."""
    query = text(
        "select points, features from score where tenant_id = :tenant and run_id = :run order by firm_id limit :limit"
    )
    return list(session.execute(query, {"tenant": tenant_of(session), "run": run_id, "limit": limit}))


def count_scores(session: TenantSession, run_id: UUID) -> int:
    """Return how many scores a run has."""
    query = text("select count(*) from score where tenant_id = :tenant and run_id = :run")
    return int(session.execute(query, {"tenant": tenant_of(session), "run": run_id}).scalar_one())


def is_published(session: TenantSession, run_id: UUID) -> bool:
    """Tell whether a run was published at some time."""
    return session.exec(select(Publication.run_id).where(Publication.run_id == run_id)).first() is not None


def insert_batch(session: TenantSession, batch_id: UUID, as_of: date, leaves: bytes) -> None:
    """Keep the leaf hashes of scores that were written together, 32 bytes each, by firm id."""
    session.add(ScoreBatch(tenant_id=tenant_of(session), id=batch_id, as_of=as_of, leaves=leaves))
    session.flush()


def read_leaves(session: TenantSession, batch_id: UUID) -> list[bytes]:
    """Return the leaf hashes of a batch, by firm id; none if there is no such batch."""
    leaves = session.exec(select(ScoreBatch.leaves).where(ScoreBatch.id == batch_id)).one_or_none() or b""
    return [leaves[at : at + DIGEST] for at in range(0, len(leaves), DIGEST)]


def read_row(session: TenantSession, score_id: UUID, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return a score, texts to the letter as stored, ``scored_at`` in microseconds since 1970."""
    values = {"tenant": tenant_of(session), "score": score_id}
    return read_groups(session, _ROW, columns, "batch_id", values).drop("batch_id")


def find_score(session: TenantSession, score_id: UUID) -> Score | None:
    """Return a score of a firm within reach."""
    return session.exec(select(Score).where(Score.id == score_id)).one_or_none()


def find_current(session: TenantSession, firm_id: UUID, product: str) -> Score | None:
    """Return the current score of a firm within reach."""
    query = (
        select(Score)
        .join(
            CurrentScore,
            (col(CurrentScore.score_id) == Score.id)
            & (col(CurrentScore.as_of) == Score.as_of)
            & (col(CurrentScore.tenant_id) == Score.tenant_id),
        )
        .where(CurrentScore.firm_id == firm_id, CurrentScore.product == product)
    )
    return session.exec(query).one_or_none()


def scored_products(session: TenantSession, firm_id: UUID) -> list[str]:
    """Return the products that a firm within reach has a score of."""
    query = select(CurrentScore.product).where(CurrentScore.firm_id == firm_id).order_by(CurrentScore.product)
    return list(session.exec(query))


def page_scores(
    session: TenantSession, firm_id: UUID, product: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Score]:
    """Return those of a firm's scores that count, newest first."""
    published = select(Publication.run_id).where(
        Publication.tenant_id == Score.tenant_id,
        Publication.run_id == Score.run_id,
        col(Publication.rolled_back_at).is_(None),
    )
    query = select(Score).where(Score.firm_id == firm_id, or_(col(Score.run_id).is_(None), published.exists()))
    if product is not None:
        query = query.where(Score.product == product)
    if before is not None:
        query = query.where(tuple_(col(Score.scored_at), col(Score.id)) < tuple_(*before))
    return list(session.exec(query.order_by(col(Score.scored_at).desc(), col(Score.id).desc()).limit(limit)))


def read_grades(session: TenantSession, product: str, as_of: date) -> list[Any]:
    """Return key, name and newest counting score of each firm that was scored as of a day, riskiest first."""
    query = text(_GRADES.format(scores=_SCORES, counts=_COUNTS, began=_BEGAN))
    return list(session.execute(query, {"tenant": tenant_of(session), "product": product, "as_of": as_of}))
