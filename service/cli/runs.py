"""runs: list, show, publish, withdraw, rollback."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from service.cli.runtime import Tenant, console, open_database, operator, tenant_session
from service.kit.db import TenantSession
from service.rescoring import use_cases as rescoring
from service.rescoring.use_cases import RunView
from service.settings import Settings

RunId = Annotated[UUID, typer.Argument(help="Id of a run, from `clustercredit runs list`.")]
Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]
MARKS = {"ok": "ok", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    runs = typer.Typer(help="Rescoring runs: what they found, and whether they count.", no_args_is_help=True)
    runs.command("list")(list_runs)
    runs.command("show")(show)
    runs.command("publish")(publish)
    runs.command("withdraw")(withdraw)
    runs.command("rollback")(rollback)
    app.add_typer(runs, name="runs")


def list_runs(tenant: Tenant = None) -> None:
    """List runs, the newest first.

    Example: clustercredit runs list
    """
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        views = rescoring.list_runs(session)
    for view in views:
        done = view.progress
        subset = " (a subset)" if view.run.kind == "subset" else ""
        console.print(
            f"{view.run.id}  {view.run.as_of}  {view.run.product}{subset}: {view.run.state.replace('_', ' ')}; "
            f"{done.scored:,} scored by {view.model_version}, {done.refused:,} refused, "
            f"{done.done} of {done.chunks} chunks done",
            highlight=False,
            soft_wrap=True,
        )
    if not views:
        console.print("There is no run yet. Begin one with: clustercredit rescore --product P --as-of D")


def show(run_id: RunId, tenant: Tenant = None) -> None:
    """Show a run: its checks, how grades move, the firms that move most, who did what.

    Example: clustercredit runs show 5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22
    """
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        view = rescoring.get_run(session, run_id)
    report = view.run.report or {"checks": [], "matrix": [], "movers": []}
    console.print(f"{view.run.product} as of {view.run.as_of}: {view.run.state}", highlight=False)
    print_checks(report["checks"])
    moved = [cell for cell in report["matrix"] if cell["before"] != cell["after"]]
    if moved:
        moves = Table("from", "to", "firms", title="Grades that move")
        for cell in sorted(moved, key=lambda cell: (_rank(cell["before"]), _rank(cell["after"]))):
            moves.add_row(cell["before"] or "none", cell["after"] or "none", f"{cell['firms']:,}")
        console.print(moves)
    for move in report["movers"]:
        change = f"{move['before']} -> {move['after']}, PD {move['pd_before']:.1%} -> {move['pd_after']:.1%}"
        why = "; ".join(reason["text"]["en"] for reason in move["reasons"])
        console.print(f"  {move['key']}: {change}: {why}", highlight=False, markup=False, soft_wrap=True)
    for step in view.history:
        because = f": {step.reason}" if step.reason else ""
        state = step.state.replace("_", " ")
        console.print(
            f"  {step.at:%Y-%m-%d %H:%M:%S %Z} {state} by {step.actor}{because}", highlight=False, soft_wrap=True
        )


def _rank(grade: str | None) -> tuple[int, int]:
    """Order grades as numbers, no grade first and D last."""
    if grade is None:
        return (0, 0)
    return (1, int(grade)) if grade.isdecimal() else (2, 0)


def print_checks(checks: Sequence[dict[str, Any]]) -> None:
    """Show what was found about a run, the worst first."""
    for item in sorted(checks, key=lambda item: ("fail", "warn", "ok").index(item["level"])):
        line = f"  {MARKS[item['level']]} {item['code']}: {item['text']['en']}"
        console.print(line, highlight=False, soft_wrap=True)
        if item["level"] != "ok":
            console.print(f"       {item['text']['zh-CN']}", highlight=False, soft_wrap=True)


def publish(
    run_id: RunId,
    despite: Annotated[str | None, typer.Option(help="Why, although a check failed; it goes on record.")] = None,
    tenant: Tenant = None,
) -> None:
    """Let a checked run's scores count, in your name, and raise its alerts.

    Example: clustercredit runs publish 5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22
    """
    _change(lambda session: rescoring.publish(session, run_id, operator(), despite), tenant)


def withdraw(run_id: RunId, reason: Reason, tenant: Tenant = None) -> None:
    """End a run that is not published: its scores never count.

    Example: clustercredit runs withdraw 5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22 --reason "the invoices came late"
    """
    _change(lambda session: rescoring.withdraw(session, run_id, operator(), reason), tenant)


def rollback(run_id: RunId, reason: Reason, tenant: Tenant = None) -> None:
    """Let a published run's scores count no more; what held without it holds again.

    Example: clustercredit runs rollback 5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22 --reason "invoices were loaded twice"
    """
    _change(lambda session: rescoring.roll_back(session, run_id, operator(), reason), tenant)


def _change(act: Callable[[TenantSession], RunView], tenant: str | None) -> None:
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        run = act(session).run
    console.print(f"The run of {run.as_of} is {run.state.replace('_', ' ')}.", highlight=False)
