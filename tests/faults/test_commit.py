"""The connection is lost during COMMIT. The client cannot know what became of it; the ledger can."""

from __future__ import annotations

import signal

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.support.child import JobChild
from tests.support.scene import OURS, Scene
from tests.support.tcp_proxy import TcpProxy

COMMIT, DATA = b"COMMIT\0", b"COPY (DELETE"
"""What passes at the end of a chunk, and what tells a data connection from the control plane's."""


def start(scene: Scene, proxy: TcpProxy, workers: int = 1) -> JobChild:
    """A run whose every connection goes through the proxy."""
    return scene.child({"DATABASE_URL": proxy.through(scene.env["DATABASE_URL"]), "CLEANUP_WORKERS": str(workers)})


def test_the_server_never_saw_it(scene: Scene, postgres: EmbeddedPostgres) -> None:
    """The ledger says so, and the objects are removed at once: the rows are still in the table."""
    scene.fill()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, having=DATA, skip=1)
        child = start(scene, proxy)
        assert child.wait() == 1
        assert cut.happened.is_set()
    assert child.error is not None and child.error.startswith("ConnectionLost")
    assert (child.steps.count(ProgressStep.COMMITTING), child.steps.count(ProgressStep.COMMITTED)) == (2, 1)
    scene.assert_tidy()
    scene.converge()


@pytest.mark.fast_cases("2")
@pytest.mark.parametrize("workers", [1, 2])
def test_the_answer_was_lost(scene: Scene, postgres: EmbeddedPostgres, workers: int) -> None:
    """The ledger says that it went through: the run counts the chunk, opens another connection and goes on."""
    scene.fill()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, after_forward=True, having=DATA, skip=1)
        child = start(scene, proxy, workers)
        assert child.wait() == 0, child.log
        assert cut.happened.is_set()
    assert child.answer is not None and child.answer["status"] == "ok"
    assert child.answer["tables"][0]["archived_rows"] == scene.due.total()
    assert scene.converge()["status"] == "nothing"


@pytest.mark.fast_cases("True")
@pytest.mark.parametrize("arrived", [False, True])
def test_the_ledger_cannot_be_asked(scene: Scene, postgres: EmbeddedPostgres, arrived: bool) -> None:
    """The whole server is out of reach: the run says that it does not know, and touches nothing."""
    scene.fill()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, after_forward=arrived, everything=True, having=DATA)
        child = start(scene, proxy)
        assert child.wait() == 1
        assert cut.happened.is_set()
    assert child.error is not None and child.error.startswith("CommitUnknown"), child.log
    assert "the next run finds out, and goes on from there" in child.error
    committing = next(event for event in child.events if event["step"] == ProgressStep.COMMITTING)
    assert set(committing["keys"]) <= set(scene.s3.keys(scene.bucket))
    scene.await_quiet()
    assert (scene.archived_rows() > 0) is arrived
    answer = scene.converge()
    assert answer["orphans_removed"] == (0 if arrived else len(committing["keys"]))


def test_it_arrives_late(scene: Scene, postgres: EmbeddedPostgres) -> None:
    """Its sender is dead and another run has swept when the server sees it: rows and objects still go together."""
    scene.fill()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        held = proxy.hold_when(COMMIT, having=DATA)
        child = start(scene, proxy)
        held.happened.wait()
        assert child.kill() == -signal.SIGKILL
        assert child.steps[-1] == ProgressStep.COMMITTING
        scene.await_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)

        second = scene.run()
        assert (second["status"], second["orphans_removed"]) == ("partial", 0)
        between = scene.archived_rows()
        assert 0 < between < scene.due.total()
        scene.assert_nothing_lost()

        held.release()
        scene.await_quiet()
    assert scene.archived_rows() == between + sum(e["rows"] for e in child.events if e["step"] == ProgressStep.PROVEN)
    assert scene.converge()["status"] == "nothing"


def test_it_comes_after_the_sweep(scene: Scene) -> None:
    """A run that stood still while another swept its objects must not commit: its rows would be nowhere."""
    scene.fill()
    child = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.PROVEN)
    child.await_step(ProgressStep.PROVEN)
    lock = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    scene.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {OURS} AND pid IN ({lock})")
    second = scene.run()
    assert second["status"] == "partial"
    assert second["orphans_removed"] == len(child.events[-1]["keys"])
    child.resume()
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith("ArchiveMismatch")
    assert "make sure that one deployment only works on it" in child.error
    scene.converge()
