"""The HTTP side of identity: the bearer key of a request."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.errors import Unauthenticated
from service.identity.use_cases import Actor, authenticate, require_writer
from service.kit.http import Session

_bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer cck_...`, from `clustercredit key create`.")


def get_reader(
    session: Session, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Actor:
    """Return who is asking; any role may read."""
    if credentials is None:
        raise Unauthenticated("Send the header: Authorization: Bearer <API key>.")
    return authenticate(session, credentials.credentials)


def get_writer(actor: Annotated[Actor, Depends(get_reader)]) -> Actor:
    """Return who is asking, if the role may write."""
    require_writer(actor)
    return actor


Reader = Annotated[Actor, Depends(get_reader)]
Writer = Annotated[Actor, Depends(get_writer)]
