"""The server is killed in mid-run, and was told not to wait for its log: what S3 was told stays true.

Its process that writes the log by and by stands still: whatever a run does not make durable itself is undone by the
crash.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from nightshift.database.session_start import flush_commits
from nightshift.progress_events import ProgressStep
from tests.support.engine import database_of
from tests.support.expiring import IMPATIENT as IMPATIENT_JOBS
from tests.support.expiring import JobScene
from tests.support.running import RunningHouse
from tests.support.scene import IMPATIENT, Scene

LAZY = {"wal_writer_delay": "10s", "fsync": "off"}
"""The files are the kernel's, which does not crash here."""

WAYS = {
    "role": "ALTER ROLE lazy SET synchronous_commit = off",
    "database": "ALTER DATABASE {database} SET synchronous_commit = off",
    "role in database": "ALTER ROLE lazy IN DATABASE {database} SET synchronous_commit = off",
    "server": "ALTER SYSTEM SET synchronous_commit = off;;SELECT pg_reload_conf()",
    "trigger": "CREATE FUNCTION hurry() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN SET LOCAL synchronous_commit = off; RETURN NULL; END $$;"
    " CREATE TRIGGER hurry AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION hurry()",
}
"""How people tell the server not to wait."""

DEBIAN = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server of the module's own: PostgreSQL 15, or 16 where there is none, and 18."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == 15 and DEBIAN.is_dir():
            patch.setenv("PG_BIN", str(DEBIAN))
        built = EmbeddedPostgres(16 if request.param == 15 else 18, settings=LAZY)
    with built as server:
        server.execute("CREATE ROLE lazy LOGIN SUPERUSER")
        yield server


@pytest.fixture
def place(server: EmbeddedPostgres) -> Iterator[str]:
    """URL of an empty database on it; afterwards the role and the server are as they were."""
    name = f"crash_{uuid.uuid4().hex[:8]}"
    yield server.create_database(name)
    server.execute("ALTER ROLE lazy RESET ALL")
    server.execute("ALTER SYSTEM RESET ALL")
    server.execute("SELECT pg_reload_conf()")
    server.drop_database(name)


@pytest.fixture
def night(
    surroundings: dict[str, str], place: str, s3: EmbeddedS3, slack: SlackServer, tmp_path: Path
) -> Iterator[Scene]:
    """A log that is due for its cleanup."""
    built = Scene({**surroundings, **IMPATIENT, "DATABASE_URL": place}, s3, slack, tmp_path)
    yield built
    built.close()


@pytest.fixture
def service(night: Scene, s3: EmbeddedS3) -> Iterator[JobScene]:
    """Jobs that have expired, in the same database; their files are in a bucket of their own."""
    s3.create_bucket(bucket := f"{night.bucket}-files")
    env = {**night.env, **IMPATIENT_JOBS, "ARCHIVE_BUCKET": bucket}
    built = JobScene(env, night.s3, night.slack, night.directory)
    yield built
    built.close()


def stop_writing(scene: RunningHouse) -> int:
    """From here on the server's log is written by those alone who wait for it; the process that stands still."""
    scene.sql("CHECKPOINT")
    writer = int(scene.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"))
    os.kill(writer, signal.SIGSTOP)
    return writer


def hurry(scenes: tuple[Scene, JobScene], way: str) -> None:
    """Tell the server not to wait, and let runs log in as the role that it may be told for."""
    night, *_ = scenes
    for statement in WAYS[way].format(database=night.database).split(";;"):
        night.sql(statement)
    stop_writing(night)
    for scene in scenes:
        scene.leave()
        scene.env["DATABASE_URL"] = scene.url.replace("postgres@", "lazy@") + "?sslmode=disable"


@pytest.mark.fast_cases("18-server", "18-role]")
@pytest.mark.parametrize(
    ("server", "way"), [(15, "role"), (15, "server"), *((18, way) for way in WAYS)], indirect=["server"]
)
def test_what_s3_was_told_stays_true(night: Scene, service: JobScene, server: EmbeddedPostgres, way: str) -> None:
    """No row comes back without its files, and the ledger knows every object of a run that was under way."""
    night.fill(1500)
    service.fill()
    hurry((night, service), way)
    cleanup = night.child(hold_at=ProgressStep.UPLOADED, occurrence=2)
    cleanup.await_step(ProgressStep.UPLOADED, 2)
    expiry = service.child(hold_at=ProgressStep.ANSWERED)
    expiry.await_step(ProgressStep.ANSWERED)
    server.crash()
    cleanup.kill()
    expiry.kill()
    service.assert_sound()
    known = {entry["object_key"] for entry in night.ledger()}
    assert set(night.s3.keys(night.bucket)) <= known, "the ledger does not know of an object"
    service.converge()
    night.env.pop("NIGHTSHIFT_CONFIG", None)
    night.converge()


@pytest.mark.parametrize("server", [18], indirect=True)
def test_what_others_did_is_on_disk_before_files_go(service: JobScene) -> None:
    """An application that does not wait deletes a row; the run that sees it gone makes sure that it stays gone."""
    service.fill(expired=1, living=1, with_files=False)
    writer = stop_writing(service)
    service.sql("SET synchronous_commit = off")
    service.sql("DELETE FROM job_file")
    written = f"SELECT pg_current_wal_flush_lsn() >= '{service.value('SELECT pg_current_wal_insert_lsn()')}'"
    assert not service.value(written)
    with database_of(service) as database, closing(database), database.connect() as connection:
        flush_commits(connection)
    os.kill(writer, signal.SIGCONT)
    assert service.value(written)
