"""`nightshift verify`: the verdict is the exit status, and whatever is wrong is named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local.chatlog import create_conversation_log
from tests.cli.command import nightshift, process, terminal
from tests.support.house import House

END = datetime(2025, 10, 15, tzinfo=UTC)
DEAD = "archive/table=public.conversation_log/dt=2025-08-20/dead.parquet"
PENDING = """
INSERT INTO nightshift_archive_object (bucket, object_key, table_name, state, dt, run_id, created_at)
VALUES ('{bucket}', '{key}', 'public.conversation_log', 'pending', '2025-08-20', 'dead', now())
"""


@pytest.fixture
def archived(house: House) -> House:
    create_conversation_log(house.url, 600, days=60, end=END)
    house.run()
    return house


def leave_orphan(house: House) -> None:
    """What a run that was killed leaves behind."""
    house.sql(PENDING.format(bucket=house.bucket, key=DEAD))
    house.s3.client().put_object(Bucket=house.bucket, Key=DEAD, Body=b"PAR1")


@pytest.mark.fast_cases("full")
@pytest.mark.parametrize("depth", [(), ("--quick",), ("--values",)], ids=["full", "quick", "values"])
def test_a_sound_archive(archived: House, depth: tuple[str, ...]) -> None:
    said = nightshift(archived, "verify", *depth, "--json")
    ledger = archived.ledger()
    assert (said.code, said.stderr, said.json["sound"]) == (0, "", True)
    assert said.json["objects"] == len(ledger)
    assert said.json["rows"] == sum(entry["row_count"] for entry in ledger)
    assert nightshift(archived, "verify", *depth).stdout.startswith("sound: ")


@pytest.mark.slow
def test_damage_is_named(archived: House) -> None:
    missing, altered = [entry["object_key"] for entry in archived.ledger()[:2]]
    client = archived.s3.client()
    body = client.get_object(Bucket=archived.bucket, Key=altered)["Body"].read()
    client.delete_object(Bucket=archived.bucket, Key=missing)
    client.put_object(Bucket=archived.bucket, Key=altered, Body=body[:-9] + b"?" + body[-8:])

    said = process(archived, "verify")
    as_json = process(archived, "verify", "--json")

    assert said.code == as_json.code == 1
    assert said.stderr == as_json.stderr == ""
    assert {one["key"] for one in as_json.json["damaged"]} == {missing, altered}
    assert f"damaged      {missing}: missing" in said.stdout
    assert f"damaged      {altered}: altered" in said.stdout
    assert nightshift(archived, "verify", "--quick", "--json").json["damaged"][0]["key"] == missing


def test_an_orphan_is_something_to_repair(archived: House) -> None:
    leave_orphan(archived)

    found = nightshift(archived, "verify")
    assert found.code == 3
    assert f"orphan       {DEAD}" in found.stdout
    assert "--repair" in found.stdout
    assert DEAD in archived.s3.keys(archived.bucket)

    repaired = nightshift(archived, "verify", "--repair", "--json")
    assert repaired.code == 0
    assert [one["key"] for one in repaired.json["repaired"]] == [DEAD]
    assert DEAD not in archived.s3.keys(archived.bucket)
    assert nightshift(archived, "verify").code == 0


@pytest.mark.slow
def test_damage_weighs_more_than_an_orphan(archived: House) -> None:
    leave_orphan(archived)
    archived.s3.client().delete_object(Bucket=archived.bucket, Key=archived.ledger()[0]["object_key"])
    assert nightshift(archived, "verify", "--repair").code == 1


def test_one_table_and_a_span_of_days(archived: House) -> None:
    span = ("--since", "2025-08-20", "--until", "2025-08-22")
    found = nightshift(archived, "verify", "conversation_log", *span, "--json").json
    chosen = [entry for entry in archived.ledger() if "2025-08-20" <= entry["dt"] <= "2025-08-22"]
    assert (found["objects"], found["rows"]) == (len(chosen), sum(entry["row_count"] for entry in chosen))


def test_a_table_that_was_never_archived(archived: House) -> None:
    said = nightshift(archived, "verify", "users")
    assert (said.code, said.stdout) == (2, "")
    assert "public.conversation_log" in said.stderr


def test_s3_that_cannot_be_asked_is_no_verdict(archived: House) -> None:
    said = nightshift({**archived.env, "ARCHIVE_BUCKET": "no-such-bucket"}, "verify", "--json")
    assert (said.code, said.json["status"]) == (1, "failed")
    assert "NoSuchBucket" in said.stderr


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_is(archived: House) -> None:
    shown = terminal(archived, "verify")
    objects = len(archived.ledger())
    assert shown.code == 0
    assert f"{objects}/{objects}" in shown.screen
    assert "sound: " in shown.screen


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["athena", "duckdb", "spark"])
def test_ddl_goes_to_stdout(archived: House, engine: str) -> None:
    said = process(archived, "archives", "ddl", "conversation_log", "--engine", engine)
    assert (said.code, said.stderr) == (0, "")
    assert "conversation_log" in said.stdout
    assert archived.bucket in said.stdout
    assert "CREATE" in said.stdout.upper()


def test_ddl_of_days_without_an_archive(archived: House) -> None:
    span = ("--since", "2030-01-01", "--until", "2030-01-02")
    said = nightshift(archived, "archives", "ddl", "conversation_log", "--engine", "duckdb", *span)
    assert (said.code, said.stdout) == (1, "")
    assert "nothing of this table is archived in these days" in said.stderr
