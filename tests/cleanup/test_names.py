"""Any legal name works, to the letter: in the policy, in SQL, in the object's key and in the file."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from tests.support.house import House, identifier

ODD = [
    ("app", "events", "created_at", "app.events"),
    ("audit", "events", "created_at", "audit.events"),
    ("public", "mixedcase", "createdat", "MixedCase"),
    ("public", "CamelCase", "CreatedAt", "CamelCase"),
    ("public", "UPPER", "AT", '"UPPER"'),
    ("My Schema", "Table.x", "Created At", '"My Schema"."Table.x"'),
    ("한글", "대화 기록", "작성일", "한글.대화 기록"),
    ("public", 'quo"ted', 'c"o"l', '"quo""ted"'),
    ("public", "it's", "it's", "it's"),
    ("public", "100%", "%s", '"100%"'),
    ("public", "%s", "%(x)s", '"%s"'),
    ("public", ":x", ":created_at", '":x"'),
    ("public", "a;b; DROP TABLE c", "at; --", '"a;b; DROP TABLE c"'),
    ("public", "select", "order", "select"),
    ("public", "user", "user", "public.user"),
    ("public", "back\\slash", "a\\b", '"back\\slash"'),
    ("public", "a/b=c?d#e*", "tab\there", '"a/b=c?d#e*"'),
    ("public", "{curly}", "{0}", '"{curly}"'),
    ("public", " spaced ", "in  side", '" spaced "'),
    ("public", "x" * 63, "y" * 60 + "z", "x" * 63),
]
"""Schema, table, timestamp column, and the table's name as the policy writes it."""


def part(name: str) -> str:
    """A name within a label: quoted where it could be misread."""
    return identifier(name) if "." in name or '"' in name or name != name.strip() else name


def label(schema: str, table: str) -> str:
    """How answer and ledger call a table."""
    return f"{part(schema)}.{part(table)}"


def second(column: str) -> str:
    """The name of another column, as odd."""
    return column[:-1] + "2"


def policy(table: str, timestamp: str) -> str:
    """A policy; JSON's strings are TOML's."""
    texts = (json.dumps(text, ensure_ascii=False) for text in (table, timestamp))
    return "[[retention]]\ntable = {}\ntimestamp = {}\nkeep_days = 30\n".format(*texts)


def test_odd_names(house: House) -> None:
    for schema, table, column, _ in ODD:
        name = f"{identifier(schema)}.{identifier(table)}"
        house.sql(
            f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)};"
            f"CREATE TABLE {name} (id int, {identifier(column)} timestamptz, {identifier(second(column))} text);"
            f"INSERT INTO {name} SELECT n, timestamptz '2025-09-13 12:00+09' + n * interval '1 day', 'ü' || n"
            f" FROM generate_series(0, 2) n; CREATE INDEX ON {name} ({identifier(column)}); ANALYZE {name}"
        )
    house.policies("\n".join(policy(written, column) for _, _, column, written in ODD))

    answer = house.run()

    assert answer["status"] == "ok"
    assert [table["table"] for table in answer["tables"]] == [label(schema, table) for schema, table, _, _ in ODD]
    for schema, table, column, _ in ODD:
        archive = label(schema, table)
        assert house.archived_days(archive) == {0: "2025-09-13", 1: "2025-09-14"}
        assert house.texts(f"{identifier(schema)}.{identifier(table)}", "id") == ["2"]
        for one in house.objects(archive):
            assert one.rows.column_names == ["id", column, second(column)]
            prefix, hive, day, file = one.key.split("/")
            assert (prefix, unquote(hive), day[:3], file[-8:]) == (
                "archive",
                f"table={schema}.{table}",
                "dt=",
                ".parquet",
            )
    assert house.run()["status"] == "nothing"


def test_the_same_name_in_two_schemas_is_two_archives(house: House) -> None:
    for schema in ("a", '"a.b"'):
        house.sql(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (id int, at date)")
    house.sql('CREATE TABLE a."b.t" (id int, at date); INSERT INTO a."b.t" VALUES (1, \'2025-01-01\')')
    house.sql("INSERT INTO \"a.b\".t VALUES (2, '2025-01-01')")
    house.policies(policy('a."b.t"', "at") + policy('"a.b".t', "at"))

    house.run()

    assert len({one.key.split("/")[1] for one in house.objects()}) == 2, "a.b.t could be either"


@pytest.mark.parametrize("written", ["plain", '"Plain"', "other.plain"])
def test_a_name_means_one_table_only(house: House, written: str) -> None:
    house.sql(
        'CREATE TABLE plain (id int, at date); CREATE TABLE "Plain" (id int, at date); CREATE SCHEMA other;'
        "CREATE TABLE other.plain (id int, at date)"
    )
    for name in ("plain", '"Plain"', "other.plain"):
        house.sql(f"INSERT INTO {name} VALUES (1, '2025-01-01')")
    house.policies(policy(written, "at"))

    house.run()

    counts = {name: house.value(f"SELECT count(*) FROM {name}") for name in ("plain", '"Plain"', "other.plain")}
    assert counts == {name: int(name != written) for name in counts}


def test_odd_names_in_sqlite(sqlite_house: House) -> None:
    house = sqlite_house
    odd = [(table, column, written) for schema, table, column, written in ODD if schema == "public"]
    odd = [(table, column, written) for table, column, written in odd if not written.startswith("public.")]
    for table, column, _ in odd:
        house.sql(f"CREATE TABLE {identifier(table)} (id INTEGER PRIMARY KEY, {identifier(column)} DATETIME)")
        house.sql(f"INSERT INTO {identifier(table)} VALUES (1, '2025-09-14 10:00:00'), (2, '2025-09-15 00:00:00')")
    house.policies("\n".join(policy(written, column) for _, column, written in odd))

    answer = house.run()

    assert [table["table"] for table in answer["tables"]] == [part(table) for table, _, _ in odd]
    for table, column, _ in odd:
        assert house.archived_days(part(table)) == {1: "2025-09-14"}
        assert house.objects(part(table))[0].rows.column_names == ["id", column]
        assert house.sql(f"SELECT id FROM {identifier(table)}") == [(2,)]
