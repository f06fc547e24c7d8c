"""`kill -9`, wherever it may hit: nothing is lost, nothing doubled, and the next run carries on."""

from __future__ import annotations

import signal

import pytest

from local.postgres import EmbeddedPostgres
from local.slack import SlackServer
from nightshift.progress_events import ProgressStep
from tests.support.scene import Scene, stuck_in_copy
from tests.support.tcp_proxy import TcpProxy

MOMENTS = [
    (ProgressStep.PLANNED, 1),
    (ProgressStep.STREAMED, 3),
    (ProgressStep.INTENT, 4),
    (ProgressStep.UPLOADED, 4),
    (ProgressStep.PROVEN, 2),
    (ProgressStep.COMMITTING, 1),
    (ProgressStep.COMMITTED, 4),
    pytest.param(ProgressStep.STREAMED, 1, marks=pytest.mark.slow),
    pytest.param(ProgressStep.INTENT, 1, marks=pytest.mark.slow),
    pytest.param(ProgressStep.UPLOADED, 1, marks=pytest.mark.slow),
    pytest.param(ProgressStep.COMMITTING, 3, marks=pytest.mark.slow),
    pytest.param(ProgressStep.COMMITTED, 1, marks=pytest.mark.slow),
]
"""Each step once; at another occurrence the slow ones."""


@pytest.mark.parametrize(("step", "occurrence"), MOMENTS)
def test_killed_at_a_step(scene: Scene, step: ProgressStep, occurrence: int) -> None:
    scene.fill(indexed=occurrence > 2)
    child = scene.child({"CLEANUP_WORKERS": "1"}, kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence)
    committed = child.steps.count(ProgressStep.COMMITTED)
    assert (scene.archived_rows() > 0) == (committed > 0)
    intended = {key for event in child.events if event["step"] == ProgressStep.INTENT for key in event["keys"]}
    archived = {entry["object_key"] for entry in scene.ledger() if entry["state"] == "archived"}
    answer = scene.converge()
    assert answer["orphans_removed"] == len(intended - archived)


def test_killed_with_several_chunks_under_way(scene: Scene) -> None:
    scene.fill(indexed=True)
    child = scene.child({"CLEANUP_WORKERS": "4"}, kill_at=ProgressStep.COMMITTING, occurrence=2)
    assert child.wait() == -signal.SIGKILL
    assert child.steps.count(ProgressStep.STREAMED) > child.steps.count(ProgressStep.COMMITTED)
    scene.converge()


def test_killed_in_the_middle_of_a_copy(scene: Scene, postgres: EmbeddedPostgres) -> None:
    with stuck_in_copy(scene, postgres.port) as (child, _):
        assert child.kill() == -signal.SIGKILL
        assert child.steps == [ProgressStep.PLANNED]
    assert scene.archived_rows() == 0
    scene.converge()


def test_killed_when_all_is_done_but_slack_was_not_told(scene: Scene, slack: SlackServer) -> None:
    scene.fill()
    port = int(slack.url.split(":")[2].split("/")[0])
    with TcpProxy("127.0.0.1", port) as proxy:
        calling = proxy.hold_when(b"chat.postMessage")
        child = scene.child({"SLACK_API_URL": f"http://127.0.0.1:{proxy.port}/api/"})
        calling.happened.wait()
        assert child.kill() == -signal.SIGKILL
        assert slack.messages == []
    assert [run["status"] for run in scene.runs()] == ["ok"]
    answer = scene.converge()
    assert answer["status"] == "nothing"
