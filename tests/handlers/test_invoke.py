"""`make invoke`'s command: its answer on stdout, everything else on stderr, and an exit status to build on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.artefact import ROOT


def invoke(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command from the root, with these variables on top of a clean environment."""
    path = os.pathsep.join(map(str, (ROOT / "layers" / "shared", ROOT / "functions", ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "local.invoke", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(autouse=True)
def _clean(clean_environment: pytest.MonkeyPatch) -> None:
    """No setting of the developer's own reaches the command."""


@pytest.fixture
def event(tmp_path: Path) -> Path:
    return tmp_path / "event.json"


def test_it_works_on_a_fresh_checkout() -> None:
    done = invoke("cleanup", "events/cleanup.json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert answer["status"] == "ok"
    assert answer["tables"][0]["deleted_rows"] > 0
    assert "are started on this machine" in done.stderr
    assert "REPORT RequestId" in done.stderr


@pytest.mark.slow
def test_a_restore_finds_something_to_restore_on_a_fresh_checkout(event: Path) -> None:
    event.write_text('{"scheduled_time": "2025-10-13T00:00:00Z", "table": "conversation_log", "until": "2025-08-31"}')
    done = invoke("restore", event)
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (answer["status"], answer["as_of"]) == ("ok", "2025-10-13T00:00:00Z")
    assert answer["restored_rows"] > 0
    assert "cleanup runs first" in done.stderr


@pytest.mark.slow
def test_jobs_expire_on_a_fresh_checkout_and_so_do_their_files() -> None:
    done = invoke("expire_jobs", "events/expire_jobs.json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    (table,), files = answer["tables"], answer["files"]
    assert (answer["status"], table["table"], answer["as_of"]) == ("ok", "public.job", "2025-10-13T00:00:00Z")
    assert table["expired"] > 0
    assert files["deleted"] == table["deleted_rows"]["public.job_file"] > 0
    assert "are started on this machine" in done.stderr


@pytest.mark.slow
def test_votes_are_reported_on_a_fresh_checkout() -> None:
    done = invoke("feedback", "events/feedback.json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (answer["likes"], answer["dislikes"], answer["state"]) == (87, 13, "healthy")
    assert answer["week"]["total"] > 500
    assert "are started on this machine" in done.stderr


@pytest.mark.slow
def test_disliked_documents_are_embedded_on_a_fresh_checkout() -> None:
    done = invoke("reembed", "events/reembed.json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    (table,) = answer["tables"]
    assert (answer["status"], table["table"], table["scope"]) == ("ok", "public.document", "disliked")
    assert table["embedded"] > 0
    assert "data: documents" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("job", ["rehearse", "restore_backup"])
def test_a_database_is_backed_up_and_comes_back_on_a_fresh_checkout(job: str) -> None:
    done = invoke(job, f"events/{job}.json")
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (answer["status"], answer.get("missing"), answer.get("differences", [])) == ("ok", None, [])
    assert answer["rows"] > 5_000
    assert answer.get("proven", False) is (job == "rehearse")
    assert "backup runs first" in done.stderr


@pytest.mark.slow
def test_a_function_that_fails_is_an_exit_status_of_one(event: Path) -> None:
    event.write_text('{"dry-run": true}')
    done = invoke("cleanup", event)
    assert done.returncode == 1
    assert json.loads(done.stdout)["errorType"] == "InvalidEvent"
    assert "Traceback" in done.stderr


def test_the_callers_own_servers_are_used(environment: dict[str, str], event: Path) -> None:
    event.write_text("{}")
    done = invoke("cleanup", event, **environment)
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert answer["tables"][0]["refusal"]["guard"] == "unknown_table"
    assert "are started on this machine" not in done.stderr


def test_on_the_callers_own_servers_a_run_without_an_event_stands_for_now(environment: dict[str, str]) -> None:
    """The sample event is of 2025: a run by it would report, or delete, by that day."""
    before = datetime.now(UTC)
    done = invoke("cleanup", **environment)
    assert done.returncode == 0, done.stderr
    assert before <= datetime.fromisoformat(json.loads(done.stdout)["as_of"]) <= datetime.now(UTC)
    assert "no EVENT is named" in done.stderr


@pytest.mark.slow
def test_without_an_event_on_a_fresh_checkout_the_sample_is_named() -> None:
    done = invoke("feedback")
    assert done.returncode == 0, done.stderr
    assert "the event is " in done.stderr and "events/feedback.json" in done.stderr


@pytest.mark.fast_cases("DATABASE_URL")
@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_SECRET_ARN", "ARCHIVE_BUCKET", "BACKUP_BUCKET"])
def test_half_an_environment_is_the_callers_mistake_not_ours_to_fill(name: str, event: Path) -> None:
    event.write_text('{"dry_run": true}')
    done = invoke("cleanup", event, **{name: "sqlite:///missing.db" if name == "DATABASE_URL" else "x-1"})
    assert done.returncode == 1
    assert "are started on this machine" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "usage: make invoke"),
        (("cleanup", "events/cleanup.json", "more"), "usage: make invoke"),
        (("clean", "events/cleanup.json"), "JOB is one of: backup, cleanup"),
        (("../cleanup", "events/cleanup.json"), "there is no job"),
        (("cleanup", "events/missing.json"), "the event cannot be read: events/missing.json"),
        (("cleanup", "events"), "the event cannot be read: events"),
        (("cleanup", "README.md"), "the event"),
        (("cleanup", "Makefile"), "the event is not JSON: Makefile"),
    ],
)
def test_a_command_that_is_not_understood_says_why(arguments: tuple[str, ...], sentence: str) -> None:
    done = invoke(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""
