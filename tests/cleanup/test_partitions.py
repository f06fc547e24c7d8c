"""Native partitions: those wholly older than the cutoff are archived and dropped, all others give their rows."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from local.chatlog import connect
from tests.support.house import House

MONTHLY = """
CREATE TABLE log (id int, created_at timestamptz NOT NULL, note text) PARTITION BY RANGE (created_at);
CREATE TABLE log_jul PARTITION OF log FOR VALUES FROM ('2025-07-01 00:00+09') TO ('2025-08-01 00:00+09');
CREATE TABLE log_aug PARTITION OF log FOR VALUES FROM ('2025-08-01 00:00+09') TO ('2025-09-01 00:00+09');
CREATE TABLE log_sep PARTITION OF log FOR VALUES FROM ('2025-09-01 00:00+09') TO ('2025-10-01 00:00+09');
CREATE TABLE log_oct PARTITION OF log FOR VALUES FROM ('2025-10-01 00:00+09') TO ('2025-11-01 00:00+09');
"""
DAYS = """
INSERT INTO log SELECT n, timestamptz '2025-07-01 00:00+09' + n * interval '1 day', 'no. ' || n
FROM generate_series(0, 99) n
"""
"""A row a day from 1 July on; the first 76 are older than 15 September."""
DUE = set(range(76))


def run_log(house: House, more: str = "") -> dict[str, Any]:
    """One run with a policy for `log`."""
    house.policies(f'[[retention]]\ntable = "log"\nkeep_days = 30\n{more}')
    return house.run_table()


def partitions(house: House) -> set[str]:
    """The names of what hangs on `log`, at any depth."""
    return {str(name) for (name,) in house.sql("SELECT relid::text FROM pg_partition_tree('log') WHERE level > 0")}


def assert_archived(house: House, due: set[int], table: str = "public.log") -> None:
    """Exactly these rows are in the archive and no longer in the table."""
    assert set(house.archived_days(table)) == due
    assert not {int(n) for n in house.texts("log", "id")} & due


def test_old_partitions_are_dropped_and_the_straddling_one_gives_its_rows(house: House) -> None:
    house.sql(MONTHLY + DAYS)

    answer = run_log(house)

    assert answer["archived_rows"] == 76
    assert answer["partitions_dropped"] == 2
    assert partitions(house) == {"log_sep", "log_oct"}
    assert house.value("SELECT to_regclass('log_jul') IS NULL AND to_regclass('log_aug') IS NULL")
    assert_archived(house, DUE)
    days = house.archived_days("public.log")
    assert (days[0], days[31], days[75]) == ("2025-07-01", "2025-08-01", "2025-09-14")
    assert "삭제한 파티션: 2개" in house.slack.messages[0].seen
    assert house.run()["status"] == "nothing"


def test_a_partition_ends_with_the_cutoff(house: House) -> None:
    """The bound is exclusive, and so is the cutoff: equal means wholly old."""
    house.sql(MONTHLY + DAYS)
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 14')

    answer = house.run_table(scheduled_time="2025-09-15T00:00:00Z")

    assert answer["cutoff"] == "2025-09-01T00:00:00+09:00"
    assert answer["partitions_dropped"] == 2
    assert answer["archived_rows"] == 62
    assert partitions(house) == {"log_sep", "log_oct"}


def test_an_empty_old_partition_is_dropped(house: House) -> None:
    house.sql(MONTHLY)

    answer = run_log(house)

    assert (answer["status"], answer["archived_rows"], answer["partitions_dropped"]) == ("ok", 0, 2)
    assert partitions(house) == {"log_sep", "log_oct"}
    assert house.s3.keys(house.bucket) == []


def test_the_default_partition_gives_its_rows(house: House) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz, note text) PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_aug PARTITION OF log FOR VALUES FROM ('2025-08-01 00:00+09') TO ('2025-09-01 00:00+09');"
        "CREATE TABLE log_rest PARTITION OF log DEFAULT;"
        "INSERT INTO log VALUES (-1, NULL, NULL), (-2, '-infinity', NULL);" + DAYS
    )

    answer = run_log(house)

    assert (answer["partitions_dropped"], answer["archived_rows"]) == (1, 76)
    assert partitions(house) == {"log_rest"}
    assert_archived(house, DUE)
    assert house.value("SELECT count(*) FROM log WHERE id < 0") == 2


def test_rows_without_age_keep_their_partition(house: House) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz, note text) PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_old PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2025-09-01 00:00+09');"
        "CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2025-09-01 00:00+09') TO (MAXVALUE);"
        "INSERT INTO log VALUES (-1, '-infinity', 'no age'), (-2, 'infinity', 'no age');" + DAYS
    )

    answer = run_log(house)

    assert answer["archived_rows"] == 76
    assert_archived(house, DUE)
    assert house.value("SELECT count(*) FROM log WHERE id < 0") == 2
    assert partitions(house) == {"log_old", "log_new"}


def test_partitions_of_partitions(house: House) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz, note text) PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_h1 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2025-09-01') PARTITION BY LIST (id);"
        "CREATE TABLE log_h1_one PARTITION OF log_h1 FOR VALUES IN (1);"
        "CREATE TABLE log_h1_rest PARTITION OF log_h1 DEFAULT;"
        "CREATE TABLE log_h2 PARTITION OF log FOR VALUES FROM ('2025-09-01') TO ('2026-01-01')"
        " PARTITION BY RANGE (created_at);"
        "CREATE TABLE log_h2_a PARTITION OF log_h2 FOR VALUES FROM ('2025-09-01') TO ('2025-09-11');"
        "CREATE TABLE log_h2_b PARTITION OF log_h2 FOR VALUES FROM ('2025-09-11') TO (MAXVALUE);" + DAYS
    )

    answer = run_log(house)

    assert answer["partitions_dropped"] == 3, "log_h1_one, log_h1_rest, log_h2_a"
    assert partitions(house) == {"log_h1", "log_h2", "log_h2_b"}
    assert_archived(house, DUE)


@pytest.mark.fast_cases("hash")
@pytest.mark.parametrize(
    "scheme",
    [
        "LIST ((id % 3));CREATE TABLE log_0 PARTITION OF log FOR VALUES IN (0, 1);"
        "CREATE TABLE log_2 PARTITION OF log DEFAULT",
        "HASH (id);CREATE TABLE log_0 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "RANGE (other_at);CREATE TABLE log_0 PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')",
        "RANGE (created_at, id);"
        "CREATE TABLE log_0 PARTITION OF log FOR VALUES FROM ('2020-01-01', 0) TO ('2025-09-01', 0);"
        "CREATE TABLE log_1 PARTITION OF log DEFAULT",
        "RANGE ((created_at AT TIME ZONE 'UTC'));CREATE TABLE log_0 PARTITION OF log FOR VALUES FROM ('2020-01-01')"
        " TO ('2025-09-01');CREATE TABLE log_1 PARTITION OF log DEFAULT",
    ],
    ids=["list", "hash", "range of another column", "range of two columns", "range of an expression"],
)
def test_other_schemes_give_their_rows(house: House, scheme: str) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz, note text, other_at date DEFAULT '2020-01-15')"
        " PARTITION BY " + scheme
    )
    house.sql(DAYS.replace("INTO log", "INTO log (id, created_at, note)"))
    before = partitions(house)

    answer = run_log(house)

    assert answer["archived_rows"] == 76
    assert "partitions_dropped" not in answer
    assert partitions(house) == before
    assert_archived(house, DUE)


@pytest.mark.fast_cases("timestamp-")
@pytest.mark.parametrize(
    ("type_", "value", "epoch"),
    [
        ("date", "date '2025-07-01' + n", ""),
        ("timestamp", "timestamp '2025-07-01' + n * interval '1 day'", ""),
        ("bigint", "1751295600000 + n * 86400000::bigint", 'epoch = "ms"'),
        ("int", "1751295600 + n * 86400", 'epoch = "s"'),
    ],
)
def test_ranges_of_every_kind(house: House, type_: str, value: str, epoch: str) -> None:
    bounds = [house.value(f"SELECT ({value})::text FROM (VALUES ({n})) v(n)") for n in (0, 62, 100)]
    house.sql(
        f"CREATE TABLE log (id int, created_at {type_}) PARTITION BY RANGE (created_at);"
        f"CREATE TABLE log_old PARTITION OF log FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}');"
        f"CREATE TABLE log_now PARTITION OF log FOR VALUES FROM ('{bounds[1]}') TO ('{bounds[2]}');"
        f"INSERT INTO log SELECT n, {value} FROM generate_series(0, 99) n"
    )

    answer = run_log(house, epoch)

    assert answer["partitions_dropped"] == 1
    assert partitions(house) == {"log_now"}
    assert_archived(house, DUE)
    assert house.archived_days("public.log")[40] == "2025-08-10"


def test_leaves_that_were_built_differently(house: House) -> None:
    """A partition's columns may lie in another order, with holes; its name may need quotes, its schema be another's."""
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz, note text) PARTITION BY RANGE (created_at);"
        'CREATE SCHEMA "Old Ones";'
        'CREATE TABLE "Old Ones"."8월; --" (hole int, note text, created_at timestamptz, id int);'
        'ALTER TABLE "Old Ones"."8월; --" DROP COLUMN hole;'
        "ALTER TABLE log ATTACH PARTITION \"Old Ones\".\"8월; --\" FOR VALUES FROM ('2025-06-01') TO ('2025-09-01');"
        'CREATE TABLE "now\'s" (note text, id int, created_at timestamptz);'
        "ALTER TABLE log ATTACH PARTITION \"now's\" FOR VALUES FROM ('2025-09-01') TO ('2026-01-01');" + DAYS
    )

    answer = run_log(house)

    assert answer["partitions_dropped"] == 1
    assert {(row["id"], row["note"]) for row in house.archived()} == {(n, f"no. {n}") for n in DUE}
    assert {tuple(one.rows.column_names) for one in house.objects()} == {("id", "created_at", "note")}
    assert partitions(house) == {'"now\'s"'}


def by_rows(house: House) -> None:
    """Run, and see that no partition was dropped and nothing was lost by it."""
    before = partitions(house)
    answer = run_log(house)
    assert answer["status"] == "ok", answer
    assert answer["archived_rows"] == 76
    assert "partitions_dropped" not in answer
    assert partitions(house) == before
    assert_archived(house, DUE)


def test_a_foreign_key_that_points_at_the_table(house: House) -> None:
    house.sql(
        MONTHLY + DAYS + ";ALTER TABLE log ADD PRIMARY KEY (id, created_at);"
        "CREATE TABLE child (log_id int, log_at timestamptz, FOREIGN KEY (log_id, log_at) REFERENCES log);"
        "INSERT INTO child SELECT id, created_at FROM log WHERE id = 90"
    )

    by_rows(house)


@pytest.mark.slow
def test_a_foreign_key_that_points_at_a_partition(house: House) -> None:
    house.sql(MONTHLY + DAYS + ";ALTER TABLE log_jul ADD PRIMARY KEY (id)")
    house.sql("CREATE TABLE child (log_id int REFERENCES log_jul)")
    answer = run_log(house)
    assert answer["partitions_dropped"] == 1
    assert partitions(house) == {"log_jul", "log_sep", "log_oct"}
    assert_archived(house, DUE)


@pytest.mark.slow
def test_a_view_on_a_partition(house: House) -> None:
    house.sql(MONTHLY + DAYS)
    house.sql("CREATE VIEW july AS SELECT * FROM log_jul; CREATE VIEW august AS SELECT id FROM log_aug")

    by_rows(house)


def test_a_trigger_that_wants_to_see_every_deletion(house: House) -> None:
    house.sql(
        MONTHLY + DAYS + ";CREATE TABLE seen (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO seen VALUES (OLD.id); RETURN OLD; END$$;"
        "CREATE TRIGGER note AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION note()"
    )

    by_rows(house)
    assert {int(n) for n in house.texts("seen", "id")} == DUE


def test_without_ownership(house: House, guest: str) -> None:
    house.sql(MONTHLY + DAYS + f";GRANT SELECT, DELETE ON log, log_jul, log_aug, log_sep, log_oct TO {guest}")

    by_rows(house)


@pytest.mark.slow
def test_a_reader_in_the_way(house: House) -> None:
    """Whoever reads the table holds a lock that DETACH cannot pass: the rows go now, the partition next time."""
    house.sql(MONTHLY + DAYS)
    house.env["CLEANUP_LOCK_TIMEOUT"] = "0.2"
    with closing(connect(house.url)) as reader:
        reader.run("BEGIN")
        reader.run("SELECT count(*) FROM log WHERE id = 99")
        by_rows(house)
        reader.run("COMMIT")

    answer = house.run_table()

    assert (answer["status"], answer["partitions_dropped"], answer["archived_rows"]) == ("ok", 2, 0)
    assert {one.key for one in house.objects()} == set(house.s3.keys(house.bucket))


def test_large_partitions_are_streamed_in_pieces(house: House) -> None:
    """A partition of many chunks becomes many objects, and one commit."""
    rows = "SELECT n, timestamptz '2025-07-10 12:00+09', repeat(md5(n::text), 20) FROM generate_series(1, 8000) n"
    house.sql(f"{MONTHLY} INSERT INTO log {rows}")
    house.env["CLEANUP_CHUNK_MB"] = "1"

    answer = run_log(house)

    assert answer["archived_rows"] == 8000
    assert answer["partitions_dropped"] == 2
    assert answer["objects"] >= 2
    assert_archived(house, set(range(1, 8001)))
