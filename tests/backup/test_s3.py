"""S3 refuses, loses answers, keeps other bytes than it was sent: no manifest lists parts that are not there."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.errors import ArchiveMismatch, NightshiftError, StoreError
from nightshift.progress_events import ProgressStep
from tests.support import s3_faults as faults
from tests.support.backups import NAME, NEXT, BackupHouse
from tests.support.s3_faults import Action
from tests.support.s3_proxy import S3Proxy

PUT, GET = "PUT", "GET"
PART, PACK, MANIFEST = ".parquet", ".zip", "manifest.json"


def run(backups: BackupHouse, proxy: S3Proxy, **env: str) -> dict[str, Any]:
    return backups.run_with({"AWS_ENDPOINT_URL": proxy.endpoint, **env})


def fails(backups: BackupHouse, proxy: S3Proxy, error: type[NightshiftError], **env: str) -> NightshiftError:
    """A run that fails, and leaves no backup; the next one takes it, and tidies up."""
    with pytest.raises(error) as caught:
        run(backups, proxy, **env)
    assert [one.manifest for one in backups.backups()] in ([], [None])
    assert [one["status"] for one in backups.runs()] == ["failed"]
    proxy.heal()
    assert backups.run()["status"] == "ok"
    backups.manifest()
    backups.assert_tidy()
    return caught.value


def make_tables(backups: BackupHouse, where: str) -> None:
    """Tables that give a backup an object of such a name."""
    backups.fill(2, 50)
    if where == PART:
        backups.fill_large()


@pytest.mark.fast_cases("answer lost", "answer about the manifest", "500 for a pack")
@pytest.mark.parametrize(
    ("method", "where", "fault"),
    [
        (PUT, PART, faults.internal_error()),
        (PUT, PACK, faults.internal_error()),
        (PUT, "schema.dump", faults.disconnect()),
        (PUT, PART, faults.store_then_disconnect()),
        (PUT, PACK, faults.store_then_disconnect()),
        (PUT, MANIFEST, faults.store_then_disconnect()),
        (GET, PART, faults.slow_down()),
        (GET, PACK, faults.slow_down()),
        (GET, MANIFEST, faults.slow_down()),
    ],
    ids=[
        "500",
        "500 for a pack",
        "reset",
        "answer lost",
        "answer about a pack lost",
        "answer about the manifest lost",
        "503 for the proof",
        "503 for a pack's proof",
        "503 for the last",
    ],
)
def test_what_passes_is_waited_for(
    backups: BackupHouse, proxy: S3Proxy, where: str, method: str, fault: Action
) -> None:
    make_tables(backups, where)
    injected = proxy.inject(fault, method=method, target=where)
    assert run(backups, proxy)["status"] == "ok"
    assert injected.fired == 1
    backups.manifest()
    backups.assert_tidy()


@pytest.mark.fast_cases("manifest")
@pytest.mark.parametrize("where", [PART, PACK, MANIFEST])
def test_access_denied(backups: BackupHouse, proxy: S3Proxy, where: str) -> None:
    make_tables(backups, where)
    denied = proxy.inject(faults.access_denied(), method=PUT, target=where)
    error = fails(backups, proxy, StoreError)
    assert denied.fired == 1
    assert "AccessDenied" in error.message


@pytest.mark.fast_cases("parquet-full", "zip")
@pytest.mark.parametrize(("where", "proof"), [(PART, "full"), (PART, "head"), (PACK, "head"), ("schema.dump", "head")])
def test_the_stored_bytes_differ(backups: BackupHouse, proxy: S3Proxy, where: str, proof: str) -> None:
    make_tables(backups, where)
    corrupted = proxy.inject(faults.corrupt_stored(), method=PUT, target=where)
    proxy.inject(faults.alter_headers({"x-amz-checksum-sha256": None}), method="HEAD", times=None)
    fails(backups, proxy, ArchiveMismatch, ARCHIVE_PROOF=proof)
    assert corrupted.fired == 1


def test_a_corrupted_manifest_is_no_backup(backups: BackupHouse, proxy: S3Proxy) -> None:
    """It lies there all the same, and is left for somebody to look at; the run has failed and said so."""
    backups.fill(1)
    corrupted = proxy.inject(faults.corrupt_stored(), method=PUT, target=MANIFEST)
    with pytest.raises(ArchiveMismatch):
        run(backups, proxy)
    assert corrupted.fired == 1
    (found,) = backups.backups()
    assert not found.is_good
    with pytest.raises(ArchiveMismatch, match="damaged"):
        backups.run()
    assert backups.run(scheduled_time=NEXT)["status"] == "ok"


def test_somebody_else_wrote_the_manifest(backups: BackupHouse, proxy: S3Proxy) -> None:
    """S3 takes the first one alone."""
    backups.fill(1)

    def first(_request: faults.Request) -> None:
        backups.store.put_object(f"backup/{NAME}/{MANIFEST}", b"{}")

    overtaken = proxy.inject(faults.call_before(first), method=PUT, target=MANIFEST)
    with pytest.raises(ArchiveMismatch, match="not this run's") as raised:
        run(backups, proxy)
    assert "give each database a BACKUP_PREFIX of its own" in str(raised.value.hint)
    assert overtaken.fired == 1
    assert backups.store.get_object(f"backup/{NAME}/{MANIFEST}") == b"{}"


def test_a_missing_bucket(backups: BackupHouse, proxy: S3Proxy) -> None:
    backups.fill(1)
    with pytest.raises(StoreError, match="NoSuchBucket"):
        run(backups, proxy, BACKUP_BUCKET="no-such-bucket")
    assert backups.run()["status"] == "ok"


def test_a_part_that_goes_before_the_manifest_comes(backups: BackupHouse) -> None:
    """A lifecycle rule, or a copy of the database that takes us for a dead run of its own."""
    backups.fill()
    child = backups.child(hold_at=ProgressStep.PROVEN)
    child.await_step(ProgressStep.PROVEN)
    # Others may be under way still, and would be missed earlier.
    [proven] = next(event["keys"] for event in child.events if event["step"] == ProgressStep.PROVEN)
    [gone] = [key for key in backups.s3.keys(backups.bucket) if key.endswith(proven)]
    backups.s3.client().delete_object(Bucket=backups.bucket, Key=gone)
    child.resume()
    assert child.wait() == 1
    assert child.error is not None and child.error.startswith("ArchiveMismatch: objects that this backup consists of")
    assert "look at who deletes under BACKUP_PREFIX: a lifecycle rule" in child.error
    assert [one.manifest for one in backups.backups()] == [None]
    backups.await_quiet()
    assert backups.run()["status"] == "ok"
    backups.assert_tidy()
