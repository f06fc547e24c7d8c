"""Metrics: on Lambda every run writes CloudWatch's embedded format to stdout, elsewhere nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.chatlog import connect
from nightshift.errors import NightshiftError
from nightshift.metrics import emit_metrics
from nightshift.results.backup import BackupResult, RestoredBackup
from nightshift.results.common import GuardRefusal, RunStatus
from nightshift.results.expiry import ExpiredTable, ExpiryResult, FilesResult
from nightshift.results.feedback import FeedbackResult, VoteTotals
from nightshift.results.reembed import EmbeddedTable, ReembedResult
from tests.support.house import House

LOG = """
CREATE TABLE conversation_log (id int, created_at timestamptz);
INSERT INTO conversation_log SELECT n, timestamptz '2025-09-10 12:00+09' FROM generate_series(1, 10) n
"""


@pytest.fixture
def on_lambda(house: House) -> House:
    """A house whose handler believes itself on Lambda."""
    del house.env["POWERTOOLS_METRICS_DISABLED"]
    house.env["AWS_LAMBDA_FUNCTION_NAME"] = "nightshift-cleanup"
    house.sql(LOG)
    return house


def metrics(captured: pytest.CaptureFixture[str], job: str = "cleanup") -> dict[str, Any]:
    """What was written, merged: metric → value."""
    found: dict[str, Any] = {}
    for line in captured.readouterr().out.splitlines():
        written = json.loads(line)
        (directive,) = written["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "nightshift"
        assert directive["Dimensions"] == [["service"]] and written["service"] == job
        for metric in directive["Metrics"]:
            (found[metric["Name"]],) = written[metric["Name"]]
    return found


@contextmanager
def a_row_locked(house: House) -> Iterator[None]:
    with closing(connect(house.url)) as other:
        other.run("BEGIN")
        other.run("SELECT 1 FROM conversation_log WHERE id = 1 FOR UPDATE")
        yield
        other.run("COMMIT")


def test_elsewhere_nothing_is_written(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    del house.env["POWERTOOLS_METRICS_DISABLED"]
    house.sql(LOG)
    house.run()

    assert capsys.readouterr().out == ""


def test_a_run(on_lambda: House, capsys: pytest.CaptureFixture[str]) -> None:
    table = on_lambda.run_table()

    assert metrics(capsys) == {
        "RunFailed": 0,
        "RunRefused": 0,
        "RunPartial": 0,
        "ArchivedRows": 10,
        "ArchivedBytes": table["bytes"],
        "OldestOverdueSeconds": 0,
    }


def test_what_is_left_overdue_is_told(on_lambda: House, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that somebody holds stays, and everybody can see how old it is."""
    on_lambda.env["CLEANUP_LOCK_TIMEOUT"] = "0.2"
    with a_row_locked(on_lambda):
        answer = on_lambda.run()

    (table,) = answer["tables"]
    assert (answer["status"], answer["complete"], table["archived_rows"]) == ("partial", False, 9)
    assert table["oldest_overdue"] == "2025-09-10T12:00:00+09:00"
    assert table["warnings"] == ["rows locked by somebody else were left for the next run"]
    seen = on_lambda.slack.messages[0].seen
    assert "- 가장 오래된 미처리 행: 2025-09-10 12:00:00 KST" in seen and "⏳" in seen
    written = metrics(capsys)
    assert (written["RunPartial"], written["ArchivedRows"]) == (1, 9)
    assert written["OldestOverdueSeconds"] == 4.5 * 86_400, "past the cutoff, not from now"
    assert on_lambda.run_table()["archived_rows"] == 1


def test_a_refusal(on_lambda: House, capsys: pytest.CaptureFixture[str]) -> None:
    on_lambda.env["CLEANUP_MAX_SHARE"] = "0.1"
    on_lambda.run()

    written = metrics(capsys)
    assert (written["RunRefused"], written["RunFailed"], written["ArchivedRows"]) == (1, 0, 0)


def test_a_failure(on_lambda: House, capsys: pytest.CaptureFixture[str]) -> None:
    on_lambda.env["ARCHIVE_BUCKET"] = "nowhere-at-all"
    with pytest.raises(NightshiftError):
        on_lambda.run()

    assert metrics(capsys)["RunFailed"] == 1


def test_a_failure_before_the_run(on_lambda: House, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NightshiftError):
        on_lambda.run(dry="run")

    assert metrics(capsys)["RunFailed"] == 1


def test_a_silent_slack(on_lambda: House, capsys: pytest.CaptureFixture[str]) -> None:
    on_lambda.slack.fail_next("chat.postMessage", body={"ok": False, "error": "channel_not_found"}, times=9)

    assert on_lambda.run()["status"] == "ok"

    written = metrics(capsys)
    assert (written["NotifyFailed"], written["RunFailed"]) == (1, 0)


AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
ON_LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "nightshift-expire-jobs"}
EXPIRED = ExpiredTable(
    table="public.job",
    status=RunStatus.PARTIAL,
    expired=3,
    deleted_rows={"public.payment": 4, "public.job": 3},
    oldest_overdue=AS_OF - timedelta(hours=2),
)


def test_expired_rows_and_their_files(capsys: pytest.CaptureFixture[str]) -> None:
    session = replace(EXPIRED, table="public.session", deleted_rows={"public.session": 3}, oldest_overdue=AS_OF)
    files = FilesResult(queued=9, deleted=5, kept=1, failed=2, waiting=3)
    emit_metrics(
        ON_LAMBDA, "expire_jobs", as_of=AS_OF, result=ExpiryResult(tables=(EXPIRED, session), files=files), error=None
    )

    assert metrics(capsys, "expire_jobs") == {
        "RunFailed": 0,
        "RunRefused": 0,
        "RunPartial": 1,
        "ExpiredRows": 6,
        "DeletedRows": 10,
        "FilesDeleted": 5,
        "FilesFailed": 2,
        "FilesWaiting": 3,
        "OldestOverdueSeconds": 7200,
    }


def test_an_hour_with_nothing_to_do_is_measured_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that Slack does not hear of is still seen to have run."""
    emit_metrics(ON_LAMBDA, "expire_jobs", as_of=AS_OF, result=ExpiryResult(tables=()), error=None)

    written = metrics(capsys, "expire_jobs")
    assert len(written) == 9
    assert set(written.values()) == {0}


def test_what_a_failed_preview_would_have_deleted_is_not_gone(capsys: pytest.CaptureFixture[str]) -> None:
    seen = ExpiryResult(tables=(replace(EXPIRED, status=RunStatus.DRY_RUN),), files=FilesResult(queued=9))
    emit_metrics(ON_LAMBDA, "expire_jobs", as_of=AS_OF, result=seen, error=NightshiftError("broken"))

    written = metrics(capsys, "expire_jobs")
    assert (written["RunFailed"], written["ExpiredRows"], written["DeletedRows"]) == (1, 0, 0)


VOTES = FeedbackResult(
    table="chat", start=AS_OF - timedelta(days=1), end=AS_OF, votes=VoteTotals(likes=59, dislikes=41)
)
NO_FAULT = {"RunFailed": 0, "RunRefused": 0, "RunPartial": 0}


def test_votes_and_what_follows_from_them(capsys: pytest.CaptureFixture[str]) -> None:
    emit_metrics(ON_LAMBDA, "feedback", as_of=AS_OF, result=replace(VOTES, started=True), error=None)

    written = {"Votes": 100, "Dislikes": 41, "NegativeRatio": 41, "FeedbackRetraining": 1}
    assert metrics(capsys, "feedback") == {**NO_FAULT, **written}


def test_no_votes_have_no_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    """A zero would pull the ratio's average down; missing votes are seen in their number."""
    emit_metrics(ON_LAMBDA, "feedback", as_of=AS_OF, result=replace(VOTES, votes=VoteTotals()), error=None)

    assert metrics(capsys, "feedback") == {**NO_FAULT, "Votes": 0, "Dislikes": 0, "FeedbackRetraining": 0}


def test_votes_that_nobody_could_count_are_not_none(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = GuardRefusal(guard="unknown_table", message="no such table", hint="correct it")
    emit_metrics(
        ON_LAMBDA, "feedback", as_of=AS_OF, result=replace(VOTES, votes=VoteTotals(), refusal=refusal), error=None
    )

    assert metrics(capsys, "feedback") == {**NO_FAULT, "RunRefused": 1, "FeedbackRetraining": 0}


def test_documents(capsys: pytest.CaptureFixture[str]) -> None:
    done = EmbeddedTable(table="document", status=RunStatus.PARTIAL, embedded=400, poisoned=2, left=30)
    preview = EmbeddedTable(table="faq", status=RunStatus.DRY_RUN, embedded=7, left=7)
    emit_metrics(ON_LAMBDA, "reembed", as_of=AS_OF, result=ReembedResult(tables=(done, done, preview)), error=None)

    written = {"RunPartial": 1, "DocumentsEmbedded": 800, "DocumentsPoisoned": 4, "DocumentsLeft": 60}
    assert metrics(capsys, "reembed") == {**NO_FAULT, **written}


BACKUP = BackupResult(
    name="backup_2025_10_15_0900",
    tables=3,
    rows=40,
    bytes=900,
    log_events=7,
    previous_bytes=1801,
    proven_at=AS_OF - timedelta(days=1),
    pruned=("a", "b"),
    missing=("large objects",),
)


def test_a_backup(capsys: pytest.CaptureFixture[str]) -> None:
    emit_metrics(ON_LAMBDA, "backup", as_of=AS_OF, result=BACKUP, error=None)

    assert metrics(capsys, "backup") == {
        **NO_FAULT,
        "BackupMade": 1,
        "BackupsPruned": 2,
        "BackupBytes": 900,
        "BackupRows": 40,
        "BackupLogEvents": 7,
        "BackupMissing": 1,
        "BackupShrunk": 1,
        "ProvenAgeSeconds": 86_400,
    }


def test_half_a_backup_has_no_size(capsys: pytest.CaptureFixture[str]) -> None:
    emit_metrics(
        ON_LAMBDA, "backup", as_of=AS_OF, result=replace(BACKUP, left=1, proven_at=None, pruned=()), error=None
    )

    assert metrics(capsys, "backup") == {**NO_FAULT, "RunPartial": 1, "BackupMade": 0, "BackupsPruned": 0}


def test_a_rehearsal(capsys: pytest.CaptureFixture[str]) -> None:
    restored = RestoredBackup(name="b", rows=40, scratch=True, proven=True)
    emit_metrics(ON_LAMBDA, "rehearse", as_of=AS_OF, result=restored, error=None)
    assert metrics(capsys, "rehearse") == {**NO_FAULT, "RestoredRows": 40, "RestoreDifferences": 0, "BackupProven": 1}

    emit_metrics(
        ON_LAMBDA, "rehearse", as_of=AS_OF, result=replace(restored, proven=False, differences=("d",)), error=None
    )
    written = {"RunPartial": 1, "RestoredRows": 40, "RestoreDifferences": 1, "BackupProven": 0}
    assert metrics(capsys, "rehearse") == {**NO_FAULT, **written}
