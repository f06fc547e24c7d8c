"""`nightshift archives` reads the ledger, the whole ledger, and nothing but the ledger."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from local.chatlog import create_conversation_log
from tests.cli.command import nightshift, process
from tests.support.house import House

END = datetime(2025, 10, 15, tzinfo=UTC)
TABLE = "public.conversation_log"
PENDING = """
INSERT INTO nightshift_archive_object (bucket, object_key, table_name, state, dt, run_id, created_at)
VALUES ('{bucket}', 'archive/left-over', 'public.conversation_log', 'pending', '2025-08-17', 'dead', now())
"""


@pytest.fixture
def archived(house: House) -> House:
    """Thirty days in the archive, and no S3 any more."""
    create_conversation_log(house.url, 1500, days=60, end=END)
    house.run()
    house.env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    return house


def figures(entries: list[dict[str, Any]]) -> dict[str, int]:
    return {
        "rows": sum(entry["row_count"] or 0 for entry in entries),
        "bytes": sum(entry["byte_count"] or 0 for entry in entries),
        "objects": len(entries),
    }


def only(found: dict[str, Any]) -> dict[str, int]:
    return {name: found[name] for name in ("rows", "bytes", "objects")}


def test_json_adds_up_to_the_ledger(archived: House) -> None:
    said = process(archived, "archives", "--json")
    ledger = archived.ledger()

    assert (said.code, said.stderr) == (0, "")
    assert (said.json["bucket"], said.json["prefix"]) == (archived.bucket, "archive")
    (table,) = said.json["tables"]
    assert table["table"] == TABLE
    assert only(said.json) == only(table) == figures(ledger)
    assert table["states"] == {"archived": figures(ledger)}
    assert table["first"] == min(entry["min_timestamp"] for entry in ledger)
    assert table["last"] == max(entry["max_timestamp"] for entry in ledger)
    assert [day["dt"] for day in table["days"]] == sorted({entry["dt"] for entry in ledger})
    for day in table["days"]:
        assert only(day) == figures([entry for entry in ledger if entry["dt"] == day["dt"]])


def test_what_was_restored_is_no_part_of_the_archive(archived: House) -> None:
    archived.sql("UPDATE nightshift_archive_object SET state = 'restored' WHERE dt >= '2025-09-10'")
    ledger = archived.ledger()

    (table,) = nightshift(archived, "archives", "--json").json["tables"]
    text = nightshift(archived, "archives", "--by", "day").stdout

    by_state = {s: figures([e for e in ledger if e["state"] == s]) for s in ("archived", "restored")}
    assert only(table) == by_state["archived"]
    assert table["states"] == by_state
    assert table["last"] == max(entry["max_timestamp"] for entry in ledger if entry["state"] == "archived")
    assert table["days"][-1]["states"]["restored"]["rows"] > 0
    assert only(table["days"][-1]) == {"rows": 0, "bytes": 0, "objects": 0}
    assert f"{by_state['restored']['rows']:,} rows were restored into their tables" in text


def test_left_overs_are_shown_when_asked_for(archived: House) -> None:
    archived.sql(PENDING.format(bucket=archived.bucket))

    usual = nightshift(archived, "archives", "--json").json
    everything = nightshift(archived, "archives", "--all", "--json").json

    assert set(usual["states"]) == {"archived"}
    assert everything["states"]["pending"] == {"rows": 0, "bytes": 0, "objects": 1}
    assert only(everything) == only(usual)
    assert "pending (rows/objects)" in nightshift(archived, "archives", "--all").stdout


def test_a_span_of_days(archived: House) -> None:
    span = ("--since", "2025-08-20", "--until", "2025-08-22")
    found = nightshift(archived, "archives", *span, "--json").json
    assert [day["dt"] for day in found["tables"][0]["days"]] == ["2025-08-20", "2025-08-21", "2025-08-22"]
    chosen = [entry for entry in archived.ledger() if "2025-08-20" <= entry["dt"] <= "2025-08-22"]
    assert only(found) == figures(chosen)


def test_people_read_a_line_a_table_or_a_day(archived: House) -> None:
    rows = sum(entry["row_count"] for entry in archived.ledger())
    by_table = nightshift(archived, "archives").stdout
    (line,) = [line for line in by_table.splitlines() if line.startswith(TABLE)]
    assert f"{rows:,}" in line.split()

    by_day = nightshift(archived, "archives", "--table", "conversation_log").stdout.splitlines()
    days = [line.split()[1] for line in by_day if line.startswith(TABLE)]
    assert days == sorted({entry["dt"] for entry in archived.ledger()})
    assert by_day[-1].split()[:2] == ["total", f"{rows:,}"]


def test_two_tables_and_another_bucket(archived: House) -> None:
    archived.sql("UPDATE nightshift_archive_object SET table_name = 'app.gone' WHERE dt < '2025-09-01'")
    archived.sql("UPDATE nightshift_archive_object SET bucket = 'elsewhere' WHERE dt = '2025-09-02'")
    here = [entry for entry in archived.ledger() if entry["bucket"] == archived.bucket]

    found = nightshift(archived, "archives", "--json").json

    assert {t["table"]: t["rows"] for t in found["tables"]} == Counter(
        {t: sum(e["row_count"] for e in here if e["table_name"] == t) for t in ("app.gone", TABLE)}
    )
    (gone,) = nightshift(archived, "archives", "--table", "gone", "--json").json["tables"]
    assert gone["table"] == "app.gone"
    assert "total" in nightshift(archived, "archives").stdout


def test_a_table_that_was_never_archived(archived: House) -> None:
    said = nightshift(archived, "archives", "--table", "users", "--json")
    assert (said.code, said.json["status"]) == (2, "not_understood")
    assert TABLE in said.stderr


def test_before_the_first_run(house: House) -> None:
    said = nightshift(house, "archives")
    assert (said.code, said.stderr) == (0, "")
    assert "nothing is archived" in said.stdout
    assert nightshift(house, "archives", "--json").json["tables"] == []
    assert house.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'nightshift%'") == 0


def test_sqlite(sqlite_house: House) -> None:
    create_conversation_log(sqlite_house.url, 300, days=60, end=END)
    sqlite_house.run()
    assert only(nightshift(sqlite_house, "archives", "--json").json) == figures(sqlite_house.ledger())
