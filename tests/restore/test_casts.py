"""Casts of somebody's own: values are archived, compared and restored by their types' own functions alone."""

from __future__ import annotations

from functools import partial

import pytest
from pg8000.exceptions import DatabaseError

from tests.restore.simple import archive, restore
from tests.support.attempts import attempt
from tests.support.expiry_runs import DUE, MAKE_JOB, expire
from tests.support.house import House

MAKE = """
CREATE TYPE state AS ENUM ('failed_card', 'failed_bank', 'paid');
CREATE FUNCTION family(state) RETURNS text LANGUAGE sql IMMUTABLE RETURN split_part(format('%s', $1), '_', 1);
CREATE CAST (state AS text) WITH FUNCTION family(state);
CREATE FUNCTION paid(text) RETURNS state LANGUAGE sql IMMUTABLE RETURN 'paid'::state;
CREATE CAST (text AS state) WITH FUNCTION paid(text) AS IMPLICIT;
CREATE FUNCTION paid(varchar) RETURNS state LANGUAGE sql IMMUTABLE RETURN 'paid'::state;
CREATE CAST (varchar AS state) WITH FUNCTION paid(varchar) AS IMPLICIT;
CREATE DOMAIN outcome AS state;
CREATE TYPE pair AS (a int, s state);
CREATE FUNCTION say(pair) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'a cast was run'; END $$;
CREATE CAST (pair AS text) WITH FUNCTION say(pair);
CREATE FUNCTION hear(text) RETURNS pair LANGUAGE plpgsql AS $$ BEGIN RAISE 'a cast was run'; END $$;
CREATE CAST (text AS pair) WITH FUNCTION hear(text) AS ASSIGNMENT;
CREATE TYPE states AS RANGE (subtype = state);
CREATE FUNCTION say(states) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'empty';
CREATE CAST (states AS text) WITH FUNCTION say(states);
CREATE FUNCTION say(state[]) RETURNS text LANGUAGE sql IMMUTABLE RETURN '{}';
CREATE CAST (state[] AS text) WITH FUNCTION say(state[]);
CREATE TYPE secret;
CREATE FUNCTION secret_in(cstring) RETURNS secret LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION secret_out(secret) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE TYPE secret (INPUT = secret_in, OUTPUT = secret_out, LIKE = bytea);
CREATE CAST (secret AS text) WITHOUT FUNCTION;
CREATE CAST (text AS secret) WITHOUT FUNCTION;
"""
"""On an enum, a domain, a row, a range and an array; and a base type whose text is not its content."""

COLUMNS = {
    "one": ("state", ["failed_card", "failed_bank", None]),
    "two": ("outcome", ["failed_bank", "failed_card", None]),
    "three": ("pair", ["(1,failed_card)", "(,)", None]),
    "four": ("states", ["[failed_card,failed_bank)", "empty", None]),
    "five": ("state[]", ["{failed_card,NULL}", "{}", None]),
    "six": ("pair[]", ['{"(1,failed_bank)",NULL,"(,)"}', "{}", None]),
    "seven": ("secret", ["\\x00ff", "\\x", None]),
    "ip": ("inet", ["203.0.113.9", "2001:db8::/32", None]),
    "net": ("cidr", ["203.0.113.9/32", "10.0.0.0/8", None]),
    "ips": ("inet[]", ["{203.0.113.9,NULL}", "{}", None]),
    "place": ("regclass", ["pg_class", "-", None]),
    "nick": ("name", ["a", "", None]),
    "fee": ("money", ["$1.50", "-$0.01", None]),
    "bits": ("bit varying", ["101", "", None]),
    "price": ("numeric(6,2)", ["1.50", "NaN", None]),
}
"""Column → its type, and its values in three rows, as the type prints them."""


def literal(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def table(name: str, head: str) -> str:
    """SQL that makes a table of the columns and puts the rows in."""
    rows = (", ".join(literal(values[n]) for _, values in COLUMNS.values()) for n in range(3))
    declared = ", ".join(f"{column} {kind}" for column, (kind, _) in COLUMNS.items())
    return f"CREATE TABLE {name} ({head}, {declared});" + ";".join(
        f"INSERT INTO {name} ({', '.join(COLUMNS)}, id) VALUES ({row}, {n})" for n, row in enumerate(rows)
    )


def printed(house: House, name: str) -> list[tuple[object, ...]]:
    """The rows, each value as its output function prints it."""
    shown = ", ".join(f"CASE num_nulls({column}) WHEN 0 THEN format('%s', {column}) END" for column in COLUMNS)
    return house.sql(f"SELECT {shown} FROM {name} ORDER BY id")


ROWS: list[tuple[object, ...]] = [tuple(values[n] for _, values in COLUMNS.values()) for n in range(3)]


def archived(house: House, name: str) -> list[tuple[object, ...]]:
    """The rows of the archive, in the same order; what a column cannot hold from beside it."""
    rows = sorted(house.archived(f"public.{name}"), key=lambda row: row["id"])
    texts: list[tuple[object, ...]] = [
        tuple(None if row[c] is None else str(row[c]) for c in COLUMNS if c != "price") for row in rows
    ]
    assert [str(row["price"]) for row in rows] == ["1.50", "None", "None"]
    return texts


def test_values_are_what_their_types_print(house: House) -> None:
    house.sql(MAKE)
    head = "id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT '2025-08-01'"
    archive(house, "t", table("t", head))
    assert house.value("SELECT count(*) FROM t") == 0
    assert archived(house, "t") == [row[:-1] for row in ROWS]

    assert restore(house, "t")["restored_rows"] == 3
    assert printed(house, "t_restored") == ROWS

    house.sql("INSERT INTO t (id, one) VALUES (0, 'failed_bank')")
    answer = restore(house, "t", into_original=True)

    assert (answer["status"], answer["restored_rows"], answer["existing_rows"]) == ("ok", 2, 1)
    assert answer["warnings"][0].startswith("1 archived rows differ"), answer["warnings"]
    assert printed(house, "t")[1:] == ROWS[1:]


def test_rows_that_a_collation_takes_for_equal_are_not(house: House) -> None:
    make = "CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
    if isinstance(attempt(DatabaseError, partial(house.sql, make)), DatabaseError):
        pytest.skip("this server was built without ICU")
    head = "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT '2025-08-01', w text COLLATE caseless)"
    archive(house, "t", head, "INSERT INTO t (id, w) VALUES (1, 'A'), (2, 'B')")
    house.sql("INSERT INTO t (id, w) VALUES (1, 'A'), (2, 'b')")

    answer = restore(house, "t", into_original=True)

    assert (answer["restored_rows"], answer["existing_rows"]) == (0, 2)
    assert answer["warnings"][0].startswith("1 archived rows differ"), answer["warnings"]


def test_rows_of_an_expiring_cascade(house: House) -> None:
    house.sql(MAKE)
    house.sql(MAKE_JOB + f"INSERT INTO job VALUES (1, '{DUE}');" + table("part", "id int, job_id int REFERENCES job"))
    house.sql("UPDATE part SET job_id = 1")
    house.policies('[[expiry]]\ntable = "job"\ntimezone = "UTC"\narchive = true')

    assert expire(house)["status"] == "ok"

    assert archived(house, "part") == [row[:-1] for row in ROWS]
    assert restore(house, "part")["restored_rows"] == 3
    assert printed(house, "part_restored") == ROWS


@pytest.mark.parametrize("kind", ["citext", "hstore"])
def test_types_that_extensions_bring_with_casts(house: House, kind: str) -> None:
    if not house.sql(f"SELECT 1 FROM pg_available_extensions WHERE name = '{kind}'"):
        pytest.skip(f"this server has no {kind}")
    house.sql(f"CREATE EXTENSION {kind}")
    values = "('MiXed  '), ('mixed')" if kind == "citext" else """('"a"=>"1"'), ('')"""
    make = f"CREATE TABLE t (v {kind}, at timestamptz NOT NULL DEFAULT '2025-08-01')"
    archive(house, "t", make, f"INSERT INTO t VALUES {values}")
    before = sorted(str(row["v"]) for row in house.archived("public.t"))

    assert restore(house, "t", into_original=True)["restored_rows"] == 2
    assert sorted(house.texts("t", "format('%s', v)")) == before
