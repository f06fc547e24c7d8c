"""What lies in the archive's place and is no part of it: removed or set aside on request, and nobody else's touched."""

from __future__ import annotations

from contextlib import closing

import pytest

from nightshift.database.lock import run_lock
from tests.support.damage import body_of, check, delete, fill, orphan, put, rewritten, state_of, unknown_copy
from tests.support.engine import database_of
from tests.support.house import House
from tests.support.s3_faults import call_before
from tests.support.s3_proxy import S3Proxy


@pytest.mark.fast_cases("pending")
@pytest.mark.parametrize("state", ["pending", "sweeping", "swept"])
def test_orphans_are_found_and_removed(house: House, state: str) -> None:
    keys = fill(house)
    stray = orphan(house, keys[0], state)
    before = house.state()

    found = check(house)
    assert not found.is_sound and [(n.key, n.table, n.why) for n in found.unfinished] == [(stray, "public.log", state)]
    assert house.state() == before, "without repair nothing changes"

    found = check(house, repair=True)
    assert found.is_sound and [(r.key, r.how) for r in found.repaired] == [(stray, "removed")]
    assert (state_of(house, stray), house.s3.keys(house.bucket)) == ("swept", sorted(keys))
    assert check(house, repair=True).repaired == ()


def test_an_intent_without_an_object_is_nothing(house: House) -> None:
    stray = orphan(house, fill(house)[0])
    delete(house, stray)

    assert check(house, repair=True).is_sound
    assert state_of(house, stray) == "pending"


def test_a_run_that_lives_is_left_alone(house: House) -> None:
    keys = fill(house)
    stray = orphan(house, keys[0])
    put(house, keys[0].replace("dt=2025-09-01/", "dt=2025-09-01/unknown-"), body_of(house, keys[0]))
    before = house.state()

    with database_of(house) as database, run_lock(database, "cleanup") as held:
        assert held
        found = check(house, repair=True)

    assert [n.key for n in found.in_progress] == [stray]
    assert (found.unfinished, found.repaired, len(found.unknown)) == ((), (), 1)
    assert house.state() == before


@pytest.mark.parametrize("repair", [False, True])
def test_a_cleanup_waits_for_a_repair_and_for_nothing_else(house: House, repair: bool) -> None:
    """Asked while each object is looked up, and once more while the proofs go on."""
    orphan(house, fill(house)[0])
    free: list[bool] = []

    def ask(*_: object) -> None:
        with database_of(house) as database, closing(database), run_lock(database, "cleanup") as held:
            free.append(held)

    with S3Proxy(house.s3.endpoint) as proxy:
        proxy.inject(call_before(ask), method="HEAD", target="orphan")
        check(house, proxy.endpoint, repair=repair, progress=ask)

    assert free == [not repair, True, True, True]


def test_a_repair_never_meets_a_late_commit(house: House) -> None:
    """The row is locked by the transaction that makes its object part of the archive: the claim passes it by."""
    keys = fill(house)
    stray = orphan(house, keys[0])
    with database_of(house) as database, database.connect() as connection:
        turned = "UPDATE public.nightshift_archive_object SET state = 'archived' WHERE state = 'pending'"
        assert connection.exec_driver_sql(f"{turned} AND object_key = '{stray}'").rowcount == 1
        found = check(house, repair=True)
        connection.commit()

    assert [n.key for n in found.unfinished] == [stray] and found.repaired == ()
    assert stray in house.s3.keys(house.bucket) and state_of(house, stray) == "archived"


def test_an_unknown_object_is_set_aside(house: House) -> None:
    keys = fill(house)
    stray = unknown_copy(house, keys[0])
    body, before = body_of(house, stray), house.state()

    found = check(house)
    assert not found.is_sound and [n.key for n in found.unknown] == [stray]
    assert house.state() == before, "without repair nothing changes"

    found = check(house, repair=True)
    to = stray.replace("archive/", "archive/_set_aside/")
    assert found.is_sound and [(r.key, r.how, r.to) for r in found.repaired] == [(stray, "set aside", to)]
    assert body_of(house, to) == body
    assert house.s3.keys(house.bucket) == sorted([*keys, to])
    assert check(house, repair=True) == check(house), "what is set aside is looked at no more"
    assert check(house, repair=True).repaired == ()


def test_the_original_goes_only_as_it_was_read(house: House) -> None:
    """The embedded S3 does not heed `If-Match` when it deletes, so that it is sent is what can be seen."""
    stray = unknown_copy(house, fill(house)[0])
    etag = house.s3.client().head_object(Bucket=house.bucket, Key=stray)["ETag"]
    asked: list[str | None] = []
    with S3Proxy(house.s3.endpoint) as proxy:
        hook = call_before(lambda request: asked.append(dict(request.headers).get("If-Match")))
        proxy.inject(hook, method="DELETE", target=stray)
        assert check(house, proxy.endpoint, repair=True).repaired

    assert asked == [etag]


@pytest.mark.parametrize("body", [b"no Parquet file", b""], ids=["text", "empty"])
def test_what_is_no_file_of_ours_is_set_aside_too(house: House, body: bytes) -> None:
    stray = unknown_copy(house, fill(house)[0], body)

    assert [r.key for r in check(house, repair=True).repaired] == [stray]
    assert body_of(house, stray.replace("archive/", "archive/_set_aside/")) == body


def test_a_repair_that_died_half_way_is_finished(house: House) -> None:
    """The copy was made, the original not yet removed."""
    stray = unknown_copy(house, fill(house)[0])
    body = body_of(house, stray)
    to = stray.replace("archive/", "archive/_set_aside/")
    put(house, to, body)

    assert [r.to for r in check(house, repair=True).repaired] == [to]
    assert body_of(house, to) == body and stray not in house.s3.keys(house.bucket)


def test_nothing_is_overwritten_when_set_aside(house: House) -> None:
    stray = unknown_copy(house, fill(house)[0])
    to = stray.replace("archive/", "archive/_set_aside/")
    put(house, to, b"another file that was set aside from there")
    before = house.state()

    found = check(house, repair=True)

    assert [n.key for n in found.unknown] == [stray] and "could not be set aside" in found.unknown[0].why
    assert house.state() == before and body_of(house, to).startswith(b"another")


@pytest.mark.parametrize("theirs", ["another run", "a run that began here", "a directory that is not ours", "a bucket"])
def test_what_may_be_another_deployment_s_is_left_alone(house: House, theirs: str) -> None:
    keys = fill(house)
    body = body_of(house, keys[0])
    if theirs == "a directory that is not ours":
        stray = "archive/table=lake.events/dt=2025-09-01/part-0.parquet"
        put(house, stray, body)
    elif theirs == "a bucket":
        stray = orphan(house, keys[0])
        house.sql(f"UPDATE nightshift_archive_object SET bucket = 'elsewhere' WHERE object_key = '{stray}'")
    elif theirs == "another run":
        stray = unknown_copy(house, keys[0], rewritten(body, run_id="f" * 32))
    else:
        stray = unknown_copy(house, keys[0])
        house.sql("UPDATE nightshift_run SET finished_at = NULL")
    before = house.state()

    found = check(house, repair=True)

    assert [n.key for n in found.unknown] == [stray] and not found.is_sound and not found.repaired
    reason = {"another run": "another deployment's", "a bucket": "bucket elsewhere"}
    assert reason.get(theirs, "") in found.unknown[0].why
    assert house.state() == before


def test_other_things_in_the_bucket_are_nobody_s_business(house: House) -> None:
    keys = fill(house)
    for key in ("notes.parquet", "archive/readme.txt", f"{keys[0]}.crc", "archives/table=x/dt=2025-09-01/a.parquet"):
        put(house, key, b"something")

    assert check(house, repair=True).is_sound
    assert len(house.s3.keys(house.bucket)) == 7


def test_repairs_in_a_bucket_with_versions(house: House) -> None:
    house.s3.client().put_bucket_versioning(Bucket=house.bucket, VersioningConfiguration={"Status": "Enabled"})
    keys = fill(house)
    strays = {orphan(house, keys[0]), unknown_copy(house, keys[1])}

    assert {r.key for r in check(house, repair=True).repaired} == strays
    assert check(house).is_sound


def test_a_sqlite_ledger(sqlite_house: House) -> None:
    keys = fill(sqlite_house)
    put(sqlite_house, keys[2], b"altered")
    strays = [orphan(sqlite_house, keys[0]), unknown_copy(sqlite_house, keys[1])]
    aside = strays[1].replace("archive/", "archive/_set_aside/")

    found = check(sqlite_house, repair=True, depth="values", table="log")

    assert [(r.key, r.to) for r in found.repaired] == [(strays[0], None), (strays[1], aside)]
    assert [d.damage for d in found.damaged] == ["wrong size"]
    assert (found.objects, sqlite_house.s3.keys(sqlite_house.bucket)) == (2, sorted([*keys, aside]))


def test_names_that_the_path_escapes(house: House) -> None:
    """`%2E` in a directory's name is found where it lies, and nowhere else."""
    house.sql('CREATE TABLE "a.b/c" (created_at timestamptz)')
    house.sql("INSERT INTO \"a.b/c\" VALUES ('2025-09-01 12:00+09')")
    house.policies("[[retention]]\ntable = '\"a.b/c\"'\ntimestamp = 'created_at'\nkeep_days = 30")
    assert house.run()["status"] == "ok"
    (key,) = house.s3.keys(house.bucket)
    assert "table=public.a%2Eb%2Fc/" in key
    strays = {orphan(house, key), unknown_copy(house, key)}

    assert {r.key for r in check(house, table='"a.b/c"', repair=True).repaired} == strays
    assert check(house).is_sound and check(house).objects == 1
