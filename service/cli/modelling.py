"""train, models, promote, card, rescore, grades."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from models import artifact
from models.grades import DEFAULTED, share_per_grade
from models.product import CentralTendency
from models.train import ESTIMATORS
from service.cli.runs import print_checks
from service.cli.runtime import Day, Tenant, console, open_database, operator, progress_bar, tenant_session
from service.kit.db import tenant_of
from service.rescoring.use_cases import RunSummary, rescore
from service.scoring.use_cases import GradeView, grades_of_day
from service.settings import Settings
from service.training import use_cases as training
from service.training.use_cases import Version

ProductCode = Annotated[str, typer.Argument(help="Code of a loan product, such as credit-score.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("train")(train)
    app.command("models")(models)
    app.command("promote")(promote)
    app.command("card")(card)
    app.command("rescore")(rescore_command)
    app.command("grades")(grades)


def train(
    product: ProductCode,
    as_of: Day,
    estimator: Annotated[str, typer.Option(help=f"auto, or one of {', '.join(ESTIMATORS)}.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 1,
    central_tendency: Annotated[
        float | None, typer.Option(help="Long-run default rate that PDs of an undated sample are anchored to.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where that rate comes from.")] = "stated on the command line",
    tenant: Tenant = None,
) -> None:
    """Fit a product's model to the ledger as of a day.

    The first model of a product is live at once; later ones wait for `clustercredit promote`.

    Example: clustercredit train credit-score --as-of 2020-02-22
    """
    if estimator not in ("auto", *ESTIMATORS):
        raise typer.BadParameter(f"--estimator is auto or one of {', '.join(ESTIMATORS)}")
    settings = Settings()
    if central_tendency is not None and not 0 < central_tendency < 1:
        raise typer.BadParameter("--central-tendency is a rate between 0 and 1")
    tendency = None if central_tendency is None else CentralTendency(central_tendency, source)
    with tenant_session(open_database(settings), settings, tenant) as session, progress_bar() as report:
        version = training.train(
            session,
            product,
            as_of.date(),
            actor=operator(),
            seed=seed,
            estimator=estimator,
            central_tendency=tendency,
            progress=report,
        )
    print_training(version)


def print_training(version: Version) -> None:
    """Show what a training did."""
    report = version.report
    sample, chosen = report["sample"], report["estimator"]
    candidate = next(row for row in report["validation"]["candidates"] if row["estimator"] == chosen)
    anchor = report["anchor"]
    basis = "observed defaults" if anchor is None else f"anchored to {anchor['rate']:.1%} ({anchor['source']})"
    facts = {
        "sample": f"{sample['rows']:,} snapshots of {sample['firms']:,} firms, {sample['defaulted_firms']:,} defaulted",
        "left out": ", ".join(f"{name} {count:,}" for name, count in report["dropped"].items()),
        "estimator": f"{chosen} ({report['why']})",
        "AUC, unseen firms": f"{candidate['auc']:.3f} [{candidate['low']:.3f}, {candidate['high']:.3f}]",
        "level of the PDs": basis,
        "interval": report["interval"]["kind"],
        "features": ", ".join(feature["name"] for feature in report["features"]),
    }
    table = Table(title=f"{version.name}: {version.state}", show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    console.print(table)
    if version.state == "candidate":
        console.print(f"Make it live with: clustercredit promote {version.product} {version.number}")


def models(tenant: Tenant = None) -> None:
    """List model versions."""
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        versions = training.list_versions(session)
    table = Table(Column("version", no_wrap=True), "state", "as of", "estimator", "trained by", "made live by")
    for version in versions:
        chosen = str(version.report.get("estimator", ""))
        table.add_row(
            version.name, version.state, str(version.as_of), chosen, version.created_by, version.live_by or ""
        )
    console.print(table)


def promote(
    product: ProductCode,
    number: Annotated[int, typer.Argument(help="The version's number.")],
    tenant: Tenant = None,
) -> None:
    """Make a version the live one, in your name; the one before is retired.

    Example: clustercredit promote credit-score 2
    """
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        version = training.promote(session, product, number, operator())
    console.print(f"{version.name} is live.")


def card(
    product: ProductCode,
    out: Annotated[Path | None, typer.Option(help="Where to write it; standard output if not given.")] = None,
    tenant: Tenant = None,
) -> None:
    """Write the live model as a plain JSON card: tables of points that anybody can add up.

    Example: clustercredit card credit-score --out card.json
    """
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        text = json.dumps(artifact.export(training.live_model(session, product).model), ensure_ascii=False, indent=1)
    if out is None:
        print(text)  # noqa: T201 - for pipes
    else:
        out.write_text(text + "\n", encoding="utf-8")
        console.print(f"The card is in {out}.")


def rescore_command(
    product: Annotated[str, typer.Option(help="Code of a loan product.")],
    as_of: Day,
    firms: Annotated[
        Path | None, typer.Option(help="A file with a firm's key a line: score these alone.", exists=True)
    ] = None,
    *,
    publish: Annotated[bool, typer.Option(help="Publish the run if no check fails.")] = True,
    publish_despite: Annotated[
        str | None, typer.Option(help="Publish it even if one does; the reason goes on record.")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Score every firm as of a day, check the run and publish it, which raises alerts; one that broke off is finished.

    The exit status is 2 if a check failed, so that nothing was published.

    Example: clustercredit rescore --product credit-score --as-of 2020-02-22
    """
    if publish_despite is not None and not publish:
        raise typer.BadParameter("--no-publish and --publish-despite exclude each other")
    keys = None if firms is None else firms.read_text(encoding="utf-8").split()
    settings = Settings()
    database = open_database(settings)
    with tenant_session(database, settings, tenant) as session:
        tenant_id = tenant_of(session)
    with progress_bar() as report:
        summary = rescore(
            database,
            tenant_id,
            product,
            as_of.date(),
            operator(),
            report,
            firm_keys=keys,
            is_published=publish,
            despite=publish_despite,
        )
    print_run(summary)
    if publish and summary.state != "published":
        raise typer.Exit(2)


def print_run(summary: RunSummary) -> None:
    """Show what a run did."""
    resumed = " (a run that broke off was finished)" if summary.is_resumed else ""
    console.print(
        f"{summary.as_of}: {summary.scored:,} of {summary.firms:,} firms scored by {summary.model_version},"
        f" {summary.alerts:,} new alerts{resumed}.",
        highlight=False,
    )
    print_checks(summary.checks)
    if summary.held_up is not None:
        console.print(summary.held_up, highlight=False, soft_wrap=True)
    if summary.state == "checked":
        console.print(
            f"Not published. Look at it with: clustercredit runs show {summary.run_id} (and its --tenant)",
            highlight=False,
            soft_wrap=True,
        )
    for refusal in summary.refusals[:5]:
        missing = refusal["missing"]
        assert isinstance(missing, list)
        words = "; ".join(item["text"]["en"] for item in missing)
        console.print(f"  not scored: {refusal['key']}: {words}", highlight=False)
    if summary.refused > 5:
        console.print(f"  not scored: {summary.refused - 5:,} more")


def grades(
    product: Annotated[str, typer.Option(help="Code of a loan product.")], as_of: Day, tenant: Tenant = None
) -> None:
    """Show how the grades of a day are spread, and the riskiest firms with their reasons.

    Example: clustercredit grades --product credit-score --as-of 2020-02-22
    """
    settings = Settings()
    with tenant_session(open_database(settings), settings, tenant) as session:
        print_grades(grades_of_day(session, product, as_of.date()))


def print_grades(views: list[GradeView]) -> None:
    """Show a spread of grades and the five riskiest firms that are not in default."""
    if not views:
        console.print("No firm was scored as of that day. Run: clustercredit rescore --product P --as-of D")
        return
    table = Table("grade", "firms", "share", "", title="Grades (1 best, 15 worst, D in default)")
    for row in share_per_grade(view.grade for view in views):
        if row.count:
            bar = "█" * max(1, round(40 * row.share))
            table.add_row(row.grade, f"{row.count:,}", f"{row.share:.1%}", bar)
    console.print(table)
    if any(view.pd_basis == "anchored" for view in views):
        console.print("The level of these PDs is a stated long-run rate (anchored), not observed: read them as ranks.")
    console.print("[bold]The five riskiest firms that are not in default[/], points against the average firm")
    for view in [view for view in views if view.grade != DEFAULTED][:5]:
        pd = f"PD {view.pd:.1%} [{view.interval_low:.1%}, {view.interval_high:.1%}]"
        console.print(f"  {view.key} {view.name or ''}: grade {view.grade}, {pd}", highlight=False, markup=False)
        for reason in view.reasons:
            console.print(f"    {reason['points']:+6.1f}  {reason['text']['zh-CN']}", highlight=False, soft_wrap=True)
            console.print(f"            {reason['text']['en']}", highlight=False, soft_wrap=True)
