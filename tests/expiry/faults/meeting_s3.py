"""Runs that meet an S3 which misbehaves, and what they owe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from local.job_data import file_key
from local.s3 import EmbeddedS3
from nightshift.runtime import run_job
from nightshift.store import removal
from tests.support.expiring import AS_OF, NOW, JobScene
from tests.support.handler import Context, environ_of
from tests.support.impatient import Impatient
from tests.support.s3_faults import Action
from tests.support.s3_proxy import Fault, S3Proxy

FILES = 24 * 4
FIRST = file_key(1, 1)


@pytest.fixture
def proxy(s3: EmbeddedS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """An S3 that misbehaves, before a run that need not be patient with it."""
    monkeypatch.setattr(removal, "PAUSE_S", 0.01)
    with S3Proxy(s3.endpoint) as proxy:
        yield proxy


def inject(proxy: S3Proxy, action: Action, times: int | None = 1) -> Fault:
    """Let requests to DeleteObjects meet `action`."""
    return proxy.inject(action, method="POST", target="?delete", times=times)


def run(jobs: JobScene, proxy: S3Proxy, context: Context | None = None, **event: Any) -> dict[str, Any]:
    """A run that meets S3 through the proxy."""
    return jobs.run_with({"AWS_ENDPOINT_URL": proxy.endpoint}, context, **event)


def run_impatiently(jobs: JobScene, endpoint: str, **event: Any) -> dict[str, Any]:
    event = {"scheduled_time": AS_OF, **event}
    with environ_of(jobs.env | {"AWS_ENDPOINT_URL": endpoint}):
        wiring = Impatient(dict(os.environ))
        return run_job("expire_jobs", event, None, wiring)


def assert_waiting(jobs: JobScene, answer: dict[str, Any], codes: dict[str, int]) -> None:
    """The rows are gone, and so many files are not: the answer says why, the outbox keeps them, Slack tells."""
    assert (answer["status"], answer["complete"]) == ("partial", False)
    assert answer["tables"][0]["status"] == "ok"
    assert jobs.job_ids() == jobs.kept
    files = answer["files"]
    assert {(f["code"], f["count"]) for f in files["failures"]} == set(codes.items())
    assert (files["queued"], files["failed"]) == (FILES, sum(codes.values()))
    assert files["waiting"] == len(jobs.outbox()) == FILES - files["deleted"]
    seen = jobs.slack.messages[-1].seen
    assert all(code in seen for code in codes)
    tried = [row for row in jobs.outbox() if row["attempts"]]
    assert {row["last_error"] for row in tried} == set(codes)
    assert {(row["attempts"], row["next_try"]) for row in tried} == {(1, NOW + timedelta(hours=1))}
    jobs.assert_sound()


def later(hours: int) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()
