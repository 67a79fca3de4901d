"""Wire shapes of statements."""

from typing import Self

from pydantic import ConfigDict, Field

from service.kit.http import Schema
from service.statements.use_cases import SignedStatement

_SIGNED = (
    '{"at":"2026-11-27T02:03:04.000005+00:00","entries":[],"firm":{"id":"0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",'
    '"key":"E1","name":"台州精密模具厂"},"key_id":"5f08...","loans":[],"made_for":"zhang.wei","product":null,'
    '"public_key":"6e34...","repayments":[],"root":"e3b0...","scores":[],"size":0,"tenant":"bank",'
    '"tenant_id":"5b3e1f6e-9a52-5d0b-8a0e-3f1c2d4e5f60","type":"clustercredit-statement","version":1}'
)


class StatementOut(Schema):
    """A firm's credit history, signed: save it as it is and verify it with `verify_audit.py --statement`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"signed": _SIGNED, "signature": "00" * 64}]})

    signed: str = Field(description="RFC 8785 JSON, byte for byte; its parts: docs/statement-format.md.")
    signature: str = Field(description="Ed25519 signature over it, in hexadecimal.", pattern="^[0-9a-f]{128}$")

    @classmethod
    def of(cls, statement: SignedStatement) -> Self:
        """Show a statement."""
        return cls(signed=statement.signed.decode(), signature=statement.signature.hex())


class NotYetOut(Schema):
    """The record is being written."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "pending"}]})

    state: str = Field(description="`pending`: an entry that the statement rests on has no number yet.")
