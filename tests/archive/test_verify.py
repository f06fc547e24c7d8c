"""An archive made by real runs, then damaged: whatever is wrong is found, called by its name, and never made worse."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nightshift.archive.inventory import ArchivedObject, list_archived_objects
from nightshift.archive.object_verification import Depth, _Room, verify_objects
from nightshift.archive.verify import VerificationReport
from nightshift.database.tables import metadata
from nightshift.errors import NightshiftError, StoreError
from tests.support.damage import (
    body_of,
    check,
    delete,
    fill,
    flipped,
    orphan,
    ports,
    put,
    set_state,
    unknown_copy,
    vouch,
)
from tests.support.engine import database_of
from tests.support.house import House
from tests.support.s3_faults import access_denied
from tests.support.s3_proxy import S3Proxy


@pytest.mark.parametrize("depth", ["quick", "full", "values"])
def test_a_sound_archive(house: House, depth: Depth) -> None:
    keys, before = fill(house), house.state()
    seen: list[ArchivedObject] = []

    found = check(house, depth=depth, progress=seen.append)

    assert found.is_sound and (found.objects, found.rows) == (3, 300)
    assert found.bytes == sum(map(len, house.s3.objects(house.bucket).values()))
    assert [one.key for one in seen] == keys
    assert found.to_json()["sound"] is True and found.to_json()["damaged"] == []
    assert house.state() == before


@pytest.mark.parametrize("made", [False, True], ids=["without our tables", "with them"])
def test_an_empty_database(house: House, made: bool) -> None:
    if made:
        with database_of(house) as database, database.connect() as connection:
            metadata.create_all(connection)
            connection.commit()
    assert check(house, repair=True) == VerificationReport(depth="full")


DAMAGE: dict[str, Callable[[House, str], None]] = {
    "missing": delete,
    "wrong size": lambda house, key: put(house, key, body_of(house, key)[:-1]),
    "altered": lambda house, key: put(house, key, flipped(body_of(house, key))),
    "unreadable": lambda house, key: vouch(house, key, b"no Parquet file"),
    "wrong row count": lambda house, key: vouch(house, key, body_of(house, key), rows=99),
}


@pytest.mark.fast_cases("missing", "altered", "wrong row count")
@pytest.mark.parametrize("damage", list(DAMAGE))
def test_damage_has_a_name(house: House, damage: str) -> None:
    keys = fill(house)
    DAMAGE[damage](house, keys[1])

    found = check(house, repair=True)

    assert not found.is_sound
    assert [(d.key, d.table, d.damage) for d in found.damaged] == [(keys[1], "public.log", damage)]
    assert (found.objects, found.rows, found.repaired) == (2, 200, ())
    (named,) = found.to_json()["damaged"]
    assert named["damage"] == damage and named["what"]


def test_depths_see_what_they_say(house: House) -> None:
    """`quick` sees the size, `full` every byte, `values` what the bytes mean."""
    keys = fill(house)
    put(house, keys[0], flipped(body_of(house, keys[0])))
    table = pq.read_table(io.BytesIO(body_of(house, keys[1])))
    not_text = pa.array([b"\xff\xfe"] * 100, pa.binary()).view(pa.string())
    sink = io.BytesIO()
    pq.write_table(table.set_column(1, table.schema.field("note"), not_text), sink)
    vouch(house, keys[1], sink.getvalue())

    assert check(house, depth="quick").is_sound
    assert [(d.key, d.damage) for d in check(house, depth="full").damaged] == [(keys[0], "altered")]
    assert [(d.key, d.damage) for d in check(house, depth="values").damaged] == [
        (keys[0], "altered"),
        (keys[1], "unreadable"),
    ]


def test_values_of_every_family(house: House) -> None:
    columns = "u uuid, j jsonb, n numeric(9,2), b bytea, d date, t time, f real, a text[], created_at timestamp"
    house.sql(f"CREATE TABLE log ({columns})")
    values = "gen_random_uuid(), '{}', 1.25, '\\x00', 'infinity', '24:00', 'NaN', '{a}', '2025-09-01'"
    house.sql(f"INSERT INTO log VALUES ({values}), ({', '.join(['NULL'] * 8)}, '2025-09-02')")
    house.policies("[[retention]]\ntable = 'log'\ntimestamp = 'created_at'\nkeep_days = 30")
    assert house.run()["status"] == "ok"

    found = check(house, depth="values")

    assert found.is_sound and found.rows == 2


def test_quick_sees_what_is_missing_or_short(house: House) -> None:
    keys = fill(house)
    delete(house, keys[0])
    put(house, keys[2], b"short")

    assert [d.damage for d in check(house, depth="quick").damaged] == ["missing", "wrong size"]


def test_a_restored_object_is_no_loss(house: House) -> None:
    keys = fill(house)
    set_state(house, keys[0], "restored")
    assert check(house).objects == 3
    delete(house, keys[0])

    found = check(house)

    assert found.is_sound and [d.key for d in found.damaged_restored] == [keys[0]]


def test_parts_of_the_archive(house: House) -> None:
    keys = fill(house)
    fill(house, "other", rows=5)
    delete(house, keys[0])
    stray = orphan(house, keys[1])

    assert check(house, table="other").is_sound
    assert check(house, table="other").rows == 15
    assert check(house, since=date(2025, 9, 3)).is_sound
    assert [n.key for n in check(house, since=date(2025, 9, 2), until=date(2025, 9, 2)).unfinished] == [stray]
    assert check(house, table="public.log").objects == 2
    unknown = [unknown_copy(house, key) for key in keys[1:]]
    assert [n.key for n in check(house, until=date(2025, 9, 2)).unknown] == unknown[:1]
    assert [n.key for n in check(house, since=date(2025, 9, 3)).unknown] == unknown[1:]
    with pytest.raises(NightshiftError, match="no such table") as raised:
        check(house, table="nothing")
    assert "public.log, public.other" in str(raised.value.detail)


@pytest.fixture
def versioned(house: House) -> House:
    house.s3.client().put_bucket_versioning(Bucket=house.bucket, VersioningConfiguration={"Status": "Enabled"})
    return house


@pytest.mark.parametrize("depth", ["quick", "full"])
def test_the_recorded_version_counts(versioned: House, depth: Depth) -> None:
    keys = fill(versioned)
    put(versioned, keys[0], b"a newer version")
    delete(versioned, keys[1])

    found = check(versioned, depth=depth)

    assert found.is_sound and found.objects == 3
    assert [(n.key, n.why.split(" lies")[0]) for n in found.overwritten] == [
        (keys[0], "a newer version"),
        (keys[1], "a delete marker"),
    ]


def test_a_version_that_is_gone_is_missing(versioned: House) -> None:
    keys = fill(versioned)
    version = versioned.value(f"SELECT version_id FROM nightshift_archive_object WHERE object_key = '{keys[0]}'")
    put(versioned, keys[0], body_of(versioned, keys[0]))
    versioned.s3.client().delete_object(Bucket=versioned.bucket, Key=keys[0], VersionId=version)

    assert [(d.key, d.damage) for d in check(versioned).damaged] == [(keys[0], "missing")]


def test_a_refusal_proves_nothing(house: House) -> None:
    keys = fill(house)
    with S3Proxy(house.s3.endpoint) as proxy:
        fault = proxy.inject(access_denied(), method="GET", target=keys[1], times=None)
        found = check(house, proxy.endpoint)

    assert fault.fired
    assert not found.is_sound and found.damaged == ()
    assert [n.key for n in found.unproven] == [keys[1]] and "AccessDenied" in found.unproven[0].why
    assert found.objects == 2


def test_a_bucket_that_cannot_be_listed_proves_nothing(house: House) -> None:
    fill(house)
    with S3Proxy(house.s3.endpoint) as proxy:
        proxy.inject(access_denied(), target="list-type", times=None)
        with pytest.raises(StoreError, match="listed"):
            check(house, proxy.endpoint)


def test_results_come_in_order_and_stop_when_told(house: House) -> None:
    """Ctrl-C arrives in the consumer: no thread is left behind."""
    keys = fill(house)

    def interrupt(one: ArchivedObject) -> None:
        assert one.key == keys[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(house, threads=1, progress=interrupt)
    assert [t.name for t in threading.enumerate() if t.name.startswith("verify")] == []


@pytest.mark.parametrize("threads", [1, 8])
def test_many_objects_keep_their_order(house: House, threads: int) -> None:
    keys = fill(house)
    with ports(house) as (database, store), database.connect() as connection:
        outcomes = list(verify_objects(store, list_archived_objects(connection, house.bucket) * 20, "full", threads))
    assert [outcome.archived.key for outcome in outcomes] == keys * 20
    assert not any(outcome.damage or outcome.unproven or outcome.hidden for outcome in outcomes)


def test_bodies_in_memory_are_bounded() -> None:
    """Whoever finds no room waits, without holding up those who do; one larger than all of it comes in alone."""
    room = _Room(100)

    def come_in(size: int) -> int:
        with room.taken(size):
            return size

    with ThreadPoolExecutor(2) as pool:
        with room.taken(60):
            large, whole = pool.submit(come_in, 50), pool.submit(come_in, 40)
            assert whole.result() == 40
            assert not large.done()
        assert large.result() == 50
        assert pool.submit(come_in, 250).result() == 250
