"""Pruning: the manifest goes first, what S3 keeps stays whole, and what retention does not know is not touched."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from local.loopback import REGION
from local.s3 import EmbeddedS3
from nightshift.backup.inventory import BackupPin, BackupState, find_backups, pin_backup, unpin_backup
from nightshift.backup.manifest import BackupPath, sha256_of
from nightshift.backup.retention import (
    BackupRetention,
    PruneResult,
    apply_retention,
    prune_backups,
    retention_candidates,
)
from nightshift.store import ObjectStore, make_client
from tests.backup.stock import MIDNIGHT, PREFIX, RUN, SEOUL, Stock
from tests.support.s3_faults import access_denied, call_before, disconnect, slow_down
from tests.support.s3_proxy import S3Proxy

NAMES = [f"backup_2025_10_{21 - days:02}_0000" for days in range(4)]
KEEP = BackupRetention(daily=1, weekly=0, monthly=0, zone=SEOUL)


@pytest.fixture
def proxy(s3: EmbeddedS3) -> Iterator[S3Proxy]:
    with S3Proxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(clean_environment: pytest.MonkeyPatch, s3: EmbeddedS3, proxy: S3Proxy, bucket: str) -> ObjectStore:
    for name, value in {**s3.env, "AWS_ENDPOINT_URL": proxy.endpoint}.items():
        clean_environment.setenv(name, value)
    return ObjectStore(cache(make_client), bucket)


@pytest.fixture
def stock(s3: EmbeddedS3, bucket: str) -> Stock:
    return Stock(s3.client(), bucket)


def pruned(store: ObjectStore, *, locked: bool = False, seconds: float = 60, dry_run: bool = False) -> PruneResult:
    verdicts = apply_retention(retention_candidates(find_backups(store, PREFIX), MIDNIGHT), MIDNIGHT, KEEP)
    deadline = time.monotonic() + seconds
    return prune_backups(store, PREFIX, verdicts, now=MIDNIGHT, locked=locked, deadline=deadline, dry_run=dry_run)


def left(store: ObjectStore) -> dict[str, BackupState]:
    return {one.name: one.state for one in find_backups(store, PREFIX)}


def test_what_no_rule_keeps_goes_oldest_first(store: ObjectStore, stock: Stock) -> None:
    for days in range(4):
        stock.backup(days, proven=days == 2)

    assert pruned(store) == PruneResult((NAMES[3], NAMES[1]))

    assert left(store) == {NAMES[0]: BackupState.GOOD, NAMES[2]: BackupState.GOOD}
    assert {key.partition("/")[0] for key in stock.listed()} == {NAMES[0], NAMES[2]}
    assert pruned(store) == PruneResult()


def test_a_preview_names_and_deletes_nothing(store: ObjectStore, stock: Stock, proxy: S3Proxy) -> None:
    stock.backups(3)
    assert pruned(store, dry_run=True) == PruneResult((NAMES[2], NAMES[1]))
    assert len(left(store)) == 3
    assert {method for method, _ in proxy.seen} == {"GET"}


def test_damaged_and_unfinished_ones_neither_count_nor_go(store: ObjectStore, stock: Stock) -> None:
    """The newest good one stays although newer ones lie there; somebody may want to salvage those."""
    stock.backups(4)
    stock.drop(f"{PREFIX}/{NAMES[0]}/{RUN}/schema.dump")
    stock.drop(f"{PREFIX}/{NAMES[1]}/manifest.json")
    before = stock.listed()

    assert pruned(store) == PruneResult((NAMES[3],))

    assert left(store) == {NAMES[0]: BackupState.DAMAGED, NAMES[1]: BackupState.UNFINISHED, NAMES[2]: BackupState.GOOD}
    assert stock.listed() == [key for key in before if not key.startswith(NAMES[3])]


def test_backups_of_another_database_neither_count_nor_go(store: ObjectStore, stock: Stock) -> None:
    """Two databases under one prefix, by mistake: the other's newer backup must not push ours out."""
    stock.backups(3)
    stock.rewrite(run_id="another")
    found = find_backups(store, PREFIX)

    verdicts = apply_retention(retention_candidates(found, MIDNIGHT, {RUN}), MIDNIGHT, KEEP)
    assert [(verdict.backup.name, verdict.is_kept) for verdict in verdicts] == [(NAMES[1], True), (NAMES[2], False)]
    assert [verdict.is_kept for verdict in apply_retention(retention_candidates(found, MIDNIGHT), MIDNIGHT, KEEP)] == [
        True,
        False,
        False,
    ]


def test_one_that_a_rehearsal_has_restored_meanwhile(store: ObjectStore, stock: Stock, proxy: S3Proxy) -> None:
    """Judged as untried, and by now the only one that is known to come back."""
    stock.backups(3)
    verdicts = apply_retention(retention_candidates(find_backups(store, PREFIX), MIDNIGHT), MIDNIGHT, KEEP)
    stock.stamp(NAMES[1], sha256_of(stock.get(f"{PREFIX}/{NAMES[1]}/manifest.json")))
    stock.stamp(NAMES[2], "0" * 64)  # of another manifest: it proves nothing

    done = prune_backups(store, PREFIX, verdicts, now=MIDNIGHT, locked=False, deadline=time.monotonic() + 60)

    assert done == PruneResult((NAMES[2],))
    assert left(store) == {NAMES[0]: BackupState.GOOD, NAMES[1]: BackupState.GOOD}


def test_one_that_is_pinned_stays(store: ObjectStore, stock: Stock) -> None:
    stock.backups(4)
    for name, until in ((NAMES[1], MIDNIGHT + timedelta(seconds=1)), (NAMES[2], MIDNIGHT), (NAMES[3], None)):
        pin_backup(
            store, BackupPath(PREFIX, name), BackupPin(name=name, pinned_at=MIDNIGHT, until=until, reason="누가 왜")
        )

    assert pruned(store) == PruneResult((NAMES[2],)), "its pin is over"

    assert left(store) == dict.fromkeys((NAMES[0], NAMES[1], NAMES[3]), BackupState.GOOD)
    assert unpin_backup(store, BackupPath(PREFIX, NAMES[3]))
    assert not unpin_backup(store, BackupPath(PREFIX, NAMES[3]))
    assert pruned(store) == PruneResult((NAMES[3],))
    assert not [key for key in stock.listed() if key.startswith((NAMES[2], NAMES[3]))], "pins go with their backups"


def test_one_that_is_pinned_meanwhile(store: ObjectStore, stock: Stock) -> None:
    stock.backups(2)
    verdicts = apply_retention(retention_candidates(find_backups(store, PREFIX), MIDNIGHT), MIDNIGHT, KEEP)
    pin_backup(store, BackupPath(PREFIX, NAMES[1]), BackupPin(name=NAMES[1]))

    assert (
        prune_backups(store, PREFIX, verdicts, now=MIDNIGHT, locked=False, deadline=time.monotonic() + 60)
        == PruneResult()
    )
    assert left(store)[NAMES[1]] is BackupState.GOOD


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"pinned",
        b'{"name": "x", "until": "2025-01-01T00:00:00"}',
        b'{"name": "x", "until": "2025-01-01T00:00:00Z", "till": 1}',
    ],
    ids=["empty", "words", "no zone", "unknown key"],
)
def test_a_pin_that_cannot_be_read_counts(store: ObjectStore, stock: Stock, body: bytes) -> None:
    stock.backups(2)
    stock.put(f"{PREFIX}/{NAMES[1]}/pinned.json", body)
    assert pruned(store) == PruneResult()
    (found,) = (one for one in find_backups(store, PREFIX) if one.name == NAMES[1])
    assert [remark for remark in found.remarks if "pinned.json" in remark]


def test_a_new_pin_takes_the_place_of_an_earlier_one(store: ObjectStore, stock: Stock) -> None:
    stock.backups(2)
    for until in (MIDNIGHT - timedelta(days=9), MIDNIGHT + timedelta(days=9)):
        pin_backup(store, BackupPath(PREFIX, NAMES[1]), BackupPin(name=NAMES[1], until=until))
    assert pruned(store) == PruneResult()


def test_the_manifest_goes_first(store: ObjectStore, stock: Stock, proxy: S3Proxy) -> None:
    """When anything else is deleted it is no backup any more: a run that dies here leaves nothing that looks whole."""
    stock.backups(2)
    seen: list[BackupState] = []
    direct = ObjectStore(lambda: stock.client, stock.bucket)
    fault = proxy.inject(
        call_before(lambda _: seen.append(left(direct)[NAMES[1]])), method="POST", target="delete", skip=1, times=None
    )

    assert pruned(store).names == (NAMES[1],)

    assert fault.fired == 1 and seen == [BackupState.UNFINISHED]


def test_a_manifest_that_s3_keeps_leaves_the_backup_whole(store: ObjectStore, stock: Stock, proxy: S3Proxy) -> None:
    stock.backups(3)
    denied = proxy.inject(access_denied(), method="POST", target="delete")

    done = pruned(store)

    assert denied.fired == 1
    assert done.names == (NAMES[1],)
    (warning,) = done.warnings
    assert warning.startswith(f"{NAMES[2]} was not deleted: AccessDenied, as Object Lock answers")
    assert left(store) == {NAMES[0]: BackupState.GOOD, NAMES[2]: BackupState.GOOD}
    assert pruned(store) == PruneResult((NAMES[2],)), "the next run tries again"


def test_parts_that_s3_keeps_are_told_and_are_no_backup(store: ObjectStore, stock: Stock, proxy: S3Proxy) -> None:
    stock.backups(2)
    denied = proxy.inject(access_denied(), method="POST", target="delete", skip=1)

    done = pruned(store)

    assert denied.fired == 1 and done.names == (NAMES[1],)
    (warning,) = done.warnings
    assert warning.startswith(f"{NAMES[1]} is deleted, but 4 of its objects are still there: AccessDenied")
    assert left(store) == {NAMES[0]: BackupState.GOOD, NAMES[1]: BackupState.UNFINISHED}


def test_an_s3_that_does_not_answer_is_asked_no_more(store: ObjectStore, stock: Stock, proxy: S3Proxy) -> None:
    stock.backups(4)
    fault = proxy.inject(disconnect(), method="POST", target="delete", times=None)

    done = pruned(store)

    assert fault.fired >= 1 and done.names == () and len(done.warnings) == 1
    assert len(left(store)) == 4 and set(left(store).values()) == {BackupState.GOOD}


def test_an_s3_that_asks_for_patience_gets_it(store: ObjectStore, stock: Stock, proxy: S3Proxy) -> None:
    stock.backups(2)
    slow = proxy.inject(slow_down(), method="POST", target="delete")
    assert pruned(store) == PruneResult((NAMES[1],))
    assert slow.fired == 1


def test_when_the_time_is_over_the_next_run_goes_on(store: ObjectStore, stock: Stock) -> None:
    stock.backups(3)
    assert pruned(store, seconds=-1) == PruneResult()
    assert len(left(store)) == 3


class TestObjectLock:
    """A bucket with Object Lock: versions, and S3's own refusal."""

    @pytest.fixture
    def bucket(self, s3: EmbeddedS3) -> str:
        name = f"locked-{uuid.uuid4().hex[:12]}"
        s3.client().create_bucket(
            Bucket=name,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=True,
        )
        return name

    def lock(self, stock: Stock, name: str, until: datetime) -> None:
        for key in stock.listed():
            if key.startswith(name):
                stock.client.put_object_retention(
                    Bucket=stock.bucket,
                    Key=f"{PREFIX}/{key}",
                    Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
                )

    def test_a_locked_backup_stays_whole_until_the_lock_ends(self, store: ObjectStore, stock: Stock) -> None:
        stock.backups(3)
        self.lock(stock, NAMES[2], datetime.now(UTC) + timedelta(days=1))

        done = pruned(store, locked=True)

        assert done.names == (NAMES[1],)
        assert [warning.partition(":")[0] for warning in done.warnings] == [f"{NAMES[2]} was not deleted"]
        assert left(store) == {NAMES[0]: BackupState.GOOD, NAMES[2]: BackupState.GOOD}
        versions = stock.client.list_object_versions(Bucket=stock.bucket, Prefix=f"{PREFIX}/{NAMES[1]}/")
        assert not versions.get("Versions") and not versions.get("DeleteMarkers"), "gone for good"

    def test_without_the_setting_versions_are_left_to_the_bucket(self, store: ObjectStore, stock: Stock) -> None:
        stock.backups(2)
        assert pruned(store) == PruneResult((NAMES[1],))
        versions = stock.client.list_object_versions(Bucket=stock.bucket, Prefix=f"{PREFIX}/{NAMES[1]}/")
        assert len(versions["Versions"]) == len(versions["DeleteMarkers"]) == 5
