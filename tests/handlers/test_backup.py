"""`backup`, `rehearse` and `restore_backup` as Lambda runs them: through the runtime, with their own layers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.artefact import ROOT, best, runtime_python
from local.chatlog import TABLE
from local.lambda_runtime import LambdaRuntime
from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from nightshift.backup.inventory import find_backups
from nightshift.backup.manifest import BackupManifest
from nightshift.backup.pg_tools import PROGRAMS
from nightshift.store import ObjectStore
from tests.handlers import metrics
from tests.handlers.scene import BACKUP, MOMENT, ROWS, Precious, Scene, answer_of, memory_of
from tests.support.logs_server import LogsServer

NEXT = "2025-10-14T00:00:00Z"
GROUP = "/ecs/api"
NOON_MS = 1_760_238_000_000
"""2025-10-12 12:00 in Seoul, milliseconds: within the day before `MOMENT`."""


@pytest.fixture
def logs() -> Iterator[LogsServer]:
    """A CloudWatch Logs of the test's own, with an event in one group."""
    with LogsServer() as server:
        server.add(GROUP, NOON_MS, "started")
        yield server


@pytest.fixture
def precious(environment: dict[str, str], s3: EmbeddedS3, logs: LogsServer) -> Precious:
    """A database with logs, and a bucket of its own for backups, as deployed."""
    bucket = f"{environment['ARCHIVE_BUCKET']}-backups"
    s3.create_bucket(bucket, versioned=True)
    scene = Precious("backup", metrics.measured(environment), s3)
    scene.bucket = bucket
    scene.env |= {**logs.env, "BACKUP_BUCKET": bucket, "BACKUP_LOG_GROUPS": GROUP, "BACKUP_LOG_RETENTION_DAYS": "30"}
    return scene


@pytest.fixture
def empty(postgres: EmbeddedPostgres, precious: Precious) -> Iterator[str]:
    """URL of an empty database, which is RESTORE_DATABASE_URL."""
    name = f"{precious.url.rpartition('/')[2]}_restored"
    precious.env["RESTORE_DATABASE_URL"] = url = postgres.create_database(name)
    yield url
    postgres.drop_database(name)


def function(scene: Scene, job: str, cap_mb: int | None = None) -> LambdaRuntime:
    """Another function in the same surroundings."""
    handler = f"{job}.app.lambda_handler"
    return LambdaRuntime(handler, scene.env, memory_mb=cap_mb or 1769, capped=cap_mb is not None)


def manifest_of(scene: Scene) -> BackupManifest:
    found, *_ = find_backups(ObjectStore(scene.s3.client, scene.bucket), "backup")
    assert found.manifest is not None
    return found.manifest


def test_a_backup_is_made_once_and_told_of(precious: Precious, logs: LogsServer, slack: SlackServer) -> None:
    with precious.runtime() as runtime:
        dry = answer_of(runtime.invoke({**precious.event, "dry_run": True}))
        assert (dry["job"], dry["status"], dry["name"]) == ("backup", "dry_run", BACKUP)
        assert precious.untouched()
        first, second = (answer_of(runtime.invoke(precious.event)) for _ in range(2))
    assert (first["status"], first["as_of"], first["log_events"]) == ("ok", MOMENT, 1)
    assert "missing" not in first and "warnings" not in first
    assert (second["status"], second["already"], second["bytes"]) == ("nothing", True, first["bytes"])
    assert precious.done()
    assert logs.groups[GROUP].retention == 30
    assert [BACKUP in message.seen for message in slack.messages] == [True] * 3
    assert f"🗄️ 백업 완료: {BACKUP}" in slack.messages[1].seen


@pytest.mark.slow
@pytest.mark.skipif(runtime_python() is None, reason="functions run from the sources here, beside the tests' own tools")
def test_the_schema_is_saved_by_the_layers_own_tools(precious: Precious, tmp_path: Path) -> None:
    """With nothing else on PATH; and where a function has no such layer, the backup says what it lacks."""
    artefact = best("backup")
    precious.env |= {"PATH": str(tmp_path), "BACKUP_SCHEMAS": "public"}
    bare = replace(artefact, programs=())
    for moment, runs_from in ((MOMENT, artefact), (NEXT, bare)):
        with LambdaRuntime("backup.app.lambda_handler", precious.env, artefact=runs_from) as runtime:
            answer = answer_of(runtime.invoke({"scheduled_time": moment}))
        manifest = manifest_of(precious)
        if runs_from is bare:
            assert manifest.client_version is None
            assert any("pg_dump" in sentence for sentence in answer["missing"])
        else:
            assert manifest.client_version is not None
            assert manifest.client_version.split(".")[0] in {path.parent.name for path in artefact.programs}
            assert "missing" not in answer
    assert all((programs / name).exists() for programs in artefact.programs for name in PROGRAMS)


def test_a_rehearsal_proves_the_newest_backup(precious: Precious, slack: SlackServer) -> None:
    precious.backed_up()
    with function(precious, "rehearse") as runtime:
        answer = answer_of(runtime.invoke((ROOT / "events" / "rehearse.json").read_bytes()))
    assert (answer["status"], answer["name"], answer["proven"]) == ("ok", BACKUP, True)
    assert answer["differences"] == []
    assert BACKUP in slack.messages[-1].seen
    assert precious.number("SELECT count(*) FROM pg_database WHERE starts_with(datname, 'nightshift_rehearsal_')") == 0
    with precious.runtime() as runtime:
        after = answer_of(runtime.invoke({"scheduled_time": NEXT}))
    assert (after["status"], after["proven_name"]) == ("ok", BACKUP)


@pytest.mark.slow
@pytest.mark.parametrize("job", ["rehearse", "restore_backup"])
def test_the_smallest_memory_is_enough(precious: Precious, empty: str, job: str) -> None:
    precious.backed_up()
    with function(precious, job, cap_mb=int(memory_of(job)["MinValue"])) as runtime:
        assert answer_of(runtime.invoke({"backup": BACKUP}))["status"] == "ok"


@pytest.mark.slow
def test_a_backup_comes_back_into_an_empty_database_and_no_other(precious: Precious, empty: str) -> None:
    saved = precious.backed_up()
    with function(precious, "restore_backup") as runtime:
        dry = answer_of(runtime.invoke((ROOT / "events" / "restore_backup.dry_run.json").read_bytes()))
        restored = answer_of(runtime.invoke((ROOT / "events" / "restore_backup.json").read_bytes()))
        again = answer_of(runtime.invoke({"backup": BACKUP}))
        absent = runtime.invoke({"backup": "backup_2001_01_01_0000"})
    assert [answer["status"] for answer in (dry, restored, again)] == ["dry_run", "ok", "refused"]
    assert (restored["name"], restored["rows"], restored["differences"]) == (BACKUP, saved["rows"], [])
    assert again["refusal"]["guard"] == "not_empty"
    assert absent.error_type == "BackupNotFound"
    precious.url = empty
    assert precious.number(f"SELECT count(*) FROM {TABLE}") == ROWS


@pytest.mark.fast_cases("rehearse")
@pytest.mark.parametrize(
    ("job", "events"),
    [
        ("rehearse", ({"backup": ""}, {"table": "x"}, {"dry-run": True}, ["newest"])),
        (
            "restore_backup",
            ({}, {"backup": 1}, {"backup": "newest", "into": "x"}, {"backup": "newest", "owners": "no"}),
        ),
    ],
)
def test_an_event_that_is_not_understood_touches_nothing(
    precious: Precious, empty: str, job: str, events: tuple[object, ...]
) -> None:
    with function(precious, job) as runtime:
        for event in (b"garbage", *(json.dumps(event).encode() for event in events)):
            assert runtime.invoke(event).error_type is not None, event
    assert precious.untouched()
    precious.url = empty
    assert not precious.exists(TABLE)


@pytest.mark.slow
def test_every_alarm_looks_at_a_metric_that_the_function_writes(precious: Precious) -> None:
    """A backup before anything is proven, a rehearsal, and a backup when most rows are gone."""
    precious.env["SLACK_BOT_TOKEN"] = "xoxb-another"
    with precious.runtime() as backup, function(precious, "rehearse") as rehearse:
        first = backup.invoke(precious.event)
        proof = rehearse.invoke({"scheduled_time": MOMENT})
        precious.sql(f"TRUNCATE {TABLE}")
        shrunk = backup.invoke({"scheduled_time": NEXT})
    assert [answer_of(result)["status"] for result in (first, proof, shrunk)] == ["ok"] * 3
    common = {"NotifyFailed", "RunRefused", "RunPartial"}
    assert metrics.alarmed("rehearse") == common
    assert metrics.alarmed("rehearse") <= metrics.names("rehearse", metrics.written(proof))
    assert metrics.alarmed("backup") == {*common, "BackupShrunk", "ProvenAgeSeconds"}
    lines = metrics.written(shrunk)
    assert metrics.alarmed("backup") <= metrics.names("backup", lines)
    facts = {name: line[name] for line in lines for name in line if name[0].isupper()}
    assert (facts["BackupMade"], facts["BackupShrunk"]) == ([1], [answer_of(shrunk)["shrunk"]])
