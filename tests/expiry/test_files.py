"""Files go with the rows that name them, and not before the last one that does."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.support.expiry_runs import (
    DUE,
    JOB,
    LATER,
    MAKE_JOB,
    column,
    expire,
    expired,
    files_of,
    jobs,
    outbox,
    put,
    script,
    wait_in_outbox,
)
from tests.support.house import House

MAKE_FILES = "CREATE TABLE file (id int PRIMARY KEY, job_id int REFERENCES job, s3_key text, thumb text, bucket text);"


@pytest.fixture
def other(home: House) -> str:
    """Another bucket."""
    name = f"other-{uuid.uuid4().hex[:12]}"
    home.s3.create_bucket(name)
    return name


def test_several_columns_and_keys_that_are_none(home: House) -> None:
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, MAKE_JOB + jobs(1, living=[2]) + MAKE_FILES)
    script(
        home,
        "INSERT INTO file (id, job_id, s3_key, thumb) VALUES (1, 1, 'a', 'a.png'), (2, 1, 'b', NULL),"
        " (3, 1, '', 'c.png'), (4, 1, NULL, ''), (5, 1, 'never was', NULL), (6, 2, 'd', 'd.png');",
    )
    put(home, "a", "a.png", "b", "c.png", "d", "d.png", "unnamed")

    files = expired(home, JOB + files_of("file") + files_of("file", "thumb"))["files"]

    assert home.s3.keys(home.bucket) == ["d", "d.png", "unnamed"]
    assert (files["queued"], files["deleted"], files["kept"]) == (5, 5, 0)


@pytest.mark.fast_cases("postgresql")
def test_the_bucket_by_row_by_policy_and_by_setting(home: House, other: str) -> None:
    """The same keys in each; a row that names none means the setting's."""
    third = f"third-{uuid.uuid4().hex[:12]}"
    home.s3.create_bucket(third)
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, MAKE_JOB + jobs(1, living=[2]) + MAKE_FILES + MAKE_FILES.replace("file", "scan"))
    script(home, MAKE_FILES.replace("file", "note"))
    for table, bucket in (("file", "NULL"), ("scan", "NULL"), ("note", f"'{third}'")):
        values = f"(1, 1, 'x-{table}', {bucket}), (2, 2, 'y-{table}', {bucket}), (3, 1, 'z-{table}', '')"
        script(home, f"INSERT INTO {table} (id, job_id, s3_key, bucket) VALUES {values};")
    keys = [f"{letter}-{table}" for letter in "xyz" for table in ("file", "scan", "note")]
    for bucket in (home.bucket, other, third):
        put(home, *keys, bucket=bucket)

    files = expired(
        home,
        JOB + files_of("file") + files_of("scan", more=f'bucket = "{other}"') + files_of("note", more=by_row(third)),
    )["files"]

    assert set(keys) - set(home.s3.keys(home.bucket)) == {"x-file", "z-file", "z-note"}
    assert set(keys) - set(home.s3.keys(other)) == {"x-scan", "z-scan"}
    assert set(keys) - set(home.s3.keys(third)) == {"x-note"}
    assert (files["queued"], files["deleted"]) == (6, 6)


def test_a_row_that_names_no_bucket_where_nobody_else_does(home: House) -> None:
    """The row stays: nobody could delete its file later."""
    script(home, MAKE_JOB + jobs(1, 2) + MAKE_FILES)
    script(home, f"INSERT INTO file (id, job_id, s3_key, bucket) VALUES (1, 1, 'a', ''), (2, 2, 'b', '{home.bucket}');")
    put(home, "a", "b")
    home.policies(JOB + files_of("file", more=by_row(home.bucket)))

    answer = expire(home)

    files = answer["files"]
    assert (answer["status"], files["queued"], files["deleted"], files["failed"]) == ("partial", 1, 1, 0)
    assert (column(home, "job"), outbox(home), home.s3.keys(home.bucket)) == ([1], [], ["a"])
    assert "s3_key does not say in which bucket" in " ".join(answer["tables"][0]["warnings"])


def by_row(*buckets: str) -> str:
    """That rows name their bucket, one of these."""
    return f'bucket_column = "bucket"\nbuckets = {json.dumps(buckets)}'


@pytest.mark.fast_cases("postgresql")
def test_a_file_that_a_row_still_names_stays(home: House, other: str) -> None:
    """A row of the same table, of another column, of another policy's table; but not one that means another bucket."""
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + MAKE_FILES
        + "CREATE TABLE cart (id int PRIMARY KEY, expires_at timestamp, picture text, bucket text);"
        + f"""
        INSERT INTO file VALUES (1, 1, 'same table', NULL, '{home.bucket}'),
            (2, 2, 'same table', NULL, '{home.bucket}'), (3, 1, 'another column', NULL, '{home.bucket}'),
            (4, 2, 'x', 'another column', '{home.bucket}'),
            (5, 1, 'another policy', NULL, '{home.bucket}'), (6, 1, 'another bucket', NULL, '{home.bucket}'),
            (7, 2, 'another bucket', 'another bucket', '{other}'), (8, 1, 'nobody', NULL, '{home.bucket}');
        INSERT INTO cart VALUES (1, '{LATER}', 'another policy', '{home.bucket}'),
            (2, '{LATER}', 'another bucket', '{other}');
        """,
    )
    names = ["same table", "another column", "another policy", "another bucket", "nobody"]
    put(home, *names)
    put(home, *names, bucket=other)
    row = by_row(home.bucket, other)
    carts = JOB.replace("job", "cart") + files_of("cart", "picture", row)

    answer = expired(home, JOB + files_of("file", more=row) + files_of("file", "thumb", row) + carts)

    files = answer["files"]
    assert (files["queued"], files["kept"], files["deleted"]) == (5, 3, 2)
    assert home.s3.keys(home.bucket) == ["another column", "another policy", "same table"]
    assert home.s3.keys(other) == sorted(names)
    assert "사용 중인 파일 3개 유지" in home.slack.messages[-1].seen


@pytest.mark.fast_cases("postgresql")
def test_it_goes_with_the_last_row_that_names_it(home: House) -> None:
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, MAKE_JOB + jobs(1, 2, living=[3]) + MAKE_FILES)
    script(home, "INSERT INTO file (id, job_id, s3_key) VALUES (1, 1, 'a'), (2, 2, 'a'), (3, 3, 'b'), (4, 1, 'b')")
    put(home, "a", "b")
    policy = JOB + files_of("file")

    assert expired(home, policy)["files"]["kept"] == 1
    assert home.s3.keys(home.bucket) == ["b"]

    later = expired(home, policy, scheduled_time="2025-10-15T06:00:00Z")
    assert (later["files"]["kept"], later["files"]["deleted"]) == (0, 1)
    assert home.s3.keys(home.bucket) == []


def test_a_file_that_several_expired_rows_name(home: House) -> None:
    """It is one file: gone for all of them, or not."""
    home.env["EXPIRE_FILES_BUCKET"] = bucket = f"missing-{uuid.uuid4().hex[:12]}"
    script(home, MAKE_JOB + jobs(1, 2) + MAKE_FILES)
    script(home, "INSERT INTO file (id, job_id, s3_key) VALUES (1, 1, 'a'), (2, 2, 'a'), (3, 2, 'a'), (4, 1, 'a')")
    home.policies(JOB + files_of("file", more="check = false"))

    files = expire(home)["files"]

    assert (files["queued"], files["deleted"], files["kept"]) == (4, 0, 0)
    assert 0 < files["failed"] <= files["waiting"] == len(outbox(home))
    home.s3.create_bucket(bucket)
    put(home, "a", bucket=bucket)
    assert expire(home, scheduled_time="2025-10-15T07:00:00Z")["complete"]
    assert home.s3.keys(bucket) == []


def test_a_table_s_files_go_whichever_policy_deletes_its_rows(home: House) -> None:
    """Two policies reach a table, and one of them says what its rows name."""
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + MAKE_FILES
        + f"""
        CREATE TABLE cart (id int PRIMARY KEY, expires_at timestamp);
        INSERT INTO cart VALUES (1, '{DUE}'), (2, '{LATER}');
        ALTER TABLE file ADD COLUMN cart_id int REFERENCES cart;
        INSERT INTO file (id, job_id, cart_id, s3_key) VALUES (1, 1, NULL, 'a'), (2, 2, 1, 'b'), (3, 2, 2, 'c');
        """,
    )
    put(home, "a", "b", "c")

    files = expired(home, JOB.replace("job", "cart") + JOB + files_of("file"))["files"]

    assert (files["queued"], files["deleted"]) == (2, 2)
    assert home.s3.keys(home.bucket) == ["c"]


@pytest.mark.fast_cases("char(40)")
@pytest.mark.parametrize("kind", ["varchar(40)", "char(40)", "name_of_file"])
def test_columns_of_any_type_that_is_text(house: House, kind: str) -> None:
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    house.sql("CREATE DOMAIN name_of_file AS text CHECK (length(VALUE) < 99)")
    house.sql(MAKE_JOB + jobs(1, living=[2]) + f"CREATE TABLE file (job_id int REFERENCES job, s3_key {kind})")
    house.sql("INSERT INTO file VALUES (1, 'Gone.pdf'), (1, 'Kept.pdf'), (2, 'Kept.pdf')")
    put(house, "Gone.pdf", "Kept.pdf")

    files = expired(house, JOB + files_of("file"))["files"]

    assert (files["kept"], files["deleted"], house.s3.keys(house.bucket)) == (1, 1, ["Kept.pdf"])


KEYS = ["ключ/파일 1.pdf", "a b+c&d=e?f#g%20h", "'quoted' \"twice\"", "<&>", "tab\there", "x" * 1000, "a//b"]


def test_keys_of_any_kind(house: House) -> None:
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    house.sql(MAKE_JOB + jobs(1) + MAKE_FILES)
    for n, key in enumerate(KEYS):
        quoted = key.replace("'", "''")
        house.sql(f"INSERT INTO file (id, job_id, s3_key) VALUES ({n}, 1, '{quoted}')")
    put(house, *KEYS)

    files = expired(house, JOB + files_of("file"))["files"]

    assert (files["deleted"], house.s3.keys(house.bucket)) == (len(KEYS), [])


@pytest.mark.parametrize("every", [True, False])
def test_versions(house: House, every: bool) -> None:
    """Without the setting readers see no file, and its versions can be had back; with it all of them are gone."""
    bucket = f"versioned-{uuid.uuid4().hex[:12]}"
    house.s3.create_bucket(bucket, versioned=True)
    house.sql(MAKE_JOB + jobs(1, living=[2]) + MAKE_FILES)
    house.sql("INSERT INTO file (id, job_id, s3_key) VALUES (1, 1, 'a'), (2, 1, 'ab'), (3, 2, 'abc'), (4, 1, 'gone')")
    for _ in range(3):
        put(house, "a", "ab", "abc", "gone", bucket=bucket)
    house.s3.client().delete_object(Bucket=bucket, Key="gone")
    house.env["EXPIRE_FILE_VERSIONS"] = "on" if every else "off"

    files = expired(house, JOB + files_of("file", more=f'bucket = "{bucket}"'))["files"]

    assert (files["deleted"], house.s3.keys(bucket)) == (3, ["abc"])
    left = house.s3.client().list_object_versions(Bucket=bucket)
    versions = [version["Key"] for version in left.get("Versions", [])]
    assert versions == ["abc"] * 3 if every else ["a"] * 3 + ["ab"] * 3 + ["abc"] * 3 + ["gone"] * 3
    assert not (every and left.get("DeleteMarkers"))


def test_files_of_earlier_runs_go_too(home: House) -> None:
    """A run without a row to delete; and what has to wait for its next try waits."""
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, MAKE_JOB + jobs(living=[1]) + MAKE_FILES)
    home.policies(JOB + files_of("file"))
    expire(home)
    wait_in_outbox(home, home.bucket, "now", next_try="2025-10-15 05:00:00.000000")
    wait_in_outbox(home, home.bucket, "later", next_try="2025-10-15 05:00:00.000001")
    put(home, "now", "later")

    answer = expire(home)

    assert (answer["status"], answer["files"]["deleted"], answer["files"]["waiting"]) == ("partial", 1, 1)
    assert outbox(home) == [(home.bucket, "later")]
    assert home.s3.keys(home.bucket) == ["later"]
    assert column(home, "job") == [1]
