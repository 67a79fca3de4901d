"""What is given out and what is withheld, in which order, of how many rows; and the command."""

import hashlib
import json
from datetime import date

import polars as pl
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from features.consent import permitted
from features.kinds import KINDS
from service.cli import app as app_of_commands
from service.exports import use_cases
from service.exports.use_cases import TooManyRows
from service.exports.writers import FORMS
from service.firms.use_cases import add_inputs, read_inputs
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import clock
from tests.features.rows import consent, firm, inputs, person, record, sale
from tests.service.exports.files import TODAY, load, texts_of, write

BEGAN, ENDED, LAPSED = date(2018, 1, 1), date(2019, 2, 28), date(2024, 2, 28)


def add(session, *rows):
    add_inputs(session, inputs(*rows), lambda *_: None)


def exported(session, kind, folder, known_by=TODAY):
    write(session, kind, place := folder / f"{kind}.csv", known_by)
    return texts_of(place)


def test_rows_stand_in_a_fixed_order_whatever_the_slices(session, tmp_path, monkeypatch):
    keys = ["b", "B", "a-1", "a", "10", "9"]
    rows = [sale(date(2024, 1, 1 + n % 3), 100 + n, firm_id=key) for n in range(30) for key in keys[: 1 + n % 6]]
    add(session, *map(firm, keys), *rows)
    whole = exported(session, "invoice", tmp_path)
    assert whole["firm_id"].unique(maintain_order=True).to_list() == sorted(keys)
    assert whole.height == len(rows)
    typed = whole.with_columns(pl.col("^.*_fen$").cast(pl.Int64))
    assert typed.equals(typed.sort(whole.columns))
    monkeypatch.setattr(use_cases, "SLICE_ROWS", 7)
    for form in FORMS:
        one, many = tmp_path / f"invoice.{form}", tmp_path / f"invoice-many.{form}"
        with monkeypatch.context() as patch:
            patch.setattr(use_cases, "SLICE_ROWS", 10**6)
            write(session, "invoice", one)
        steps: list[tuple[str, int, int]] = []
        write(session, "invoice", many, progress=lambda *step, steps=steps: steps.append(step))
        assert one.read_bytes() == many.read_bytes(), form
        assert len(steps) >= 6
        assert steps[-1] == ("invoice", len(rows), len(rows))


def test_what_was_known_later_is_left_out(session, tmp_path):
    add(session, firm(), firm("G", on=date(2024, 3, 1)), firm("H", on=date(2024, 1, 1), known=date(2024, 3, 2)))
    assert exported(session, "firm", tmp_path, date(2024, 3, 1))["firm_id"].to_list() == ["F", "G"]
    assert exported(session, "firm", tmp_path, date(2019, 1, 1)).height == 0


def test_rows_of_who_withdrew_are_withheld(session, tmp_path):
    rows = [person(who, date(2010, 1, 1)) for who in "ab"] + [record(who, 45) for who in "ab"]
    given = [consent(who, scope) for who in "ab" for scope in ("owner_data", "bureau")]
    add(session, firm(), *rows, *given)
    assert exported(session, "person", tmp_path)["person_id"].to_list() == ["a", "b"]
    add(session, consent("a", on=date(2024, 3, 1), given=False))
    # As of days before the withdrawal too.
    for day in (TODAY, date(2024, 1, 1)):
        assert exported(session, "person", tmp_path, day)["person_id"].to_list() == ["b"]
        assert exported(session, "personal_record", tmp_path, day)["person_id"].to_list() == ["a", "b"]
    add(session, consent("a", "bureau", on=date(2024, 3, 1), given=False))
    assert exported(session, "personal_record", tmp_path)["person_id"].to_list() == ["b"]
    assert exported(session, "consent", tmp_path).height == 6


def test_rows_without_a_consent_are_in_the_copy_and_in_no_feature(session, tmp_path):
    add(session, firm(), person("a", date(2010, 1, 1)), record("a", 45))
    for kind in ("person", "personal_record"):
        assert exported(session, kind, tmp_path)["person_id"].to_list() == ["a"]
    used = permitted(read_inputs(session, TODAY), TODAY)
    assert (used.persons.height, used.personal_records.height) == (0, 0)


def test_records_past_their_years_say_none_and_come_back_alike(session, database, tmp_path, monkeypatch):
    add(session, firm(), record("a", 200, on=BEGAN), record("a", 200, ENDED, on=BEGAN), record("b", 45, on=BEGAN))
    monkeypatch.setattr(clock, "today", lambda: date(2024, 2, 27))
    assert exported(session, "personal_record", tmp_path)["days_past_due"].to_list() == ["200", "45", "200"]
    monkeypatch.setattr(clock, "today", lambda: LAPSED)
    rows = exported(session, "personal_record", tmp_path)
    assert rows.select("person_id", "record", "days_past_due", "known_on").rows() == [
        ("a", "none", None, "2018-01-01"),
        ("b", "late_payment", "45", "2018-01-01"),
    ]
    exported(session, "firm", tmp_path)
    with database.session() as other:
        create_tenant(other, "another bank, for lapsed records")
        for kind in ("firm", "personal_record"):
            load(other, kind, tmp_path / f"{kind}.csv")
        (tmp_path / "again").mkdir()
        assert exported(other, "personal_record", tmp_path / "again").equals(rows)
        other.rollback()


def test_more_rows_than_may_be_are_refused_before_any_is_written(session, tmp_path, monkeypatch):
    add(session, firm(), *(sale(date(2024, 1, 1), 100 + n) for n in range(4)))
    with pytest.raises(TooManyRows, match=r"4 rows of 'invoice', and 3 are the most here. Do that."):
        write(session, "invoice", tmp_path / "invoice.csv", most_rows=3, instead="Do that.")
    assert (tmp_path / "invoice.csv").read_bytes() == b""
    monkeypatch.setitem(FORMS, "xlsx", FORMS["xlsx"].__class__("xlsx", "", FORMS["xlsx"].write, 3))
    with pytest.raises(TooManyRows, match=r"a file in XLSX holds 3. Export CSV, NDJSON or Parquet."):
        write(session, "invoice", tmp_path / "invoice.xlsx")


def test_days_before_spreadsheets_count_and_long_numbers_are_text(session, tmp_path):
    add(session, firm(founded_on=date(1899, 12, 31), name="=1+1"), firm("G", founded_on=date(1900, 3, 1)))
    write(session, "firm", place := tmp_path / "firm.xlsx")
    assert texts_of(place)["founded_on"].to_list() == ["1899-12-31", "1900-03-01"]
    assert texts_of(place)["name"].to_list() == ["'=1+1", "G"]


@pytest.fixture
def run(database, tenant, monkeypatch):
    for module in ("exports", "data"):
        monkeypatch.setattr(f"service.cli.{module}.open_database", lambda _: database)
    monkeypatch.setenv("CLUSTERCREDIT_TENANT", tenant)
    monkeypatch.setenv("COLUMNS", "300")

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app_of_commands, list(map(str, arguments)))
        assert result.exit_code == code, (result.output, result.exception)
        return result.output + str(result.exception or "")

    return invoke


def _entries(database, tenant):
    query = text("select body from audit_pending where body like '%export.made%'")
    with database.session(tenant_id_of(tenant)) as session:
        return [json.loads(body) for body in session.execute(query).scalars()]


def test_the_command_writes_a_file_whole_with_an_entry_of_its_hash(run, database, tenant, tmp_path):
    with database.session(tenant_id_of(tenant)) as session:
        add(session, firm(), firm("G"))
    place = tmp_path / "firms.parquet"
    assert f"firm: 2 rows in {place}" in run("export", "firm", place)
    assert pl.read_parquet(place)["firm_id"].to_list() == ["F", "G"]
    assert place.stat().st_mode & 0o777 == 0o600
    (entry,) = _entries(database, tenant)
    assert entry["after"] == hashlib.sha256(place.read_bytes()).hexdigest()
    assert entry["facts"] == {"format": "parquet", "kind": "firm", "known_by": clock.today().isoformat(), "rows": 2}
    before = place.read_bytes()
    assert "is there already" in run("export", "firm", place, code=1)
    assert place.read_bytes() == before
    assert "firm: 0 rows" in run("export", "firm", tmp_path / "f", "--format", "csv", "--known-by", "1990-01-01")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "firms.parquet"]
    run("export", "firm", tmp_path / "firms.pdf", code=2)
    run("export", "nothing", tmp_path / "x.csv", code=2)


def test_the_command_writes_every_kind_or_none(run, database, tenant, tmp_path, monkeypatch):
    with database.session(tenant_id_of(tenant)) as session:
        add(session, firm(), sale(date(2024, 1, 1), 100))
    run("export", "all", tmp_path / "all")
    assert {path.name for path in (tmp_path / "all").iterdir()} == {f"{kind}.csv" for kind in KINDS}
    assert len(_entries(database, tenant)) == len(KINDS)
    assert texts_of(tmp_path / "all" / "firm.csv")["firm_id"].to_list() == ["F"]
    assert "is there already" in run("export", "all", tmp_path / "all", code=1)
    monkeypatch.setitem(FORMS, "csv", FORMS["csv"].__class__("csv", "", FORMS["csv"].write, 0))
    run("export", "all", tmp_path / "more", "--format", "csv", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["all"]
    assert len(_entries(database, tenant)) == len(KINDS)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_all_that_was_exported_is_imported_elsewhere_though_most_kinds_have_no_rows(
    run, database, tenant, tmp_path, form
):
    there, back, other = tmp_path / "there", tmp_path / "back", f"after {tenant}"
    with database.session() as session:
        create_tenant(session, other)
    with database.session(tenant_id_of(tenant)) as session:
        add(session, firm(), sale(date(2024, 1, 1), 100))
    run("export", "all", there, "--format", form)
    (there / "notes.txt").write_text("what we agreed")
    told = run("import", "all", there, "--tenant", other, "--preview")
    assert "nothing was loaded" in told
    assert "left out: 1 not named after a kind 未以数据种类命名: notes.txt" in told
    assert f"no rows 没有数据行: person.{form}, loan.{form}, " in told
    assert "rejected: " not in run("import", "all", there, "--tenant", other)
    run("export", "all", back, "--format", form, "--tenant", other)
    assert all((there / path.name).read_bytes() == path.read_bytes() for path in back.iterdir())
