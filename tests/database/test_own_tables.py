"""Our own tables are ours alone: whatever else runs in them, or may write them, is refused with what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from nightshift.errors import OwnTablesRefused
from tests.cli.command import nightshift
from tests.support.house import House

STRANGER = "own_tables_stranger"
FUNCTION = f"""
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'ALTER ROLE {STRANGER} CREATEDB'; RETURN NEW; END $$;
CREATE FUNCTION look(t text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN t; END $$;
CREATE FUNCTION may(t text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
CREATE DOMAIN looked AS text CHECK (may(VALUE));
"""

RUN, LEDGER = "public.nightshift_run", "public.nightshift_archive_object"

PLANTED = {
    f"CREATE TRIGGER t BEFORE INSERT ON {RUN} FOR EACH ROW EXECUTE FUNCTION spy()": f"DROP TRIGGER t ON {RUN}",
    f"CREATE RULE r AS ON UPDATE TO {RUN} DO ALSO NOTIFY x": f"DROP RULE r ON {RUN}",
    f"ALTER TABLE {RUN} OWNER TO {STRANGER}": f"ALTER TABLE {RUN} OWNER TO postgres",
    f"GRANT UPDATE ON {LEDGER} TO PUBLIC": f"REVOKE UPDATE ON {LEDGER} FROM PUBLIC",
    f"GRANT SELECT, UPDATE (state), TRIGGER ON {LEDGER} TO {STRANGER}": (
        f"REVOKE TRIGGER, UPDATE ON {LEDGER} FROM {STRANGER}"
    ),
    f"CREATE TABLE child () INHERITS ({LEDGER})": f"ALTER TABLE public.child NO INHERIT {LEDGER}",
    "CREATE TABLE keeper (id text REFERENCES nightshift_run)": (
        "ALTER TABLE public.keeper DROP CONSTRAINT keeper_id_fkey"
    ),
    f"ALTER TABLE {RUN} ALTER error SET DEFAULT look('x')": f"ALTER TABLE {RUN} ALTER COLUMN error DROP DEFAULT",
    f"ALTER TABLE {RUN} ADD seen text GENERATED ALWAYS AS (look(error)) STORED": (
        f"ALTER TABLE {RUN} ALTER COLUMN seen DROP EXPRESSION"
    ),
    f"ALTER TABLE {RUN} ADD CONSTRAINT c CHECK (may(error))": f"ALTER TABLE {RUN} DROP CONSTRAINT c",
    f"CREATE INDEX i ON {RUN} (look(error))": "DROP INDEX public.i",
    f"CREATE INDEX i ON {RUN} (job) WHERE may(error)": "DROP INDEX public.i",
    f"CREATE STATISTICS s ON (look(error)), (look(job)) FROM {RUN}": "DROP STATISTICS public.s",
    f"ALTER TABLE {RUN} ALTER error TYPE looked": f"ALTER TABLE {RUN} ALTER COLUMN error TYPE text",
    f"ALTER TABLE {LEDGER} SET UNLOGGED": f"ALTER TABLE {LEDGER} SET LOGGED",
    f"ALTER TABLE {LEDGER} DROP CONSTRAINT nightshift_archive_object_object_key_key": (
        f"ALTER TABLE {LEDGER} ADD UNIQUE (object_key)"
    ),
}


PRE_CREATED = {
    f"CREATE VIEW {LEDGER} AS SELECT look('x') AS object_key": f"DROP VIEW {LEDGER}",
    f"CREATE MATERIALIZED VIEW {RUN} AS SELECT 'x' AS run_id": f"DROP MATERIALIZED VIEW {RUN}",
    "CREATE SEQUENCE nightshift_backup": "DROP SEQUENCE public.nightshift_backup",
    "CREATE TYPE nightshift_feedback_run AS (a int)": "DROP TYPE public.nightshift_feedback_run",
    "CREATE TABLE nightshift_embedding_stage_0123456789ab (place text);"
    "CREATE TRIGGER t BEFORE INSERT ON nightshift_embedding_stage_0123456789ab FOR EACH ROW EXECUTE FUNCTION spy()": (
        "DROP TRIGGER t ON public.nightshift_embedding_stage_0123456789ab"
    ),
}


@pytest.fixture
def stranger(house: House) -> Iterator[House]:
    """A deployment on a server on which somebody else has a role, and functions; nothing has run yet."""
    with suppress(Exception):
        house.sql(f"CREATE ROLE {STRANGER}")
    house.sql(f"{FUNCTION}; CREATE TABLE conversation_log (id int PRIMARY KEY, created_at timestamptz)")
    yield house
    house.sql(f"DROP OWNED BY {STRANGER} CASCADE")


def refused(house: House, **event: bool) -> str:
    """The statements that mend it."""
    with pytest.raises(OwnTablesRefused, match="not its own alone") as raised:
        house.run(None, **event)
    return str(raised.value.hint)


def test_what_is_planted_is_refused_until_it_is_mended(stranger: House) -> None:
    stranger.run()
    for planted, remedy in PLANTED.items():
        stranger.sql(planted)
        assert f"{remedy};" in refused(stranger, dry_run=True), planted
        stranger.sql(remedy)
    some = list(PLANTED)[:4]
    stranger.sql(";".join(some))

    hint = refused(stranger)

    assert all(f"{PLANTED[planted]};" in hint for planted in some)
    assert stranger.value("SELECT count(*) FROM nightshift_run") == 1
    assert stranger.value(f"SELECT NOT rolcreatedb FROM pg_roles WHERE rolname = '{STRANGER}'")


@pytest.mark.parametrize("planted", PRE_CREATED)
def test_what_stands_in_the_place_of_a_table(stranger: House, planted: str) -> None:
    stranger.sql(planted)

    for event in ({"dry_run": False}, {"dry_run": True}):
        assert f"{PRE_CREATED[planted]};" in refused(stranger, **event)
    assert stranger.slack.messages[0].seen.count(PRE_CREATED[planted]) == 1
    assert stranger.value("SELECT count(*) FROM pg_class WHERE relname ~ '^nightshift_.*_pkey'") == 0

    stranger.sql(PRE_CREATED[planted])
    assert stranger.run()["status"] == "nothing"


def test_default_privileges_give_nobody_a_way_in(stranger: House, guest: str) -> None:
    stranger.sql("GRANT SELECT, DELETE ON conversation_log TO guest")
    stranger.sql(f"ALTER DEFAULT PRIVILEGES FOR ROLE guest IN SCHEMA public GRANT ALL ON TABLES TO {STRANGER}, PUBLIC")

    assert stranger.run()["status"] == "nothing"
    assert stranger.run(dry_run=True)["status"] == "dry_run"

    written = f"SELECT count(*) FROM pg_class WHERE relname ~ '^nightshift' AND has_table_privilege('{STRANGER}', oid,"
    assert stranger.value(f"{written} 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES') AND relkind = 'r'") == 0


def test_who_may_own_them(stranger: House, guest: str) -> None:
    """Whoever has the database owner's rights, and a role that ours is a member of; nobody else."""
    stranger.sql("GRANT SELECT, DELETE ON conversation_log TO guest")
    stranger.run()

    stranger.sql(f"ALTER TABLE {RUN} OWNER TO postgres; GRANT ALL ON {RUN} TO guest")
    assert stranger.run()["status"] == "nothing"

    stranger.sql(f"ALTER TABLE {RUN} OWNER TO {STRANGER}")
    assert f"ALTER TABLE {RUN} OWNER TO guest;" in refused(stranger)
    stranger.sql(f"GRANT {STRANGER} TO guest")
    assert stranger.run()["status"] == "nothing"
    # A superuser is a member of every role, and would be of an intruder's.
    stranger.env["DATABASE_URL"] = stranger.url
    assert f"ALTER TABLE {RUN} OWNER TO postgres;" in refused(stranger)
    stranger.sql(f"ALTER TABLE {RUN} OWNER TO postgres; REVOKE {STRANGER} FROM guest")


def test_row_level_security_that_hides_rows_from_us(stranger: House, guest: str) -> None:
    stranger.sql("GRANT SELECT, DELETE ON conversation_log TO guest")
    stranger.run()
    stranger.sql(f"ALTER TABLE {LEDGER} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {LEDGER} USING (look('x') = 'x')")
    assert stranger.run()["status"] == "nothing", "owners are above it"

    stranger.sql(f"ALTER TABLE {LEDGER} FORCE ROW LEVEL SECURITY")

    assert f"ALTER TABLE {LEDGER} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;" in refused(stranger)


def test_a_command_refuses_them_too(stranger: House) -> None:
    stranger.sql(f"CREATE VIEW {LEDGER} AS SELECT look('x') AS object_key")

    done = nightshift(stranger, "archives")

    assert done.code != 0 and f"DROP VIEW {LEDGER};" in done.stderr
    assert "as their owner or a superuser, once it is clear who did this" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("planted", "remedy"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON nightshift_run BEGIN DELETE FROM nightshift_run; END", 'DROP TRIGGER "t"'),
        ("CREATE VIEW Nightshift_Backup AS SELECT 1 AS name", 'DROP VIEW "Nightshift_Backup"'),
        (
            "CREATE TRIGGER u INSTEAD OF INSERT ON nightshift_backup BEGIN SELECT 1; END",
            'DROP TRIGGER "u"',
        ),
    ],
)
def test_sqlite(sqlite_house: House, planted: str, remedy: str) -> None:
    sqlite_house.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, created_at text)")
    if "nightshift_run" in planted:
        sqlite_house.run()
    elif "INSTEAD" in planted:
        sqlite_house.sql("CREATE VIEW nightshift_backup AS SELECT 1 AS name")
    sqlite_house.sql(planted)

    for event in ({"dry_run": False}, {"dry_run": True}):
        assert f"{remedy};" in refused(sqlite_house, **event)
    sqlite_house.sql(remedy)
    if "INSTEAD" in planted:
        sqlite_house.sql("DROP VIEW nightshift_backup")
    assert sqlite_house.run()["status"] == "nothing"
