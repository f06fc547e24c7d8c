"""A schema with one of everything that PostgreSQL 16 and 18 have, and rows that would show it if any of it were lost.

The roles `torture_owner` and `torture_reader` must exist.
"""

from __future__ import annotations

SCHEMA = """
CREATE EXTENSION vector;
CREATE SCHEMA "Odd ""Name.s%";
CREATE SCHEMA app AUTHORIZATION torture_owner;
COMMENT ON SCHEMA app IS 'it''s 한국어';

CREATE TYPE app.mood AS ENUM ('sad', 'o''k', 'happy, "very"', '기쁨');
CREATE DOMAIN app.positive AS numeric(12, 4) DEFAULT 1 CHECK (VALUE > 0);
CREATE DOMAIN app.tag AS text COLLATE "C" CONSTRAINT short CHECK (length(VALUE) < 20);
CREATE DOMAIN app.tags AS app.tag[];
CREATE TYPE app.address AS (street text, number int, tags app.tag[]);
CREATE TYPE app.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE COLLATION app.plain (provider = libc, locale = 'C');
CREATE SEQUENCE app.cycled AS smallint INCREMENT -2 MINVALUE -7 MAXVALUE 9 START 5 CACHE 1 CYCLE;
CREATE SEQUENCE app.untouched START 77;
CREATE SEQUENCE app.far START 9000000000000000000;

CREATE FUNCTION app.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 2;
CREATE FUNCTION app.twice(n text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT n || n';
CREATE FUNCTION app.stamp() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app AS $body$
BEGIN
  NEW.note := coalesce(NEW.note, '') || '!';
  RETURN NEW;
END $body$;
CREATE PROCEDURE app.nothing() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE app.total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE OPERATOR app.<=> (leftarg = text, rightarg = text, function = texteq);
"""

TABLES = """
CREATE TABLE app.everything (
  id bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY,
  "Column ""2"", of% 한" text DEFAULT 'a''b\\c',
  mood app.mood DEFAULT 'o''k',
  price app.positive,
  labels app.tags,
  home app.address,
  homes app.address[],
  reach int4range,
  reaches int4multirange,
  spread app.span,
  doubled int GENERATED ALWAYS AS (app.twice(small)) STORED,
  small int,
  note text COLLATE app.plain,
  wide numeric,
  exact numeric(20, 5),
  single real, double double precision,
  day date, at time, at_zone timetz, moment timestamp, instant timestamptz(3), pause interval,
  flag boolean, bits bit(5), more_bits bit varying, raw bytea, key uuid, doc json, docb jsonb,
  net inet, block cidr, mac macaddr, spot point, shape polygon, words tsvector, search tsquery,
  grid int[][], nothing text[], embedding vector(3), money money, link regclass, fixed char(4), one "char", label name
) WITH (fillfactor = 70);
ALTER TABLE app.everything ADD CONSTRAINT small_enough CHECK (small < 1000000) NOT VALID;
ALTER TABLE app.everything ALTER COLUMN raw SET STORAGE EXTERNAL, ALTER COLUMN small SET STATISTICS 500;
COMMENT ON COLUMN app.everything."Column ""2"", of% 한" IS 'odd';

CREATE TABLE app.dropped (a int, gone text, b int NOT NULL, PRIMARY KEY (b) INCLUDE (a));
ALTER TABLE app.dropped DROP COLUMN gone;
CREATE TABLE app.child (id serial,
  parent bigint REFERENCES app.everything ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  cycle smallint DEFAULT nextval('app.cycled'), UNIQUE NULLS NOT DISTINCT (parent, cycle) DEFERRABLE);
CREATE TABLE app.booking (room int4range, during tstzrange,
  EXCLUDE USING gist (during WITH &&) WHERE (NOT isempty(during)));
CREATE TABLE app."Quoted ""T"".x%s" ("select" int PRIMARY KEY, "a b" text);
CREATE TABLE "Odd ""Name.s%"."child" (k int);
CREATE TABLE app.no_columns ();
CREATE TABLE app.only_generated (g int GENERATED ALWAYS AS (1) STORED);
CREATE TABLE app.empty (a int);
CREATE UNLOGGED TABLE app.quick (a int);
CREATE TABLE app.base (a int, b text);
CREATE TABLE app.derived (c date) INHERITS (app.base);
CREATE TABLE app.log (id int, at date NOT NULL, text text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.log_2024 PARTITION OF app.log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.log_2025 PARTITION OF app.log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (id);
CREATE TABLE app.log_2025_odd PARTITION OF app.log_2025 FOR VALUES IN (1, 3, 5);
CREATE TABLE app.log_rest PARTITION OF app.log DEFAULT;
CREATE TABLE app.hashed (k text) PARTITION BY HASH (k);
CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE app.secret (owner text, what text);
CREATE TYPE app.shape AS (a int, b text);
CREATE TABLE app.typed OF app.shape (PRIMARY KEY (a));
"""

ROWS = """
INSERT INTO app.everything ("Column ""2"", of% 한", mood, price, labels, home, homes, reach, reaches, spread, small,
  note,
  wide, exact, single, double, day, at, at_zone, moment, instant, pause, flag, bits, more_bits, raw, key, doc, docb,
  net, block, mac, spot, shape, words, search, grid, nothing, embedding, money, link, fixed, one, label)
VALUES
('x', 'happy, "very"', 1.2345, '{a,"b,c",NULL}',
 '("Main \\\\ St",3,"{a}")',
 ARRAY[ROW('s', 1, NULL)::app.address, NULL], '[1,9)', '{[1,2],[5,7)}', '[0.1,0.30000000000000004)',
 21, E'tab\\tnew\\nline',
 'NaN', 'NaN', 'Infinity', '-0', 'infinity',
 '24:00', '23:59:59.999999+09:30', '-infinity', 'infinity', '1 mon -2 days 03:04:05.000006', true,
 B'10101', B'1', '\\x00ff',
 gen_random_uuid(), '{"b": 1, "a": [1,  2]}', '{"b": 1, "a": "\\u0041"}', '10.0.0.1/8', '10.0.0.0/8',
 '08:00:2b:01:02:03', '(1.5,-2)', '((0,0),(1,1),(1,0))', 'a:1 b:2', 'a & !b', '{{1,2},{3,4}}', '[0:1]={x,NULL}',
 '[1,2.5,-3]', '12.34', 'app.dropped', 'ab', 'z', 'n'),
('', NULL, NULL, '{}', NULL, '{}', 'empty', '{}', '(,)', NULL, '', 1e400::numeric, -99999.12345, 'NaN', 1e-300,
 '4713-01-01 BC', '00:00', '00:00+00', '294276-12-31', '0044-03-15 BC', '-178000000 years', false, NULL, '', '', NULL,
 'null', 'null', '::1', NULL, NULL, NULL, NULL, '', NULL, '{}', '{NULL}', NULL, '-1', NULL, '', '', '');
INSERT INTO app.everything (small) SELECT n FROM generate_series(1, 2000) n;
INSERT INTO app.dropped SELECT n, n FROM generate_series(1, 10) n;
INSERT INTO app.child (parent) SELECT id FROM app.everything LIMIT 11;
INSERT INTO app.booking VALUES ('[1,2)', '[2025-01-01, 2025-01-02)'), ('[1,2)', 'empty'), ('[1,2)', 'empty');
INSERT INTO app."Quoted ""T"".x%s" VALUES (1, 'one'), (2, E'\\\\.');
INSERT INTO "Odd ""Name.s%"."child" VALUES (1), (1), (NULL);
INSERT INTO app.quick VALUES (1);
INSERT INTO app.base VALUES (1, 'base'); INSERT INTO app.derived VALUES (2, 'derived', '2025-01-01');
INSERT INTO app.log SELECT n, date '2024-01-01' + n * 100, 'row ' || n FROM unnest(ARRAY[1, 2, 9, 11]) n;
INSERT INTO app.log VALUES (3, '2025-05-05', 'odd'), (1, '2025-12-31', 'odd too');
INSERT INTO app.hashed SELECT n::text FROM generate_series(1, 100) n;
INSERT INTO app.secret VALUES ('a', 'b');
INSERT INTO app.typed VALUES (1, 'x');
SELECT nextval('app.far');
"""

BEHIND = """
CREATE INDEX partial ON app.everything (small DESC NULLS LAST) INCLUDE (note) WHERE flag;
CREATE INDEX expression ON app.everything USING btree (lower(note) text_pattern_ops, (small % 7));
CREATE INDEX ON app.everything USING gin (docb jsonb_path_ops);
CREATE INDEX ON app.everything USING hnsw (embedding vector_l2_ops) WITH (m = 8);
CREATE INDEX brin ON app.everything USING brin (id);
CREATE UNIQUE INDEX only_log ON app.log (at, id);
ALTER TABLE app.dropped CLUSTER ON dropped_pkey; ALTER TABLE app.dropped REPLICA IDENTITY FULL;
CREATE STATISTICS app.stats (dependencies, mcv) ON small, flag FROM app.everything;

CREATE VIEW app.seen WITH (security_barrier) AS SELECT id, small FROM app.everything WHERE flag WITH LOCAL CHECK OPTION;
CREATE VIEW app.late AS SELECT * FROM app.seen;
CREATE MATERIALIZED VIEW app.summed AS SELECT small % 3 AS rest, count(*) AS n FROM app.everything GROUP BY 1;
CREATE UNIQUE INDEX ON app.summed (rest);
CREATE MATERIALIZED VIEW app.on_top AS SELECT sum(n) FROM app.summed;
CREATE MATERIALIZED VIEW app.never AS SELECT 1 AS one WITH NO DATA;

CREATE TRIGGER stamped BEFORE INSERT OR UPDATE OF note ON app.everything FOR EACH ROW
  WHEN (NEW.small > 5) EXECUTE FUNCTION app.stamp();
CREATE TRIGGER off BEFORE INSERT ON app.everything FOR EACH ROW EXECUTE FUNCTION app.stamp();
ALTER TABLE app.everything DISABLE TRIGGER off;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON app.base DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION app.stamp();
CREATE RULE quiet AS ON DELETE TO app.empty DO INSTEAD NOTHING;
CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
CREATE EVENT TRIGGER watching ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION app.watch();
CREATE PUBLICATION some_of_it FOR TABLE app.dropped (a, b) WHERE (b > 1);
CREATE PUBLICATION all_of_it FOR TABLES IN SCHEMA "Odd ""Name.s%";

ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY; ALTER TABLE app.secret FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.secret AS RESTRICTIVE FOR UPDATE TO torture_reader
  USING (owner = current_user) WITH CHECK (true);
ALTER TABLE app.dropped OWNER TO torture_owner;
GRANT USAGE ON SCHEMA app TO torture_reader;
GRANT SELECT (a), UPDATE (b) ON app.dropped TO torture_reader WITH GRANT OPTION;
GRANT SELECT ON app.seen TO PUBLIC; GRANT USAGE ON SEQUENCE app.cycled TO torture_reader;
REVOKE EXECUTE ON FUNCTION app.twice(int) FROM PUBLIC; GRANT USAGE ON TYPE app.mood TO torture_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE torture_owner IN SCHEMA app GRANT SELECT ON TABLES TO torture_reader;
COMMENT ON TRIGGER stamped ON app.everything IS 'c'; COMMENT ON INDEX app.partial IS 'i';
COMMENT ON CONSTRAINT small_enough ON app.everything IS 'k'; COMMENT ON FUNCTION app.twice(text) IS 'f';
"""

ALL = SCHEMA + TABLES + ROWS + BEHIND
