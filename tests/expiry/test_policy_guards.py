"""What a policy expects of the database, and is refused where that is not so; what it does not say."""

from __future__ import annotations

import pytest

from nightshift.errors import InvalidSettings
from tests.support.expiry_runs import (
    CHILDREN,
    DUE,
    JOB,
    LATER,
    MAKE_JOB,
    deleted,
    expire,
    expired,
    files_of,
    jobs,
    numbered,
    put,
    refused,
    script,
)
from tests.support.house import House

LISTED = [
    (
        "unexpected_cascade",
        "[]",
        "rows of {0}part0, {0}scan0 would be deleted with {0}job0",
        "add them to `cascade`, or make",
    ),
    ("unexpected_cascade", '["part1"]', "rows of {0}scan1 would be deleted with {0}job1", "ON DELETE SET NULL"),
    (
        "unexpected_cascade",
        '["part2", "scan2", "kept2"]',
        "`cascade` lists {0}kept2, but no reference leads there",
        "or take it off the list",
    ),
    (
        "unexpected_cascade",
        '["part3", "scan3", "job0"]',
        "`cascade` lists {0}job0",
        "state it in [[expiry.dependents]]",
    ),
    ("unknown_table", '["part4", "scan4", "nowhere"]', "there is no table nowhere", ""),
]


def test_a_cascade_that_is_not_as_listed(home: House) -> None:
    for n in range(len(LISTED)):
        script(home, numbered(MAKE_JOB + jobs(1) + CHILDREN, n))

    found = refused(home, *(numbered(JOB, n) + f"cascade = {listed}\n" for n, (_, listed, *_) in enumerate(LISTED)))

    assert [refusal["guard"] for refusal in found] == [guard for guard, *_ in LISTED]
    schema = "" if home.url.startswith("sqlite") else "public."
    for refusal, (_, _, named, hint) in zip(found, LISTED, strict=True):
        assert named.format(schema) in refusal["message"] and hint in refusal["hint"]


@pytest.mark.parametrize("listed", ['["part", "scan"]', '["scan", "job", "part"]'])
def test_a_cascade_that_is_as_listed(home: House, listed: str) -> None:
    script(home, MAKE_JOB + jobs(1) + CHILDREN)

    assert deleted(expired(home, JOB + f"cascade = {listed}")) == {"job": 1, "part": 1, "scan": 1}


LOST_FILES = [
    ("unknown_table", files_of("nowhere"), "nowhere", ""),
    ("unknown_table", files_of("kept"), "does not hang on job1", "the table itself, or one that references it"),
    ("unknown_column", files_of("part", "path"), "path", "its columns: id, job_id"),
    ("unknown_column", files_of("part", more='bucket_column = "place"'), "place", ""),
    ("no_bucket", files_of("part"), "in which bucket", "in [[expiry.files]], or set EXPIRE_FILES_BUCKET"),
]


def test_files_that_would_never_be_found(home: House) -> None:
    for n in range(len(LOST_FILES)):
        script(home, numbered(MAKE_JOB + jobs(1) + CHILDREN, n))

    found = refused(home, *(numbered(JOB + entry, n) for n, (_, entry, *_) in enumerate(LOST_FILES)))

    assert [refusal["guard"] for refusal in found] == [guard for guard, *_ in LOST_FILES]
    for refusal, (_, _, named, hint) in zip(found, LOST_FILES, strict=True):
        assert named in refusal["message"] and hint in refusal["hint"]


def test_columns_that_cannot_name_a_file(house: House) -> None:
    cases = [(what, kind) for what in ("key", "bucket") for kind in ("uuid", "text[]", "jsonb", "bytea", "integer")]
    for n, (what, kind) in enumerate(cases):
        kinds = {"key": "text", "bucket": "text", what: kind}
        columns = f"key {kinds['key']}, bucket {kinds['bucket']}"
        house.sql(f"CREATE TABLE job{n} (id int PRIMARY KEY, expires_at timestamp, {columns})")

    entry = JOB + files_of("job", "key", 'bucket_column = "bucket"')
    found = refused(house, *(numbered(entry, n) for n in range(len(cases))))

    assert {refusal["guard"] for refusal in found} == {"wrong_type"}
    for n, (refusal, (what, kind)) in enumerate(zip(found, cases, strict=True)):
        assert f"public.job{n}.{what} is {kind}" in refusal["message"]
        assert "a column that holds text, one file each" in refusal["hint"]


def test_a_table_that_is_refused_stops_no_other(home: House) -> None:
    cart = "CREATE TABLE cart (id int PRIMARY KEY, expires_at timestamp, s3_key text);"
    script(home, MAKE_JOB + jobs(1) + cart + f"INSERT INTO cart VALUES (1, '{DUE}', 'c1');")
    put(home, "c1")
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    home.policies('[[expiry]]\ntable = "nowhere"\n' + JOB.replace("job", "cart") + files_of("cart"))

    answer = expire(home)

    assert [table["status"] for table in answer["tables"]] == ["refused", "ok"]
    assert (answer["status"], answer["files"]["deleted"]) == ("refused", 1)


def test_a_misspelt_column_costs_no_other_table_its_files(home: House) -> None:
    """Rows of a policy that is refused may name the same files: none goes before it is known which."""
    cart = "CREATE TABLE cart (id int PRIMARY KEY, expires_at timestamp, s3_key text);"
    cart += f"INSERT INTO cart VALUES (1, '{LATER}', 'f');"
    script(home, "CREATE TABLE job (id int PRIMARY KEY, expires_at timestamp, s3_key text);" + cart)
    script(home, f"INSERT INTO job VALUES (1, '{DUE}', 'f'), (2, '{DUE}', 'g')")
    put(home, "f", "g")
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    carts = JOB.replace("job", "cart")
    home.policies(JOB + files_of("job") + carts + files_of("cart", "s3key"))

    answer = expire(home)

    assert (answer["status"], answer["files"]["waiting"], home.s3.keys(home.bucket)) == ("refused", 2, ["f", "g"])
    assert "cart has no column of text called s3key, and may name it" in answer["files"]["warnings"][0]
    home.policies(JOB + files_of("job") + carts + files_of("cart"))
    files = expire(home)["files"]
    assert (files["kept"], files["deleted"], home.s3.keys(home.bucket)) == (1, 1, ["f"])


@pytest.mark.parametrize("policy", [None, '[[retention]]\ntable = "job"\n'])
def test_no_policy_at_all(home: House, policy: str | None) -> None:
    """Without being told, nothing expires: nobody would know of the files."""
    script(home, MAKE_JOB + jobs(1))
    if policy:
        home.policies(policy)
    before = home.state()

    for dry_run in (True, False):
        with pytest.raises(InvalidSettings, match="for the files that its rows name") as raised:
            expire(home, dry_run=dry_run)
        assert raised.value.message == "no policy says what expires"

    assert home.state() == before
    assert "no policy says what expires" in home.slack.messages[-1].seen


def test_two_policies_for_one_table(home: House) -> None:
    """A name has several spellings, and each entry may name other files: the first has it."""
    script(home, MAKE_JOB + jobs(1))
    home.policies(JOB + JOB.replace('"job"', '"JOB"'))

    first, second = expire(home)["tables"]

    assert (first["status"], first["expired"], second["status"]) == ("ok", 1, "refused")
    assert (second["refusal"]["guard"], second["refusal"]["hint"]) == ("repeated", "keep one of the two policies")
