"""Every guard says no before anything is touched, and says what is wrong and what to do."""

from __future__ import annotations

from tests.support.expiry_runs import (
    CHILDREN,
    DUE,
    JOB,
    LATER,
    MAKE_JOB,
    TABLES,
    deleted,
    expire,
    expired,
    files_of,
    jobs,
    numbered,
    refused,
    script,
)
from tests.support.house import House

NO_TABLE_OR_COLUMN = [
    ("unknown_table", 'table = "nowhere"', "nowhere"),
    ("unknown_table", 'table = "app.job"', "app.job"),
    ("unknown_table", 'table = "\\"Job \\""', "Job "),
    ("unknown_table", 'table = "a.b.c"', "a.b.c"),
    ("unknown_table", 'table = "job; DROP TABLE job"', "DROP TABLE"),
    ("unknown_table", 'table = "job_view"', "view"),
    ("unknown_table", 'table = "nightshift_file_deletion"', "own tables"),
    ("unknown_column", 'table = "job0"\nexpires_at = "ends_at"', "its columns: id, expires_at"),
    ("unknown_column", 'table = "job1"\nexpires_at = "ctid"', "ctid"),
    ("wrong_type", 'table = "job2"\nexpires_at = "id"', "expires_at needs timestamptz, timestamp"),
    ("wrong_type", 'table = "job3"\nepoch = "s"', "`epoch`"),
]


def test_the_policy_means_no_table_or_column(home: House) -> None:
    script(home, "".join((MAKE_JOB + jobs(1)).replace("job", f"job{n}") for n in range(4)))
    script(home, "CREATE VIEW job_view AS SELECT * FROM job0")
    home.policies('[[expiry]]\ntable = "nowhere"')
    expire(home)  # makes our own tables

    found = refused(home, *(f"[[expiry]]\n{policy}\n" for _, policy, _ in NO_TABLE_OR_COLUMN))

    assert [refusal["guard"] for refusal in found] == [guard for guard, _, _ in NO_TABLE_OR_COLUMN]
    for refusal, (_, _, named) in zip(found, NO_TABLE_OR_COLUMN, strict=True):
        assert named in refusal["message"] + refusal["hint"]


def test_types_that_are_no_moment(house: House) -> None:
    kinds = ["text", "interval", "timestamp without time zone[]", "time without time zone", "numeric", "uuid"]
    for n, kind in enumerate(kinds):
        house.sql(f"CREATE TABLE job{n} (id int PRIMARY KEY, expires_at {kind})")

    found = refused(house, *(JOB.replace("job", f"job{n}") for n in range(len(kinds))))

    for n, (refusal, kind) in enumerate(zip(found, kinds, strict=True)):
        assert (refusal["guard"], refusal["message"]) == ("wrong_type", f"job{n}.expires_at is {kind}")


def test_sqlite_values_that_are_not_times(sqlite_house: House) -> None:
    """One of them among good ones is enough: SQLite would order it somewhere, and the row would go, or never."""
    values = ["1760000000", "1.5", "''", "'12 March'", "'2025-10-01T00:00:00Z'", "'2025-10-01 00:00:00+09:00'"]
    for n, value in enumerate(values):
        make = MAKE_JOB + jobs(1) + f"INSERT INTO job VALUES (2, {value});"
        script(sqlite_house, make.replace("job", f"job{n}"))

    found = refused(sqlite_house, *(JOB.replace("job", f"job{n}") for n in range(len(values))))

    assert {refusal["guard"] for refusal in found} == {"wrong_type"}


KEEPING = [
    ("rule no", "ALTER TABLE … DISABLE RULE …", "CREATE RULE no AS ON DELETE TO {0} DO INSTEAD NOTHING"),
    (
        "trigger no",
        "ALTER TABLE … DISABLE TRIGGER …",
        "CREATE TRIGGER no BEFORE DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION no()",
    ),
    ("inherits", "take each out (ALTER TABLE … NO INHERIT …)", "CREATE TABLE heir_{0} () INHERITS ({0})"),
]
NO_DELETE = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"


def test_what_can_keep_rows_from_a_deletion(house: House) -> None:
    """Wherever it is, from the expiring table to the last leaf."""
    house.sql(NO_DELETE)
    cases = [(table, *case) for table in TABLES for case in KEEPING]
    for n, (table, *_, sql) in enumerate(cases):
        house.sql(numbered(MAKE_JOB + jobs(1) + CHILDREN, n) + sql.format(f"{table}{n}"))

    found = refused(house, *(numbered(JOB, n) for n in range(len(cases))))

    assert {refusal["guard"] for refusal in found} == {"hidden_rows"}
    for n, (refusal, (table, named, hint, _)) in enumerate(zip(found, cases, strict=True)):
        assert refusal["message"].startswith(f"public.{table}{n}: ") and named in refusal["message"]
        assert hint in refusal["hint"]


def test_what_does_not_keep_them(house: House) -> None:
    """Triggers that only look, rules and triggers that are off, and those of a table whose rows stay."""
    trigger = "CREATE TRIGGER {0} {1} DELETE ON {2} FOR EACH {3} EXECUTE FUNCTION no();"
    house.sql(
        MAKE_JOB
        + jobs(1, living=[2])
        + CHILDREN
        + NO_DELETE
        + trigger.format("looks", "AFTER", "part", "ROW")
        + trigger.format("looks", "AFTER", "scan", "STATEMENT")
        + trigger.format("off", "BEFORE", "job", "ROW")
        + trigger.format("keeps", "BEFORE", "kept", "ROW")
        + "ALTER TABLE job DISABLE TRIGGER off; ALTER TABLE scan ENABLE ROW LEVEL SECURITY"
    )

    assert deleted(expired(house, JOB)) == {"job": 1, "part": 1, "scan": 1}


def test_a_sqlite_trigger_that_stops_deletions(sqlite_house: House) -> None:
    stop = "CREATE TRIGGER no BEFORE DELETE ON scan BEGIN SELECT raise(IGNORE); END;"
    script(sqlite_house, MAKE_JOB + jobs(1) + CHILDREN + stop)

    (refusal,) = refused(sqlite_house, JOB)

    assert refusal["guard"] == "hidden_rows"


def test_a_sqlite_key_that_is_null(sqlite_house: House) -> None:
    """SQLite lets primary keys be null: such a row is told from others by its row identifier."""
    script(sqlite_house, "CREATE TABLE job (id TEXT PRIMARY KEY, expires_at timestamp);" + jobs(1, living=[2]))
    script(sqlite_house, f"INSERT INTO job VALUES (NULL, '{DUE}'), (NULL, '{LATER}');")

    assert deleted(expired(sqlite_house, JOB)) == {"job": 2}

    assert sqlite_house.sql("SELECT id FROM job ORDER BY id") == [(None,), ("2",)]


def test_sqlite_tables_without_row_identifiers(sqlite_house: House) -> None:
    odd = "CREATE TABLE odd (id int PRIMARY KEY, job_id int REFERENCES job) WITHOUT ROWID;"
    script(sqlite_house, MAKE_JOB + jobs(1) + odd)

    (refusal,) = refused(sqlite_house, JOB)

    assert refusal["message"] == "odd is a table without rowid"


def test_row_level_security_that_binds_us(house: House, guest: str) -> None:
    house.sql(
        MAKE_JOB + jobs(1) + CHILDREN + f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {guest};"
        "ALTER TABLE scan ENABLE ROW LEVEL SECURITY; CREATE POLICY a_part ON scan USING (id > 3)"
    )

    (refusal,) = refused(house, JOB)

    assert refusal["guard"] == "hidden_rows"
    assert refusal["message"].startswith("public.scan: row-level security")
    assert "ALTER ROLE … BYPASSRLS for nightshift's role" in refusal["hint"]


def test_without_privilege(house: House, guest: str) -> None:
    cases = [(table, privilege) for table in TABLES for privilege in ("SELECT", "UPDATE", "DELETE")]
    for n, (table, privilege) in enumerate(cases):
        house.sql(numbered(MAKE_JOB + jobs(1) + CHILDREN, n))
        house.sql(f"GRANT SELECT, UPDATE, DELETE ON job{n}, part{n}, scan{n} TO {guest}")
        house.sql(f"REVOKE {privilege} ON {table}{n} FROM {guest}")

    found = refused(house, *(numbered(JOB, n) for n in range(len(cases))))

    assert {refusal["guard"] for refusal in found} == {"privilege"}
    for n, (refusal, (table, _)) in enumerate(zip(found, cases, strict=True)):
        granted = f'GRANT SELECT, UPDATE, DELETE ON "public"."{table}{n}", and USAGE on its schema, TO'
        assert refusal["hint"].startswith(granted)


def test_with_these_privileges_and_no_more(house: House, guest: str) -> None:
    """None on the table whose rows stay: PostgreSQL sets its references null as its owner."""
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    house.sql(MAKE_JOB + jobs(1) + CHILDREN + f"GRANT SELECT, UPDATE, DELETE ON job, part, scan TO {guest}")

    assert deleted(expired(house, JOB + files_of("part"))) == {"job": 1, "part": 1, "scan": 1}
    assert house.value("SELECT job_id FROM kept") is None


def test_without_the_privilege_to_make_temporary_tables(house: House, guest: str) -> None:
    house.sql(MAKE_JOB + jobs(1) + f"GRANT ALL ON job TO {guest}; REVOKE TEMP ON DATABASE {house.database} FROM PUBLIC")

    try:
        (refusal,) = refused(house, JOB)
    finally:
        house.sql(f"GRANT TEMP ON DATABASE {house.database} TO PUBLIC")

    assert refusal["guard"] == "privilege"
    assert refusal["hint"] == "GRANT TEMPORARY ON DATABASE … TO nightshift's role"


def test_without_privilege_on_the_schema(house: House, guest: str) -> None:
    house.sql(
        "CREATE SCHEMA app;" + MAKE_JOB + jobs(1) + "CREATE TABLE app.part (job_id int REFERENCES job);"
        f"GRANT SELECT, UPDATE, DELETE ON job, app.part TO {guest}"
    )

    (refusal,) = refused(house, JOB)

    assert (refusal["guard"], '"app"."part"' in refusal["hint"]) == ("privilege", True)


def test_without_a_key(house: House) -> None:
    house.sql("CREATE TABLE job (id int UNIQUE NOT NULL, expires_at timestamp);" + jobs(1))

    (refusal,) = refused(house, JOB)

    assert (refusal["guard"], refusal["message"]) == ("no_key", "public.job has no primary key, and rows hang on it")
    assert "its expired rows could not be told from others" in refusal["hint"]
