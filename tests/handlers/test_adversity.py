"""Each function through what Lambda does to functions: strange events, large ones, its clock, its memory, a world
that changed while the environment slept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local.loopback import REGION
from local.postgres import DISPOSABLE, EmbeddedPostgres
from local.s3 import EmbeddedS3
from tests.handlers.scene import JOBS, ArchivedOrders, Scene, answer_of, encoded
from tests.support.s3_faults import store_then_stall
from tests.support.s3_proxy import S3Proxy

LARGEST_EVENT = 6 * 1024 * 1024
"""Bytes of a synchronous invocation (AWS Lambda quotas)."""
ROOM = LARGEST_EVENT - 1000
ARCHIVING = "expire_jobs that archives"
ONE_QUICKLY = ["cleanup", *(pytest.param(job, marks=pytest.mark.slow) for job in JOBS if job != "cleanup")]
"""Tests of `nightshift.runtime` run on one function in `make test`, and on all functions in `make test-all`."""


@pytest.fixture(params=JOBS)
def scene(request: pytest.FixtureRequest, environment: dict[str, str], s3: EmbeddedS3) -> Scene:
    if request.param == ARCHIVING:
        return ArchivedOrders("expire_jobs", environment, s3)
    return JOBS[request.param](request.param, environment, s3)


GARBAGE = (b"garbage", b"3", b'"text"', b"[]", b"\xff\xfe", b"[" * 100_000, b'{"scheduled_time": NaN}')


@pytest.mark.parametrize("scene", ONE_QUICKLY, indirect=True)
def test_garbage_touches_nothing_and_the_next_event_is_served(scene: Scene) -> None:
    with scene.runtime() as runtime:
        for body in GARBAGE:
            assert runtime.invoke(body).error_type is not None, body[:20]
        assert scene.untouched()
        answer_of(runtime.invoke({**scene.event, "dry_run": True}))


@pytest.mark.parametrize("scene", ONE_QUICKLY, indirect=True)
def test_a_rule_brings_its_event_in_an_envelope(scene: Scene) -> None:
    detail = {key: value for key, value in scene.event.items() if key != "scheduled_time"}
    rule = {"source": "aws.events", "detail-type": "Scheduled Event", "time": scene.event["scheduled_time"]}
    with scene.runtime() as runtime:
        answer = answer_of(runtime.invoke({**rule, "detail": detail}))
    assert (answer["status"], answer["as_of"]) == ("ok", "2025-10-13T00:00:00Z")
    assert scene.done()


@pytest.mark.slow
@pytest.mark.parametrize("scene", ONE_QUICKLY, indirect=True)
def test_the_largest_event_is_read_or_refused_in_a_few_words(scene: Scene) -> None:
    dry = encoded({**scene.event, "dry_run": True})
    with scene.runtime() as runtime:
        padded = runtime.invoke(dry.ljust(LARGEST_EVENT))
        large: dict[str, dict[str, object]] = {
            "by value": {"note": "v" * ROOM},
            "by key": {"k" * ROOM: True},
            "by known key": {"dry_run": "t" * ROOM},
            "by number": {f"key{number:06}": 1 for number in range(ROOM // 16)},
        }
        strange = {name: runtime.invoke(encoded({**scene.event, **part})) for name, part in large.items()}
    assert answer_of(padded)["status"] == "dry_run"
    for name, result in strange.items():
        assert result.error_type == "InvalidEvent", name
        assert len(json.dumps(result.payload)) + len(result.logs) < 20_000, name
    assert scene.untouched()


@pytest.mark.fast_cases("cleanup")
@pytest.mark.parametrize("scene", ["cleanup", "restore", ARCHIVING], indirect=True)
def test_a_run_that_is_cut_off_by_the_clock_is_made_up_for_by_the_next(scene: Scene, s3: EmbeddedS3) -> None:
    release = threading.Event()
    with S3Proxy(s3.endpoint) as proxy, scene.runtime(8, AWS_ENDPOINT_URL=proxy.endpoint) as runtime:
        answer_of(runtime.invoke({**scene.event, "dry_run": True}))
        stalled = proxy.inject(store_then_stall(release), method=scene.request)
        cut_off = runtime.invoke(scene.event)
        assert stalled.fired > 0
        assert cut_off.error_type == "Sandbox.Timedout"
        assert not scene.done()
        release.set()
        assert answer_of(runtime.invoke(scene.event))["complete"] is True
    assert scene.done()


@pytest.mark.parametrize("scene", [*ONE_QUICKLY, pytest.param(ARCHIVING, marks=pytest.mark.slow)], indirect=True)
def test_the_smallest_memory_is_enough(scene: Scene) -> None:
    with scene.runtime(cap_mb=scene.least_mb) as runtime:
        assert answer_of(runtime.invoke(scene.event))["status"] == "ok"
    assert scene.done()


@pytest.mark.slow
def test_a_warm_environment_survives_a_restart_of_the_database(scene: Scene, postgres: EmbeddedPostgres) -> None:
    with scene.runtime() as runtime:
        cold = runtime.invoke({**scene.event, "dry_run": True})
        postgres.restart()
        warm = runtime.invoke(scene.event)
    assert (cold.init_ms is None, warm.init_ms is None) == (False, True)
    assert answer_of(warm)["status"] == "ok"
    assert scene.done()


@pytest.fixture
def locked_postgres() -> Iterator[EmbeddedPostgres]:
    """A server that asks its user `app` for a password."""
    with EmbeddedPostgres(settings=DISPOSABLE) as server:
        ((hba,),) = server.execute("SHOW hba_file")
        path = Path(str(hba))
        path.write_text(f"host all app 127.0.0.1/32 scram-sha-256\n{path.read_text()}")
        server.execute("SELECT pg_reload_conf()")
        server.execute("CREATE ROLE app SUPERUSER LOGIN PASSWORD 'first'")
        yield server


@pytest.mark.parametrize("job", ONE_QUICKLY)
def test_a_warm_environment_follows_a_rotated_password(
    job: str, environment: dict[str, str], s3: EmbeddedS3, locked_postgres: EmbeddedPostgres
) -> None:
    url = locked_postgres.create_database("app")
    login = {"host": "127.0.0.1", "port": locked_postgres.port, "dbname": "app", "username": "app"}
    vault = boto3.client("secretsmanager", region_name=REGION, endpoint_url=s3.endpoint)
    secret = vault.create_secret(Name=f"rotated-{url}", SecretString=json.dumps({**login, "password": "first"}))["ARN"]
    environment["DATABASE_URL"] = url
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        scene = JOBS[job](job, environment, s3)
    with scene.runtime(DATABASE_URL="", DATABASE_SECRET_ARN=secret) as runtime:
        answer_of(runtime.invoke({**scene.event, "dry_run": True}))
        locked_postgres.execute("ALTER ROLE app PASSWORD 'second'")
        vault.put_secret_value(SecretId=secret, SecretString=json.dumps({**login, "password": "second"}))
        warm = runtime.invoke(scene.event)
    vault.close()
    assert warm.init_ms is None
    assert answer_of(warm)["status"] == "ok"
    assert scene.done()
