"""Rows and the outbox are others' to write: neither reaches our own objects, or a bucket that is not listed."""

from __future__ import annotations

import json

import pytest

from nightshift.policy.file import parse_policies
from nightshift.settings import Settings
from tests.support.expiry_files import BY_ROW, name
from tests.support.expiry_runs import JOB, expire, files_of, put, refused, script
from tests.support.house import House


def test_nightshift_s_own_objects_are_no_files(uploads: House) -> None:
    """Rows that name the archive and the backups, in whichever words and bucket; a whole bucket of its own, too."""
    other = f"{uploads.bucket}-2"
    uploads.s3.create_bucket(other)
    own = ["archive/table=x/1.parquet", "backup/b/manifest.json", "archive", f"s3://{uploads.bucket}/backup/x"]
    own += ["/archive/table=x/1.parquet"]  # some servers take it for the same
    own += [f"https://{uploads.bucket}.s3.amazonaws.com/%61rchive/y", f"s3://{other}/archive/kept"]
    keys = ["archive/table=x/1.parquet", "backup/b/manifest.json", "archive", "backup/x", "archive/y"]
    keys += ["/archive/table=x/1.parquet"]
    put(uploads, *keys, "archives/1", "ok")
    put(uploads, "archive/kept", "theirs", bucket=other)
    name(uploads, [*own, "archives/1", "ok"])
    uploads.policies(JOB + files_of("file", more=f'{BY_ROW}buckets = ["{other}"]'))

    answer = expire(uploads)

    assert (answer["status"], answer["tables"][0]["failed"], answer["files"]["deleted"]) == ("partial", 6, 3)
    assert "nightshift's own" in " ".join(answer["tables"][0]["warnings"])
    assert uploads.s3.keys(uploads.bucket) == sorted(keys) and uploads.s3.keys(other) == ["theirs"]
    uploads.env["BACKUP_BUCKET"], uploads.env["BACKUP_PREFIX"] = other, "theirs"
    script(uploads, f"DELETE FROM file; INSERT INTO file VALUES (1, 1, 'theirs', '{other}')")
    assert refused(uploads, JOB + files_of("file", more=f'{BY_ROW}buckets = ["{other}"]'))


def test_rows_that_name_a_bucket_that_is_not_listed(uploads: House) -> None:
    """Whatever the role may reach: only what the policy lists."""
    other = f"{uploads.bucket}-2"
    uploads.s3.create_bucket(other)
    put(uploads, "a", bucket=other)
    arn = f"arn:aws:s3:ap-northeast-2:123456789012:accesspoint/{other}"
    for n, bucket in enumerate((other, arn, "x-1234-s3alias", f"{uploads.bucket} "), 1):
        script(uploads, f"INSERT INTO file VALUES ({n}, {n}, 'a', '{bucket}')")
    (refusal,) = refused(uploads, JOB + files_of("file", more=BY_ROW))
    assert (
        refusal["guard"] == "no_bucket" and f"the bucket {other}, which the policy does not list" in refusal["message"]
    )
    assert uploads.s3.keys(other) == ["a"]


def test_entries_that_somebody_else_put_into_the_outbox(uploads: House) -> None:
    """At the last moment before S3 is asked: listed buckets alone, and nothing of nightshift's own."""
    other = f"{uploads.bucket}-2"
    uploads.s3.create_bucket(other)
    put(uploads, "archive/x", "backup/x", "old-archive/y", "fine", "also fine", "/archive/x")
    put(uploads, "a", bucket=other)
    uploads.policies(JOB + files_of("file"))
    expire(uploads)
    columns = "bucket, object_keys, files, run_id, attempts, next_try"
    for bucket, keys in (
        (uploads.bucket, ["archive/x", "/archive/x", "backup/x", "fine", "a/../archive/x"]),
        (other, ["a"]),
    ):
        values = f"'{bucket}', '{json.dumps(keys)}', {len(keys)}, 'x', 0, '2025-10-15 04:00:00.000000'"
        script(uploads, f"INSERT INTO nightshift_file_deletion ({columns}) VALUES ({values})")

    answer = expire(uploads)

    assert {failure["code"]: failure["count"] for failure in answer["files"]["failures"]} == {
        "Protected": 3,
        "NotAKey": 1,
        "NotListed": 1,
    }
    assert (answer["status"], answer["files"]["deleted"]) == ("partial", 1)
    assert uploads.s3.keys(uploads.bucket) == ["/archive/x", "also fine", "archive/x", "backup/x", "old-archive/y"]
    assert uploads.s3.keys(other) == ["a"]


@pytest.mark.parametrize(
    "where", ['bucket = "docs-abc123-s3alias"', 'buckets = ["docs--ol-s3"]', 'buckets = ["arn:x"]']
)
def test_an_access_point_is_no_bucket(where: str) -> None:
    with pytest.raises(Exception, match=r"access point|files\.0\.buckets"):
        parse_policies(JOB + files_of("f", more=where), Settings.from_env({}), source="test")
