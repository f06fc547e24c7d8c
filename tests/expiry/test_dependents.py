"""Tables that hang on others without the database knowing: the policy says how."""

from __future__ import annotations

from tests.support.expiry_runs import (
    JOB,
    MAKE_JOB,
    column,
    deleted,
    expire,
    expired,
    files_of,
    jobs,
    put,
    refused,
    script,
)
from tests.support.house import House

SMS = '[[expiry.dependents]]\ntable = "sms"\ncolumns = ["job_id"]\n'
MAKE_SMS = """
CREATE TABLE sms (id int PRIMARY KEY, job_id int);
INSERT INTO sms VALUES (1, 1), (2, 1), (3, 2), (4, NULL);
"""


def test_below_another_dependent_and_above_a_foreign_key(home: House) -> None:
    """job ┄ sms ┄ delivery ── receipt; what is stated and what the database knows take turns."""
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + MAKE_SMS
        + """
        CREATE TABLE delivery (code text PRIMARY KEY, message int, s3_key text);
        CREATE TABLE receipt (delivery text REFERENCES delivery, job_id int REFERENCES job);
        INSERT INTO delivery VALUES ('a', 1, 'fa'), ('b', 2, 'fb'), ('c', 3, 'fc'), ('d', 99, 'fd'), ('e', NULL, 'fe');
        INSERT INTO receipt VALUES ('a', NULL), ('a', 1), ('c', NULL), ('c', 1), ('d', 2);
        """,
    )
    put(home, "fa", "fb", "fc")
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    # In no order: an entry may hang on one that comes later.
    delivery = '[[expiry.dependents]]\ntable = "delivery"\ncolumns = ["message"]\nreferences = "sms"\n'

    answer = expired(home, JOB + delivery + SMS + files_of("delivery"))

    assert deleted(answer) == {"job": 1, "sms": 2, "delivery": 2, "receipt": 3}
    assert column(home, "sms") == [3, 4]
    assert home.s3.keys(home.bucket) == ["fc"]


def test_by_columns_that_are_no_primary_key(home: House) -> None:
    """A unique one is enough; nulls in it are no match."""
    script(
        home,
        """
        CREATE TABLE job (id int PRIMARY KEY, phone text, country int, expires_at timestamp, UNIQUE (country, phone));
        CREATE TABLE code (id int, sent_to text, country_code int);
        INSERT INTO job VALUES (1, '010', 82, '2025-10-01'), (2, '011', 82, '2025-11-01'), (4, '010', 1, '2025-11-01'),
            (5, NULL, 82, '2025-10-01');
        INSERT INTO code VALUES (1, '010', 82), (2, '010', 1), (3, NULL, 82), (4, '010', NULL), (5, '010', 82);
        """,
    )

    answer = expired(home, JOB + BY_NUMBER)

    assert deleted(answer) == {"job": 2, "code": 2}
    assert column(home, "code") == [2, 3, 4]


BY_NUMBER = """
[[expiry.dependents]]
table = "code"
columns = ["sent_to", "country_code"]
referenced = ["phone", "country"]
"""


def test_columns_that_several_rows_share(home: House) -> None:
    """What hangs on an expired row by them would hang on a living one, too."""
    script(
        home,
        "CREATE TABLE job (id int PRIMARY KEY, phone text, country int, expires_at timestamp, UNIQUE (id, phone));"
        "CREATE INDEX by_number ON job (phone, country); CREATE TABLE code (sent_to text, country_code int);",
    )

    (refusal,) = refused(home, JOB, BY_NUMBER)

    assert (refusal["guard"], "is not unique" in refusal["message"]) == ("wrong_reference", True)
    assert "reference its primary key in [[expiry.dependents]]" in refusal["hint"]


def test_two_entries_of_one_table_and_a_foreign_key_beside_them(home: House) -> None:
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + """
        CREATE TABLE link (id int PRIMARY KEY, from_job int, to_job int, via int REFERENCES job);
        INSERT INTO link VALUES (1, 1, 2, NULL), (2, 2, 1, 2), (3, 2, 2, 1), (4, 1, 1, 1), (5, 2, 2, 2);
        """,
    )
    entry = '[[expiry.dependents]]\ntable = "link"\ncolumns = ["{}"]\n'

    assert deleted(expired(home, JOB + entry.format("from_job") + entry.format("to_job"))) == {"job": 1, "link": 4}
    assert column(home, "link") == [5]


def test_a_table_that_hangs_on_itself(home: House) -> None:
    script(
        home,
        MAKE_JOB
        + jobs(1, living=[2])
        + "CREATE TABLE note (id int PRIMARY KEY, job_id int REFERENCES job, answer_to int);"
        "INSERT INTO note VALUES (1, 1, NULL), (2, NULL, 1), (3, NULL, 2), (4, 2, 5), (5, 2, 4), (6, NULL, 5);",
    )
    itself = '[[expiry.dependents]]\ntable = "note"\ncolumns = ["answer_to"]\nreferences = "note"\n'

    assert deleted(expired(home, JOB + itself)) == {"job": 1, "note": 3}
    assert column(home, "note") == [4, 5, 6]


def test_a_circle_that_only_the_policy_knows(home: House) -> None:
    script(
        home,
        MAKE_JOB
        + jobs(1, 2, living=[3])
        + "ALTER TABLE job ADD COLUMN sms_id int; CREATE TABLE sms (id int PRIMARY KEY, job_id int);"
        "INSERT INTO sms VALUES (10, 1), (11, 2), (12, 3); UPDATE job SET sms_id = 10 WHERE id = 2;",
    )
    back = '[[expiry.dependents]]\ntable = "job"\ncolumns = ["sms_id"]\nreferences = "sms"\n'

    assert deleted(expired(home, JOB + SMS + back)) == {"job": 2, "sms": 2}
    assert (column(home, "job"), column(home, "sms")) == ([3], [12])


NOWHERE = [
    ("unknown_table", 'table = "nowhere"\ncolumns = ["job_id"]', "nowhere", ""),
    ("unknown_table", 'table = "sms"\ncolumns = ["job_id"]\nreferences = "nowhere"', "nowhere", ""),
    (
        "unknown_table",
        'table = "sms"\ncolumns = ["job_id"]\nreferences = "island"',
        "does not hang on job",
        "it is the expiring table, or one that",
    ),
    ("unknown_table", 'table = "sms"\ncolumns = ["job_id"]\nreferences = "sms"', "does not hang on job", ""),
    ("unknown_table", 'table = "sms_view"\ncolumns = ["job_id"]', "view", ""),
    ("unknown_table", 'table = "nightshift_run"\ncolumns = ["run_id"]', "own tables", ""),
    ("unknown_column", 'table = "sms"\ncolumns = ["number"]', "number", "its columns: "),
    ("unknown_column", 'table = "sms"\ncolumns = ["job_id"]\nreferenced = ["number"]', "number", ""),
    (
        "unknown_column",
        'table = "sms"\ncolumns = ["job_id", "id"]',
        "2 columns cannot reference 1",
        "name as many `referenced` columns",
    ),
    ("unknown_column", 'table = "sms"\ncolumns = ["job_id"]\nreferenced = ["id", "id"]', "1 columns cannot", ""),
]


def test_entries_that_lead_nowhere(home: House) -> None:
    script(home, MAKE_SMS + "CREATE TABLE island (id int PRIMARY KEY); CREATE VIEW sms_view AS SELECT * FROM sms;")
    script(home, "".join((MAKE_JOB + jobs(1)).replace("job", f"job{n}") for n in range(len(NOWHERE))))
    home.policies(JOB)
    expire(home)  # makes our own tables

    found = refused(
        home,
        *(
            JOB.replace("job", f"job{n}") + "[[expiry.dependents]]\n" + entry + "\n"
            for n, (_, entry, *_) in enumerate(NOWHERE)
        ),
    )

    assert [refusal["guard"] for refusal in found] == [guard for guard, *_ in NOWHERE]
    for refusal, (_, _, named, hint) in zip(found, NOWHERE, strict=True):
        assert named in refusal["message"] and hint in refusal["hint"]


def test_columns_that_cannot_be_compared(house: House) -> None:
    house.sql(MAKE_JOB + jobs(1) + "CREATE TABLE sms (job_id text); INSERT INTO sms VALUES ('1')")

    (refusal,) = refused(house, JOB, SMS)

    assert refusal["guard"] == "wrong_reference"
    assert 'public.sms ("job_id") cannot be compared with public.job ("id")' in refusal["message"]
    assert "name columns of types that can be compared in" in refusal["hint"]


def test_a_table_without_a_key_on_which_an_entry_hangs(house: House) -> None:
    house.sql(MAKE_JOB + jobs(1) + "CREATE TABLE sms (n int UNIQUE, job_id int); CREATE TABLE delivery (n int)")
    delivery = '[[expiry.dependents]]\ntable = "delivery"\ncolumns = ["n"]\nreferences = "sms"\nreferenced = ["n"]\n'

    (refusal,) = refused(house, JOB, SMS, delivery)

    assert refusal["guard"] == "no_key"
