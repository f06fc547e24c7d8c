"""`nightshift plan` says what cleanup would do, and does none of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local.chatlog import create_conversation_log
from tests.cli.command import nightshift, process
from tests.support.house import AS_OF, House

END = datetime(2025, 10, 15, tzinfo=UTC)
ENTRY = '[[retention]]\ntable = "{}"\nkeep_days = 30\n'


@pytest.fixture
def log(house: House) -> House:
    """Sixty days of chat, half of which are due at `AS_OF`."""
    create_conversation_log(house.url, 1234, days=60, end=END)
    return house


def due(house: House) -> int:
    return int(house.value("SELECT count(*) FROM conversation_log WHERE created_at < '2025-09-15 00:00+09'"))


def test_json_is_cleanups_own_answer_to_a_dry_run(log: House) -> None:
    said = nightshift(log, "plan", "--as-of", AS_OF, "--json")
    answer = log.run(dry_run=True)

    def constant(a: dict[str, object]) -> dict[str, object]:
        return {k: v for k, v in a.items() if k not in ("duration_ms", "run_id", "tables")}

    assert (said.code, said.stderr) == (0, "")
    assert list(said.json) == list(answer)
    assert constant(said.json) == constant(answer)
    (planned,), (expected,) = said.json["tables"], answer["tables"]
    assert {**planned, "seconds": 0} == {**expected, "seconds": 0}
    assert planned["estimate"]["rows"] == due(log)


def test_nothing_is_written_and_slack_hears_nothing(log: House, guest: str) -> None:
    log.sql(f"REVOKE CREATE ON SCHEMA public FROM {guest}; GRANT SELECT, DELETE ON conversation_log TO {guest}")
    log.sql(f"ALTER DATABASE {log.database} SET default_transaction_read_only = on")
    del log.env["ARCHIVE_BUCKET"]
    before = [log.texts("conversation_log", "t::text"), log.ledger(), log.runs()]

    said = nightshift(log, "plan", "--as-of", AS_OF)

    assert said.code == 0, said.stderr
    assert [log.texts("conversation_log", "t::text"), log.ledger(), log.runs()] == before
    assert log.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'nightshift%'") == 0
    assert log.slack.messages == []


def test_people_read_a_table(log: House) -> None:
    said = nightshift(log, "plan", "--as-of", AS_OF)
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("public.conversation_log")]
    assert f"{due(log):,}" in line.split()
    assert "2025-09-15" in line.split()
    assert f"{due(log) / 1234:.1%}" in line
    assert "as of 2025-10-15T00:00:00+00:00" in said.stdout
    assert "total" not in said.stdout


def test_refusals_stand_below_with_what_to_do(log: House) -> None:
    log.policies(ENTRY.format("conversation_log") + ENTRY.format("missing"))

    said = nightshift(log, "plan", "--as-of", AS_OF)
    as_json = nightshift(log, "plan", "--as-of", AS_OF, "--json")

    assert said.code == as_json.code == 4
    assert said.stderr == ""
    below = said.stdout.split("refused (unknown_table): ")[1]
    refusal = as_json.json["tables"][1]["refusal"]
    assert below.splitlines()[0] == refusal["message"]
    assert f"hint: {refusal['hint']}" in below
    (total,) = [line for line in said.stdout.splitlines() if line.startswith("total")]
    assert f"{due(log):,}" in total.split()


def test_a_refused_table_is_no_part_of_the_total(log: House) -> None:
    log.policies(ENTRY.format("conversation_log") + "max_share = 0.1\n" + ENTRY.format("empty"))
    log.sql("CREATE TABLE empty (created_at timestamptz)")
    log.run()

    said = nightshift(log, "plan", "--as-of", AS_OF)

    assert said.code == 4
    assert "refused (abnormal_volume)" in said.stdout
    (total,) = [line for line in said.stdout.splitlines() if line.startswith("total")]
    assert total.split()[1:] == ["0", "0", "B", "0", "0.0", "s", "$0.00"]


@pytest.mark.parametrize("written", ["conversation_log", "public.conversation_log", "Conversation_Log"])
def test_one_table(log: House, written: str) -> None:
    log.policies(ENTRY.format("conversation_log") + ENTRY.format("missing"))
    said = nightshift(log, "plan", "--table", written, "--as-of", AS_OF, "--json")
    assert said.code == 0, said.stderr
    assert [table["table"] for table in said.json["tables"]] == ["public.conversation_log"]


def test_a_table_without_a_policy(log: House) -> None:
    said = nightshift(log, "plan", "--table", "users")
    assert (said.code, said.stdout) == (2, "")
    assert "conversation_log" in said.stderr


def test_a_day_means_its_beginning_in_the_operators_zone(log: House) -> None:
    log.env["TIMEZONE"] = "Asia/Seoul"
    assert nightshift(log, "plan", "--as-of", "2025-10-15", "--json").json["as_of"] == "2025-10-14T15:00:00Z"
    log.env["TIMEZONE"] = "UTC"
    assert nightshift(log, "plan", "--as-of", "2025-10-15", "--json").json["as_of"] == "2025-10-15T00:00:00Z"


@pytest.mark.parametrize(("written", "complaint"), [("soon", "no moment"), ("2999-01-01", "future")])
def test_a_moment_that_cannot_be(log: House, written: str, complaint: str) -> None:
    said = nightshift(log, "plan", "--as-of", written)
    assert (said.code, said.stdout) == (2, "")
    assert complaint in said.stderr


def test_a_database_that_is_not_there(log: House) -> None:
    log.env["DATABASE_URL"] = "postgresql://postgres:hunter2@127.0.0.1:1/nowhere"
    said = process(log, "plan", "--json")
    assert (said.code, said.json["status"]) == (1, "failed")
    assert said.stderr.startswith("error: the database could not be reached\n  127.0.0.1:1/nowhere")
    assert "hint:" in said.stderr
    assert "hunter2" not in said.stderr + said.stdout
    assert "Traceback" not in said.stderr


def test_one_table_that_fails_does_not_hide_the_others(log: House) -> None:
    """A century before the year 90 there is no calendar."""
    log.policies(ENTRY.format("conversation_log").replace("30", "36500") + ENTRY.format("other"))
    log.sql("CREATE TABLE other (created_at timestamptz)")
    early = ("--as-of", "0090-01-01T00:00:00+00:00")

    said = nightshift(log, "plan", *early)
    as_json = nightshift(log, "plan", *early, "--json")
    alone = nightshift(log, "plan", *early, "--table", "conversation_log", "--json")

    assert said.code == as_json.code == 1
    assert "failed: conversation_log: the cutoff lies before the calendar begins" in said.stdout
    assert [table["status"] for table in as_json.json["tables"]] == ["failed", "dry_run"]
    assert (alone.code, alone.json["status"]) == (2, "not_understood")
    assert "the cutoff lies before the calendar begins" in alone.stderr


def test_sqlite(sqlite_house: House) -> None:
    create_conversation_log(sqlite_house.url, 500, days=60, end=END)
    said = nightshift(sqlite_house, "plan", "--as-of", AS_OF, "--json")
    assert said.code == 0, said.stderr
    due = sqlite_house.value("SELECT count(*) FROM conversation_log WHERE created_at < '2025-09-15'")
    assert said.json["tables"][0]["estimate"]["rows"] == due
