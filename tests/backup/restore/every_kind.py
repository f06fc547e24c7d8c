"""A database with an object of every kind that pg_dump knows, as far as an embedded server has it.

What `torture` has, and beside it what is rare. The roles of `torture` must exist.
"""

from __future__ import annotations

from tests.backup.restore import torture

RARE = """
CREATE TYPE app.unfinished;
CREATE TYPE app.based;
CREATE FUNCTION app.based_in(cstring) RETURNS app.based LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION app.based_out(app.based) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE app.based (INPUT = app.based_in, OUTPUT = app.based_out, LIKE = text);
CREATE CAST (app.mood AS int) WITH FUNCTION app.weight(app.mood) AS ASSIGNMENT;
CREATE CONVERSION app.turned FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE OPERATOR FAMILY app.family USING btree;
CREATE OPERATOR CLASS app.class FOR TYPE int USING btree FAMILY app.family AS
  OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);
ALTER OPERATOR FAMILY app.family USING btree ADD FUNCTION 1 (int8, int8) btint8cmp(int8, int8);
CREATE TEXT SEARCH PARSER app.parser (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
  LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE app.template (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY app.dictionary (TEMPLATE = app.template);
CREATE TEXT SEARCH CONFIGURATION app.configuration (PARSER = app.parser);
ALTER TEXT SEARCH CONFIGURATION app.configuration ADD MAPPING FOR word WITH app.dictionary;
CREATE ACCESS METHOD heaped TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE app.elsewhere (a int) USING heaped;
INSERT INTO app.elsewhere VALUES (1);
CREATE FUNCTION app.handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION app.inline(internal) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION app.validator(oid) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED LANGUAGE tongue HANDLER app.handler INLINE app.inline VALIDATOR app.validator;
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal),
  TO SQL WITH FUNCTION int4recv(internal));
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (debug 'true');
CREATE SERVER far TYPE 'x' VERSION '1' FOREIGN DATA WRAPPER nowhere OPTIONS (host 'h', password 'hush');
CREATE USER MAPPING FOR torture_reader SERVER far OPTIONS (user 'u', password 'hush');
CREATE FOREIGN TABLE app.away (a int OPTIONS (column_name 'b')) SERVER far OPTIONS (table_name 't');
CREATE PUBLICATION whole FOR ALL TABLES;
CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere password=hush' PUBLICATION p
  WITH (connect = false, slot_name = NONE);
CREATE RULE told AS ON INSERT TO app.empty DO ALSO NOTHING;
CREATE FUNCTION app.plus(a int, b int DEFAULT 1, VARIADIC c int[] DEFAULT '{}') RETURNS int LANGUAGE tongue
  COST 7 PARALLEL SAFE SET work_mem = '1MB' AS 'BEGIN RETURN a + b; END';
SELECT lo_from_bytea(770077, 'large');
COMMENT ON LARGE OBJECT 770077 IS 'l';
GRANT SELECT ON LARGE OBJECT 770077 TO torture_reader;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_logdir() TO torture_reader;
GRANT USAGE ON LANGUAGE tongue TO torture_reader; GRANT USAGE ON FOREIGN SERVER far TO torture_reader;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO torture_reader;
COMMENT ON EXTENSION vector IS 'e'; COMMENT ON PUBLICATION whole IS 'p'; COMMENT ON SERVER far IS 's';
COMMENT ON CAST (app.mood AS int) IS 'c'; COMMENT ON COLUMN app.seen.id IS 'v'; COMMENT ON DOMAIN app.tag IS 'd';
INSERT INTO pg_seclabel VALUES ('app.empty'::regclass, 'pg_class'::regclass, 0, 'nobody', 'secret');
"""
BEFORE = """
CREATE FUNCTION app.weight(m app.mood) RETURNS int LANGUAGE sql IMMUTABLE RETURN 1;
"""
DATABASE = """
ALTER DATABASE {name} OWNER TO torture_owner;
COMMENT ON DATABASE {name} IS 'it''s 100 % ours'; ALTER DATABASE {name} CONNECTION LIMIT 77;
REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO torture_reader;
GRANT CREATE ON DATABASE {name} TO torture_reader WITH GRANT OPTION;
ALTER DATABASE {name} SET work_mem = '7MB'; ALTER ROLE torture_reader IN DATABASE {name} SET jit = off;
INSERT INTO pg_shseclabel
  SELECT oid, 'pg_database'::regclass, 'nobody', 'secret' FROM pg_database WHERE datname = '{name}';
"""
SERVER = """
CREATE ROLE every_member; GRANT torture_reader TO every_member; ALTER ROLE every_member SET work_mem = '1MB';
COMMENT ON ROLE every_member IS 'r'; GRANT SET ON PARAMETER work_mem TO every_member;
SET allow_in_place_tablespaces = on;
"""
SPACE = """
CREATE TABLESPACE every_space LOCATION '' WITH (seq_page_cost = 2)
"""
IN_SPACE = """
COMMENT ON TABLESPACE every_space IS 't'; GRANT CREATE ON TABLESPACE every_space TO every_member;
CREATE TABLE app.placed (a int) TABLESPACE every_space;
"""
HIDDEN = """
SET allow_system_table_mods = on;
CREATE FUNCTION pg_catalog.hidden() RETURNS int LANGUAGE sql RETURN 1;
"""
ALL = torture.ALL + BEFORE + RARE
