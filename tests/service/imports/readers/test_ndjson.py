"""NDJSON: one object a line, numbers as they are written."""

import gzip
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imports.chunks import ImportFailedError
from service.imports.readers import Reading
from tests.service.imports.readers.files import chunks_of, is_told, read_all

NDJSON = Reading(format="ndjson")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_values_as_text(pack, mark):
    lines = [
        '{"id": "E1", "value": 1.10, "other": [1]}',
        '{"value": 12345678901234567890, "id": " E2 "}\r',
        "",
        '{"id": true, "value": null}',
        '{"id": "E4", "value": ""}',
        '{"id": -0.0, "value": 1E-7}',
        '{"id": 0.30000000000000004, "value": 0.30000000000000000004}',
        '{"id": "' + "甲\\u4e59" + '"}',
    ]
    rows, rejects = read_all(pack(mark + "\n".join(lines).encode()), "id", optional=("value",))
    first = mark.count(b"\n")
    assert rejects == []
    assert rows == [
        (first + 1, "E1", "1.10"),
        (first + 2, " E2 ", "12345678901234567890"),
        (first + 4, "true", None),
        (first + 5, "E4", None),
        (first + 6, "-0.0", "1E-7"),
        (first + 7, "3000000000.0000004e-10", "0.30000000000000000004"),
        (first + 8, "甲乙", None),
    ]


@pytest.mark.parametrize(
    ("line", "column", "value", "reason"),
    [
        ('{"id": NaN}', "id", "NaN", "not a finite number"),
        ('{"id": -Infinity}', "id", "-Infinity", "not a finite number"),
        ('{"id": 1e999}', "id", "1e999", "not a finite number"),
        ('{"id": [1, 2]}', "id", '["1", "2"]', "a list or an object"),
        ('{"id": {"a": 1}}', "id", '{"a": "1"}', "a list or an object"),
        ('{"id": 1, "id": 1}', "id", "1", "the key stands twice"),
        ('{"id": "a\\u0000"}', "id", "a␀", "has a NUL character"),
        ('{"id": "\\ud800"}', "id", "?", "not UTF-8 text"),
        ('{"id": 1', "", "", "not JSON at character"),
        ("{'id': 1}", "", "", "not JSON at character 2"),
        ('{"id": 1}{"id": 2}', "", "", "not JSON at character 10"),
        ("7", "", "", "not a JSON object"),
        ("[" * 100_000, "", "", "nested too deep"),
        ('{"id": 110105194912310021e9}', "", None, "not JSON"),
    ],
)
def test_a_line_that_is_no_row(line, column, value, reason):
    if value is None:
        assert read_all(line.encode(), "id")[0] == [(1, "110105194912310021e9")]
        return
    rows, rejects = read_all(f'{{"id": 0}}\n{line}\n{{"id": 3}}'.encode(), "id")
    assert rows == [(1, "0"), (3, "3")]
    assert [row[:3] for row in rejects] == [(2, column, value)]
    assert rejects[0][3].startswith(reason)


def test_a_number_beyond_all_exponents_keeps_its_digits():
    digits = ["1e-99999999999999999999999", "0e99999999999999999999999", "-0.0e-9999999999999999999"]
    data = "".join(f'{{"id": {number}}}\n' for number in digits).encode()
    assert read_all(data, "id") == (list(enumerate(digits, 1)), [])


def test_bytes_that_are_no_text():
    assert read_all(b'{"id": "\xff"}', "id")[1] == [(1, "", "", "not UTF-8 text")]


def test_a_key_that_stands_twice_in_what_is_not_wanted_does_no_harm():
    assert read_all(b'{"id": 1, "x": 1, "x": {"id": 1, "id": 2}}', "id")[0] == [(1, "1")]


def test_a_required_key_that_no_row_has():
    data = b'{"id": 1, "nane": 2}\n{"id": 2}\n'
    with pytest.raises(
        ImportFailedError, match="file, every row: columns are missing: 'name'; columns found: id, nane"
    ):
        read_all(data, "id", "name")
    assert read_all(data + b'{"name": null}', "id", "name")[0][2] == (3, None, None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ('{"id": 1}'.encode("utf-16"), "NDJSON is UTF-8, and it is UTF-16"),
        (b'{"id": "' + b"x" * (1 << 20), "line 1: longer than 1,048,576 bytes"),
        (gzip.compress(random.Random(1).randbytes(99).hex().join(["{", "}"]).encode())[:-9], "damaged after line 0"),
    ],
)
def test_a_file_that_cannot_be_read(data, words):
    with pytest.raises(ImportFailedError, match=words):
        read_all(data, "id")


@pytest.mark.parametrize(
    "data",
    [b'[{"id": 1},\n{"id": 2}]', b'[{"id": 1}]', b"\n [ {", json.dumps([{"id": 1}, {"id": 2}], indent=2).encode()],
)
def test_a_list_of_rows_is_refused_once_and_whole(data):
    words = "^file: this is a JSON list; write one object a line / 这是 JSON 列表；请每行写一个对象"
    with pytest.raises(ImportFailedError, match=words):
        read_all(data, "id", reading=NDJSON)


def test_a_list_that_is_a_line_costs_one_row():
    for data in (b'[1]\n{"id": 2}', b'{"id": 2}\n[{"id": 1}]'):
        rows, rejects = read_all(data, "id", reading=NDJSON)
        assert ([row[1] for row in rows], rejects[0][3]) == (["2"], "not a JSON object")


def test_progress_is_told_by_bytes_and_chunks_are_bounded():
    data = b"".join(b'{"id": %d}\n' % number for number in range(220_000))
    told = []
    chunks = chunks_of(data, "id", advance=told.append)
    assert sum(told) == len(data)
    assert max(len(chunk.rows) for chunk in chunks) < 250_000
    assert sum(len(chunk.rows) for chunk in chunks) == 220_000


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["id", "b"]), inner)),
    max_leaves=4,
)


@settings(max_examples=150, deadline=1000)
@given(rows=st.lists(st.one_of(JSON.map(json.dumps), st.text(max_size=12)), max_size=6), data=st.binary(max_size=60))
def test_any_lines_are_rows_rejects_or_a_clear_failure(rows, data):
    whole = "\n".join(rows).encode(errors="replace")
    assert is_told(whole, "id", reading=NDJSON)
    assert is_told(whole + data, "id", reading=NDJSON)
    assert is_told(b'{"id": ' + data, "id")
