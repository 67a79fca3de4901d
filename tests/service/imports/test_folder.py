"""A folder is imported whole or not at all, in the order in which kinds need each other; what is left out is named."""

import gzip

import pytest

from features.kinds import KINDS
from service.firms.use_cases import list_keys
from service.identity.use_cases import tenant_id_of
from service.imports.chunks import ImportFailedError
from service.imports.folder import ALL
from service.imports.mapping_file import parse_mapping
from service.imports.readers import Reading
from service.imports.use_cases import Manner, import_source
from tests.service.imports.test_quality import TODAY

FIRM = b"firm_id,observed_on,name\nE1,2024-01-01,x\n"
LOAN = b"firm_id,observed_on,loan_id,product,principal_fen\nE1,2024-01-01,L1,x,100\n"


def load(session, folder, files, **manner):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return import_source(session, ALL, folder, TODAY, manner=Manner(**manner))


def test_firms_come_first_and_loans_before_what_is_about_them():
    order = list(KINDS)
    assert order[0] == "firm"
    of_loans = [name for name, kind in KINDS.items() if "loan_id" in kind.schema and name != "loan"]
    assert of_loans
    assert all(order.index("loan") < order.index(name) for name in of_loans)


@pytest.mark.parametrize("is_preview", [True, False])
def test_a_row_may_name_what_another_file_of_the_folder_brings(session, tmp_path, is_preview):
    files = {"loan.csv.gz": gzip.compress(LOAN), "Firm.csv": FIRM, "~firm.csv": b"", "notes.txt": b"x"}
    (tmp_path / "invoice").mkdir()
    summary = load(session, tmp_path, files, is_preview=is_preview)
    assert [(line.file, line.kind, line.added, line.rejected) for line in summary.files] == [
        ("Firm.csv", "firm", 1, 0),
        ("loan.csv.gz", "loan", 1, 0),
    ]
    assert summary.left_out == ("3 not named after a kind 未以数据种类命名: invoice, notes.txt, ~firm.csv",)
    assert list_keys(session) == ([] if is_preview else ["E1"])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"firm.csv": FIRM, "firm.xlsx": b""}, "'firm.csv' and 'firm.xlsx' are both of kind 'firm'"),
        ({"firms.csv": FIRM}, "no file is named after a kind; name them like firm.csv"),
        ({"firm.csv": FIRM, "loan.csv": b"firm_id\n"}, "loan.csv, line 1: columns are missing"),
        ({"firm.xls": FIRM}, "firm.xls: .xls files are not read"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_and_nothing_is_loaded(database, tenant, tmp_path, files, words):
    with pytest.raises(ImportFailedError, match=words), database.session(tenant_id_of(tenant)) as session:
        load(session, tmp_path, files)
    with database.session(tenant_id_of(tenant)) as session:
        assert list_keys(session) == []


def test_its_files_are_read_as_they_are(session, tmp_path):
    mapping = parse_mapping(b"{kind: firm, version: 1, columns: {firm_id: a, observed_on: b, name: c}}", "m")
    for manner in ({"mapping": mapping}, {"reading": Reading(encoding="gbk")}):
        with pytest.raises(ImportFailedError, match="reads its files as they are"):
            load(session, tmp_path, {"firm.csv": FIRM}, **manner)
    with pytest.raises(ImportFailedError, match="reads a folder"):
        import_source(session, ALL, tmp_path / "firm.csv", TODAY)
