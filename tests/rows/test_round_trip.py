"""Every built-in type of PostgreSQL, with the values that hurt: the archive gives back each value as it was."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from tests.support.attempts import attempt
from tests.support.house import House, identifier
from tests.support.restoring import TYPE, quoted, rows_as_sql

VALUES: dict[str, list[str]] = {
    # Numbers
    "bool": ["t", "f"],
    "int2": ["-32768", "32767", "0"],
    "int4": ["-2147483648", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "float4": ["NaN", "Infinity", "-Infinity", "-0", "3.4028235e+38", "1e-45", "0.1", "16777217"],
    "float8": [
        "NaN",
        "Infinity",
        "-Infinity",
        "-0",
        "1.7976931348623157e+308",
        "5e-324",
        "0.1",
        "1e15",
        "0.30000000000000004",
    ],
    "numeric": [
        "NaN",
        "Infinity",
        "-Infinity",
        "0.000",
        "-0.10",
        "1e-1000",
        "123456789012345678901234567890123456789.5",
        "1e200",
    ],
    "numeric(10,2)": ["NaN", "-12345678.90", "0.00", "99999999.99"],
    "numeric(38,0)": ["99999999999999999999999999999999999999", "-1"],
    "numeric(38,38)": ["0.99999999999999999999999999999999999999", "-0.5"],
    "numeric(39,1)": ["12345678901234567890123456789012345678.9", "NaN"],
    "numeric(5)": ["12345", "NaN"],
    "money": ["-92233720368547758.08", "0.10", "1234.56"],
    # Text
    "text": [
        "",
        " ",
        "안녕하세요 'quoted' \"double\"\n\ttab\\n",
        "𝄞 non-BMP",
        "NULL",
        "\\N",
        "{}",
        "\u00a0\u200b\ufeff",
    ],
    "varchar(5)": ["abcde", "한글 가나"],
    "bpchar": ["x  ", ""],
    "char(4)": ["ab", "", "한글"],
    '"char"': ["a", "\\200"],
    "name": ["a name", "한글"],
    "json": ['{"b": 1,  "a": 2, "a": 3}', "[1, null]", "null", '"\\ud83d"'],
    "jsonb": ['{"b": 1, "a": {"c": [1.10, null, true]}}', "null", "1e100", '"한글"'],
    "xml": ["<a>1</a>", "text"],
    "jsonpath": ['$."a"[*]', "lax $.x ? (@ > 1)"],
    "tsvector": ["'a':1A,2 'b c':3B", ""],
    "tsquery": ["'a' & !( 'b' | 'c':*A )"],
    # Bytes and bits
    "bytea": ["\\x", "\\x00ff", "\\xdeadbeef00"],
    "bit(5)": ["10110"],
    "bit": ["1"],
    "varbit": ["", "101", "1" * 65],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"],
    # Times
    "date": [
        "infinity",
        "-infinity",
        "4713-01-01 BC",
        "0001-12-31 BC",
        "0001-01-01",
        "1969-12-31",
        "9999-12-31",
        "5874897-12-31",
    ],
    "time": ["00:00", "23:59:59.999999", "24:00:00"],
    "time(0)": ["24:00", "12:30:00"],
    "timetz": ["00:00+00", "24:00:00-15:59", "12:00:00.000001+09:30:15"],
    "timestamp": [
        *("infinity", "-infinity", "4713-01-01 00:00 BC", "0001-01-01", "1969-12-31 23:59:59.999999"),
        *("2025-10-15 09:00:00.123456", "294245-12-31 23:59:59.999999", "294246-01-01", "294276-12-31 23:59:59.999999"),
    ],
    "timestamp(3)": ["2025-10-15 09:00:00.123", "infinity"],
    "timestamptz": [
        *(
            "infinity",
            "-infinity",
            "4713-01-01 00:00+00 BC",
            "0044-03-15 12:00+00:49:56 BC",
            "2025-10-15 09:00:00.123456+09",
        ),
        *("294245-12-31 23:59:59.999999+00", "294246-01-01 00:00+00", "294276-12-31 23:59:59.999999+00"),
    ],
    "interval": [
        *("0", "1 year -2 mons +3 days -04:05:06.000007", "-178000000 years", "178000000 years", "1 mon -1 days"),
        "00:00:00.000001",
    ],
    "interval day to second(3)": ["1 day 00:00:00.123"],
    # Places
    "point": ["(1.5,-0)", "(NaN,Infinity)"],
    "line": ["{1,-1,0.1}"],
    "lseg": ["[(0,0),(1e300,1)]"],
    "box": ["(2,2),(0,0)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"],
    "polygon": ["((0,0),(1,1),(2,0))"],
    "circle": ["<(0,0),1.5>"],
    "inet": ["192.168.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"],
    "cidr": ["10.0.0.0/8", "::/0"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    # Ranges
    "int4range": ["empty", "[1,5)", "(,)", "[3,)"],
    "int8range": ["[1,9223372036854775807)"],
    "numrange": ["(1.10,2.20]", "[NaN,NaN]"],
    "tsrange": ['["2025-01-01 00:00:00",infinity)', "empty"],
    "tstzrange": ['["2025-01-01 00:00:00+00","2025-01-02 00:00:00+00")', "[-infinity,)"],
    "daterange": ["[2025-01-01,2025-02-01)", "(,infinity)"],
    "int4multirange": ["{}", "{[1,3),[5,9)}"],
    "int8multirange": ["{[1,3)}"],
    "nummultirange": ["{[1.5,2.5]}"],
    "tsmultirange": ['{["2025-01-01 00:00:00","2025-01-02 00:00:00")}'],
    "tstzmultirange": ['{["2025-01-01 00:00:00+00","2025-01-02 00:00:00+00")}'],
    "datemultirange": ["{[2025-01-01,2025-02-01),[2026-01-01,)}"],
    # Arrays
    "int4[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[0:2]={7,8,9}", "[-1:0][2:3]={{1,2},{3,4}}"],
    "text[]": ['{"",NULL,"NULL","a,b","q\\"\\\\"}', "{{{deep}}}", "{한글}"],
    "float8[]": ["{NaN,Infinity,-0,0.1}"],
    "bool[]": ["{t,f,NULL}"],
    "bytea[]": ['{"\\\\x00ff"}'],
    "numeric(6,2)[]": ["{1.10,NaN,NULL}"],
    "timestamptz[]": ['{infinity,"2025-10-15 00:00:00+00"}'],
    "uuid[]": ["{00000000-0000-0000-0000-000000000000}"],
    "jsonb[]": ['{"{\\"a\\": 1}",NULL}'],
    "int4range[]": ['{"[1,5)",empty}'],
    "interval[]": ['{"1 mon","-00:00:01"}'],
    "int2vector": ["1 2 3"],
    "oidvector": ["1 2 3"],
    # The server's own
    "oid": ["0", "4294967295"],
    "xid": ["4294967295"],
    "xid8": ["18446744073709551615"],
    "cid": ["7"],
    "tid": ["(4294967295,65535)"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF", "0/0"],
    "pg_snapshot": ["10:20:10,14,15"],
    "txid_snapshot": ["10:20:10,14,15"],
    "refcursor": ["a cursor"],
    "regproc": ["now"],
    "regprocedure": ["now()"],
    "regoper": ["pg_catalog.||/"],
    "regoperator": ["+(integer,integer)"],
    "regclass": ["pg_class", "0"],
    "regcollation": ['"C"'],
    "regtype": ["timestamp with time zone"],
    "regrole": ["postgres"],
    "regnamespace": ["pg_catalog"],
    "regconfig": ["simple"],
    "regdictionary": ["simple"],
    "aclitem": ["postgres=r/postgres"],
    # Users' own, see OWN
    "mood": ["so-so", "it's"],
    "pair": ['(1,"a ""b"", c")', "(,)"],
    "cents": ["NaN", "12.30"],
    "inner_cents": ["0.01"],
    "moments": ['["2025-01-01 00:00:00+00",)'],
    "word": ["abc"],
    "mood[]": ["{so-so}"],
    "pair[]": ['{"(1,x)",NULL}'],
}
"""Type and values, as PostgreSQL reads them. Each type is a column; each value stands in a row of its own."""

EXTENSIONS = {"vector": ["[1,-2.5,3e-07]"], "hstore": ['"a"=>"1", "b"=>NULL'], "citext": ["MiXed"], "ltree": ["a.b.c"]}
"""Types that come with the extension of their name, where the server has it."""

OWN = """
CREATE TYPE mood AS ENUM ('so-so', 'it''s');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN inner_cents AS numeric(10,2) CHECK (value <> 0.13);
CREATE DOMAIN cents AS inner_cents NOT NULL DEFAULT 0;
ALTER DOMAIN cents DROP NOT NULL;
CREATE TYPE moments AS RANGE (subtype = timestamptz);
CREATE DOMAIN word AS char(5)
"""

WITHOUT_INPUT = {
    *("gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list"),
    *("pg_brin_bloom_summary", "pg_brin_minmax_multi_summary"),
}
"""Types whose values nobody can write."""

NOT_EVERYWHERE = {"xml", *(name for name in VALUES if "multirange" in name)}
"""A server may be built without XML; multiranges came with PostgreSQL 14."""

SESSION = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1"

KEY, AT = "id", "at"


def existing(house: House) -> dict[str, list[str]]:
    """The types that this server has, with their values."""
    available = {str(name) for (name,) in house.sql("SELECT name FROM pg_available_extensions")} & EXTENSIONS.keys()
    for name in available:
        house.sql(f"CREATE EXTENSION {name}")
    found = {name: EXTENSIONS[name] for name in available}
    for name, values in VALUES.items():
        casts = "SELECT " + ", ".join(f"{quoted(value)}::{name}::text" for value in values)
        refused = attempt(DatabaseError, partial(house.sql, casts))
        if isinstance(refused, DatabaseError):
            assert name in NOT_EVERYWHERE, refused
        else:
            found[name] = values
    return found


def contents(house: House, columns: list[str], source: str) -> dict[int, tuple[Any, ...]]:
    """Every row's values as text, by its number."""
    # `::text` would drop the blanks that end a `char(n)`; a composite of nulls counts as null, though it is not.
    shown = ", ".join(f"to_json({identifier(name)}) IS NULL, format('%s', {identifier(name)})" for name in columns)
    rows = house.sql(f"SELECT {KEY}, {shown} FROM {source} ORDER BY {KEY}")
    return {int(row[0]): tuple(zip(row[1::2], row[2::2], strict=True)) for row in rows}


@pytest.fixture
def types(house: House) -> list[str]:
    """Makes the table `every` with a column a type, named as the type, and a row a value; returns the types."""
    house.sql(OWN)
    house.sql(SESSION)
    types = existing(house)
    assert len(types) >= len(VALUES) - len(NOT_EVERYWHERE)
    columns = ", ".join(f"{identifier(name)} {name}" for name in types)
    house.sql(f"CREATE TABLE every ({KEY} int, {AT} timestamptz DEFAULT '2025-01-01', {columns})")
    for number in range(max(map(len, types.values()))):
        values = [quoted(values[number % len(values)]) for values in types.values()]
        house.sql(f"INSERT INTO every VALUES ({number}, DEFAULT, {', '.join(values)})")
    house.sql(f"INSERT INTO every ({KEY}) VALUES (100)")
    house.policies(f'[[retention]]\ntable = "every"\ntimestamp = "{AT}"\nkeep_days = 30')
    return list(types)


def test_no_type_is_forgotten(house: House) -> None:
    """Every base, range and multirange type of the catalogue has values here."""
    found = house.sql(
        "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')"
        " AND NOT (typcategory = 'A' AND typelem <> 0 AND typname LIKE '\\_%')"
    )
    house.sql(OWN)
    plain = {name.split("(")[0].split(" ")[0].strip('"') for name in VALUES}
    assert {str(name) for (name,) in found} - plain - WITHOUT_INPUT == set()


def test_every_type_comes_back(house: House, types: list[str]) -> None:
    before = contents(house, types, "every")
    # With the schema of every type that is not PostgreSQL's own, as any later session understands it.
    shown = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.every'::regclass"
    )
    house.sql("SET search_path = ''")
    declared = dict(house.sql(shown))
    house.sql("RESET search_path")

    assert house.run_table()["archived_rows"] == len(before)

    assert house.value("SELECT count(*) FROM every") == 0
    for one in house.objects("public.every"):
        for field in one.rows.schema:
            if field.name in declared:
                assert field.metadata[TYPE].decode() == declared[field.name]
    house.sql("CREATE TABLE restored (LIKE every)")
    for one in house.objects("public.every"):
        for row in rows_as_sql(one.rows):
            names = ", ".join(identifier(name) for name in row)
            house.sql(f"INSERT INTO restored ({names}) VALUES ({', '.join(row.values())})")
    after = contents(house, types, "restored")
    assert after.keys() == before.keys()
    for number, values in before.items():
        for name, was, came in zip(types, values, after[number], strict=True):
            assert came == was, f"{name}, row {number}"
