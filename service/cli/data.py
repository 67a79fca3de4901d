"""import, features."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from features.build import build_matrix
from features.kinds import KINDS
from service.cli.runtime import Day, Tenant, console, open_database, progress_bar, tenant_session
from service.firms.use_cases import read_inputs
from service.imports.adapters import ADAPTERS
from service.imports.adapters.contract import Options
from service.imports.use_cases import ImportSummary, import_source, source_of
from service.kit import clock
from service.scoring.publication import complete
from service.scoring.use_cases import context_of
from service.settings import Settings
from service.training.use_cases import product_of


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("import")(import_command)
    app.command("features")(features)


def import_command(
    kind: Annotated[str | None, typer.Argument(help="A canonical kind or an adapter; see --list.")] = None,
    path: Annotated[Path | None, typer.Argument(help="A CSV file, plain or .gz; for an adapter, its folder.")] = None,
    *,
    list_kinds: Annotated[bool, typer.Option("--list", help="List kinds and adapters, and stop.")] = False,
    outcome_on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day to which labels without a date belong; else the source's rule."),
    ] = None,
    rejects: Annotated[Path | None, typer.Option(help="Where rejected rows are written; else under .local.")] = None,
    tenant: Tenant = None,
) -> None:
    """Load a file, or a source's folder: whole or not at all. Loading it again adds nothing.

    Rows that cannot be loaded are counted, and written to a file with line, column, value and reason.

    Example: clustercredit import cumcm2020c ../shared/data/cumcm2020c
    """
    if list_kinds:
        _print_kinds()
        return
    if kind is None or path is None:
        raise typer.BadParameter("give KIND and PATH, or --list")
    settings = Settings()
    source_of(kind)
    options = Options(today=clock.today(), outcome_on=None if outcome_on is None else outcome_on.date())
    database = open_database(settings)
    with tenant_session(database, settings, tenant) as session:
        with progress_bar() as report:
            summary = import_source(session, kind, path, options, report)
        rejected_to = None
        if summary.rejects.height:
            stamp = clock.now().strftime("%Y%m%dT%H%M%S")
            rejected_to = rejects or settings.local_dir / "rejects" / f"{kind}-{stamp}.csv"
            rejected_to.parent.mkdir(parents=True, exist_ok=True)
            summary.rejects.write_csv(rejected_to, include_bom=True)
    if summary.added:
        database.analyze()
    _print_summary(summary, rejected_to)


def _print_kinds() -> None:
    table = Table("kind", "what", "left out")
    for name in [*ADAPTERS, *KINDS]:
        source = source_of(name)
        table.add_row(name, source.summary, "\n".join(source.left_out))
    console.print(table)


def _print_summary(summary: ImportSummary, rejected_to: Path | None) -> None:
    counts = ("read", "added", "already_known", "repeated", "rejected")
    table = Table("file and kind")
    for name in counts:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for line in summary.files:
        table.add_row(f"{line.file} {line.kind}", *(f"{getattr(line, name):,}" for name in counts))
    totals = [sum(getattr(line, name) for line in summary.files) for name in counts]
    table.add_section()
    table.add_row("all", *(f"{total:,}" for total in totals))
    console.print(table)
    for words in summary.left_out:
        console.print(f"left out: {words}", highlight=False)
    if rejected_to is not None:
        for file, line, column, value, reason in summary.rejects.head(5).iter_rows():
            console.print(f"rejected: {file}, line {line}, {column} '{value}': {reason}", highlight=False, markup=False)
        console.print(f"{summary.rejects.height:,} rejected rows are in {rejected_to}", style="yellow", soft_wrap=True)


def features(
    product: Annotated[str, typer.Option(help="Code of a loan product.")],
    as_of: Day,
    out: Annotated[Path, typer.Option(help="Where to write the matrix: .parquet or .csv.")],
    tenant: Tenant = None,
) -> None:
    """Write the feature matrix of every firm as of a day.

    Example: clustercredit features --product credit-score --as-of 2020-02-21 --out matrix.parquet
    """
    if out.suffix not in {".parquet", ".csv"}:
        raise typer.BadParameter("--out ends in .parquet or .csv")
    settings, day = Settings(), as_of.date()
    with tenant_session(open_database(settings), settings, tenant) as session, progress_bar() as report:
        report("reading the ledger", 0, 2)
        inputs = read_inputs(session, day)
        report("computing features", 1, 2)
        names = product_of(product).features
        context = complete(session, context_of(session, day)[1], names, inputs)
        frame = build_matrix(inputs, context, names, day).frame()
    if out.suffix == ".csv":
        frame.write_csv(out)
    else:
        frame.write_parquet(out)
    console.print(f"{frame.height:,} firms x {frame.width - 1} columns in {out}")
