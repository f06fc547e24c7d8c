"""`nightshift restore`: the same rows back, told to people and to programs, and nothing without being asked for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from local.chatlog import create_conversation_log
from tests.cli.command import environment, nightshift, process, terminal
from tests.support.house import House

END = datetime(2025, 10, 15, tzinfo=UTC)
TABLE = "conversation_log"
SPAN = ("--since", "2025-08-20", "--until", "2025-08-22")
IN_SPAN = "(created_at AT TIME ZONE 'Asia/Seoul')::date BETWEEN '2025-08-20' AND '2025-08-22'"


@pytest.fixture
def archived(house: House) -> House:
    """Half of a chat log in the archive, a copy of the whole beside it, Slack's messages read."""
    create_conversation_log(house.url, 900, days=60, end=END)
    house.sql(f"CREATE TABLE before AS TABLE {TABLE}")
    house.run()
    house.slack.messages.clear()
    return house


def missing(house: House, table: str, where: str) -> int:
    """How many of the log's rows are not in a table as they were."""
    return int(
        house.value(f"SELECT count(*) FROM (SELECT * FROM before WHERE {where} EXCEPT ALL SELECT * FROM {table}) t")
    )


def test_a_table_beside_it_is_the_default(archived: House) -> None:
    said = process(archived, "restore", TABLE, *SPAN)

    rows = archived.value(f"SELECT count(*) FROM before WHERE {IN_SPAN}")
    assert (said.code, said.stderr) == (0, "")
    assert rows > 0
    assert archived.value(f"SELECT count(*) FROM {TABLE}_restored") == rows
    assert missing(archived, f"{TABLE}_restored", IN_SPAN) == 0
    lines = [line.split() for line in said.stdout.splitlines()]
    assert said.stdout.startswith("public.conversation_log: restored\n")
    assert ["into", "public.conversation_log_restored"] in lines
    assert ["rows", f"{rows:,}"] in lines
    assert len(archived.slack.messages) == 1


def test_a_second_run_adds_nothing(archived: House) -> None:
    first = nightshift(archived, "restore", TABLE, *SPAN, "--json").json
    second = nightshift(archived, "restore", TABLE, *SPAN)
    assert second.code == 0
    assert "nothing was left to restore" in second.stdout
    assert f"{first['objects']} objects restored there by an earlier run" in second.stdout
    assert archived.value(f"SELECT count(*) FROM {TABLE}_restored") == first["restored_rows"]


@pytest.mark.slow
def test_json_is_the_answer_and_nothing_else(archived: House) -> None:
    said = process(archived, "restore", TABLE, "--into", "elsewhere", "--json")
    assert (said.code, said.stderr) == (0, "")
    answer = said.json
    assert (answer["job"], answer["status"], answer["into"]) == ("restore", "ok", "public.elsewhere")
    assert answer["restored_rows"] == archived.value("SELECT count(*) FROM elsewhere")
    assert archived.runs()[-1]["result"]["run_id"] == answer["run_id"]


def test_into_the_original_with_a_hold(archived: House) -> None:
    said = nightshift(archived, "restore", TABLE, *SPAN, "--into-original", "--hold", "2099-01-01")
    assert said.code == 0, said.stderr
    assert "the original" in said.stdout
    assert "no job deletes these rows until 2099-01-01T00:00:00+09:00" in said.stdout
    assert missing(archived, TABLE, IN_SPAN) == 0
    held = nightshift(archived, "archives", "--json").json["states"]["restored"]
    assert held["rows"] == archived.value(f"SELECT count(*) FROM before WHERE {IN_SPAN}")


@pytest.mark.slow
def test_one_object_by_any_of_its_names(archived: House) -> None:
    key = archived.ledger()[0]["object_key"]
    for name in (key, f"s3://{archived.bucket}/{key}", key.rpartition("/")[2]):
        answer = nightshift(archived, "restore", TABLE, "--object", name, "--dry-run", "--json").json
        assert (answer["status"], answer["objects"]) == ("dry_run", 1)


def test_a_dry_run_writes_nothing(archived: House) -> None:
    before = archived.state()
    said = nightshift(archived, "restore", TABLE, "--dry-run")
    assert said.code == 0
    assert "nothing was written" in said.stdout
    assert archived.state() == before


def test_rows_that_are_there_already_are_left_alone(archived: House) -> None:
    archived.sql(f"INSERT INTO {TABLE} SELECT * FROM before WHERE {IN_SPAN} ORDER BY id LIMIT 7")
    said = nightshift(archived, "restore", TABLE, *SPAN, "--into-original")
    assert said.code == 0, said.stderr
    assert "left alone   7 rows: the table has their keys already" in said.stdout
    assert archived.value(f"SELECT count(*) - count(DISTINCT id) FROM {TABLE}") == 0


@pytest.mark.slow
def test_what_stands_after_a_failure_is_told(archived: House) -> None:
    archived.env["CLEANUP_WORKERS"] = "1"
    archived.sql(f"CREATE TABLE picky (LIKE {TABLE}, CHECK (created_at < '2025-08-22 00:00+09'))")

    said = process(archived, "restore", TABLE, *SPAN, "--into", "picky", "--json")

    rows = archived.value("SELECT count(*) FROM picky")
    assert rows > 0
    assert (said.code, said.json["status"], said.json["result"]["restored_rows"]) == (1, "failed", rows)
    assert f"restored before the failure: {rows} rows in 2 objects into public.picky" in said.stderr
    assert "error: " in said.stderr
    assert "Traceback" not in said.stderr


def test_a_column_that_has_another_name_now(archived: House) -> None:
    archived.sql(f"CREATE TABLE renamed (LIKE {TABLE}); ALTER TABLE renamed RENAME COLUMN user_id TO customer")
    plain = nightshift(archived, "restore", TABLE, "--into", "renamed", *SPAN)
    renamed = nightshift(archived, "restore", TABLE, "--into", "renamed", *SPAN, "--rename", "user_id=customer")
    assert renamed.code == 0, renamed.stderr
    assert "column       customer: filled from user_id" in renamed.stdout
    assert plain.code in (0, 4)


@pytest.mark.slow
def test_a_damaged_object_is_named_and_the_others_are_restored(archived: House) -> None:
    key = archived.ledger()[3]["object_key"]
    archived.s3.client().delete_object(Bucket=archived.bucket, Key=key)

    said = process(archived, "restore", TABLE)

    assert said.code == 3
    assert "restored in part" in said.stdout
    assert f"damaged      {key}: missing" in said.stdout


@pytest.mark.slow
def test_nothing_but_damage_is_a_failure(archived: House) -> None:
    key = archived.ledger()[0]["object_key"]
    archived.s3.client().delete_object(Bucket=archived.bucket, Key=key)
    said = process(archived, "restore", TABLE, "--object", key, "--json")
    assert (said.code, said.json["status"]) == (1, "failed")
    assert key in said.stderr
    assert "Traceback" not in said.stderr


def test_a_refusal_says_why_and_touches_nothing(archived: House) -> None:
    before = archived.state()
    said = nightshift(archived, "restore", "users")
    as_json = nightshift(archived, "restore", "users", "--json")
    assert said.code == as_json.code == 4
    assert "refused, nothing was touched" in said.stdout
    assert "hint: " in said.stdout
    assert as_json.json["refusal"]["guard"] == "unknown_table"
    assert archived.state() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--into-original", "--into", "x"), "into"),
        (("--hold", "a while", "--into-original"), "hold"),
    ],
)
def test_what_cannot_be_asked_for(archived: House, arguments: tuple[str, ...], named: str) -> None:
    said = nightshift(archived, "restore", TABLE, *arguments)
    assert (said.code, said.stdout) == (2, "")
    assert said.stderr.startswith("error: this cannot be restored as asked") and named in said.stderr
    assert "hint: see nightshift restore -h" in said.stderr


def test_days_without_an_archive(archived: House) -> None:
    said = nightshift(archived, "restore", TABLE, "--since", "2030-01-01")
    assert said.code == 0
    assert "nothing is archived of what was asked for" in said.stdout


@pytest.mark.fast_cases("y\\n-0")
@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 4), ("\n", 4), ("\x04", 130)])
def test_a_terminal_is_asked_before_the_original_is_touched(archived: House, typed: str, code: int) -> None:
    before = archived.state()
    shown = terminal(archived, "restore", TABLE, *SPAN, "--into-original", typed=typed)
    assert shown.code == code, shown.screen
    assert "Go on?" in shown.screen
    assert "Traceback" not in shown.screen
    if code:
        assert archived.state() == before
        assert archived.slack.messages == []
    else:
        assert missing(archived, TABLE, IN_SPAN) == 0


@pytest.mark.fast_cases("flags0")
@pytest.mark.parametrize("flags", [("--into-original", "--yes"), ("--into-original", "--dry-run"), ()])
def test_a_terminal_is_not_asked_without_need(archived: House, flags: tuple[str, ...]) -> None:
    shown = terminal(archived, "restore", TABLE, *SPAN, *flags)
    assert shown.code == 0
    assert "Go on?" not in shown.screen


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_is(archived: House) -> None:
    rows = archived.value(f"SELECT count(*) FROM before WHERE {IN_SPAN}")
    assert f"{rows}/{rows} rows" in terminal(archived, "restore", TABLE, *SPAN).screen


def test_ctrl_c_leaves_whole_objects_or_none(archived: House) -> None:
    """While the first object waits for a table that somebody else has locked."""
    archived.env["CLEANUP_LOCK_TIMEOUT"] = "300"
    archived.sql(f"CREATE TABLE target (LIKE {TABLE})")
    archived.sql("BEGIN")
    archived.sql("LOCK TABLE target IN SHARE MODE")
    command = [sys.executable, "-m", "nightshift", "restore", TABLE, "--into", "target", "--json"]
    with subprocess.Popen(
        command, env=environment(archived), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while not archived.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        archived.sql("ROLLBACK")
        stdout, stderr = running.communicate()
    assert (running.returncode, json.loads(stdout)["status"], stderr.strip()) == (130, "interrupted", "interrupted")
    recorded = archived.value("SELECT coalesce(sum(row_count), 0) FROM nightshift_restored_object")
    assert archived.value("SELECT count(*) FROM target") == recorded
    assert archived.runs()[-1]["status"] == "failed"
    assert nightshift(archived, "restore", TABLE, "--into", "target").code == 0
    assert missing(archived, "target", "created_at < '2025-09-15 00:00+09'") == 0


@pytest.mark.slow
def test_sqlite(sqlite_house: House) -> None:
    create_conversation_log(sqlite_house.url, 300, days=60, end=END)
    before = sqlite_house.sql(f"SELECT * FROM {TABLE} ORDER BY id")
    sqlite_house.run()
    said = nightshift(sqlite_house, "restore", TABLE, "--into-original", "--json")
    assert said.code == 0, said.stderr
    assert sqlite_house.sql(f"SELECT * FROM {TABLE} ORDER BY id") == before
