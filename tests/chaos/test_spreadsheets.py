"""Promise 16, second half: LibreOffice opens an exported CSV and XLSX of dangerous texts, and finds no formula."""

import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from features.kinds import KINDS
from service.exports.writers import FORMS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
PREFIXES = (
    *(
        "=",
        "+",
        "-",
        "@",
        "\t=",
        "\r=",
        "\n=",
        "＝",
        "＋",
        "－",
        "＠",
        "'=",
        "''=",
        "==",
        "=+",
        "=-",
        "+=",
        "-=",
        "@=",
        " =",
    ),
    *("\u00a0=", "\u3000=", "\u200b=", "\ufeff=", '"=', '""=', ",=", ";=", "%0A=", "{="),
)
FORMULAS = ('SUM(1,2)+HYPERLINK("http://127.0.0.1:9/x","y")', "1+1", "cmd|' /C calc'!A0")


def _frame() -> pl.DataFrame:
    kind = KINDS["inventory"]
    words = [prefix + formula for prefix in PREFIXES for formula in FORMULAS]
    given = {
        "firm_id": "F1", "observed_on": date(2024, 1, 31), "known_on": date(2024, 1, 31), "item": words, "unit": words,
        "lot": words, "quantity": 1.5, "value_fen": range(len(words)),
    }  # fmt: skip
    return pl.DataFrame(given).select(
        (pl.col(name) if name in given else pl.lit(None)).cast(dtype).alias(name) for name, dtype in kind.schema.items()
    )


def _opened(soffice: str, place: Path) -> str:
    """Return the flat document that LibreOffice makes of a file; in CSV formulas are looked for, as when it is opened.

    The last of the filter's options is "evaluate formulas": without it nothing in a CSV would be one.
    """
    filters = ["--infilter=CSV:44,34,76,1,,0,false,true,false,false,false,-1,true"] if place.suffix == ".csv" else []
    profile = f"-env:UserInstallation=file://{place.parent / 'profile'}"
    command = [soffice, profile, "--headless", *filters, "--convert-to", "fods", "--outdir", place.parent, place]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (made,) = place.parent.glob(f"{place.stem}*.fods")
    return made.read_text()


def _formulas(document: str) -> list[str]:
    return re.findall(r"table:formula=\"[^\"]*\"", document)


@pytest.fixture(scope="module")
def soffice() -> str:
    found = shutil.which("soffice")
    if found is None:
        pytest.skip("soffice is not here: apt-get install -y libreoffice-calc-nogui")
    return found


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_no_text_becomes_a_formula(soffice, tmp_path, form):
    rows, place = _frame(), tmp_path / f"inventory.{form}"
    with place.open("w+b") as file:
        FORMS[form].write([rows], KINDS["inventory"], file)
    document = _opened(soffice, place)
    found, cells = _formulas(document), len(re.findall("<table:table-cell", document))
    print(
        f"\npromise 16: {len(PREFIXES)} prefixes x {len(FORMULAS)} x 3 in {form}: {len(found)} formulas, {cells} cells"
    )
    assert found == []
    assert document.count("HYPERLINK") >= 2 * len(PREFIXES)  # alike cells beside one another are written once


def test_the_same_texts_without_the_apostrophe_do(soffice, tmp_path):
    """So the test above can fail."""
    _frame().write_csv(tmp_path / "inventory.csv")
    found = _formulas(_opened(soffice, tmp_path / "inventory.csv"))
    print(f"\npromise 16: without the apostrophe: {len(found)} formulas")
    assert found
