"""A table or value that cannot be saved is named and the rest is saved: the backup is `partial`, never silent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pg8000.native
import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from nightshift.errors import InvalidSettings, NightshiftError
from tests.conftest import POSTGRES_VERSION
from tests.support.backups import NAME, NEXT, NEXT_NAME, BackupHouse
from tests.support.handler import run_job
from tests.support.house import House

GOOD = "CREATE TABLE good (a serial, b text); INSERT INTO good (b) SELECT i::text FROM generate_series(1, 50) i;"


@pytest.fixture
def ours(backups: BackupHouse, guest: str) -> BackupHouse:
    """A deployment whose role is no superuser, and may read one table."""
    backups.sql(f"{GOOD} GRANT SELECT ON good, good_a_seq TO {guest}")
    backups.env["DATABASE_URL"] = backups.env["DATABASE_URL"].replace("postgres@", f"{guest}@")
    return backups


def sentences(backups: BackupHouse, answer: dict[str, Any], count: int = 1) -> str:
    """What was not saved, of a backup that has all the rest, and says so wherever anybody looks."""
    manifest = backups.manifest()
    assert (answer["status"], answer["complete"], answer["unsaved"]) == ("partial", False, count), answer
    assert manifest.unsaved == tuple(answer["missing"][: len(manifest.unsaved)]) and len(manifest.unsaved) == count
    entry = manifest.find_table("public.good")
    assert entry is not None and (entry.rows, backups.saved(entry).num_rows) == (50, 50)
    message = backups.slack.messages[-1].seen
    assert "🚨" in message and str(count) in message
    return "\n".join(manifest.unsaved)


def test_tables_that_may_not_be_read(ours: BackupHouse, guest: str) -> None:
    ours.sql("CREATE TABLE secret AS SELECT 1 AS one; CREATE SCHEMA shut; CREATE TABLE shut.away (a int)")
    ours.sql("CREATE TABLE parted (a int) PARTITION BY LIST (a); CREATE TABLE part_1 PARTITION OF parted DEFAULT")

    said = sentences(ours, ours.run())

    assert said.startswith(f'tables that "{guest}" may not read, neither rows nor definition (GRANT pg_read_all_data')
    assert said.endswith(": public.secret, shut.away, public.parted, public.part_1")
    again = ours.run()
    assert (again["status"], again["unsaved"]) == ("partial", 1), "a second delivery says so too"


@pytest.mark.parametrize(
    ("made", "cure"),
    [
        ("CREATE TABLE {name} (a int)", "GRANT pg_read_all_data TO"),
        ("CREATE SEQUENCE {name}", "GRANT pg_read_all_data TO"),
        (
            "CREATE TABLE {name} (a int); ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
            " GRANT SELECT ON {name} TO {role}",
            "BYPASSRLS",
        ),
    ],
)
def test_the_cure_is_in_the_message_whatever_the_number(ours: BackupHouse, guest: str, made: str, cure: str) -> None:
    for number in range(30):
        ours.sql(made.format(name=f"table_with_a_long_name_number_{number}", role=guest))

    sentences(ours, ours.run())

    assert cure in ours.slack.messages[-1].seen and "number_29" not in ours.slack.messages[-1].seen


def test_a_sequence_that_may_not_be_read(ours: BackupHouse, guest: str) -> None:
    ours.sql("CREATE SEQUENCE shut START 7; CREATE SEQUENCE open START 8")
    ours.sql(f"GRANT SELECT ON SEQUENCE open TO {guest}")

    said = sentences(ours, ours.run())

    assert said.startswith(f'where sequences stand that "{guest}" may not read (GRANT pg_read_all_data')
    assert said.endswith(": public.shut")
    assert "open" in [one.name for one in ours.manifest().sequences]


@pytest.mark.slow
def test_rows_that_policies_hide(ours: BackupHouse, guest: str) -> None:
    """All such tables are named, with what cures it; a backup without their rows would look like one with all."""
    ours.sql("CREATE ROLE keeper")
    for name in ("first", "second", "third"):
        ours.sql(f"CREATE TABLE {name} AS SELECT 1 AS a; ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
        ours.sql(f"ALTER TABLE {name} OWNER TO keeper; GRANT SELECT ON {name} TO {guest}")
    ours.sql(f"ALTER TABLE third FORCE ROW LEVEL SECURITY; ALTER TABLE third OWNER TO {guest}")

    try:
        said = sentences(ours, ours.run())
        assert said.endswith(": public.first, public.second, public.third")
        cures: tuple[str, ...] = (f'ALTER ROLE "{guest}" BYPASSRLS', f'GRANT "keeper" TO "{guest}"')
        cures += ('ALTER TABLE "public"."third" NO FORCE ROW LEVEL SECURITY',)
        assert said.startswith(
            f'rows that row level security hides from "{guest}" (to save them: {", or ".join(cures)}): '
        )
        sql = ours.manifest().schema.sql
        assert sql is not None and b"CREATE TABLE public.first" in ours.store.get_object(f"backup/{NAME}/{sql.key}")

        for cure in cures[1:]:
            ours.sql(cure)
        assert ours.run(scheduled_time=NEXT)["status"] == "ok"
        assert {entry.name: entry.rows for entry in ours.manifest(NEXT_NAME).tables}["first"] == 1
    finally:
        ours.sql("DROP OWNED BY keeper; DROP ROLE keeper")


@pytest.mark.slow
def test_a_table_that_somebody_holds(backups: BackupHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    backups.sql(f"{GOOD} CREATE TABLE held (a int PRIMARY KEY); CREATE TABLE held_too (a int)")
    monkeypatch.setattr("nightshift.backup.snapshot.TOGETHER", 1)
    monkeypatch.setattr("nightshift.database.connect.CONTROL_LOCK_TIMEOUT_S", 1)
    other = pg8000.native.Connection("postgres", "127.0.0.1", backups.database, port_of(backups), ssl_context=False)
    other.run("BEGIN; LOCK TABLE held, held_too IN ACCESS EXCLUSIVE MODE")
    try:
        said = sentences(backups, backups.run())
    finally:
        other.close()

    assert said.startswith(
        "tables that somebody held in ACCESS EXCLUSIVE mode, neither rows nor definition (pg_locks says who"
    )
    assert said.endswith(": public.held, public.held_too")


def port_of(house: House) -> int:
    return int(house.url.rpartition(":")[2].partition("/")[0])


@pytest.mark.slow
def test_a_value_that_is_too_large(backups: BackupHouse) -> None:
    """Sparse in the file: 600 MB of zeros compress to nothing, and are more than 1 GB as text."""
    backups.sql(f"{GOOD} CREATE TABLE huge (a int, body bytea)")
    backups.sql(
        "INSERT INTO huge SELECT 1, decode(repeat('00', 400000000), 'hex') || decode(repeat('00', 200000000), 'hex')"
    )

    said = sentences(backups, backups.run())

    assert said.startswith("the rows of public.huge: a row is larger than PostgreSQL can send (1 GB)")


@pytest.fixture
def damaged(house: House) -> Iterator[BackupHouse]:
    """A database with a table whose long values are gone from the disk."""
    with EmbeddedPostgres(POSTGRES_VERSION, settings=DISPOSABLE) as server:
        env = {**house.env, "DATABASE_URL": server.create_database("service")}
        built = BackupHouse(env, house.s3, house.slack, house.directory)
        built.sql(f"{GOOD} CREATE TABLE broken (a int, body text); ALTER TABLE broken ALTER body SET STORAGE EXTERNAL")
        built.sql("INSERT INTO broken SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 20) i; CHECKPOINT")
        found = "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(reltoastrelid)"
        path = Path(built.value(f"{found} FROM pg_class WHERE relname = 'broken'"))
        path.write_bytes(bytes(path.stat().st_size))
        built.close()
        server.restart()
        built = BackupHouse(env, house.s3, house.slack, house.directory)
        yield built
        built.close()


def test_a_page_that_is_damaged(damaged: BackupHouse) -> None:
    said = sentences(damaged, damaged.run())

    assert said.startswith("the rows of public.broken: ") and "missing chunk number 0 for toast value" in said


def test_nothing_at_all_can_be_read(backups: BackupHouse, guest: str) -> None:
    backups.sql(f"CREATE SCHEMA mine; CREATE TABLE mine.t (a int); GRANT USAGE ON SCHEMA mine TO {guest}")
    backups.env |= {"BACKUP_SCHEMAS": "mine"}
    backups.env["DATABASE_URL"] = backups.env["DATABASE_URL"].replace("postgres@", f"{guest}@")
    with pytest.raises(NightshiftError, match="not one table could be saved") as raised:
        backups.run()
    assert "mine.t" in str(raised.value.detail)
    assert [one.manifest for one in backups.backups()] in ([], [None])


EXCLUDED = """
CREATE TABLE public.events (a int PRIMARY KEY, b text); INSERT INTO events SELECT i, 'x' FROM generate_series(1, 9) i;
CREATE TABLE "Odd".t (a int); INSERT INTO "Odd".t VALUES (1); CREATE TABLE refers (a int REFERENCES events);
CREATE TABLE log (a int, day date) PARTITION BY RANGE (day);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2025-02-01') PARTITION BY LIST (a);
CREATE TABLE log_1_rest PARTITION OF log_1 DEFAULT; INSERT INTO log VALUES (1, '2025-01-03')
"""


def test_rows_that_are_not_to_be_saved(backups: BackupHouse) -> None:
    backups.sql('CREATE SCHEMA "Odd"')
    backups.sql(f"{GOOD} {EXCLUDED}")
    backups.env["BACKUP_EXCLUDE_ROWS"] = 'public.events, "Odd".t,public.log'

    answer = backups.run()

    said = "rows that BACKUP_EXCLUDE_ROWS leaves out: public.events, Odd.t, public.log_1_rest"
    assert (answer["status"], answer["missing"], answer["unsaved"]) == ("ok", [said], 0)
    proven = run_job("rehearse", backups.env, {})
    assert (proven["proven"], proven["differences"]) == (True, []), proven
    assert f"the backup does not hold {said}" in proven["warnings"]
    assert not {entry.name for entry in backups.manifest().tables} & {"events", "t", "log_1_rest"}


@pytest.mark.parametrize("name", ["public.nothing", "events", "public.good.a", "public.good_a_seq"])
def test_rows_of_a_table_that_does_not_exist(backups: BackupHouse, name: str) -> None:
    backups.sql(GOOD)
    backups.env["BACKUP_EXCLUDE_ROWS"] = f"public.good, {name}"
    with pytest.raises(InvalidSettings, match="does not exist") as raised:
        backups.run()
    assert name in str(raised.value.detail) and "public.good," not in str(raised.value.detail)
    assert "for names with capitals; nothing was written" in str(raised.value.hint)
    assert backups.s3.keys(backups.bucket) == []
