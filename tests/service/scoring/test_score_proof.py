"""Every stored score is proven by the entry over its batch, and no column of it can be changed unnoticed."""

import json
import uuid
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from sqlalchemy import text

from features.build import Matrix
from service.audit import merkle
from service.errors import Conflict, NotFound
from service.firms.use_cases import firm_ids_of
from service.kit import clock
from service.kit.db import RUNTIME_ROLE, tenant_of
from service.scoring import repository
from service.scoring.batch import Batch
from service.scoring.rows import Known, Origin
from service.scoring.tables import DayContext, Score
from service.scoring.use_cases import prove_score, score_matrix
from service.training.use_cases import live_model
from tests.models.handmade import NAMES
from tests.models.handmade import matrix as handmade_matrix
from tests.service.scored import AS_OF, PRODUCT, give_score, make_live

KEYS = [f"E{number:02d}" for number in range(37)]
CHANGES = {
    "tenant_id": "gen_random_uuid()",
    "id": "gen_random_uuid()",
    "firm_id": "gen_random_uuid()",
    "product": "product || 'x'",
    "as_of": "as_of + 1",
    "scored_at": "scored_at + interval '1 microsecond'",
    "actor": "actor || 'x'",
    "model_version_id": "gen_random_uuid()",
    "context_id": "gen_random_uuid()",
    "run_id": "gen_random_uuid()",
    "pd": "pd + 1e-15",
    "pd_basis": "'anchored'",
    "interval_low": "interval_low + 1e-15",
    "interval_high": "interval_high + 1e-15",
    "interval_kind": "'venn-abers'",
    "grade": "'1' || grade",
    "stable_grade": "'1' || stable_grade",
    "points": "null",
    "reasons": "(reasons::text || ' ')::json",
    "features": "replace(features::text, 'null', '0.0')::json",
    "missing": "'[]'",
    "decision": "case decision when 'person' then 'automated' else 'person' end",
    "reason_families": "reason_families || '{sales}'",
    "batch_id": "gen_random_uuid()",
}


@pytest.fixture
def origin(session):
    """Return what a chunk's scores rest on, with firms to score."""
    make_live(session)
    tenant_id = tenant_of(session)
    context = DayContext(tenant_id=tenant_id, id=clock.new_id(), as_of=AS_OF, body="{}", built_at=clock.now())
    session.add(context)
    session.flush()
    for firm_id, key in zip(firm_ids_of(tenant_id, KEYS), KEYS, strict=True):
        values = {"tenant": tenant_id, "id": firm_id, "key": key}
        session.execute(
            text("insert into firm (tenant_id, id, key, created_at, version) values (:tenant, :id, :key, now(), 1)"),
            values,
        )
    loaded = live_model(session, PRODUCT)
    run_id = uuid.uuid4()
    repository.publish(session, run_id, PRODUCT, AS_OF, clock.now(), is_whole=True)
    return Origin(tenant_id, loaded, context.id, AS_OF, clock.now(), "nightly", run_id)


def score(session, origin, keys, first=0, number=3):
    """Score firms with generated features; every seventh is in default, every fifth refused decisions by machine."""
    values = handmade_matrix(len(KEYS))[first : first + len(keys)]
    previous = pl.DataFrame([("E01", "7", date(2026, 3, 31), 0.02)], schema=repository.PREVIOUS, orient="row")
    known = Known(pl.Series(KEYS[::7]), pl.Series(KEYS[::5]), previous)
    batch = Batch(PRODUCT, AS_OF, None if origin.run_id is None else (origin.run_id, number))
    half = (len(keys) + 1) // 2
    parts = [slice(0, half), slice(half, len(keys))] if len(keys) > 1 else [slice(0, 1)]
    rows = [
        score_matrix(
            session, Matrix(list(keys)[part], NAMES, values[part], np.isnan(values[part])), known, origin, batch
        )
        for part in parts
    ]
    batch.enter(session)
    return pl.concat(rows).sort("firm_id")


def entry_of(session, entry_id):
    found = session.execute(text("select body from audit_pending where id = :id"), {"id": entry_id}).scalar()
    return None if found is None else json.loads(found)


def is_proven(session, score_id):
    try:
        proof = prove_score(session, score_id)
    except (NotFound, Conflict):
        return False
    entry = entry_of(session, proof.entry_id)
    if entry is None:
        return False
    assert merkle.leaf_hash(proof.row) == proof.leaf
    assert merkle.verify_inclusion(proof.leaf, proof.index, proof.size, proof.path, proof.root)
    root = bytes.fromhex(entry["after"])
    return merkle.verify_inclusion(proof.leaf, proof.index, proof.size, proof.path, root)


def as_superuser(session, statement, **values):
    """Change what no role of the product may: without triggers, foreign keys and row-level security."""
    for setting in ("role = none", "session_replication_role = replica"):
        session.execute(text(f"set local {setting}"))
    assert session.execute(text(statement), values).rowcount == 1
    for setting in ("session_replication_role = origin", f"role = {RUNTIME_ROLE}"):
        session.execute(text(f"set local {setting}"))


def test_every_score_of_a_chunk_and_online_is_proven(session, origin):
    chunk = score(session, origin, KEYS)
    online = score(session, replace(origin, run_id=None, actor="officer"), KEYS[4:5], first=4)
    ids = [uuid.UUID(score_id) for score_id in (*chunk["id"], *online["id"])]
    assert [is_proven(session, score_id) for score_id in ids] == [True] * 38
    entry = entry_of(session, prove_score(session, ids[0]).entry_id)
    assert (entry["action"], entry["subject"]) == ("scores.added", f"rescoring_chunk:{origin.run_id}/3")
    facts = {"format": "score-row/1", "count": 37, "root": entry["after"], "product": PRODUCT, "as_of": "2026-06-30"}
    assert entry["facts"] == facts
    assert entry_of(session, prove_score(session, ids[-1]).entry_id)["subject"] == f"score:{ids[-1]}"


def test_a_firm_alone_gets_the_row_it_gets_among_others(session, origin):
    """But for what is each row's own: a chunk goes in by COPY, one row by INSERT."""
    chunk = score(session, origin, KEYS)
    alone = [score(session, replace(origin, run_id=None), [key], first=place) for place, key in enumerate(KEYS)]
    content = ", ".join(f"{name}::text" for name in Score.model_fields if name not in {"id", "run_id", "batch_id"})
    query = text(f"select {content} from score where id = any(cast(:ids as uuid[])) order by firm_id")
    stored = [session.execute(query, {"ids": list(ids)}).all() for ids in (chunk["id"], pl.concat(alone)["id"])]
    assert stored[0] == stored[1]
    assert len(stored[0]) == 37


def test_a_change_of_any_column_breaks_the_proof_of_the_score_alone(session, origin):
    assert CHANGES.keys() == Score.model_fields.keys()
    chunk = score(session, origin, KEYS)
    wanted = chunk.filter((pl.col("grade") != "D") & pl.col("features").str.contains("null"))
    score_id, neighbour = uuid.UUID(wanted["id"][0]), uuid.UUID(wanted["id"][1])
    for name, value in CHANGES.items():
        with session.begin_nested() as savepoint:
            as_superuser(session, f"update score set {name} = {value} where id = :id", id=score_id)
            session.expire_all()
            assert not is_proven(session, score_id), name
            assert is_proven(session, neighbour), name
            savepoint.rollback()
        session.expire_all()
    assert is_proven(session, score_id)
    with session.begin_nested() as savepoint:
        as_superuser(session, "delete from score where id = :id", id=score_id)
        assert is_proven(session, neighbour)
        savepoint.rollback()


def test_a_score_of_before_the_audit_log_has_no_proof(session, origin):
    old = give_score(session, uuid.UUID(firm_ids_of(tenant_of(session), KEYS)[0]))
    with pytest.raises(Conflict, match="before scores were entered in the audit log"):
        prove_score(session, old.id)
    with pytest.raises(NotFound):
        prove_score(session, uuid.uuid4())
