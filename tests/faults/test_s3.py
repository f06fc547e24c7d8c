"""S3 refuses, stalls, loses answers, keeps other bytes than it was sent: no row leaves the table for any of that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from local.s3 import EmbeddedS3
from nightshift.errors import ArchiveMismatch, NightshiftError, StoreError
from nightshift.runtime import run_job
from tests.support import s3_faults as faults
from tests.support.house import AS_OF
from tests.support.impatient import Impatient
from tests.support.s3_faults import Action, Request
from tests.support.s3_proxy import S3Proxy
from tests.support.scene import Scene

PUT, GET, DELETE = "PUT", "GET", "POST"
"""What an upload, a proof and a sweep ask of S3."""


@pytest.fixture
def proxy(s3: EmbeddedS3) -> Iterator[S3Proxy]:
    with S3Proxy(s3.endpoint) as proxy:
        yield proxy


def run(scene: Scene, proxy: S3Proxy, **env: str) -> dict[str, Any]:
    """A run that meets S3 through the proxy, one chunk at a time."""
    return scene.run_with({"AWS_ENDPOINT_URL": proxy.endpoint, "CLEANUP_WORKERS": "1", **env})


def run_impatiently(scene: Scene, proxy: S3Proxy) -> dict[str, Any]:
    wiring = Impatient({**scene.env, "AWS_ENDPOINT_URL": proxy.endpoint, "CLEANUP_WORKERS": "1"})
    return run_job("cleanup", {"scheduled_time": AS_OF}, None, wiring)


def fails(scene: Scene, proxy: S3Proxy, error: type[NightshiftError], **env: str) -> NightshiftError:
    """A run that fails, says so in its history, and loses nothing."""
    with pytest.raises(error) as caught:
        run(scene, proxy, **env)
    assert [run["status"] for run in scene.runs()] == ["failed"]
    scene.assert_nothing_lost()
    return caught.value


@pytest.mark.fast_cases("PUT-answer lost")
@pytest.mark.parametrize(
    "fault",
    [faults.internal_error(), faults.slow_down(), faults.disconnect(), faults.store_then_disconnect()],
    ids=["500", "503", "reset", "answer lost"],
)
@pytest.mark.parametrize("method", [PUT, GET])
def test_what_passes_is_waited_for(scene: Scene, proxy: S3Proxy, method: str, fault: Action) -> None:
    """Asked again, S3 answers. A PUT whose answer was lost meets its own object then (412), and the proof knows it."""
    scene.fill(600)
    injected = proxy.inject(fault, method=method, target=".parquet")
    assert run(scene, proxy)["status"] == "ok"
    assert injected.fired == 1
    assert scene.converge()["status"] == "nothing"


def test_a_time_out_after_the_object_was_stored(scene: Scene, proxy: S3Proxy) -> None:
    scene.fill(600)
    release = threading.Event()
    stalled = proxy.inject(faults.store_then_stall(release), method=PUT)
    answer = run_impatiently(scene, proxy)
    release.set()
    assert stalled.fired == 1
    tries = [target for method, target in proxy.seen if method == PUT]
    assert len(tries) == len(set(tries)) + 1
    assert answer["status"] == "ok"
    assert scene.converge()["status"] == "nothing"


@pytest.mark.fast_cases("PUT")
@pytest.mark.parametrize("method", [PUT, GET])
def test_access_denied(scene: Scene, proxy: S3Proxy, method: str) -> None:
    scene.fill()
    denied = proxy.inject(faults.access_denied(), method=method, target=".parquet", skip=3)
    error = fails(scene, proxy, StoreError)
    assert denied.fired == 1
    assert error.hint is not None and "s3:PutObject" in error.hint
    assert 0 < scene.archived_rows() < scene.due.total()
    scene.assert_tidy()
    scene.converge()


def test_it_stays_down(scene: Scene, proxy: S3Proxy) -> None:
    """Asked as often as S3's client will, it does not let us read the object back, nor remove it: the next run does."""
    scene.fill(60, days=0.5)
    down = proxy.inject(faults.slow_down(), method=GET, times=None)
    denied = proxy.inject(faults.access_denied(), method=DELETE, times=None)
    with pytest.raises(StoreError, match="SlowDown"):
        run_impatiently(scene, proxy)
    assert (down.fired, denied.fired) == (2, 1)
    assert scene.archived_rows() == 0
    assert scene.converge()["orphans_removed"] == 1


def test_a_missing_bucket(scene: Scene, proxy: S3Proxy) -> None:
    """The rows stay; and once the name is corrected no entry of the wrong bucket is left over."""
    scene.fill(600)
    error = fails(scene, proxy, StoreError, ARCHIVE_BUCKET="no-such-bucket")
    assert "NoSuchBucket" in error.message
    assert scene.archived_rows() == 0
    scene.converge()


@pytest.mark.fast_cases("full")
@pytest.mark.parametrize("proof", ["full", "head"])
def test_the_stored_bytes_differ(scene: Scene, proxy: S3Proxy, proof: str) -> None:
    """As moto does not judge checksums, the wrong object is accepted; the proof finds it out, and it is removed."""
    scene.fill(600)
    corrupted = proxy.inject(faults.corrupt_stored(), method=PUT)
    proxy.inject(faults.alter_headers({"x-amz-checksum-sha256": None}), method="HEAD", times=None)
    fails(scene, proxy, ArchiveMismatch, ARCHIVE_PROOF=proof)
    assert corrupted.fired == 1
    assert scene.archived_rows() == 0
    scene.assert_tidy()
    scene.converge()


def test_wrong_bytes_and_no_way_to_remove_them(scene: Scene, proxy: S3Proxy) -> None:
    scene.fill(600)
    proxy.inject(faults.corrupt_stored(), method=PUT)
    denied = proxy.inject(faults.access_denied(), method=DELETE, times=None)
    fails(scene, proxy, ArchiveMismatch)
    assert denied.fired >= 1
    assert {entry["state"] for entry in scene.ledger()} == {"sweeping"}
    assert scene.s3.keys(scene.bucket) != []
    assert scene.converge()["orphans_removed"] > 0


@pytest.mark.fast_cases("flipped")
@pytest.mark.parametrize("fault", [faults.corrupt_returned(), faults.truncate_returned()], ids=["flipped", "cut short"])
def test_the_object_cannot_be_read_back_intact(scene: Scene, proxy: S3Proxy, fault: Action) -> None:
    """What is stored is right, but nobody can know: the rows stay."""
    scene.fill(600)
    injected = proxy.inject(fault, method=GET, times=None)
    fails(scene, proxy, NightshiftError)
    assert injected.fired >= 1
    assert scene.archived_rows() == 0
    scene.assert_tidy()
    scene.converge()


def test_a_strangers_object_lies_under_our_key(scene: Scene, proxy: S3Proxy) -> None:
    """It is neither overwritten nor counted nor removed, by this run and by the next."""
    scene.fill(600)
    keys = []

    def stranger(request: Request) -> None:
        key = request.target.partition("/")[2].partition("?")[0]
        scene.s3.client().put_object(Bucket=scene.bucket, Key=key, Body=b"not ours")
        keys.append(key)

    proxy.inject(faults.call_before(stranger), method=PUT)
    fails(scene, proxy, StoreError)
    scene.assert_tidy()
    scene.converge()
    (key,) = keys
    assert scene.s3.objects(scene.bucket)[key] == b"not ours"


def test_a_conflict(scene: Scene, proxy: S3Proxy) -> None:
    """409: another request for the key is under way, as S3 answers a conditional write at an unlucky moment."""
    scene.fill(600)
    conflict = proxy.inject(faults.answer(409, "ConditionalRequestConflict"), method=PUT)
    fails(scene, proxy, StoreError)
    assert conflict.fired == 1
    scene.assert_tidy()
    scene.converge()
