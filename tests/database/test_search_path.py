"""Nothing is looked for where others may create objects, but for what the user's own triggers and constraints mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nightshift.errors import NightshiftError
from tests.support.handler import run_job
from tests.support.house import AS_OF, House

POLICIES = """
[[retention]]
table = "log"
timestamp = "created_at"
keep_days = 30
timezone = "UTC"
[[expiry]]
table = "ticket"
timezone = "UTC"
"""

SCHEMA = """
CREATE TABLE log (id varchar(20) PRIMARY KEY, created_at timestamptz NOT NULL, note varchar(20));
INSERT INTO log SELECT 'log ' || n, '2025-08-01'::timestamptz + n * interval '1 hour' FROM generate_series(1, 50) n;
CREATE TABLE ticket (id varchar(20) PRIMARY KEY, expires_at timestamp);
INSERT INTO ticket SELECT 't' || n, '2025-09-01' FROM generate_series(1, 20) n;
CREATE TABLE part (id varchar(20) PRIMARY KEY, ticket_id varchar(20) REFERENCES ticket);
INSERT INTO part SELECT 'p' || n, 't' || n FROM generate_series(1, 20) n;
CREATE INDEX ON part (ticket_id);
GRANT ALL ON ALL TABLES IN SCHEMA public TO guest;
"""

_SIGNS = ("=", "<>", "<", "<=", ">", ">=")
_PAIRS = (
    ("varchar", "varchar", _SIGNS),
    ("varchar", "text", _SIGNS),
    ("name", "varchar", _SIGNS),
    ("timestamptz", "varchar", _SIGNS),
    ("regproc", "int4", ("<>",)),  # the data plane's driver asks so as it connects
    ("oid", "int8", ("=",)),
    ("float4", "int4", _SIGNS),
    ("int2", "bit", ("=",)),
    ("text", "bigint", ("||",)),
)

PLANTED = """
CREATE FUNCTION public.steal({args}) RETURNS {returns} LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.loot VALUES (current_user, '{what}'); RETURN {answer}; END $$
"""


def _plant(house: House) -> None:
    """What a role with CREATE on public can have ready for others."""
    house.sql("CREATE ROLE intruder; GRANT CREATE ON SCHEMA public TO intruder")
    house.sql("CREATE TABLE loot (who text, what text); GRANT ALL ON loot TO PUBLIC; SET ROLE intruder")
    for left, right, signs in _PAIRS:
        args = f"a {left}, b {right}"
        house.sql(PLANTED.format(args=args, returns="boolean", what=f"operator {left} {right}", answer="true"))
        for sign in signs:
            house.sql(f"CREATE OPERATOR public.{sign} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.steal)")
    for name, arguments, returns in (
        ("array_position", "a name[], b name", "integer"),
        ("length", "a varchar", "integer"),
        ("string_agg", "a text, b varchar", "text"),
        ("substr", "a varchar, b integer, c integer", "text"),
        ("pg_table_is_visible", "a bigint", "boolean"),
        ("set_config", "a varchar, b varchar, c boolean", "text"),
        ("concat", "a varchar", "text"),
    ):
        answer = {"integer": "1", "text": "'x'", "boolean": "true"}[returns]
        planted = PLANTED.format(args=arguments, returns=returns, what=f"function {name}", answer=answer)
        house.sql(planted.replace("public.steal", f"public.{name}"))
    house.sql("RESET ROLE")


@pytest.fixture
def planted(house: House, guest: str) -> Iterator[House]:
    house.sql(SCHEMA)
    _plant(house)
    house.policies(POLICIES)
    house.sql("CREATE SCHEMA guest AUTHORIZATION guest")
    yield house
    house.sql("DROP OWNED BY intruder; DROP ROLE intruder")


def test_nothing_planted_runs(planted: House) -> None:
    jobs: tuple[tuple[str, dict[str, Any]], ...] = (
        ("cleanup", {}),
        ("expire_jobs", {}),
        ("restore", {"table": "log"}),
        ("restore", {"table": "log", "into_original": True, "hold": "0"}),
    )
    for dry_run in (True, False):
        for job, request in jobs if not dry_run else jobs[:2]:
            answer = run_job(job, planted.env, {"scheduled_time": AS_OF, "dry_run": dry_run, **request})
            assert answer["status"] in ("ok", "dry_run"), answer
            assert planted.sql("SELECT DISTINCT who, what FROM loot") == [], (job, dry_run)

    assert planted.value("SELECT count(*) FROM log") == 50
    assert planted.value("SELECT count(*) FROM ticket") == planted.value("SELECT count(*) FROM part") == 0
    states = planted.sql("SELECT DISTINCT state FROM guest.nightshift_archive_object")
    assert states == [("restored",)], "our own tables lie where the role's path leads first"


UNQUALIFIED = """
CREATE SCHEMA app; CREATE SCHEMA kept;
SET search_path = app, kept;
CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz NOT NULL, kind text);
CREATE TABLE ticket (id int PRIMARY KEY, expires_at timestamptz);
CREATE TABLE part (id int PRIMARY KEY, ticket_id int REFERENCES ticket ON DELETE CASCADE);
CREATE TABLE kept.audit (what text, at text);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO audit VALUES (TG_TABLE_NAME, TG_NAME); RETURN coalesce(OLD, NEW); END $$;
CREATE FUNCTION kind_of(int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT 'k' || count(*) FROM audit
  WHERE what = 'none'); END $$;
CREATE FUNCTION is_kind(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN $1 = kind_of(1); END $$;
ALTER TABLE log ADD CHECK (is_kind(kind));
INSERT INTO log SELECT n, '2025-08-01', 'k0' FROM generate_series(1, 5) n;
INSERT INTO ticket SELECT n, '2025-09-01' FROM generate_series(1, 5) n;
INSERT INTO part SELECT n, n FROM generate_series(1, 5) n;
CREATE TRIGGER a_row AFTER DELETE ON log FOR EACH ROW EXECUTE FUNCTION noted();
CREATE CONSTRAINT TRIGGER last AFTER DELETE ON log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER a_row AFTER DELETE ON ticket FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER statement AFTER DELETE ON ticket EXECUTE FUNCTION noted();
CREATE CONSTRAINT TRIGGER last AFTER DELETE ON ticket DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER a_row AFTER DELETE ON part FOR EACH ROW EXECUTE FUNCTION noted();
GRANT USAGE, CREATE ON SCHEMA app, kept TO guest;
GRANT ALL ON ALL TABLES IN SCHEMA app, kept TO guest;
ALTER ROLE guest SET search_path = "$user", app, kept;
RESET search_path
"""


def test_triggers_and_constraints_find_what_the_role_finds(house: House, guest: str) -> None:
    """Names without a schema in a policy, in triggers of each kind and in a CHECK lead where the role's path leads."""
    house.sql(UNQUALIFIED)
    house.policies(POLICIES)

    for job in ("cleanup", "expire_jobs"):
        answer = run_job(job, house.env, {"scheduled_time": AS_OF})
        assert answer["status"] == "ok", [str(part) for part in answer["tables"]]

    called = {
        (str(what), str(at)): n for what, at, n in house.sql("SELECT what, at, count(*) FROM kept.audit GROUP BY 1, 2")
    }
    assert called == {
        ("log", "a_row"): 5,
        ("log", "last"): 5,
        ("ticket", "a_row"): 5,
        ("ticket", "statement"): 1,
        ("ticket", "last"): 5,
        ("part", "a_row"): 5,
    }
    assert (
        house.value(
            "SELECT DISTINCT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname LIKE 'nightshift_%' AND c.relkind = 'r'"
        )
        == "app"
    )
    restored = run_job("restore", house.env, {"table": "app.log", "into_original": True, "hold": "0"})
    assert (restored["status"], restored["restored_rows"]) == ("ok", 5)
    assert house.value("SELECT count(*) FROM app.log") == 5


WATCHED = """
SET search_path = app, kept;
CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO audit VALUES (TG_TAG, TG_EVENT); END $$;
CREATE EVENT TRIGGER before ON ddl_command_start EXECUTE FUNCTION watched();
CREATE EVENT TRIGGER after ON ddl_command_end EXECUTE FUNCTION watched();
CREATE EVENT TRIGGER gone ON sql_drop EXECUTE FUNCTION watched();
RESET search_path
"""


def test_event_triggers_find_what_the_role_finds(house: House, guest: str) -> None:
    """What keeps a journal hears of own tables, key tables, stages and restored tables, and lets them be made."""
    house.sql(UNQUALIFIED)
    house.sql(WATCHED)
    house.policies(POLICIES + "archive = true\n")
    for job, event in (
        ("expire_jobs", {"dry_run": True}),
        ("expire_jobs", {}),
        ("cleanup", {}),
        ("restore", {"table": "app.log"}),
        ("restore", {"table": "app.ticket", "into_original": True, "hold": "0"}),
    ):
        answer = run_job(job, house.env, {"scheduled_time": AS_OF, **event})
        assert answer["status"] in ("ok", "dry_run"), (job, answer)

    house.sql("DROP EVENT TRIGGER before; DROP EVENT TRIGGER after; DROP EVENT TRIGGER gone")
    heard = {(str(what), str(at)) for what, at in house.sql("SELECT DISTINCT what, at FROM kept.audit")}
    for tag in ("CREATE TABLE", "CREATE TABLE AS", "CREATE INDEX"):
        assert {(tag, "ddl_command_start"), (tag, "ddl_command_end")} <= heard
    assert house.value("SELECT count(*) FROM app.log_restored") == house.value("SELECT count(*) FROM app.ticket") == 5


INLINED = """
CREATE SCHEMA ext; CREATE FUNCTION ext.trimmed(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT btrim($1) $$;
CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(ext.trimmed($1)) $$;
CREATE INDEX ON log (plain(note)); ANALYZE log;
SET check_function_bodies = off;
CREATE OR REPLACE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(trimmed($1)) $$;
GRANT USAGE ON SCHEMA ext TO guest; ALTER ROLE guest SET search_path = public, ext;
RESET check_function_bodies
"""


def test_a_function_that_the_planner_reads(house: House, guest: str) -> None:
    """An index's function in SQL that leans on search_path: what to do is said, and does."""
    house.sql(SCHEMA + INLINED)
    house.policies(POLICIES)
    with pytest.raises(NightshiftError, match=r"trimmed\(text\) does not exist") as refused:
        run_job("cleanup", house.env, {"scheduled_time": AS_OF})
    assert "ALTER FUNCTION … SET search_path" in str(refused.value.hint)
    saved = run_job("backup", house.env, {"scheduled_time": AS_OF})
    assert saved["status"] == "partial"
    (missing,) = saved["missing"]
    assert missing.startswith("the rows of public.log: ") and "ALTER FUNCTION … SET search_path" in missing
    house.sql("ALTER FUNCTION plain(text) SET search_path = ext")
    assert run_job("cleanup", house.env, {"scheduled_time": AS_OF})["status"] == "ok"


OWN_TYPE = """
CREATE SCHEMA ext;
CREATE TYPE ext.citext;
CREATE FUNCTION ext.ci_in(cstring) RETURNS ext.citext LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION ext.ci_out(ext.citext) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE ext.citext (INPUT = ext.ci_in, OUTPUT = ext.ci_out, LIKE = text, CATEGORY = 'S');
CREATE CAST (ext.citext AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (text AS ext.citext) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE FUNCTION ext.cmp(a ext.citext, b ext.citext) RETURNS integer LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT bttextcmp(lower(a::text), lower(b::text)) $$;
"""
"""What the extension citext is, as far as comparing goes; the servers of the tests do not have it."""

OPERATOR = """
CREATE FUNCTION ext.ci_{name}(a ext.citext, b ext.citext) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT
  AS $$ SELECT lower(a::text) {sign} lower(b::text) $$;
CREATE OPERATOR ext.{sign} (LEFTARG = ext.citext, RIGHTARG = ext.citext, FUNCTION = ext.ci_{name})
"""

OF_CITEXT = """
CREATE OPERATOR CLASS ext.citext_ops DEFAULT FOR TYPE ext.citext USING btree AS OPERATOR 1 ext.<, OPERATOR 2 ext.<=,
  OPERATOR 3 ext.=, OPERATOR 4 ext.>=, OPERATOR 5 ext.>, FUNCTION 1 ext.cmp(ext.citext, ext.citext);
CREATE TABLE ticket (id ext.citext PRIMARY KEY, expires_at timestamptz);
CREATE TABLE part (id int PRIMARY KEY, ticket_id ext.citext REFERENCES ticket);
INSERT INTO ticket VALUES ('Abc', '2025-09-01'), ('def', '2026-09-01');
INSERT INTO part VALUES (1, 'aBC'), (2, 'DEF');
CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz NOT NULL, name ext.citext);
INSERT INTO log VALUES (1, '2025-08-01', 'Abc');
CREATE TABLE vote (created_at timestamptz, feedback ext.citext);
INSERT INTO vote SELECT '2025-10-14 12:00+09', CASE WHEN n > 6 THEN 'Like' ELSE 'DISLIKE' END
  FROM generate_series(1, 9) n;
CREATE FUNCTION public.is_counted() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN count(*) > 0 FROM vote; END $$;
CREATE VIEW votes AS SELECT * FROM vote WHERE is_counted();
GRANT USAGE ON SCHEMA ext TO guest; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest;
ALTER ROLE guest SET search_path = public, ext
"""


def test_types_with_operators_of_their_own(house: House, guest: str) -> None:
    """Keys and ratings are compared as the type compares them, though nothing leads to its schema."""
    house.sql(OWN_TYPE)
    for name, sign in (("lt", "<"), ("le", "<="), ("eq", "="), ("ge", ">="), ("gt", ">")):
        house.sql(OPERATOR.format(name=name, sign=sign))
    house.sql(OF_CITEXT)
    house.policies(POLICIES)

    for job in ("expire_jobs", "cleanup"):
        answer = run_job(job, house.env, {"scheduled_time": AS_OF})
        assert (answer["status"], answer["complete"]) == ("ok", True), answer
    assert house.sql("SELECT id::text FROM ticket") == [("def",)]
    assert house.sql("SELECT id FROM part") == [(2,)]
    restored = run_job("restore", house.env, {"table": "log", "into_original": True, "hold": "0"})
    assert restored["status"] == "ok", restored
    assert house.sql("SELECT name::text FROM log") == [("Abc",)]
    counted = run_job(
        "feedback",
        {**house.env, "FEEDBACK_TABLE": "votes", "FEEDBACK_CHART": "off"},
        {"scheduled_time": AS_OF, "dry_run": True},
    )
    assert (counted["likes"], counted["dislikes"]) == (3, 6), counted
