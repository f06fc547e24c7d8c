"""The inventory: good is what is whole, every other backup has its reasons, and nothing damaged passes for good."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from local.s3 import EmbeddedS3
from nightshift.backup.inventory import BackupState, find_backup, find_backups, newest_good, newest_proven
from nightshift.backup.manifest import backup_name, to_json
from nightshift.backup.models import BackupPart, SharedObject
from nightshift.errors import StoreError
from nightshift.store import ObjectStore, make_client
from tests.backup.stock import MIDNIGHT, PREFIX, RUN, Stock, body_of
from tests.support.backups import resealed
from tests.support.s3_faults import access_denied, call_before
from tests.support.s3_proxy import S3Proxy

PACK_KEY = f"{RUN}/data/pack-00001.zip"
PACK = SharedObject(offset=0, bytes=300, sha256="5" * 64)
PART = f"{RUN}/data/public.log/part-00002.parquet"
NAME = "backup_2025_10_21_0000"


@pytest.fixture
def store(clean_environment: pytest.MonkeyPatch, s3: EmbeddedS3, bucket: str) -> ObjectStore:
    for name, value in s3.env.items():
        clean_environment.setenv(name, value)
    return ObjectStore(s3.client, bucket)


@pytest.fixture
def stock(s3: EmbeddedS3, bucket: str) -> Stock:
    return Stock(s3.client(), bucket)


def test_what_there_is_newest_first(store: ObjectStore, stock: Stock) -> None:
    for days_ago, proven in ((2, True), (0, False), (1, True)):
        stock.backup(days_ago, proven=proven)

    found = find_backups(store, PREFIX)

    assert [(one.name, one.state, one.is_proven) for one in found] == [
        (NAME, BackupState.GOOD, False),
        ("backup_2025_10_20_0000", BackupState.GOOD, True),
        ("backup_2025_10_19_0000", BackupState.GOOD, True),
    ]
    good, proven_one = newest_good(found), newest_proven(found)
    assert good is not None and good.name == NAME and good.as_of == MIDNIGHT
    assert proven_one is not None and proven_one.as_of == MIDNIGHT - timedelta(days=1)
    assert all(one.objects == 5 + one.is_proven and not one.reasons and not one.remarks for one in found)
    assert find_backups(store, PREFIX, deep=True) == found
    assert find_backups(store, f"/{PREFIX}/") == found, "slashes around the prefix say nothing"


def test_an_empty_house(store: ObjectStore) -> None:
    assert find_backups(store, PREFIX) == ()
    assert newest_good(()) is newest_proven(()) is find_backup(store, PREFIX, NAME) is None


def test_a_manifest_from_before_packs_is_good(store: ObjectStore, stock: Stock) -> None:
    key = f"{PREFIX}/{stock.backup()}/manifest.json"
    facts = json.loads(stock.get(key))
    parts = [*(part for table in facts["tables"] for part in table["parts"]), *facts["logs"], facts["schema"]["dump"]]
    assert [part.pop("pack") for part in parts] == [None] * len(parts)
    stock.put(key, resealed(facts))
    (found,) = find_backups(store, PREFIX, deep=True)
    assert found.is_good, found.reasons


def test_a_backup_without_a_manifest_is_unfinished(store: ObjectStore, stock: Stock) -> None:
    stock.drop(f"{PREFIX}/{stock.backup(proven=True)}/manifest.json")
    (found,) = find_backups(store, PREFIX)
    assert (found.state, found.objects, found.is_proven, found.as_of) == (BackupState.UNFINISHED, 5, False, None)


def drop_part(stock: Stock) -> None:
    stock.drop(f"{PREFIX}/{NAME}/{PART}")


def truncate_part(stock: Stock) -> None:
    stock.put(f"{PREFIX}/{NAME}/{PART}", body_of(PART)[:-1])


def cut_manifest(stock: Stock) -> None:
    key = f"{PREFIX}/{NAME}/manifest.json"
    stock.put(key, stock.get(key)[:-9])


def unknown_key_in_manifest(stock: Stock) -> None:
    key = f"{PREFIX}/{NAME}/manifest.json"
    stock.put(key, stock.get(key).replace(b'"version"', b'"verson": 1, "version"', 1))


def other_counts(stock: Stock) -> None:
    stock.rewrite(groups=())


def other_name(stock: Stock) -> None:
    stock.rewrite(name="backup_2025_10_01_0000")


def no_zone(stock: Stock) -> None:
    stock.rewrite(as_of=MIDNIGHT.replace(tzinfo=None))


def other_time(stock: Stock) -> None:
    stock.rewrite(as_of=datetime(9999, 12, 31, 23, 59, tzinfo=UTC))


def cold_manifest(stock: Stock) -> None:
    key = f"{PREFIX}/{NAME}/manifest.json"
    stock.client.put_object(Bucket=stock.bucket, Key=key, Body=stock.get(key), StorageClass="GLACIER")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (drop_part, f"missing: {PART}"),
        (truncate_part, f"wrong size: {PART}: {len(body_of(PART)) - 1} bytes, the manifest says {len(body_of(PART))}"),
        (cut_manifest, "manifest.json cannot be read"),
        (unknown_key_in_manifest, "manifest.json cannot be read"),
        (other_counts, "the manifest contradicts itself"),
        (other_name, "the manifest is of another backup: backup_2025_10_01_0000"),
        (no_zone, "the manifest's as_of has no time zone"),
        (other_time, "the manifest's as_of is not that of its name: 9999-12-31T23:59:00+00:00"),
        (cold_manifest, "InvalidObjectState"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_whole_is_damaged_and_says_why(
    store: ObjectStore, stock: Stock, damage: Callable[[Stock], None], reason: str
) -> None:
    stock.backup(proven=True)
    before = stock.backup(1)
    damage(stock)

    found = find_backups(store, PREFIX)

    assert [one.state for one in found] == [BackupState.DAMAGED, BackupState.GOOD]
    (said,) = found[0].reasons
    assert reason in said
    assert not found[0].is_proven, "a stamp does not mend what is damaged since"
    good = newest_good(found)
    assert good is not None and good.name == before and newest_proven(found) is None


def test_every_damaged_object_is_named(store: ObjectStore, stock: Stock) -> None:
    stock.backup()
    for key in (PART, f"{RUN}/schema.dump", f"{RUN}/logs/app.parquet"):
        stock.drop(f"{PREFIX}/{NAME}/{key}")
    (found,) = find_backups(store, PREFIX)
    assert found.reasons == tuple(f"missing: {k}" for k in (f"{RUN}/schema.dump", PART, f"{RUN}/logs/app.parquet"))


def test_only_a_deep_look_sees_other_bytes_of_the_same_size(store: ObjectStore, stock: Stock) -> None:
    stock.backup()
    stock.put(f"{PREFIX}/{NAME}/{PART}", body_of(PART)[::-1])

    shallow, deep = find_backup(store, PREFIX, NAME), find_backup(store, PREFIX, NAME, deep=True)

    assert shallow is not None and shallow.is_good
    assert deep is not None and deep.state is BackupState.DAMAGED
    (reason,) = deep.reasons
    assert reason.startswith(f"altered: {PART}: SHA-256 ")


def test_a_deep_look_names_an_object_that_must_be_thawed(store: ObjectStore, stock: Stock) -> None:
    stock.backup()
    stock.client.put_object(
        Bucket=stock.bucket, Key=f"{PREFIX}/{NAME}/{PART}", Body=body_of(PART), StorageClass="GLACIER"
    )
    deep = find_backup(store, PREFIX, NAME, deep=True)
    assert deep is not None and deep.reasons == (f"in cold storage: {PART}",)


@pytest.mark.parametrize(
    ("stamp", "remark"),
    [
        (b"{}", "proven.json does not count: proven.json cannot be read"),
        (b"other manifest", "proven.json does not count: it is for another manifest"),
        (b"other name", "proven.json does not count: it is for another manifest"),
    ],
    ids=["unreadable", "another manifest's", "another backup's"],
)
def test_a_stamp_that_is_not_for_this_manifest_proves_nothing(
    store: ObjectStore, stock: Stock, stamp: bytes, remark: str
) -> None:
    other = stock.backup(1, proven=True)
    stock.backup()
    key = f"{PREFIX}/{NAME}/proven.json"
    if stamp == b"other manifest":
        stock.stamp(NAME, "0" * 64)
    else:
        stock.put(key, stamp if stamp == b"{}" else stock.get(f"{PREFIX}/{other}/proven.json"))

    found = find_backup(store, PREFIX, NAME)

    assert found is not None and found.is_good and not found.is_proven
    assert found.remarks == (remark,)


def test_a_manifest_rewritten_after_the_rehearsal_is_unproven(store: ObjectStore, stock: Stock) -> None:
    stock.backup(proven=True)
    stock.rewrite(missing=("large objects",))
    found = find_backup(store, PREFIX, NAME)
    assert found is not None and found.is_good and not found.is_proven


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
def test_a_backup_of_days_when_the_house_kept_another_zone_is_good(store: ObjectStore, stock: Stock, zone: str) -> None:
    name = backup_name(MIDNIGHT, zone)
    manifest = replace(stock.manifest(), name=name)
    for part in manifest.list_parts():
        stock.put(f"{PREFIX}/{name}/{part.key}", body_of(part.key))
    stock.put(f"{PREFIX}/{name}/manifest.json", to_json(manifest))
    found = find_backup(store, PREFIX, name)
    assert found is not None and found.is_good


def test_a_name_that_no_calendar_has_is_no_good_backup(store: ObjectStore, stock: Stock) -> None:
    stock.put(f"{PREFIX}/backup_2025_13_45_9999/manifest.json", to_json(stock.manifest()))
    (found,) = find_backups(store, PREFIX)
    assert found.state is BackupState.DAMAGED


def test_what_is_nobody_s_is_not_listed(store: ObjectStore, stock: Stock) -> None:
    stock.backup()
    for key in ("backup_2025/manifest.json", "backup_2025_10_21_0000", "archive/table=a/x", "backup_x/y", "readme"):
        stock.put(f"{PREFIX}/{key}", b"x")
    stock.put(f"{PREFIX}-other/{NAME}/manifest.json", b"x")
    assert [one.name for one in find_backups(store, PREFIX)] == [NAME]
    assert find_backup(store, PREFIX, "../backup_2025_10_21_0000") is None


def test_an_s3_that_does_not_answer_says_nothing_about_backups(
    store: ObjectStore, stock: Stock, s3: EmbeddedS3, clean_environment: pytest.MonkeyPatch
) -> None:
    """A refusal must not make a backup look damaged, or retention would count without it."""
    stock.backup()
    with S3Proxy(s3.endpoint) as proxy:
        clean_environment.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        denied = ObjectStore(cache(make_client), store.bucket)
        for method, target in (("GET", "manifest.json"), ("GET", "list-type")):
            fault = proxy.inject(access_denied(), method=method, target=target)
            with pytest.raises(StoreError, match="AccessDenied"):
                find_backups(denied, PREFIX)
            assert fault.fired == 1
        assert [one.state for one in find_backups(denied, PREFIX)] == [BackupState.GOOD]


def test_a_backup_deleted_while_it_is_looked_at_is_no_backup(
    store: ObjectStore, stock: Stock, s3: EmbeddedS3, clean_environment: pytest.MonkeyPatch
) -> None:
    stock.backup(proven=True)
    with S3Proxy(s3.endpoint) as proxy:
        clean_environment.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        gone = proxy.inject(call_before(lambda _: stock.drop(f"{PREFIX}/{NAME}/manifest.json")), target="manifest.json")
        found = find_backup(ObjectStore(cache(make_client), store.bucket), PREFIX, NAME)
    assert gone.fired == 1
    assert found is not None and found.state is BackupState.UNFINISHED


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (PACK, "overlap"),
        (replace(PACK, offset=99), "overlap"),
        (replace(PACK, offset=250), "reach beyond it"),
        (replace(PACK, offset=-100), "reach beyond it"),
        (replace(PACK, offset=100, bytes=900), "different objects"),
        (replace(PACK, offset=100, sha256="6" * 64), "different objects"),
        (None, "an object is in it twice"),
    ],
)
def test_parts_of_a_pack_that_contradict_each_other(
    store: ObjectStore, stock: Stock, second: SharedObject | None, reason: str
) -> None:
    parts = [
        BackupPart(key=PACK_KEY, rows=n, bytes=100, sha256="7" * 64, pack=pack) for n, pack in ((1, PACK), (2, second))
    ]
    (table,) = stock.manifest().tables
    stock.rewrite(tables=(replace(table, parts=tuple(parts), bytes=200),))
    (found,) = find_backups(store, PREFIX)
    assert found.state is BackupState.DAMAGED
    assert reason in found.reasons[0]
