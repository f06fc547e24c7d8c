"""Whatever tables there are, the backup has their rows, each once, and their digests as the server sees them."""

from __future__ import annotations

import json

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.backup.inventory import BackupState
from nightshift.database.catalog import TableName
from nightshift.errors import ArchiveMismatch, InvalidSettings, NightshiftError
from tests.support.backups import NAME, NEXT, NEXT_NAME, BackupHouse

ODD = """
CREATE SCHEMA "App Data";
CREATE DOMAIN "App Data".money AS numeric(12,2);
CREATE TYPE "App Data".mood AS ENUM ('좋아요', 'it''s %s');
CREATE TABLE "App Data"."Odd ""T./표 %" (
    id bigint GENERATED ALWAYS AS IDENTITY, "select" "App Data".money, "이 름" text, m "App Data".mood[],
    twice numeric GENERATED ALWAYS AS ("select" * 2) STORED, at timestamptz, n numeric(6,2), r int4range, c regclass);
INSERT INTO "App Data"."Odd ""T./표 %" ("select", "이 름", m, at, n, r, c)
    SELECT i / 3.0, repeat('가', i % 50), ARRAY['좋아요', NULL]::"App Data".mood[],
        CASE i % 3 WHEN 0 THEN 'infinity' ELSE timestamptz '2025-01-01' + i * interval '1 second' END,
        CASE i % 5 WHEN 0 THEN 'NaN' ELSE i / 7.0 END, int4range(i, i + 3), '"App Data"."Odd ""T./표 %"'
    FROM generate_series(1, 500) i;
CREATE TABLE empty (a int, b text);
CREATE TABLE bare ();
INSERT INTO bare DEFAULT VALUES;
INSERT INTO bare DEFAULT VALUES;
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1), (1);
INSERT INTO child VALUES (2, 3);
CREATE TABLE log (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2025-02-01') TO ('2025-03-01') PARTITION BY LIST (id);
CREATE TABLE log_2_rest PARTITION OF log_2 DEFAULT;
INSERT INTO log VALUES (1, '2025-01-05'), (2, '2025-02-05'), (3, '2025-02-06');
CREATE UNLOGGED TABLE scratch AS SELECT 1 AS x;
CREATE SEQUENCE counter START 7;
CREATE VIEW seen AS SELECT * FROM parent;
CREATE MATERIALIZED VIEW frozen AS SELECT * FROM parent;
"""


def test_every_kind(backups: BackupHouse) -> None:
    for statement in ODD.split(";\n"):
        backups.sql(statement)
    backups.sql("SELECT nextval('counter')")
    backups.sql("CREATE TEMP TABLE passing AS SELECT 1")
    answer = backups.run()
    manifest = backups.manifest()
    assert (answer["status"], answer["name"], answer["groups"]) == ("ok", NAME, 1)
    assert answer["missing"] == ["the rows of public.bare, which has no stored columns: 2"]
    entries = {(entry.schema, entry.name): entry for entry in manifest.tables}
    rows = {name: entry.rows for name, entry in entries.items() if not name[1].startswith("nightshift_")}
    assert rows == {
        ("App Data", 'Odd "T./표 %'): 500,
        ("public", "bare"): 0,
        ("public", "child"): 1,
        ("public", "empty"): 0,
        ("public", "log_1"): 1,
        ("public", "log_2_rest"): 2,
        ("public", "parent"): 2,
        ("public", "scratch"): 1,
    }
    for name, entry in entries.items():
        assert backups.saved(entry).num_rows == entry.rows
        if name[1] not in ("bare", "nightshift_run"):  # the run's end was recorded after the snapshot
            backups.sql("SET search_path = ''; SET TimeZone = 'UTC'; SET extra_float_digits = 1")
            assert backups.digest(entry) == entry.digest, name
    odd = entries["App Data", 'Odd "T./표 %']
    assert [column.name for column in odd.columns] == ["id", "select", "이 름", "m", "at", "n", "r", "c"]
    assert odd.columns[1].type == '"App Data".money'
    (counter,) = [one for one in manifest.sequences if one.name == "counter"]
    assert (counter.last_value, counter.is_called) == (7, True)
    assert manifest.schema.dump is not None and manifest.schema.sql is not None
    assert answer["bytes"] == manifest.bytes
    backups.assert_tidy()


def test_no_table_at_all(backups: BackupHouse) -> None:
    backups.sql("CREATE SCHEMA nothing")
    backups.env["BACKUP_SCHEMAS"] = "nothing"
    assert backups.run()["tables"] == 0
    assert backups.manifest().tables == ()


def test_chosen_schemas(backups: BackupHouse) -> None:
    backups.sql('CREATE SCHEMA "A.b"; CREATE TABLE "A.b".x AS SELECT 1 AS one; CREATE TABLE other AS SELECT 2 AS two')
    backups.env["BACKUP_SCHEMAS"] = "A.b"
    assert backups.run()["tables"] == 1
    manifest = backups.manifest()
    assert [entry.table for entry in manifest.tables] == [TableName("A.b", "x")]
    assert manifest.schema.sql is not None
    sql = backups.store.get_object(f"backup/{NAME}/{manifest.schema.sql.key}").decode()
    assert '"A.b".x' in sql and "other" not in sql


def test_an_unknown_schema(backups: BackupHouse) -> None:
    backups.env["BACKUP_SCHEMAS"] = "public,Publik"
    with pytest.raises(InvalidSettings, match="Publik") as raised:
        backups.run()
    assert "names are taken to the letter, without quotes" in str(raised.value.hint)
    assert backups.s3.keys(backups.bucket) == []


def test_without_a_bucket(backups: BackupHouse) -> None:
    del backups.env["ARCHIVE_BUCKET"]
    with pytest.raises(InvalidSettings, match="BACKUP_BUCKET: is not set, nor is ARCHIVE_BUCKET") as raised:
        backups.run()
    assert "name the bucket that backups go to" in str(raised.value.hint)


def test_a_database_without_an_encoding(backups: BackupHouse, postgres: EmbeddedPostgres) -> None:
    """Nobody knows which characters its text is of; pg_dump takes it as it is."""
    name = f"{backups.database}_ascii"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    try:
        with pytest.raises(NightshiftError, match="SQL_ASCII") as raised:
            backups.run_with({"DATABASE_URL": backups.env["DATABASE_URL"].replace(backups.database, name)})
    finally:
        postgres.drop_database(name)
    assert raised.value.hint == "back it up with pg_dump"
    assert backups.s3.keys(backups.bucket) == []


def test_what_is_missing_is_said(backups: BackupHouse) -> None:
    backups.sql("SELECT lo_create(0)")
    backups.sql(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;"
        " CREATE FOREIGN TABLE away (a int) SERVER far"
    )
    assert backups.run()["missing"] == [
        "rows of foreign tables, which lie elsewhere: public.away",
        "large objects (pg_dump --blobs saves them, as a superuser; docs/backup.md): 1",
    ]
    sql = backups.manifest().schema.sql
    assert sql is not None
    assert b"lo_create" not in backups.store.get_object(f"backup/{NAME}/{sql.key}"), "it would come back empty"
    backups.sql("SELECT lo_unlink(oid) FROM pg_largeobject_metadata; DROP FOREIGN DATA WRAPPER nowhere CASCADE")


def test_what_belongs_to_the_server_is_said(backups: BackupHouse) -> None:
    """It holds another server's password, and a copy would be tied to it."""
    backups.sql(
        "CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere password=hush' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE)"
    )
    try:
        missing = backups.run()["missing"]
    finally:
        backups.sql("DROP SUBSCRIPTION feed")
    assert missing == ["subscriptions, which hold another server's password: feed"]
    assert all(b"hush" not in backups.store.get_object(key) for key in backups.s3.keys(backups.bucket))


def test_no_client(backups: BackupHouse) -> None:
    backups.env["BACKUP_PG_CLIENT"] = str(backups.directory)
    backups.fill(1)
    answer = backups.run()
    assert answer["status"] == "ok"
    assert answer["missing"][0].startswith("the schema: no pg_dump")
    assert backups.manifest().schema.dump is None


def test_large_tables_are_read_in_pieces(backups: BackupHouse) -> None:
    """By several connections, each row once."""
    backups.sql("CREATE TABLE big (id bigint, body text)")
    backups.sql("ALTER TABLE big ALTER body SET STORAGE PLAIN")
    backups.sql(
        "INSERT INTO big SELECT i, repeat(md5(i::text), 125) || repeat(md5((-i)::text), 100)"
        " FROM generate_series(1, 10000) i"
    )
    assert backups.value("SELECT pg_relation_size('big') / 8192") > 8192
    backups.run()
    entry = backups.manifest().find_table("public.big")
    assert entry is not None and len(entry.parts) > 2
    assert sorted(backups.saved(entry).column("id").to_pylist()) == list(range(1, 10_001))
    assert entry.digest == backups.digest(entry)


def test_a_second_delivery_does_nothing(backups: BackupHouse) -> None:
    backups.fill(1)
    first = backups.run()
    objects = backups.s3.objects(backups.bucket)
    second = backups.run()
    assert (second["status"], second["already"], second["bytes"]) == ("nothing", True, first["bytes"])
    assert backups.s3.objects(backups.bucket) == objects
    third = backups.run(scheduled_time=NEXT)
    assert (third["status"], third["name"]) == ("ok", NEXT_NAME)
    assert third["previous_bytes"] == first["bytes"]


def test_a_dry_run_writes_nothing(backups: BackupHouse) -> None:
    backups.fill(2)
    before = backups.state()
    answer = backups.run(dry_run=True)
    assert (answer["status"], answer["tables"], answer["name"]) == ("dry_run", 2, NAME)
    assert answer["bytes"] > 0
    assert backups.state() == before
    assert backups.runs() == []


def test_another_database_under_the_same_prefix(backups: BackupHouse) -> None:
    """Its backup is not ours, and what it is writing is not left over."""
    backups.fill(1)
    backups.run()
    backups.sql("DELETE FROM nightshift_run")
    with pytest.raises(ArchiveMismatch, match="another database's") as raised:
        backups.run()
    assert raised.value.hint == "it was left alone; give each database a BACKUP_PREFIX of its own"
    foreign = f"backup/{NEXT_NAME}/{'f' * 32}/data/public.t0/part-00001.parquet"
    backups.store.put_object(foreign, b"rows of another database")
    answer = backups.run(scheduled_time=NEXT)
    assert answer["warnings"] == [f"objects of 1 unknown runs were left alone, e.g. {foreign}"]
    assert foreign in backups.s3.keys(backups.bucket)


def test_a_damaged_backup_of_the_same_name(backups: BackupHouse) -> None:
    backups.fill(1)
    backups.run()
    part = next(backups.manifest().list_parts())
    backups.s3.client().delete_object(Bucket=backups.bucket, Key=f"backup/{NAME}/{part.key}")
    before = backups.s3.objects(backups.bucket)
    with pytest.raises(ArchiveMismatch, match="damaged") as caught:
        backups.run()
    assert caught.value.detail == f"missing: {part.key}"
    assert "once it is moved away, this run can be repeated" in str(caught.value.hint)
    assert backups.s3.objects(backups.bucket) == before


@pytest.mark.parametrize("where", ["missing", "sequences", "snapshot_time"])
def test_an_altered_manifest_is_found_out(backups: BackupHouse, where: str) -> None:
    """Also where it adds up: by its seal."""
    backups.fill(1, 10)
    backups.run()
    key = f"backup/{NAME}/manifest.json"
    facts = json.loads(backups.store.get_object(key))
    changes = {
        "missing": {"missing": ["nothing"]},
        "sequences": {"sequences": facts["sequences"][1:]},
        "snapshot_time": {"groups": [{**facts["groups"][0], "snapshot_time": "2025-10-15T00:00:00+00:00"}]},
    }
    backups.s3.client().put_object(
        Bucket=backups.bucket, Key=key, Body=json.dumps({**facts, **changes[where]}).encode()
    )
    (found,) = backups.backups()
    assert (found.state, found.reasons) == (
        BackupState.DAMAGED,
        (f"the manifest was altered: {key}: its seal is another one's",),
    )
