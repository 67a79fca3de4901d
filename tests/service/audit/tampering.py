"""Logs to tamper with, what can be done to them, and which entry is then the first that is wrong."""

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rfc8785
from sqlalchemy import Connection, text

from service.audit import merkle, repository, use_cases, verify_audit
from service.audit.sequencer import number_all
from service.audit.signing import SigningKeys
from service.audit.tables import Checkpoint
from service.identity.use_cases import create_tenant
from service.kit import clock
from service.kit.db import Database, TenantSession

TENANT = uuid.UUID("5b3e1f6e-9a52-5d0b-8a0e-3f1c2d4e5f60")


@dataclass
class Line:
    """An entry as it is told: its number, its leaf hash, and its body."""

    number: int
    leaf: bytes
    body: bytes

    def written(self) -> bytes:
        return b'{"body":%b,"leaf":"%b","number":%d}\n' % (self.body, self.leaf.hex().encode(), self.number)


def body_of(generator: random.Random, tenant_id: uuid.UUID = TENANT, facts: Any = None) -> bytes:
    """Return an entry of nothing in particular."""
    entry_id = uuid.UUID(int=generator.getrandbits(128), version=4)
    return rfc8785.dumps(
        {
            "action": "review.updated", "actor": "张伟", "actor_id": None, "after": None,
            "at": "2026-11-27T02:03:04.000005+00:00", "before": None, "facts": facts or {}, "id": str(entry_id),
            "request_id": f"{generator.getrandbits(64):016x}", "subject": f"review:{entry_id}",
            "tenant_id": str(tenant_id), "version": 1,
        }
    )  # fmt: skip


def told(bodies: list[bytes]) -> list[Line]:
    """Return a log that agrees with itself."""
    return [Line(number, merkle.leaf_hash(body), body) for number, body in enumerate(bodies)]


def signed(bodies: list[bytes], keys: SigningKeys, *, with_leaves: bool, tenant_id: uuid.UUID = TENANT) -> bytes:
    """Return a checkpoint of a log, as a file."""
    leaves = [merkle.leaf_hash(body) for body in bodies]
    signer = keys.signer()
    said = use_cases.said_of(signer.public, tenant_id, "bank", len(leaves), merkle.root(leaves), clock.now())
    row = Checkpoint(tenant_id=tenant_id, id=uuid.uuid4(), at=clock.now(), size=len(leaves), root=b"", key_id="",
                     signed=said.decode(), signature=signer.sign(said))  # fmt: skip
    return use_cases.as_file(row, b"".join(leaves) if with_leaves else None)


def checkpoint_of(data: bytes, keys: SigningKeys) -> verify_audit.Checkpoint:
    return verify_audit.read_checkpoint(data, {key.id for key in keys.public_keys()})


@dataclass(frozen=True)
class Done:
    """What was done, and what it is found as: the first wrong entry, and the kind in words of the verifier."""

    kind: str
    number: int


def _tenant_of(bodies: list[bytes]) -> uuid.UUID:
    return uuid.UUID(json.loads(bodies[0])["tenant_id"])


Tamper = Callable[[list[bytes], random.Random], Done]


def edit(bodies: list[bytes], generator: random.Random) -> Done:
    number = generator.randrange(len(bodies))
    bodies[number] = bodies[number].replace(b'"version":1', b'"version":2')
    return Done("changed", number)


def delete(bodies: list[bytes], generator: random.Random) -> Done:
    number = generator.randrange(len(bodies))
    del bodies[number]
    return Done("removed" if number < len(bodies) else "cut off", number)


def insert(bodies: list[bytes], generator: random.Random) -> Done:
    """Insert an entry before another; one after the last would be a young one, which nothing vouches for."""
    number = generator.randrange(len(bodies))
    bodies.insert(number, body_of(generator, _tenant_of(bodies)))
    return Done("inserted", number)


def swap(bodies: list[bytes], generator: random.Random) -> Done:
    first, second = sorted(generator.sample(range(len(bodies)), 2))
    bodies[first], bodies[second] = bodies[second], bodies[first]
    return Done("moved", first)


def truncate(bodies: list[bytes], generator: random.Random) -> Done:
    number = generator.randrange(len(bodies))
    del bodies[number:]
    return Done("cut off", number)


def rewrite(bodies: list[bytes], generator: random.Random) -> Done:
    """Write everything anew from an entry on."""
    number = generator.randrange(len(bodies))
    bodies[number:] = [body_of(generator, _tenant_of(bodies)) for _ in bodies[number:]]
    return Done("changed", number)


TAMPERINGS: tuple[Tamper, ...] = (edit, delete, insert, swap, truncate, rewrite)


def write_log(connection: Connection, tenant_id: uuid.UUID, lines: list[Line], *, with_nodes: bool) -> None:
    """Make a log the one that is in the database, as somebody can who owns the database."""
    for table in ("audit_entry", *(("audit_node",) if with_nodes else ())):
        connection.execute(text(f"delete from {table} where tenant_id = :tenant"), {"tenant": tenant_id})
    entries = text(
        "insert into audit_entry select :tenant, n.number, gen_random_uuid(), now(), 'a', 's', n.body, n.leaf"
        " from unnest(cast(:numbers as bigint[]), cast(:leaves as bytea[]), cast(:bodies as text[]))"
        " as n (number, leaf, body)"
    )
    values = {"numbers": [line.number for line in lines], "leaves": [line.leaf for line in lines]}
    connection.execute(entries, {"tenant": tenant_id, **values, "bodies": [line.body.decode() for line in lines]})
    if not with_nodes:
        return
    level, row = 0, [line.leaf for line in lines]
    while len(row) > 1:
        level, row = level + 1, [merkle.node_hash(*row[at : at + 2]) for at in range(0, len(row) - 1, 2)]
        nodes = text(
            "insert into audit_node select :tenant, :level, n.place - 1, n.hash"
            " from unnest(cast(:hashes as bytea[])) with ordinality as n (hash, place)"
        )
        connection.execute(nodes, {"tenant": tenant_id, "level": level, "hashes": row})


def tampered(bodies: list[bytes], generator: random.Random) -> tuple[list[Line], Done]:
    """Tamper once at random with what is signed; every other time thoroughly, hashes and numbers included."""
    tamper, is_thorough = generator.choice(TAMPERINGS), generator.random() < 0.5
    changed = list(bodies)
    done = tamper(changed, generator)
    lines = told(changed)
    if is_thorough:
        return lines, done
    before = {line.body: line for line in told(bodies)}
    # Left as they were: the numbers of what was there before, or, of an edited entry, its leaf hash.
    if tamper is edit:
        lines[done.number].leaf = before[bodies[done.number]].leaf
    elif tamper is not insert:
        for line in lines:
            line.number = before[line.body].number if line.body in before else line.number
    return lines, done


def verdict_on(
    connection: Connection, tenant_id: uuid.UUID, kept: list[verify_audit.Checkpoint]
) -> verify_audit.Verdict:
    """Verify what is in the database, as the connection sees it."""
    with TenantSession(connection, info={"tenant_id": tenant_id}) as session:
        return verify_audit.verify(use_cases.export(session), kept)


@dataclass(frozen=True)
class Kept:
    """A tenant's log in the database, and checkpoints: of its half and of all of it; of all of it with leaves."""

    tenant_id: uuid.UUID
    plain: list[verify_audit.Checkpoint]
    with_leaves: verify_audit.Checkpoint

    @property
    def both(self) -> tuple[list[verify_audit.Checkpoint], list[verify_audit.Checkpoint]]:
        """What an outsider may have kept: a checkpoint with leaves, or others without."""
        return [self.with_leaves], self.plain


def signed_log(database: Database, keys: SigningKeys, entries: int = 200) -> Kept:
    """Make a tenant with a log, by way of the sequencer, and sign it."""
    with database.session() as session:
        tenant_id = create_tenant(session, f"tampered-{uuid.uuid4().hex}")
    files = []
    for size, missing in ((entries // 2, entries // 2 - 1), (entries, entries - entries // 2)):
        with database.session(tenant_id) as session:
            for n in range(missing):
                use_cases.append(session, "review.updated", "review:r", {"n": n})
        number_all(database)
        with database.session(tenant_id) as session:
            row = use_cases.sign_checkpoint(session, keys, tenant_id, "bank")
            assert row.size == size
            files += [use_cases.checkpoint_file(session, row, with_leaves=leaves) for leaves in (False, True)]
    half, _, whole, with_leaves = (checkpoint_of(data, keys) for data in files)
    return Kept(tenant_id, [half, whole], with_leaves)


def bodies_of(database: Database, tenant_id: uuid.UUID) -> list[bytes]:
    with database.session(tenant_id) as session:
        return [body.encode() for _, _, body in repository.stream_entries(session)]


def caught(database: Database, kept: Kept, bodies: list[bytes], seed: int) -> str:
    """Tamper with the database's log, verify it, and take the tampering back; return what was said, empty if wrong."""
    lines, done = tampered(bodies, random.Random(seed))
    numbers = [line.number for line in lines]
    if numbers != sorted(set(numbers)):
        lines = told([line.body for line in lines])  # a table has no other order, and no number twice
    with database.engine.connect() as connection:
        write_log(connection, kept.tenant_id, lines, with_nodes=seed % 5 == 0)
        exact = verdict_on(connection, kept.tenant_id, [kept.with_leaves]).finding
        rough = verdict_on(connection, kept.tenant_id, kept.plain).finding
        connection.rollback()
    if exact is None or rough is None or rough.since > done.number:
        return ""
    return f"{exact.kind} {exact.number}" if (exact.kind, exact.number) == (done.kind, done.number) else ""
