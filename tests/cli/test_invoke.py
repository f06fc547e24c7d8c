"""`nightshift invoke` calls a handler as Lambda would."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cleanup import app
from tests.cli.command import Said, nightshift, process
from tests.support.house import AS_OF, House


@pytest.fixture
def small(house: House) -> House:
    house.sql("CREATE TABLE conversation_log (id bigint, created_at timestamptz)")
    house.sql("INSERT INTO conversation_log VALUES (1, '2025-01-01'), (2, '2025-10-14')")
    return house


def invoke(house: House, *arguments: str, stdin: str | None = None) -> Said:
    """In this process, whose handler may have been wired to another house."""
    app.lambda_handler.wiring = None
    try:
        return nightshift(house, "invoke", *arguments, stdin=stdin)
    finally:
        app.lambda_handler.wiring = None


def test_an_event_from_a_file(small: House, tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"scheduled_time": AS_OF}))

    said = process(small, "invoke", "cleanup", "--event", str(path))

    assert (said.code, said.stderr) == (0, "")
    assert (said.json["status"], said.json["as_of"]) == ("ok", AS_OF)
    assert small.texts("conversation_log", "t.id::text") == ["2"]
    assert [row["id"] for row in small.archived()] == [1]
    assert len(small.slack.messages) == 1


def test_an_event_from_stdin(small: House) -> None:
    event = json.dumps({"scheduled_time": AS_OF, "dry_run": True})
    said = invoke(small, "cleanup", "--event", "-", "--json", stdin=event)
    assert (said.code, said.json["status"], said.stdout.count("\n")) == (0, "dry_run", 1)
    assert small.texts("conversation_log", "t.id::text") == ["1", "2"]


@pytest.mark.fast_cases("cleanup")
@pytest.mark.parametrize("job", ["cleanup", "feedback", "reembed"])
def test_without_an_event_a_run_stands_for_now(small: House, job: str) -> None:
    """The checkout's events are samples of 2025: a run by one of them would report, or delete, by that day."""
    small.env["CLEANUP_MAX_SHARE"] = "1"
    small.policies(
        '[[retention]]\ntable = "conversation_log"\nkeep_days = 30\n'
        '[[embedding]]\ntable = "document"\ntext = "body"\ninto = "document_embedding"'
    )
    small.sql("CREATE TABLE document (id int PRIMARY KEY, body text, updated_at timestamptz)")
    small.sql("ALTER TABLE conversation_log ADD feedback text")
    small.env |= {"FEEDBACK_CHART": "off", "EMBEDDER": "local"}
    before = datetime.now(UTC)
    said = process(small, "invoke", job)
    assert said.code == 0, said.stderr
    assert before <= datetime.fromisoformat(said.json["as_of"]) <= datetime.now(UTC)


@pytest.mark.parametrize("event", ["not json", "", "[1"])
def test_an_event_that_is_no_json(small: House, event: str) -> None:
    said = invoke(small, "cleanup", "--event", "-", stdin=event)
    assert (said.code, said.stdout) == (2, "")
    assert "not JSON" in said.stderr
    assert small.slack.messages == []


def test_an_event_that_is_not_understood(small: House) -> None:
    said = invoke(small, "cleanup", "--event", "-", stdin='{"dry-run": true}')
    assert (said.code, said.stdout) == (2, "")
    assert "dry-run: unknown key" in said.stderr
    assert len(small.texts("conversation_log")) == 2


@pytest.mark.parametrize(("policy", "code", "status"), [("missing", 4, "refused"), ("empty", 0, "nothing")])
def test_the_exit_status_is_the_runs(small: House, policy: str, code: int, status: str) -> None:
    small.sql("CREATE TABLE empty (created_at timestamptz)")
    small.policies(f'[[retention]]\ntable = "{policy}"\nkeep_days = 30')
    said = invoke(small, "cleanup", "--json")
    assert (said.code, said.json["status"]) == (code, status)


def test_rows_locked_elsewhere_make_it_partial(small: House) -> None:
    small.env["CLEANUP_LOCK_TIMEOUT"] = "0.1"
    small.sql("BEGIN")
    small.sql("SELECT * FROM conversation_log FOR UPDATE")
    said = invoke(small, "cleanup", "--json")
    small.sql("ROLLBACK")
    assert (said.code, said.json["status"]) == (3, "partial")


def test_a_failure(small: House) -> None:
    small.env["ARCHIVE_BUCKET"] = "no-such-bucket"
    said = invoke(small, "cleanup")
    assert (said.code, said.stdout) == (1, "")
    assert said.stderr.startswith("error: S3 did not take an object: NoSuchBucket\n  s3://no-such-bucket/")
    assert "hint: ARCHIVE_BUCKET does not exist" in said.stderr
    assert "Traceback" not in said.stderr
    assert len(small.texts("conversation_log")) == 2


@pytest.mark.slow
def test_metrics_never_reach_stdout(small: House) -> None:
    """A shell with a function's environment, copied for a closer look."""
    small.env.update(AWS_LAMBDA_FUNCTION_NAME="nightshift-cleanup", POWERTOOLS_METRICS_DISABLED="false")
    said = process(small, "invoke", "cleanup", "--json")
    assert said.json["status"] == "ok"
