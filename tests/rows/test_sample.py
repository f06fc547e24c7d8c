"""The CSV that goes to Slack: the first rows, bounded, opened by a spreadsheet as it is."""

from __future__ import annotations

import csv
import datetime as dt
import io
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest

from nightshift.rows import sample
from nightshift.rows.sample import CsvSample


def parsed(content: bytes) -> list[dict[str, str]]:
    """As the reader's program sees it."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def numbers(first: int, count: int) -> pa.Table:
    return pa.table(
        {"n": pa.array(range(first, first + count)), "word": [f"낱말 {n}" for n in range(first, first + count)]}
    )


def test_the_first_rows_of_many_chunks() -> None:
    collected = CsvSample(5)
    for first in (0, 2, 4, 6):
        collected.add_rows(numbers(first, 2))

    assert collected.to_csv.startswith(b"\xef\xbb\xbf")
    assert collected.to_csv.count(b"\xef\xbb\xbf") == 1
    assert [row["n"] for row in parsed(collected.to_csv)] == ["0", "1", "2", "3", "4"]
    assert parsed(collected.to_csv)[4]["word"] == "낱말 4"
    assert collected.rows == 5 and collected.full


def test_none_wanted_and_none_there() -> None:
    for collected in (CsvSample(0), CsvSample(5)):
        collected.add_rows(numbers(0, 0))
        assert (collected.to_csv, collected.rows) == (b"", 0)
    off = CsvSample(0)
    off.add_rows(numbers(0, 3))
    assert (off.to_csv, off.rows, off.full) == (b"", 0, True)


def test_every_type_is_readable() -> None:
    collected = CsvSample(10)
    collected.add_rows(
        pa.table(
            {
                "uuid": pa.array([uuid.UUID(int=1).bytes, None], pa.binary(16)).cast(pa.uuid()),
                "bytes": pa.array([b"\x00\xff", None]),
                "price": pa.array([Decimal("-1.50"), None], pa.decimal128(10, 2)),
                "json": pa.array(['{"a": "b"}', None]).cast(pa.json_(pa.string())),
                "day": pa.array([dt.date(2025, 1, 2), None]),
                "time": pa.array([dt.time(8, 0, 0, 1), None], pa.time64("us")),
                "at": pa.array([dt.datetime(2025, 1, 2, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
                "float": pa.array([0.1, None]),
                "yes": pa.array([True, None]),
                "text": pa.array(['a "quoted"\nline, 한글', None]),
            }
        )
    )

    first, second = parsed(collected.to_csv)
    assert first == {
        "uuid": "00000000-0000-0000-0000-000000000001",
        "bytes": "00ff",
        "price": "-1.50",
        "json": '{"a": "b"}',
        "day": "2025-01-02",
        "time": "08:00:00.000001",
        "at": "2025-01-02 00:00:00.000000Z",
        "float": "0.1",
        "yes": "true",
        "text": 'a "quoted"\nline, 한글',
    }
    assert set(second.values()) == {""}


def test_large_rows_are_cut_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MAX_BYTES", 100_000)
    collected = CsvSample(1000)
    for _ in range(5):
        collected.add_rows(pa.table({"text": ["x" * 9_000] * 8}))

    assert collected.full
    assert 1 <= collected.rows < 20
    assert len(collected.to_csv) < 200_000
    assert len(parsed(collected.to_csv)) == collected.rows


def test_one_huge_row_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "MAX_BYTES", 100_000)
    collected = CsvSample(1000)
    collected.add_rows(pa.table({"text": ["x" * 1_000_000]}))

    assert (collected.to_csv, collected.rows, collected.full) == (b"", 0, True)


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1+cmd", "-1|x", "@x", "\t=1", "\r=1"])
def test_a_text_is_no_formula(text: str) -> None:
    """What users write must not run in the reader's spreadsheet."""
    assert as_printed(text) == "'" + text


@pytest.mark.parametrize("text", ["-1", "-1.50", "+82", "a=b", "", "'=1", "한글"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert as_printed(text) == text


def as_printed(text: str) -> str:
    collected = CsvSample(10)
    collected.add_rows(pa.table({"text": [text, None]}))
    return parsed(collected.to_csv)[0]["text"]


def test_the_column_of_misfits_is_not_for_people() -> None:
    """It comes in some chunks only; every line has the header's columns."""
    collected = CsvSample(10)
    collected.add_rows(numbers(0, 1))
    collected.add_rows(numbers(1, 1).append_column("_nightshift_exact", [['{"n": "infinity"}']]))

    assert {len(line) for line in csv.reader(io.StringIO(collected.to_csv.decode("utf-8-sig")))} == {2}
