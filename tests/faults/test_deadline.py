"""Time runs out: between two chunks, inside a statement, inside an upload. The next run goes on from there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from local.s3 import EmbeddedS3
from tests.support import s3_faults as faults
from tests.support.handler import Context
from tests.support.s3_faults import Request
from tests.support.s3_proxy import S3Proxy
from tests.support.scene import Scene


@pytest.fixture
def proxy(s3: EmbeddedS3) -> Iterator[S3Proxy]:
    with S3Proxy(s3.endpoint) as proxy:
        yield proxy


def test_between_chunks(scene: Scene, proxy: S3Proxy) -> None:
    """No chunk is started that would not be through in time, going by the slowest so far."""
    scene.fill()
    slow = proxy.inject(faults.delay(1.0), method="PUT", times=None)
    context = Context(seconds=6.0)
    answer = scene.run_with({"AWS_ENDPOINT_URL": proxy.endpoint, "CLEANUP_WORKERS": "1"}, context)
    assert context.get_remaining_time_in_millis() > 0
    assert slow.fired > 0
    assert (answer["status"], answer["complete"]) == ("partial", False)
    (table,) = answer["tables"]
    assert 0 < table["archived_rows"] == scene.archived_rows() < scene.due.total()
    assert table["oldest_overdue"] is not None
    assert scene.runs()[0]["status"] == "partial"
    scene.assert_tidy()
    second = scene.converge()
    assert second["tables"][0]["archived_rows"] == scene.due.total() - table["archived_rows"]


@pytest.mark.slow
def test_inside_a_statement(scene: Scene) -> None:
    """The server itself ends a DELETE that takes longer than what is left."""
    scene.fill(300)
    scene.sql(
        "CREATE FUNCTION dawdle() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END' LANGUAGE plpgsql"
    )
    scene.sql("CREATE TRIGGER dawdle AFTER DELETE ON conversation_log FOR EACH ROW EXECUTE FUNCTION dawdle()")
    context = Context(seconds=4.0)
    answer = scene.run_with({}, context)
    assert context.get_remaining_time_in_millis() > 0
    assert answer["status"] == "partial"
    assert answer["tables"][0]["oldest_overdue"] is not None
    assert scene.archived_rows() == 0
    scene.sql("DROP TRIGGER dawdle ON conversation_log")
    scene.converge()


@pytest.mark.slow
def test_inside_an_upload(scene: Scene, proxy: S3Proxy) -> None:
    """S3 answers when the time is over: the chunk is not committed any more."""
    scene.fill(days=0.5)
    context = Context(seconds=5.0)

    def until_it_is_late(_request: Request) -> None:
        time.sleep(context.get_remaining_time_in_millis() / 1000 - 0.2)

    late = proxy.inject(faults.call_after(until_it_is_late), method="PUT", skip=1)
    answer = scene.run_with({"AWS_ENDPOINT_URL": proxy.endpoint, "CLEANUP_WORKERS": "1"}, context)
    assert late.fired == 1
    assert answer["status"] == "partial"
    (table,) = answer["tables"]
    assert 0 < table["archived_rows"] == scene.archived_rows() < scene.due.total()
    scene.converge()
