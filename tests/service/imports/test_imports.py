"""The import door: whole or not at all, good rows loaded, bad ones named, twice the same as once."""

import gzip
import re
from contextlib import suppress
from datetime import date

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.firms.use_cases import read_inputs
from service.identity.use_cases import tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.chunks import ImportFailedError
from service.imports.use_cases import import_source

TODAY = Options(today=date(2024, 12, 31))
FIRMS = "firm_id,observed_on,name\nE1,2024-01-01,甲\nE2,2024-01-01,乙\n"
HEADER = "firm_id,observed_on,known_on,direction,number,counterparty,has_linked_codes,net_fen,vat_fen,gross_fen,is_void"


def invoice(**change):
    row = {
        "firm_id": "E1",
        "observed_on": "2024-05-01",
        "known_on": "",
        "direction": "output",
        "number": "7",
        "counterparty": "B1",
        "has_linked_codes": "false",
        "net_fen": "1000",
        "vat_fen": "130",
        "gross_fen": "1130",
        "is_void": "0",
    } | change
    return ",".join(row[name] for name in HEADER.split(","))


@pytest.fixture
def firms(session, tmp_path):
    path = tmp_path / "firms.csv"
    path.write_text(FIRMS)
    return import_source(session, "firm", path, TODAY)


def load(session, tmp_path, *lines, kind="invoice", header=HEADER, name="file.csv"):
    path = tmp_path / name
    data = "\n".join([header, *lines]).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return import_source(session, kind, path, TODAY)


def test_rows_come_back_as_they_went_in(session, firms, tmp_path):
    summary = load(session, tmp_path, invoice(), invoice(number="", net_fen="-1000", vat_fen="-130", gross_fen="-1130"))
    assert (summary.files[0].read, summary.files[0].added) == (2, 2)
    rows = read_inputs(session, date(2024, 12, 31)).invoices.sort("net_fen")
    assert rows["gross_fen"].to_list() == [-1130, 1130]
    assert rows["number"].to_list() == [None, "7"]
    assert rows["known_on"].to_list() == [date(2024, 5, 1)] * 2
    assert read_inputs(session, date(2024, 4, 30)).invoices.height == 0


def test_twice_the_same_as_once(session, firms, tmp_path):
    load(session, tmp_path, invoice(), invoice(number="8"))
    again = load(session, tmp_path, invoice(), invoice(number="8"), invoice(known_on="2024-06-01"))
    line = again.files[0]
    assert (line.read, line.added, line.already_known, line.repeated) == (3, 0, 2, 1)


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"observed_on": "2024-13-01"}, "observed_on", "no such day"),
        ({"observed_on": "2025-01-01"}, "observed_on", "not between"),
        ({"known_on": "2024-04-30"}, "known_on", "known before"),
        ({"known_on": "2025-01-01"}, "known_on", "future"),
        ({"direction": "sideways"}, "direction", "not one of"),
        ({"net_fen": "10.5"}, "net_fen", "whole number"),
        ({"net_fen": "9999999999999999999"}, "net_fen", "whole number"),
        ({"net_fen": ""}, "net_fen", "required"),
        ({"net_fen": "-9223372036854775808"}, "net_fen", "not between -999,999,999,999,999 and"),
        ({"net_fen": "１００"}, "net_fen", "whole number"),
        ({"observed_on": "２０２４-05-01"}, "observed_on", "not a date"),
        ({"gross_fen": "1500"}, "gross_fen", "add up"),
        ({"is_void": "maybe"}, "is_void", "true or false"),
        ({"firm_id": "E9"}, "firm_id", "no such firm"),
        ({"firm_id": "9135 0211"}, "firm_id", "letters, digits"),
        ({"counterparty": "a\x07b"}, "counterparty", "control"),
        ({"counterparty": "x" * 201}, "counterparty", "longer than 200"),
    ],
)
def test_a_bad_row_is_named_and_the_good_ones_are_loaded(session, firms, tmp_path, change, column, reason):
    summary = load(session, tmp_path, invoice(number="1"), invoice(**change), invoice(number="3"))
    line = summary.files[0]
    assert (line.read, line.added, line.rejected) == (3, 2, 1)
    file, number, named, value, why, *others = summary.rejects.row(0)
    assert (file, number, named) == ("file.csv", 3, column)
    assert value == change[column][:200]
    assert reason in why
    assert all(others)


def test_rows_that_are_no_rows_are_named(session, firms, tmp_path):
    path = tmp_path / "file.csv"
    lines = [HEADER, invoice(number="1"), "E1,2024", invoice(counterparty="\xff"), "", invoice(number="2")]
    path.write_bytes("\n".join(lines).encode("latin-1"))
    summary = import_source(session, "invoice", path, TODAY)
    named = list(summary.rejects.select("line", "reason").iter_rows())
    assert named == [(3, "2 fields where the header has 11"), (4, "not UTF-8 text")]
    assert (summary.files[0].read, summary.files[0].added) == (4, 2)


@pytest.mark.parametrize("rows_after", [5, 4000])
def test_a_quote_left_open_rejects_every_line_that_it_swallows(session, firms, tmp_path, rows_after):
    good = [invoice(number=str(number)) for number in range(rows_after)]
    summary = load(session, tmp_path, good[0], invoice(counterparty='"B1'), *good[1:])
    line = summary.files[0]
    assert line.read == rows_after + 1 == line.added + line.rejected
    assert summary.rejects["line"].to_list()[:2] == [3, 4]
    assert "opens on line 3" in summary.rejects["reason"][0]
    assert line.added >= 1


def test_the_earliest_day_that_a_row_was_known_on_counts(session, firms, tmp_path):
    load(
        session,
        tmp_path,
        invoice(known_on="2024-06-01"),
        invoice(known_on="2024-05-02"),
        invoice(known_on="2024-07-01"),
    )
    assert read_inputs(session, date(2024, 12, 31)).invoices["known_on"].to_list() == [date(2024, 5, 2)]


def test_a_row_that_the_ledger_has_with_another_known_day_is_told(session, firms, tmp_path):
    load(session, tmp_path, invoice(known_on="2024-05-02"), invoice(number="8", known_on="2024-05-02"))
    again = load(session, tmp_path, invoice(known_on="2024-07-01"), invoice(number="8", known_on="2024-05-02"))
    (warning,) = (found for found in again.report.sections[0].findings if found.severity == "warning")
    assert (warning.group, warning.column, warning.count) == ("time", "known_on", 1)
    assert "another known_on, and keeps it" in warning.reason.en
    undated = load(session, tmp_path, invoice())
    assert [found.severity for found in undated.report.sections[0].findings] == ["note"]


@pytest.mark.parametrize("value", ["1.23457E+19", "1E+20", "#REF!", "#N/A"])
def test_what_a_spreadsheet_leaves_of_a_long_number_is_rejected(session, firms, tmp_path, value):
    summary = load(session, tmp_path, invoice(number=value), invoice(number="E+1"))
    assert summary.rejects.select("column", "value").rows() == [("number", value)]
    assert "what a spreadsheet leaves" in summary.rejects["reason"].item()


def test_blanks_around_a_value_do_not_make_another_row(session, firms, tmp_path):
    summary = load(session, tmp_path, invoice(), invoice(counterparty=" B1 "))
    assert (summary.files[0].added, summary.files[0].repeated) == (1, 1)


def test_a_loan_belongs_to_one_firm(session, firms, tmp_path):
    header = "firm_id,observed_on,loan_id,product,principal_fen,matures_on"
    rows = ["E1,2024-01-01,L1,p,100,2025-01-01", "E2,2024-01-01,L1,p,100,2025-01-01", "E2,2024-01-01,L2,p,100,"]
    first = load(session, tmp_path, *rows, kind="loan", header=header)
    assert (first.files[0].added, first.rejects["line"].to_list()) == (2, [3])
    again = load(session, tmp_path, "E1,2024-02-01,L2,p,100,", kind="loan", header=header)
    reason = "another firm has a loan of this number; loan numbers are unique in the whole bank"
    assert [summary.rejects["reason"].item() for summary in (first, again)] == [reason, reason]


def test_a_loan_that_another_firm_was_given_meanwhile(database, tenant, tmp_path):
    """Its row was checked while nobody had the number: the import fails whole, and rejects the row the next time."""
    header, tenant_id = "firm_id,observed_on,loan_id,product,principal_fen,matures_on", tenant_id_of(tenant)
    firms, mine, theirs = (tmp_path / name for name in ("firms.csv", "mine.csv", "theirs.csv"))
    firms.write_text(FIRMS)
    mine.write_text(f"{header}\nE1,2024-01-01,L1,p,100,\n")
    theirs.write_text(f"{header}\nE2,2024-01-01,L1,p,100,\n")

    def load_file(kind, path, progress=lambda *_: None):
        with database.session(tenant_id) as session:
            return import_source(session, kind, path, TODAY, progress)

    def overtake(_, done, total):
        if done == total:
            load_file("loan", theirs)

    load_file("firm", firms)
    with pytest.raises(ImportFailedError, match="loan L1: another firm was just given"):
        load_file("loan", mine, overtake)
    again = load_file("loan", mine)
    assert (again.files[0].added, again.files[0].rejected) == (0, 1)


def test_an_amount_in_full_width_digits_is_rejected(session, contest):
    name = "unlabelled_output_invoices.csv.gz"
    (contest / name).write_bytes(gzip.compress(CONTEST[name].replace("1.005,0,1.005", "１００,0,100").encode()))
    summary = import_source(session, "cumcm2020c", contest, TODAY)
    assert ("金额", "１００") in list(summary.rejects.select("column", "value").iter_rows())


@pytest.mark.parametrize("name", ["file.csv", "file.csv.gz"])
def test_gzip_bom_quotes_and_line_ends(session, firms, tmp_path, name):
    path = tmp_path / name
    data = "\ufeff" + HEADER + "\r\n" + invoice(counterparty='"B, ""1"""') + "\r\n"
    path.write_bytes(gzip.compress(data.encode()) if name.endswith("gz") else data.encode())
    assert import_source(session, "invoice", path, TODAY).added == 1
    assert read_inputs(session, date(2024, 12, 31)).invoices["counterparty"].item() == 'B, "1"'


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("absent.csv", None, "No such file"),
        ("empty.csv", b"", "empty"),
        (
            "columns.csv",
            b"firm_id,observed_on\nE1,2024-01-01\n",
            "columns are missing: 'direction', 'counterparty', 'has_linked_codes'",
        ),
        ("twice.csv", (HEADER + ",net_fen\n").encode(), "'net_fen' stands twice"),
        ("optional.csv", (HEADER + ",known_on\n").encode(), "'known_on' stands twice"),
        ("damaged.csv.gz", gzip.compress((HEADER + "\n" + "x\n" * 9999).encode())[:-20], "damaged after line"),
        ("notgzip.csv.gz", b"hello", "its name says gzip"),
        ("long.csv", HEADER.encode() + b"\n" + b"x" * (1 << 20), "longer than"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_loaded(session, firms, tmp_path, name, data, words):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ImportFailedError, match=words) as failure:
        import_source(session, "invoice", path, TODAY)
    assert name in str(failure.value)
    assert re.search(" / .*[一-龥].*；.*[一-龥]", str(failure.value))


def test_all_missing_columns_are_named_with_what_may_be_meant_and_what_to_do(session, tmp_path):
    path = tmp_path / "firms.csv"
    path.write_text("企业编号,Observed-On,day\nE1,2024-01-01,甲\n")
    with pytest.raises(ImportFailedError) as failure:
        import_source(session, "firm", path, TODAY)
    en, zh = str(failure.value).split(" / ")
    assert "missing: 'firm_id' (is it '企业编号'?), 'observed_on' (is it 'Observed-On'?), 'name'; columns found: " in en
    assert (
        "name them as 'clustercredit template firm' does, or map your own columns with --map (docs/import-door.md); "
        "delete rows that stand above the header" in en
    )
    assert "'firm_id'（是否即 '企业编号'？）、'observed_on'（是否即 'Observed-On'？）、'name'；文件中的列：" in zh
    assert (
        "请按 clustercredit template firm 的列名填写，或用 --map 映射贵行的列（见 docs/import-door.md）；表头上方" in zh
    )


@pytest.mark.parametrize("written", ["11010519491231002X", "1101 0519 4912 3100 2X", "110105491231002"])
def test_a_file_without_a_header_does_not_give_its_first_person_away(session, tmp_path, written):
    path = tmp_path / "people.csv"
    path.write_text(f"E1,2024-01-01,{written},owner\n")
    with pytest.raises(ImportFailedError, match=r"columns found: E1, 2024-01-01, \*\*\*, owner"):
        import_source(session, "person", path, TODAY)


PLAIN_IDS = [
    "11010519491231002X",
    "11010519491231002x",
    "440524188001010014",
    "110105 19491231 002X",
    "110105-19491231-002X",
    "１１０１０５１９４９１２３１００２Ｘ",
    "110105491231002",
    "1101 0519 4912 3100 2X",
    "110105.19491231.002X",
    "1101.0549.1231.002",
    "110105194912310021",
    "123456789012345678",
    "王:11010519491231002X",
    "id11010519491231002Xb",
]
PERSONAL = {
    "person": ("firm_id,observed_on,person_id,role", "E1,2024-01-01,{},owner"),
    "consent": (
        "firm_id,observed_on,person_id,scope,purpose,is_given",
        "E1,2024-01-01,{},bureau,credit_assessment,true",
    ),
    "personal_record": ("firm_id,observed_on,person_id,record,days_past_due", "E1,2024-01-01,{},late_payment,9"),
}


@pytest.mark.parametrize("kind", PERSONAL)
@pytest.mark.parametrize("plain", PLAIN_IDS)
def test_a_national_id_is_no_pseudonym_and_is_repeated_nowhere(session, firms, tmp_path, kind, plain):
    header, row = PERSONAL[kind]
    summary = load(session, tmp_path, row.format(plain), row.format("P1"), kind=kind, header=header)
    assert summary.files[0].added == 1
    assert summary.rejects.select("line", "column", "value").row(0) == (2, "person_id", "***")
    assert "national identity number" in summary.rejects["reason"].item()


@pytest.mark.parametrize(
    "plain",
    [
        "11010519491231002X",
        "王 110105 19491231 002x",
        "１１０１０５１９４９１２３１００２Ｘ",
        "1101 0519 4912 3100 2X",
        "110105.19491231.002X",
        "110105–19491231–002X",
    ],
)
def test_a_number_in_any_other_text_is_refused_and_repeated_nowhere(session, tmp_path, plain):
    summary = load(
        session, tmp_path, f"E1,2024-01-01,{plain}", "E2,2024-01-01,乙", kind="firm", header="firm_id,observed_on,name"
    )
    assert summary.files[0].added == 1
    assert summary.rejects.select("line", "column", "value").row(0) == (2, "name", "***")
    assert "identity number" in summary.rejects["reason"].item()


@pytest.mark.parametrize("kind", PERSONAL)
@pytest.mark.parametrize(
    "pseudonym",
    [
        "P1",
        "0123456789",
        "550e8400-e29b-41d4-a716-446655440000",
        "91350211M000100Y46",
        "a1101054-9123-1002-a716-446655440000",
        "20240101123456789012",
        "7" * 64,
    ],
)
def test_a_pseudonym_is_taken(session, firms, tmp_path, kind, pseudonym):
    header, row = PERSONAL[kind]
    assert load(session, tmp_path, row.format(pseudonym), kind=kind, header=header).added == 1


@pytest.mark.parametrize("kind", PERSONAL)
@pytest.mark.parametrize(
    "damage",
    [
        lambda row: row.replace("2024-01-01", "someday"),
        lambda row: row + ",,,,",
        lambda row: row + "\xff",
        lambda row: row.replace("E1", "E9"),
        lambda row: row.replace("E1", "E1," + "x" * 190),
    ],
)
def test_a_row_rejected_for_something_else_does_not_give_the_id_away(session, firms, tmp_path, kind, damage):
    header, row = PERSONAL[kind]
    path = tmp_path / "file.csv"
    path.write_bytes("\n".join([header, damage(row.format("11010519491231002X"))]).encode("latin-1"))
    summary = import_source(session, kind, path, TODAY)
    assert summary.files[0].rejected == 1
    assert "1949" not in summary.rejects.write_csv()


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("E1,2021-03-01,2021-03-01,P1,late_payment,,", "days_past_due", "required of a late payment"),
        ("E1,2021-03-01,2021-03-01,P1,judgment,-1,", "days_past_due", "between 0 and 20,000"),
        ("E1,2021-03-01,2021-06-01,P1,judgment,,2021-02-28", "ended_on", "before observed_on"),
        ("E1,2021-03-01,2021-05-31,P1,judgment,,2021-06-01", "ended_on", "after known_on"),
        ("E1,2021-03-01,2021-03-01,P1,gossip,,", "record", "not one of"),
        ("E1,2021-03-01,2021-03-01,P1,none,0,", "days_past_due", "nothing on file"),
        ("E1,2021-03-01,2021-03-01,P1,none,,2021-03-01", "ended_on", "nothing on file"),
        ("E1,2021-03-01,2021-03-01,,judgment,,", "person_id", "required"),
    ],
)
def test_a_personal_record_that_cannot_be(session, firms, tmp_path, row, column, reason):
    header = "firm_id,observed_on,known_on,person_id,record,days_past_due,ended_on"
    good = "E1,2021-03-01,2021-06-01,P1,judgment,,2021-06-01"
    summary = load(session, tmp_path, row, good, kind="personal_record", header=header)
    assert summary.files[0].added == 1
    assert summary.rejects["column"].item() == column
    assert reason in summary.rejects["reason"].item()


@pytest.mark.parametrize("purpose", ["monitoring", "guarantee", ""])
def test_a_purpose_that_nothing_serves_is_not_taken(session, firms, tmp_path, purpose):
    header = "firm_id,observed_on,person_id,scope,purpose,is_given"
    summary = load(session, tmp_path, f"E1,2024-01-01,P1,bureau,{purpose},1", kind="consent", header=header)
    assert (summary.files[0].added, summary.rejects["column"].to_list()) == (0, ["purpose"])


def test_nothing_on_file_is_a_record_of_its_own(session, firms, tmp_path):
    header = "firm_id,observed_on,person_id,record"
    assert load(session, tmp_path, "E1,2024-01-01,P1,none", kind="personal_record", header=header).added == 1
    known = read_inputs(session, date(2024, 1, 1)).personal_records
    assert known.select("record", "days_past_due", "ended_on").rows() == [("none", None, None)]


def test_consents_and_records_come_back_as_they_went_in(session, firms, tmp_path):
    lines = ["E1,2024-01-01,,automated_decision,credit_assessment,0", "E1,2024-01-01,P1,bureau,credit_assessment,1"]
    header = "firm_id,observed_on,person_id,scope,purpose,is_given"
    load(session, tmp_path, *lines, kind="consent", header=header)
    header = "firm_id,observed_on,known_on,person_id,record,days_past_due,ended_on"
    load(session, tmp_path, "E1,2021-03-01,,P1,judgment,,", kind="personal_record", header=header)
    load(session, tmp_path, "E1,2021-03-01,2024-06-01,P1,judgment,7,2024-05-31", kind="personal_record", header=header)
    known = read_inputs(session, date(2024, 12, 31))
    assert known.consents.sort("person_id").drop("firm_id", "observed_on", "known_on").rows() == [
        (None, "automated_decision", "credit_assessment", False),
        ("P1", "bureau", "credit_assessment", True),
    ]
    assert known.personal_records.sort("known_on").select("days_past_due", "ended_on").rows() == [
        (None, None),
        (7, date(2024, 5, 31)),
    ]
    assert read_inputs(session, date(2024, 5, 31)).personal_records["ended_on"].to_list() == [None]


def test_an_unknown_kind_lists_the_known_ones(session, tmp_path):
    with pytest.raises(ImportFailedError, match="cumcm2020c"):
        import_source(session, "nothing", tmp_path, TODAY)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_bytes_are_either_loaded_rejected_or_a_clear_failure(session, firms, tmp_path, data):
    path = tmp_path / "any.csv"
    path.write_bytes(HEADER.encode() + b"\n" + data)
    with suppress(ImportFailedError), session.begin_nested():
        summary = import_source(session, "invoice", path, TODAY)
        line = summary.files[0] if summary.files else None
        assert line is None or line.read == line.added + line.already_known + line.repeated + line.rejected


CONTEST = {
    "labelled_firms.csv": "企业代号,企业名称,信誉评级,是否违约\nE1,甲,A,否\nE2,乙,D,是\n",
    "unlabelled_firms.csv": "企业代号,企业名称\nE3,丙 \n",
    "labelled_output_invoices.csv.gz": "企业代号,发票号码,开票日期,购方单位代号,金额,税额,价税合计,发票状态\n"
    "E1,1,2019-01-01,B1,100.0,13.0,113.0,有效发票\n"
    "E1,1,2019-01-01,B1,100.0,13.0,113.0,有效发票\n"
    "E1,2,2019-01-01,B1,-100.0,-13.0,-113.0, 作废发票\n"
    "E2,3,2019-02-01,B1,-4.64,0.46,-5.1,有效发票\n"
    "E9,4,2019-02-01,B1,1,0,1,有效发票\n",
    "labelled_input_invoices.csv.gz": "企业代号,发票号码,开票日期,销方单位代号,金额,税额,价税合计,发票状态\n",
    "unlabelled_output_invoices.csv.gz": "企业代号,发票号码,开票日期,购方单位代号,金额,税额,价税合计,发票状态\n"
    "E3,5,2019-03-01,D1,1.005,0,1.005,有效发票\n",
    "unlabelled_input_invoices.csv.gz": "企业代号,发票号码,开票日期,销方单位代号,金额,税额,价税合计,发票状态\n"
    "E3,6,2019-03-31,C1,10,1.3,11.3,有效发票\n",
}


@pytest.fixture
def contest(tmp_path):
    for name, content in CONTEST.items():
        data = content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return tmp_path


def test_the_contest_files_are_read_as_they_are(session, contest):
    summary = import_source(session, "cumcm2020c", contest, TODAY)
    counts = {(line.file, line.kind): (line.read, line.added, line.repeated, line.rejected) for line in summary.files}
    assert counts["labelled_output_invoices.csv.gz", "invoice"] == (5, 2, 1, 2)
    assert counts["unlabelled_output_invoices.csv.gz", "invoice"] == (1, 0, 0, 1)
    assert counts["unlabelled_input_invoices.csv.gz", "invoice"] == (1, 1, 0, 0)
    assert counts["labelled_firms.csv", "repayment_status"] == (2, 2, 0, 0)
    named = [tuple(row) for row in summary.rejects.select("line", "column", "value").iter_rows()]
    assert named == [(5, "价税合计", "-5.1"), (6, "企业代号", "E9"), (2, "金额", "1.005")]
    inputs = read_inputs(session, date(2024, 12, 31))
    assert inputs.invoices.filter("is_void").height == 1
    assert not inputs.invoices["has_linked_codes"].any()
    assert set(inputs.repayment_statuses["observed_on"]) == {date(2019, 4, 1)}
    assert inputs.repayment_statuses.filter(pl.col("default_event").is_not_null())["firm_id"].to_list() == ["E2"]
    assert inputs.repayment_statuses["is_undated"].all()
    assert any("信誉评级" in words for words in summary.left_out)
    assert "信誉评级" not in str(inputs.frames())
    assert import_source(session, "cumcm2020c", contest, TODAY).added == 0


def test_labels_belong_to_the_day_that_is_given(session, contest):
    import_source(session, "cumcm2020c", contest, Options(today=date(2024, 12, 31), outcome_on=date(2020, 6, 30)))
    assert set(read_inputs(session, date(2024, 12, 31)).repayment_statuses["known_on"]) == {date(2020, 6, 30)}


def test_the_real_contest_files_reconcile_to_the_row(session, shared_data):
    """The full files take most of a minute: `benchmarks/import_cumcm.py`; this is one of the four invoice files."""
    folder = shared_data / "cumcm2020c"
    if not folder.is_dir():
        pytest.skip("the contest's data set is not here")
    import shutil
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as place:
        for name, content in CONTEST.items():
            path = Path(place) / name
            if name == "labelled_output_invoices.csv.gz" or name.endswith("firms.csv"):
                shutil.copy(folder / name, path)
            else:
                path.write_bytes(gzip.compress(content.splitlines(keepends=True)[0].encode()))
        summary = import_source(session, "cumcm2020c", Path(place), Options(today=date(2024, 12, 31)))
    line = next(line for line in summary.files if line.file == "labelled_output_invoices.csv.gz")
    assert (line.read, line.added, line.repeated, line.rejected) == (162_484, 158_047, 4_436, 1)
    assert session.execute(text("select count(*) from invoice")).scalar_one() == 158_047
