"""Values of file columns: which of them name a file, and what happens to rows whose files cannot be told."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from nightshift.database.catalog import quote_literal
from nightshift.expiry.file_names import ANY, FileNameReading, FileScope, NamedFiles
from nightshift.expiry.file_names_sql import object_sql, tellable_sql
from tests.support.expiry_files import MAKE_FILES, name
from tests.support.expiry_runs import (
    JOB,
    MAKE_JOB,
    column,
    expire,
    expired,
    files_of,
    jobs,
    outbox,
    put,
    refused,
    script,
)
from tests.support.house import House
from tests.support.s3_faults import access_denied
from tests.support.s3_proxy import S3Proxy


def addresses(bucket: str) -> dict[str, str]:
    """Values that name the bucket → the key that each stands for."""
    hosted = f"https://{bucket}.s3"
    return {
        f"s3://{bucket}/docs/a 1.pdf": "docs/a 1.pdf",
        f"s3a://{bucket}/100%25.pdf": "100%25.pdf",
        f"arn:aws:s3:::{bucket}/docs/b.pdf": "docs/b.pdf",
        f"{hosted}.ap-northeast-2.amazonaws.com/{quote('문서/계약 1.pdf')}": "문서/계약 1.pdf",
        f"{hosted}.amazonaws.com/c.pdf?X-Amz-Algorithm=AWS4&X-Amz-Signature=SIGNED": "c.pdf",
        f"{hosted}-us-west-2.amazonaws.com/%64.pdf": "d.pdf",
        f"https://s3.ap-northeast-2.amazonaws.com/{bucket}/e/f.pdf": "e/f.pdf",
        f"{hosted}.dualstack.eu-west-1.amazonaws.com//g.pdf": "/g.pdf",
    }


def test_addresses_of_a_listed_bucket_are_keys(uploads: House) -> None:
    """Each stands for one key; plain keys beside them are keys to the letter."""
    named = addresses(uploads.bucket)
    plain = [
        "/slash.pdf",
        "what?.pdf",
        "a%20b.pdf",
        "2025:1.pdf",
        "한글 파일.pdf",
        "[draft].pdf",
        "x, y.pdf",
        "tab\there",
    ]
    name(uploads, [*named, *plain])
    put(uploads, *named.values(), *plain, "a b.pdf", "slash.pdf", "living")
    name(uploads, ["living"], first=31)

    files = expired(uploads, JOB + files_of("file"))["files"]

    assert (files["deleted"], files["looked_up"], files["absent"]) == (len(named) + len(plain), 16, 0)
    assert uploads.s3.keys(uploads.bucket) == ["a b.pdf", "living", "slash.pdf"]


def test_a_file_that_a_living_row_names_in_another_way_stays(uploads: House) -> None:
    """Expired rows name keys, living ones their addresses, and the other way round."""
    named = addresses(uploads.bucket)
    name(uploads, list(named.values())[:4] + list(named)[4:])
    put(uploads, *named.values(), "gone")
    name(uploads, ["gone"], first=20)
    for n, (address, key) in enumerate(named.items()):
        value = (address if n < 4 else key).replace("'", "''")
        script(uploads, f"INSERT INTO file VALUES ({40 + n}, 31, '{value}', NULL)")

    files = expired(uploads, JOB + files_of("file"))["files"]

    assert (files["kept"], files["deleted"]) == (len(named), 1)
    assert uploads.s3.keys(uploads.bucket) == sorted(named.values())


NO_KEYS = {
    "gs://bucket/a.pdf": "an address that is not of a listed bucket",
    "https://cdn.example.com/a.pdf": "an address that is not of a listed bucket",
    "arn:aws:s3:ap-northeast-2:123456789012:accesspoint/docs/object/a": "an address that is not of a listed bucket",
    "data:application/pdf;base64,JVBE": "an address that is not of a listed bucket",
    "HTTPS://Example.com/a": "an address that is not of a listed bucket",
    "//cdn.example.com/a": "an address that is not of a listed bucket",
    "s3://someone-else/a.pdf": "names the bucket someone-else, which the policy does not list",
    '["a.pdf", "b.pdf"]': "a list",
    "{a.pdf,b.pdf}": "a list",
    " a.pdf": "blanks around",
    "a.pdf\n": "blanks around",
    "a.pdf?X-Amz-Signature=SIGNED": "a query",
    "..": "dots",
    "docs/../archive/a": "dots",
    "k" * 1025: "more than a key can",
}


def test_a_row_whose_file_cannot_be_told_stays(uploads: House) -> None:
    """It and what it hangs on, named and counted; the dry run says so before; all others go."""
    name(uploads, list(NO_KEYS))
    name(uploads, [f"{n}.pdf" for n in range(16, 31)], first=16)
    put(uploads, *(f"{n}.pdf" for n in range(16, 31)), "a.pdf")
    uploads.policies(JOB + files_of("file"))

    dry, answer = expire(uploads, dry_run=True), expire(uploads)

    assert f"{len(NO_KEYS)} values name no file that may be deleted" in " ".join(dry["tables"][0]["warnings"])
    (table,) = answer["tables"]
    assert (answer["status"], table["expired"], table["failed"]) == ("partial", 15, len(NO_KEYS))
    assert column(uploads, "job") == [*range(1, 16), *range(31, 36)]
    assert (answer["files"]["queued"], answer["files"]["deleted"], outbox(uploads)) == (15, 15, [])
    assert uploads.s3.keys(uploads.bucket) == ["a.pdf"]
    said = " ".join(table["warnings"])
    assert [why for why in NO_KEYS.values() if why not in said] == []
    assert "file.s3_key" in said and "SIGNED" not in json.dumps(answer)


@pytest.mark.slow
def test_a_column_without_keys_is_refused(house: House) -> None:
    """By what its values are; or by what S3 has in their place: deleting the rows would leave that for ever."""
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    script(house, MAKE_JOB + jobs(*range(1, 31)) + MAKE_FILES)
    put(house, *(f"docs/{n}.pdf" for n in range(1, 31)))
    for value, told in MEANT_OTHERWISE.items():
        script(house, "DELETE FROM file")
        name(house, [value.replace("<bucket>", house.bucket).format(n) for n in range(1, 31)])
        (refusal,) = refused(house, JOB + files_of("file"))
        assert refusal["guard"] == "not_a_key" and "file.s3_key" in refusal["message"]
        assert told.replace("<bucket>", house.bucket) in f"{refusal['message']} {refusal['hint']}"
        assert "correct the column, or `buckets`, `strip` and" in refusal["hint"] or told not in refusal["message"]


MEANT_OTHERWISE = {
    "https://files.example.com/docs/{}.pdf?X-Amz-Signature=SIGNED": "an address",
    '["docs/{}.pdf"]': "holds a list",
    "/docs/{}.pdf": 'strip = "/"',
    "<bucket>/docs/{}.pdf": 'strip = "<bucket>/"',
    "docs%2F{}.pdf": "percent-encoded",
    "docs/{0}.pdf,docs/{0}.png": "one key a row",
    "docs/{0}.pdf\ndocs/{0}.png": "one key a row",
    "docs/{}.pdf?v=2": "question mark",
}


def test_a_prefix_and_what_is_no_part_of_a_key(uploads: House) -> None:
    """As storage libraries have it: the column holds what follows `media/`, or an address of one's own."""
    name(uploads, ["/1.pdf", "2.pdf", "https://cdn.example.com/3%20.pdf?v=1", f"s3://{uploads.bucket}/4.pdf"])
    name(uploads, ["/5.pdf", "6.pdf"], first=31)
    put(uploads, "media/1.pdf", "media/2.pdf", "4.pdf", "1.pdf", "media/5.pdf", "media/6.pdf")
    policy = JOB + files_of("file", more='prefix = "media/"\nstrip = "/"')
    script(uploads, "UPDATE file SET s3_key = '2.pdf' WHERE id = 3; INSERT INTO file VALUES (50, 7, '5.pdf', NULL)")
    script(uploads, f"INSERT INTO file VALUES (51, 7, 's3://{uploads.bucket}/media/6.pdf', NULL)")

    files = expired(uploads, policy)["files"]

    assert (files["deleted"], files["kept"]) == (3, 2)
    assert uploads.s3.keys(uploads.bucket) == ["1.pdf", "media/5.pdf", "media/6.pdf"]


def test_python_and_postgresql_read_alike(house: House) -> None:
    """The rule exists twice."""
    own = frozenset({(ANY, "archive"), ("backups-1", "")})
    reach = FileScope(frozenset({"uploads", "scans.example.com", "backups-1"}), own)
    values = [*addresses("uploads"), *addresses("scans.example.com"), *addresses("backups-1"), *NO_KEYS, *ODD]
    house.sql("CREATE TABLE v (n int, value text)")
    rows = ", ".join(f"({n}, {quote_literal(value)})" for n, value in enumerate(values))
    house.sql(f"INSERT INTO v VALUES {rows}")
    for strip, prefix in (("", ""), ("/", "media/"), ("https://cdn.example.com/", "")):
        reading = FileNameReading(reach, strip, prefix)
        bucket, key = object_sql(reading, 'v.value COLLATE "C"', "'uploads'", postgresql=True)
        read = f"SELECT n, {bucket} AS bucket, {key} AS object_key FROM v"
        tellable = tellable_sql(reading, "t.bucket", "t.object_key")
        read = f"SELECT CASE WHEN {tellable} THEN concat(bucket, ' ', object_key) END FROM ({read}) t ORDER BY n"
        told = [reading.read_value(value, "uploads") for value in values]
        wanted = [f"{named.bucket} {named.key}" if isinstance(named, NamedFiles) else None for named in told]
        assert [found for (found,) in house.sql(read)] == wanted


HOSTED = "https://uploads.s3.amazonaws.com"
ODD = (
    *(
        "s3://uploads/",
        "s3://uploads/[a]",
        "s3://uploads/k ",
        "s3://uploads/k?versionId=1",
        "arn:aws-cn:s3:::uploads/k/z",
    ),
    *(
        f"{HOSTED}/a+b",
        f"{HOSTED}/%FF",
        f"{HOSTED}/%",
        f"{HOSTED}/a%00",
        f"{HOSTED}/a?versionId=3",
        f"{HOSTED}/%61rchive/x",
    ),
    *(f"{HOSTED}:443/k", "https://uploads.s3-website-us-east-1.amazonaws.com/k", HOSTED.replace("//", "//u:p@") + "/k"),
    *("https://cdn.example.com/", "https://cdn.example.com/a%20b?v=1", "https://cdn.example.com//a", "ARN:x", "urn:x"),
    *("archive", "archive/x", "archives/x", "a/.", "a/b.", "...", "-a", "it's", "x]", "{", "[x", "a\\b", "\ta", "a\nb"),
    *("한글" * 170, "한글" * 171, "한글/파일.pdf", "2024:report.pdf", "a,b", "/a", "//a", "uploads/k", "k?v=1", "./a"),
    *("/archive/x", "k\u3000", "\u00a0k", "k\x0b", "\x0ck", "k\u0085", "\u0130s3://k", "\u212aey://k", "k\r"),
)


def test_an_address_of_one_s_own_host(uploads: House) -> None:
    name(uploads, ["https://cdn.example.com/a%20b.pdf?v=1", "https://cdn.example.com/c.pdf"])
    name(uploads, ["https://cdn.example.com/%63.pdf"], first=31)
    put(uploads, "a b.pdf", "c.pdf")
    files = expired(uploads, JOB + files_of("file", more='strip = "https://cdn.example.com/"'))["files"]
    assert (files["deleted"], files["kept"], uploads.s3.keys(uploads.bucket)) == (1, 1, ["c.pdf"])


def test_keys_that_name_nothing_stop_the_policy(uploads: House) -> None:
    """A missing prefix: S3 would call all of them deleted. Living rows' keys count, where few rows are due."""
    name(uploads, [f"{n}.pdf" for n in (1, 2)])
    name(uploads, [f"{n}.pdf" for n in range(31, 36)], first=31)
    script(uploads, "; ".join(f"INSERT INTO file VALUES ({60 + n}, 35, 'more/{n}.pdf', NULL)" for n in range(9)))
    put(uploads, *(f"media/{n}.pdf" for n in range(1, 36)))

    (refusal,) = refused(uploads, JOB + files_of("file"))

    assert (
        refusal["guard"] == "absent_files" and "of 16 keys that were looked up, 16 name no file" in refusal["message"]
    )
    assert "`check = false` takes them as they are" in refusal["hint"]
    uploads.policies(JOB + files_of("file", more="check = false"))
    accepted = expire(uploads, scheduled_time="2025-10-15T06:00:00Z")
    assert (accepted["status"], accepted["files"]["deleted"]) == ("ok", 2 + 5 + 9)


def test_some_that_name_nothing_are_counted(uploads: House) -> None:
    name(uploads, [f"{n}.pdf" for n in range(1, 31)])
    put(uploads, *(f"{n}.pdf" for n in range(1, 31) if n % 4))
    files = expired(uploads, JOB + files_of("file"))["files"]
    assert (files["deleted"], files["looked_up"], files["absent"] in range(1, 10)) == (30, 20, True)
    assert "named no file" in files["warnings"][0] and "5 named no file" in uploads.slack.messages[-1].seen


@pytest.mark.fast_cases("postgresql")
def test_a_role_that_is_bound_to_a_prefix(uploads: House) -> None:
    """One key outside of it does not stop a table; nothing but such keys do."""
    name(uploads, ["old/1.pdf", *(f"docs/{n}.pdf" for n in range(2, 31))])
    put(uploads, "old/1.pdf", *(f"docs/{n}.pdf" for n in range(2, 31)))
    with S3Proxy(uploads.s3.endpoint) as proxy:
        uploads.env["AWS_ENDPOINT_URL"] = proxy.endpoint
        proxy.inject(access_denied(), method="GET", target="prefix=old/", times=None)
        files = expired(uploads, JOB + files_of("file"))["files"]
        assert (files["deleted"], files["looked_up"]) == (30, 19)
        (warning,) = files["warnings"]
        assert "1 lie where S3 does not let the role look" in warning and "'old/1.pdf'" in warning
        script(uploads, "DELETE FROM file; INSERT INTO job (id, expires_at) VALUES (50, '2025-10-01')")
        name(uploads, ["old/2.pdf"], first=50)
        (refusal,) = refused(uploads, JOB + files_of("file"))
        assert refusal["guard"] == "no_bucket" and "AccessDenied" in refusal["message"]
        assert "or allow s3:ListBucket there" in refusal["hint"]


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_found_first(uploads: House) -> None:
    name(uploads, ["a", "b"])
    put(uploads, "a", "b")
    (refusal,) = refused(uploads, JOB + files_of("file", more='bucket = "no-such-bucket-here"'))
    assert refusal["guard"] == "no_bucket" and "no-such-bucket-here" in refusal["message"]
    assert refusal["hint"] == "correct the name in [[expiry.files]]"
