"""import, template, features."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, get_args

import polars as pl
import typer
from rich.table import Table

from features.build import build_matrix
from features.kinds import KINDS
from service.cli.import_summary import print_summary
from service.cli.runtime import Day, Tenant, console, open_database, progress_bar, tenant_session
from service.errors import Conflict
from service.firms.use_cases import read_inputs
from service.imports.adapters import ADAPTERS
from service.imports.adapters.contract import Options
from service.imports.chunks import no_such, sentence
from service.imports.folder import ALL
from service.imports.mapping_file import parse_mapping
from service.imports.page import page_of
from service.imports.readers import Reading
from service.imports.template import BINARY, TemplateFormat, template_of
from service.imports.use_cases import Manner, import_source, source_of
from service.kit import clock
from service.kit.files import make_folder, write_private
from service.kit.formulas import guarded
from service.scoring.publication import complete
from service.scoring.use_cases import context_of
from service.settings import Settings
from service.training.use_cases import product_of


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("import")(import_command)
    app.command("template")(template)
    app.command("features")(features)


def import_command(
    kind: Annotated[str | None, typer.Argument(help="A canonical kind, an adapter, or `all`; see --list.")] = None,
    path: Annotated[Path | None, typer.Argument(help="A file, plain or .gz; of an adapter or `all`, a folder.")] = None,
    *,
    list_kinds: Annotated[bool, typer.Option("--list", help="List kinds and adapters, and stop.")] = False,
    mapping: Annotated[
        Path | None, typer.Option("--map", help="YAML that maps the file's columns to the kind's; see template.")
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Do all but load; rejected rows and report are written all the same.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write a report on quality here: .html or .json.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the file: utf-8, gb18030, utf-16; else it is found.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="What parts a CSV file's fields; 'tab' for a tab.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Of a workbook; else the first.")] = None,
    outcome_on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day to which labels without a date belong; else the source's rule."),
    ] = None,
    rejects: Annotated[Path | None, typer.Option(help="Where rejected rows are named; else under .local.")] = None,
    is_forced: Annotated[bool, typer.Option("--force", help="Write over files named by --rejects, --report.")] = False,
    is_strict: Annotated[bool, typer.Option("--strict", help="End with status 2 if a row was rejected.")] = False,
    tenant: Tenant = None,
) -> None:
    """Load a file, or a source's folder: whole or not at all. Loading it again adds nothing.

    Rows that cannot be loaded are counted, and named in a file with line, column, value, reason and remedy. If all rows
    are such, the exit status is 2.

    `all` loads every file of a folder that is named after a kind, like firm.csv, as `export all` writes it: in the
    order in which kinds need each other, and all in one transaction.

    Example: clustercredit import all everything

    Example: clustercredit import cumcm2020c ../shared/data/cumcm2020c

    Example: clustercredit import invoice invoices.csv --map bank.yaml --preview --report quality.html
    """
    if list_kinds:
        _print_kinds()
        return
    if kind is None or path is None:
        raise typer.BadParameter("give KIND and PATH, or --list")
    if report is not None and report.suffix not in {".html", ".json"}:
        raise typer.BadParameter("--report ends in .html or .json")
    _check_free([place for place in (rejects, report) if place is not None], [path, mapping], is_forced=is_forced)
    settings = Settings()
    manner = Manner(
        mapping=None if mapping is None else parse_mapping(mapping.read_bytes(), mapping.name),
        reading=Reading(encoding=encoding, delimiter=delimiter, sheet=sheet),
        is_preview=preview,
    )
    source_of(kind, manner)
    options = Options(today=clock.today(), outcome_on=None if outcome_on is None else outcome_on.date())
    database = open_database(settings)
    with tenant_session(database, settings, tenant) as session:
        with progress_bar() as progress:
            summary = import_source(session, kind, path, options, progress, manner)
        rejected_to = None
        if summary.rejects.height:
            stamp = clock.now().astimezone(clock.CHINA).strftime("%Y%m%dT%H%M%S")
            rejected_to = rejects or settings.local_dir / "rejects" / f"{kind}-{stamp}.csv"
            rows = summary.rejects.with_columns(guarded(pl.col(pl.String)))
            make_folder(rejected_to.parent)
            write_private(rejected_to, rows.write_csv(include_bom=True).encode())
        if report is not None:
            text = page_of(summary.report) if report.suffix == ".html" else summary.report.model_dump_json(indent=1)
            write_private(report, text.encode())
    if summary.added:
        database.analyze()
    print_summary(summary, rejected_to, report)
    counts = summary.counts()
    if counts["rejected"] and (is_strict or counts["rejected"] == counts["read"]):
        raise typer.Exit(2)


def template(
    kind: Annotated[str, typer.Argument(help="A canonical kind; see import --list.")],
    *,
    format_: Annotated[
        TemplateFormat | None, typer.Option("--format", help="What is written; else as --out ends, or csv.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where; else it is printed, if it is text.")] = None,
    is_forced: Annotated[bool, typer.Option("--force", help="Write over a file of this name.")] = False,
) -> None:
    """Write an empty file of a kind: its columns and one row of examples; as yaml, a mapping to fill in.

    Example: clustercredit template invoice --out invoices.xlsx
    """
    if kind not in KINDS:
        raise typer.BadParameter(sentence(no_such("kind", "种类", kind, KINDS)))
    by_name = {f".{name}": name for name in get_args(TemplateFormat)} | {".yml": "yaml"}
    ending = ".csv" if out is None else out.suffix.lower()
    if format_ is None and ending not in by_name:
        endings = ", ".join(by_name)
        raise typer.BadParameter(f"'{ending}' is no form of a template; give --format or an ending of {endings}")
    chosen: TemplateFormat = format_ or by_name[ending]
    content = template_of(KINDS[kind], chosen)
    if out is not None:
        _write(out, content, is_forced=is_forced)
        console.print(f"{out}", soft_wrap=True)
    elif chosen in BINARY:
        raise typer.BadParameter(f"{chosen} is not text; give --out {kind}.{chosen}")
    else:
        typer.echo(content.decode("utf-8-sig"), nl=False)


def _check_free(places: list[Path], sources: list[Path | None], *, is_forced: bool) -> None:
    """Refuse to write over what is read, ever, and over any other file unless forced."""
    for place in places:
        if place.exists() and any(source is not None and place.samefile(source) for source in sources):
            raise Conflict(f"{place} is what is imported: it would be lost. Name another.")
        if place.is_file() and not is_forced:
            raise _taken(place)


def _write(out: Path, content: bytes, *, is_forced: bool) -> None:
    try:
        with out.open("wb" if is_forced else "xb") as file:
            file.write(content)
    except FileExistsError:
        raise _taken(out) from None


def _taken(place: Path) -> Conflict:
    return Conflict(f"{place} is there already. Name another, or give --force to write over it.")


def _print_kinds() -> None:
    table = Table("kind", "what", "left out")
    for name in [*ADAPTERS, ALL, *KINDS]:
        source = source_of(name)
        table.add_row(name, source.summary, "\n".join(source.left_out))
    console.print(table)


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
