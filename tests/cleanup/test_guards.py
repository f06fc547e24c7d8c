"""Every guard says no before anything is touched, and says what is wrong and what to do."""

from __future__ import annotations

import pytest

from tests.support.house import House
from tests.support.refusals import refused

LOG = """
CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz, ms bigint, word text);
INSERT INTO log SELECT n, timestamptz '2025-09-10 12:00+09' + n * interval '1 day', 1757000000000, 'w'
FROM generate_series(0, 9) n;
"""
"""Ten rows, five of them due."""

MANY = "INSERT INTO child SELECT 2 FROM generate_series(1, 2001)"
"""References to due rows: more than a run leaves out one by one."""

FIRST = "put public.child first in the policies, with a retention that is not longer"
TREES = "archive the table by an [[expiry]] entry with archive = true"


@pytest.mark.fast_cases(8)
@pytest.mark.parametrize(
    ("guard", "policy", "named", "hint"),
    [
        ("unknown_table", 'table = "nowhere"', "nowhere", "correct `table` in the policy, or the schema"),
        ("unknown_table", 'table = "app.log"', "app.log", ""),
        ("unknown_table", 'table = "\\"LOG\\""', '"LOG"', ""),
        ("unknown_table", 'table = "a.b.c"', "a.b.c", ""),
        ("unknown_table", 'table = "log; DROP TABLE log"', "DROP TABLE", ""),
        ("unknown_table", "table = \"log' OR '1'='1\"", "OR", ""),
        ("unknown_table", 'table = "(SELECT 1) x"', "SELECT", ""),
        ("unknown_table", 'table = "pg_temp.log"', "pg_temp.log", ""),
        ("unknown_table", 'table = "log_view"', "view", "name the table behind it"),
        ("unknown_table", 'table = "log_snapshot"', "materialized view", ""),
        ("unknown_table", 'table = "log_id_seq"', "log_id_seq", ""),
        ("unknown_table", 'table = "nightshift_run"', "own tables", "take it out of the policies"),
        ("unknown_table", 'table = "nightshift_archive_object"', "own tables", ""),
        (
            "unknown_column",
            'table = "log"\ntimestamp = "createdat"',
            "createdat",
            "its columns: id, created_at, ms, word",
        ),
        ("unknown_column", 'table = "log"\ntimestamp = "ctid"', "ctid", ""),
        ("unknown_column", 'table = "log"\ntimestamp = "now() - created_at"', "now()", ""),
        (
            "wrong_type",
            'table = "log"\ntimestamp = "word"',
            "log.word is text",
            "a policy needs timestamptz, timestamp, date, or a number with `epoch`",
        ),
        (
            "wrong_type",
            'table = "log"\ntimestamp = "ms"',
            "seconds or milliseconds",
            'set `epoch` in the policy: "s", "ms", "us" or "ns"',
        ),
        (
            "wrong_type",
            'table = "log"\ntimestamp = "word"\nepoch = "s"',
            "log.word is text",
            "a policy needs timestamptz, timestamp",
        ),
        (
            "wrong_type",
            'table = "log"\ntimestamp = "created_at"\nepoch = "s"',
            "numbers (epoch)",
            "remove `epoch` from the policy: the column holds times",
        ),
    ],
)
def test_the_policy_means_no_table_or_column(house: House, guard: str, policy: str, named: str, hint: str) -> None:
    house.sql(
        LOG + "CREATE VIEW log_view AS SELECT * FROM log; CREATE MATERIALIZED VIEW log_snapshot AS SELECT * FROM log;"
        "CREATE SEQUENCE log_id_seq"
    )

    refusal = refused(house, policy + "\nkeep_days = 30")

    assert refusal["guard"] == guard
    assert named in refusal["message"] and hint in refusal["hint"]
    assert house.value("SELECT count(*) FROM log") == 10


def test_a_foreign_table(house: House) -> None:
    house.sql(
        "CREATE FOREIGN DATA WRAPPER none; CREATE SERVER nowhere FOREIGN DATA WRAPPER none;"
        "CREATE FOREIGN TABLE log (id int, created_at timestamptz) SERVER nowhere"
    )

    refusal = refused(house)
    house.sql("DROP FOREIGN DATA WRAPPER none CASCADE")

    assert refusal["guard"] == "unknown_table"
    assert "foreign table" in refusal["message"]
    assert "for a foreign table, in a deployment on the server that it is on" in refusal["hint"]


@pytest.mark.fast_cases("children", "cascade]", "restrict", "trigger]", "still referenced")
@pytest.mark.parametrize(
    ("guard", "named", "hint", "sql"),
    [
        (
            "cascade",
            "child",
            "by a policy of its own and make the foreign key ON DELETE RESTRICT",
            "CREATE TABLE child (log_id int REFERENCES log ON DELETE CASCADE)",
        ),
        ("cascade", "child", FIRST, f"CREATE TABLE child (log_id int REFERENCES log); {MANY}"),
        ("cascade", "child", FIRST, f"CREATE TABLE child (log_id int REFERENCES log ON DELETE RESTRICT); {MANY}"),
        (
            "cascade",
            "parent",
            TREES,
            "ALTER TABLE log ADD parent int REFERENCES log; UPDATE log SET parent = 0 WHERE id = 9",
        ),
        ("cascade", "log", TREES, "ALTER TABLE log ADD parent int REFERENCES log ON DELETE CASCADE"),
        (
            "hidden_rows",
            "rule keep",
            "ALTER TABLE … DISABLE RULE …",
            "CREATE RULE keep AS ON DELETE TO log DO INSTEAD NOTHING",
        ),
        (
            "hidden_rows",
            "rule also",
            "ALTER TABLE … DISABLE RULE …",
            "CREATE RULE also AS ON DELETE TO log DO ALSO NOTHING",
        ),
        (
            "hidden_rows",
            "trigger keep",
            "ALTER TABLE … DISABLE TRIGGER …",
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER keep BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION keep()",
        ),
        (
            "hidden_rows",
            "trigger keep",
            "ALTER TABLE … DISABLE TRIGGER …",
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'append only'; END $$;"
            "CREATE TRIGGER keep BEFORE DELETE ON log FOR EACH STATEMENT EXECUTE FUNCTION keep()",
        ),
        (
            "hidden_rows",
            "inherit",
            "take each out (ALTER TABLE … NO INHERIT …)",
            "CREATE TABLE heir () INHERITS (log); INSERT INTO heir VALUES (99, '2020-01-01')",
        ),
    ],
    ids=[
        "cascade",
        "still referenced by many",
        "restrict",
        "of one tree",
        "cascade to itself",
        "instead rule",
        "also rule",
        "trigger",
        "statement trigger",
        "children",
    ],
)
def test_what_hangs_on_the_rows(house: House, guard: str, named: str, hint: str, sql: str) -> None:
    house.sql(LOG + sql)

    refusal = refused(house)

    assert refusal["guard"] == guard
    assert named in refusal["message"] and hint in refusal["hint"]


def test_a_cascade_behind_a_partition(house: House) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz) PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_all PARTITION OF log (PRIMARY KEY (id)) FOR VALUES FROM (MINVALUE) TO (MAXVALUE);"
        "INSERT INTO log VALUES (1, '2025-01-01'); CREATE TABLE child (id int REFERENCES log_all ON DELETE CASCADE);"
        "INSERT INTO child VALUES (1)"
    )

    assert refused(house)["guard"] == "cascade"


def test_a_cascade_to_the_whole_where_the_policy_names_a_partition(house: House) -> None:
    house.sql(
        "CREATE TABLE whole (id int, created_at timestamptz, PRIMARY KEY (id, created_at)) PARTITION BY HASH (id);"
        "CREATE TABLE log PARTITION OF whole FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "CREATE TABLE child (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES whole ON DELETE CASCADE);"
        "INSERT INTO log VALUES (1, '2025-01-01'); INSERT INTO child VALUES (1, '2025-01-01')"
    )

    assert refused(house)["guard"] == "cascade"


@pytest.mark.fast_cases("set null", "kept rows")
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE child (log_id int REFERENCES log); INSERT INTO child VALUES (7)",
        "CREATE TABLE child (log_id int REFERENCES log ON DELETE SET NULL); INSERT INTO child VALUES (2)",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON log FOR EACH ROW EXECUTE FUNCTION keep();"
        "ALTER TABLE log DISABLE TRIGGER keep",
        "ALTER TABLE log ENABLE ROW LEVEL SECURITY",
    ],
    ids=["references to kept rows", "set null", "a disabled trigger", "the owner's row-level security"],
)
def test_what_does_not_hang_on_the_rows(house: House, sql: str) -> None:
    house.sql(LOG + sql)
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    assert house.run_table()["archived_rows"] == 5


def test_children_first(house: House) -> None:
    """In the order that the guard's hint names, both go."""
    house.sql(
        LOG + "CREATE TABLE child (log_id int REFERENCES log, created_at timestamptz);"
        "INSERT INTO child SELECT id, created_at FROM log"
    )
    entry = '[[retention]]\ntable = "{}"\nkeep_days = 30\n'
    house.policies(entry.format("child") + entry.format("log"))

    answer = house.run()

    assert [table["archived_rows"] for table in answer["tables"]] == [5, 5]


@pytest.mark.parametrize("where", ["policy", "setting"])
def test_abnormal_volume_and_force(house: House, where: str) -> None:
    house.sql(LOG)
    policy = 'table = "log"\nkeep_days = 30'
    if where == "policy":
        policy += "\nmax_share = 0.4"
    else:
        house.env["CLEANUP_MAX_SHARE"] = "0.4"

    refusal = refused(house, policy)
    assert refusal["guard"] == "abnormal_volume"
    assert "5 of 10 rows" in refusal["message"] and "40%" in refusal["message"]
    assert 'check keep_days; if it is right, send {"force": true} once' in refusal["hint"]

    assert house.run_table(force=True)["archived_rows"] == 5


def test_the_policy_s_share_wins_over_the_setting_s(house: House) -> None:
    house.sql(LOG)
    house.env["CLEANUP_MAX_SHARE"] = "0.1"
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30\nmax_share = 0.5')

    assert house.run_table()["archived_rows"] == 5


def test_force_overrides_nothing_else(house: House) -> None:
    house.sql(LOG + "CREATE TABLE child (log_id int REFERENCES log ON DELETE CASCADE)")

    assert refused(house, force=True)["guard"] == "cascade"


def test_sql_ascii_text_may_be_anything(house: House) -> None:
    house.sql("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'")
    env = {**house.env, "DATABASE_URL": house.url.replace(house.database, "ascii")}
    other = House(env, house.s3, house.slack, house.directory)
    try:
        other.sql(LOG)
        refusal = refused(other)
        assert (refusal["guard"], "a database with ENCODING 'UTF8'" in refusal["hint"]) == ("encoding", True)
    finally:
        other.close()
        house.sql("DROP DATABASE ascii WITH (FORCE)")
