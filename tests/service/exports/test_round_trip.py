"""What is exported can be imported elsewhere, and the next export is the same to the byte: every kind, every form."""

import string
from datetime import date

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.kinds import KINDS
from features.kinds.contract import LARGEST_FEN
from service.demo.economy import generate
from service.demo.records import generate_records
from service.exports.writers import FORMS
from service.firms.use_cases import add_rows
from service.identity.use_cases import create_tenant, tenant_id_of
from service.imports.checks import CONTROL, NUMBER, typed
from service.imports.folder import ALL
from service.imports.readers import read_path
from service.kit.numbers import written
from tests.service.exports.files import TODAY, load, write


def _there_and_back(database, tenant, name, folder, form) -> dict[str, int]:
    """Export all of a tenant's, import it into an empty one, export that; return the rows of each kind."""
    (folder / "again").mkdir()
    rows = {}
    with database.session(tenant_id_of(name)) as session:
        for kind in KINDS:
            rows[kind] = write(session, kind, folder / f"{kind}.{form}").rows
        session.rollback()
    with database.session(tenant_id_of(tenant)) as session:
        assert [line.kind for line in load(session, ALL, folder).files] == list(KINDS)
        for kind in KINDS:
            write(session, kind, folder / "again" / f"{kind}.{form}")
        session.rollback()
    return rows


def _different(folder, form) -> list[str]:
    files = [folder / f"{kind}.{form}" for kind in KINDS]
    return [file.stem for file in files if file.read_bytes() != (folder / "again" / file.name).read_bytes()]


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_comes_back_to_the_byte(database, cluster, tenant, tmp_path, form):
    rows = _there_and_back(database, tenant, cluster, tmp_path, form)
    assert _different(tmp_path, form) == []
    assert all(rows.values())


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_the_demos_cluster_comes_back_to_the_byte(database, tenant, tmp_path, form):
    window = {"end_on": date(2026, 6, 30), "months": 48}
    economy = generate(415, 2, **window)
    with database.session() as session:
        create_tenant(session, name := f"demo for {form}")
        add_rows(session, economy.inputs.frames() | generate_records(economy, 2, **window), lambda *_: None)
    rows = _there_and_back(database, tenant, name, tmp_path, form)
    different = _different(tmp_path, form)
    print(f"\nround trip, {form}: {sum(rows.values()):,} rows of {len(rows)} kinds, different: {different}")  # noqa: T201
    assert different == []
    assert all(rows.values())


DAY = date(2024, 1, 31)
STARTS = (*"'=+-@＝＋－＠", '"', ",", ";", "''", "'=", "=cmd|' /C calc'!A0", "-2+3", "+86")
HOSTILE = (
    *("<r>", "<r><t>", "</r>", "_x0041_", "_x005F_", "_x005F_x0041_", "&amp;", "]]>", "\u2028", "\u202e", "‘", "\\n"),
    *("NULL", "null", "nan", "1e999", "00012", "2024-01-31", "TRUE", "😀", "\u0301", "\ue000", "\U0001fffe"),
)
pieces = st.one_of(
    st.sampled_from((*STARTS, *HOSTILE)),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")),
    st.text(string.printable.strip(), max_size=4),
)
texts = st.lists(pieces, min_size=1, max_size=5).map("".join)
floats = st.floats(0, 1e15, allow_subnormal=False).filter(lambda number: number == 0 or number > 1e-80)


def _as_the_ledger_has_it(text: str) -> str:
    return pl.select(pl.lit(text[:200]).str.strip_chars().str.replace_all(CONTROL, "")).item()


def _rows(words: list[str], numbers: list[float]) -> pl.DataFrame:
    kind, n = KINDS["inventory"], len(words)
    given = {
        "firm_id": "F", "observed_on": DAY, "known_on": DAY, "item": words, "unit": words[::-1],
        "lot": [None, *words[1:]], "quantity": numbers, "value_fen": [LARGEST_FEN - 1, *range(n - 1)],
    }  # fmt: skip
    frame = pl.DataFrame(given, schema_overrides={name: kind.schema[name] for name in given})
    return frame.select(
        (pl.col(name) if name in given else pl.lit(None)).cast(dtype).alias(name) for name, dtype in kind.schema.items()
    )


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(texts.map(_as_the_ledger_has_it).filter(bool), min_size=10, max_size=30), data=st.data())
def test_hostile_texts_and_numbers_survive(tmp_path, form, words, data):
    """Without the ledger: what the writer makes of them, and the import's own reading and typing of that."""
    rows = _rows(words, data.draw(st.lists(floats, min_size=len(words), max_size=len(words))))
    kind, place = KINDS["inventory"], tmp_path / f"inventory.{form}"
    with place.open("w+b") as file:
        FORMS[form].write([rows[:5], rows[5:]], kind, file)
    chunks = read_path(place, tuple(kind.schema), (), lambda _: None)
    parts = [typed(chunk.rows, kind, "f", TODAY)[0] for chunk in chunks]
    # Rows that hold what looks like a person's number are refused, by chance.
    kept = rows.with_row_index("line", 2 if form in {"csv", "xlsx"} else 1).filter(
        pl.col("line").is_in(pl.concat(parts)["line"].implode())
    )
    assert pl.concat(parts).drop("line").equals(kept.drop("line"))
    assert kept.height >= rows.height - 2


@given(st.floats(-1e15, 1e15, allow_subnormal=False).filter(lambda number: number == 0 or abs(number) > 1e-80))
def test_a_number_is_written_so_that_the_import_takes_it_back(number):
    text = written(number)
    assert float(text) == number
    assert pl.Series([text]).str.contains(NUMBER).item()
