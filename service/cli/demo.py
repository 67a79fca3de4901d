"""demo: the whole path on a generated cluster."""

from datetime import date
from typing import Annotated
from uuid import uuid4

import typer

from service.alerts.use_cases import list_alerts
from service.cli.database import check_port, run_server
from service.cli.modelling import print_grades, print_run, print_training
from service.cli.runtime import console, open_database, operator, progress_bar, tenant_session
from service.cli.worker import OwnWorker
from service.demo.economy import generate
from service.demo.records import generate_records
from service.firms.use_cases import add_rows, firm_id_of, get_firm
from service.identity.access import Role
from service.identity.keys import create_key
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit.db import Author, Database, TenantSession
from service.rescoring.use_cases import rescore
from service.scoring.use_cases import grades_of_day
from service.settings import Settings
from service.training.use_cases import list_versions, train

TENANT = "demo"
PRODUCT = "credit-score"
FIRMS = 415
"""An average cluster of Jiangsu: 45,671 firms in 110 clusters."""
SEED = 2
MONTHS = 48
END_ON = date(2026, 6, 30)
TRAIN_ON = date(2025, 12, 31)
SCORE_ON = (date(2025, 12, 31), date(2026, 6, 30))


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("demo")(demo)


def demo(
    *,
    serve: Annotated[bool, typer.Option(help="Serve the API when done.")] = True,
    host: Annotated[str | None, typer.Option(help="Address; CLUSTERCREDIT_HOST if not given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; CLUSTERCREDIT_PORT if not given.")] = None,
) -> None:
    """Generate a cluster of firms, train, score them on two days, show grades and alerts, and serve with a worker.

    It works for a tenant of its own, `demo`; running it again adds nothing but fresh scores.

    Example: clustercredit demo --no-serve
    """
    settings = Settings()
    host, port = host or settings.host, port or settings.port
    if serve:
        check_port(host, port)
    with console.status("Starting the database"):
        database = open_database(settings)
    with database.session(author=Author(operator())) as session:
        create_tenant(session, TENANT)
    with tenant_session(database, settings, TENANT) as session, progress_bar() as report:
        report(f"making a cluster of {FIRMS} firms", 0, 1)
        economy = generate(FIRMS, SEED, end_on=END_ON, months=MONTHS)
        further = generate_records(economy, SEED, end_on=END_ON, months=MONTHS)
        added = add_rows(session, economy.inputs.frames() | further, report)
    database.analyze()
    for name, count in added.items():
        console.print(f"{name}: {count.received:,} rows, {count.added:,} new")
    with tenant_session(database, settings, TENANT) as session, progress_bar() as report:
        trained = [version for version in list_versions(session) if version.product == PRODUCT]
        version = (
            trained[-1] if trained else train(session, PRODUCT, TRAIN_ON, actor=operator(), seed=SEED, progress=report)
        )
    print_training(version)
    _score(database)
    with tenant_session(database, settings, TENANT) as session:
        views = grades_of_day(session, PRODUCT, SCORE_ON[-1])
        print_grades(views)
        _print_alerts(session)
        _, token = create_key(session, "demo", Role.LOAN_OFFICER, all_branches=True, created_by=operator())
    worst = next(view.key for view in views if view.grade != "D")
    _print_next_steps(f"http://{host}:{port}", token, str(firm_id_of(tenant_id_of(TENANT), worst)))
    if not serve:
        console.print("Serve it, with a worker: .venv/bin/clustercredit serve --worker")
    else:
        console.print(f"Serving on http://{host}:{port} (stop with Ctrl-C)")
        with OwnWorker():
            run_server(settings, database, host, port)


def _score(database: Database) -> None:
    for day in SCORE_ON:
        with progress_bar() as report:
            summary = rescore(database, tenant_id_of(TENANT), PRODUCT, day, operator(), report)
        print_run(summary)


def _print_alerts(session: TenantSession) -> None:
    alerts = list_alerts(session, is_acknowledged=False, limit=1000)
    console.print(f"[bold]{len(alerts)} alerts are open[/] (L, M, H or C: severity); the newest five:")
    for alert in alerts[:5]:
        firm = get_firm(session, alert.firm_id)
        console.print(f"  {firm.key} {firm.name}: {alert.severity} {alert.rule}", highlight=False)
        for language in ("zh-CN", "en"):
            console.print(f"    {alert.text[language]}", highlight=False, soft_wrap=True)


def _print_next_steps(url: str, token: str, firm_id: str) -> None:
    body = f'{{"firm_id": "{firm_id}", "product": "{PRODUCT}", "as_of": "{SCORE_ON[-1]}"}}'
    console.print(f"\nDocumentation, while it serves: {url}/docs\nAPI key (shown this once): {token}", highlight=False)
    console.print("Score the riskiest firm:\n", highlight=False)
    curl = (
        f"curl -s {url}/v1/scores -H 'Authorization: Bearer {token}' -H 'Idempotency-Key: {uuid4()}'"
        f" -H 'Content-Type: application/json' -d '{body}'\n"
    )
    console.print(curl, highlight=False, markup=False, soft_wrap=True)
