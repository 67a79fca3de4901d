"""user: the first administrator, who adds the others over HTTP."""

import sys
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from service.cli.runtime import AllBranches, Tenant, checked_name, console, open_database, operator, tenant_session
from service.errors import InvalidPayload
from service.identity.access import Role
from service.identity.use_cases import find_branch
from service.identity.user_schemas import Login
from service.identity.users import Duty, create_user
from service.settings import Settings

users = typer.Typer(help="People who sign in.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(users, name="user")


@users.command("create")
def create_user_command(
    login: Annotated[str, typer.Option(help="What the person signs in as.")],
    role: Annotated[Role, typer.Option(help="What the person may do: docs/reference/access.md.")],
    name: Annotated[
        str | None, typer.Option(help="What goes on record with every act; the login if not given.")
    ] = None,
    branch: Annotated[str | None, typer.Option(help="An officer's: the firms of this branch, by its name.")] = None,
    *,
    all_branches: AllBranches = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
    ] = False,
    tenant: Tenant = None,
) -> None:
    """Add a person who signs in by a password.

    Meant for the first administrator, who adds the others over HTTP; an approver needs limits and a firm's person its
    firm, so these are added there.

    Example: clustercredit user create --login zhang.wei --role administrator
    """
    settings = Settings()
    database = open_database(settings)
    plain_login = _login(login)
    password = sys.stdin.readline().rstrip("\n") if password_stdin else _ask()
    with tenant_session(database, settings, tenant) as session:
        branch_id = None if branch is None else find_branch(session, branch).id
        duty = Duty(role, branch_id, all_branches=all_branches)
        user = create_user(
            session, plain_login, checked_name(name or login), duty, password=password, created_by=operator()
        )
    place = tenant or settings.tenant
    console.print(f"{user.login}: {user.id}; signs in to '{place}' with POST /v1/sessions", soft_wrap=True)


def _login(login: str) -> str:
    try:
        return TypeAdapter[str](Login).validate_python(login)
    except ValidationError:
        raise InvalidPayload(
            "A login has 2 to 64 letters, digits and ._@- and begins with a letter or digit."
        ) from None


def _ask() -> str:
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
