"""Any legal name works, to the letter, in the policy and in SQL: of tables, columns and schemas."""

from __future__ import annotations

import json

import pytest

from tests.support.expiry_runs import DUE, LATER, expire, expired, only, put, script
from tests.support.house import House, identifier

ODD = [
    ("app", "job", "app.job"),
    ("public", "CamelCase", "CamelCase"),
    ("My Schema", "Table.x", '"My Schema"."Table.x"'),
    ("한글", "작업 기록", "한글.작업 기록"),
    ("public", 'quo"ted', '"quo""ted"'),
    ("public", "it's 100%", "it's 100%"),
    ("public", "%s", '"%s"'),
    ("public", ":x", '":x"'),
    ("public", "a;b; DROP TABLE c", '"a;b; DROP TABLE c"'),
    ("public", "back\\slash", '"back\\slash"'),
]
"""Schema, table, and the table's name as the policy writes it. Columns and other tables are named after it."""


def make(house: House, schema: str, table: str) -> tuple[list[str], str]:
    """A job that is due and one that is not, a child and a grandchild of each, and a table that is not linked; each
    of the last two names a file. Returns the tables, and what a policy has to say beside the expiring table's name."""
    sqlite = house.url.startswith("sqlite")
    parent, child, leaf, loose = (
        identifier(name) if sqlite else f"{identifier(schema)}.{identifier(name)}"
        for name in (table, f"{table} 2", f"{table} 3", f"{table} 4")
    )
    id_, ends, key, bucket = (identifier(f"{table} {name}") for name in ("id", "ends", "key", "bucket"))
    rows = f"SELECT {id_}, {id_}, 'key of {table.replace(chr(39), '')} ' || {id_}, '{house.bucket}' FROM {parent}"
    columns = f"{id_} int PRIMARY KEY, {ends} int REFERENCES <parent>, {key} text, {bucket} text"
    script(
        house,
        ("" if sqlite else f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)};")
        + f"CREATE TABLE {parent} ({id_} int PRIMARY KEY, {ends} timestamp);"
        f"INSERT INTO {parent} VALUES (1, '{DUE}'), (2, '{LATER}');"
        f"CREATE TABLE {child} ({columns.replace('<parent>', parent)}); INSERT INTO {child} {rows};"
        f"CREATE TABLE {leaf} ({columns.replace('<parent>', child)}); INSERT INTO {leaf} {rows};"
        f"CREATE TABLE {loose} ({columns.replace('REFERENCES <parent>', '')});"
        f"INSERT INTO {loose} {rows.replace('key of', 'loose key of')};",
    )
    put(house, *(str(name) for (name,) in house.sql(f"SELECT {key} FROM {leaf} UNION SELECT {key} FROM {loose}")))
    key_, bucket_, ends_ = (json.dumps(f"{table} {name}", ensure_ascii=False) for name in ("key", "bucket", "ends"))
    more = f"expires_at = {ends_}\ntimezone = 'UTC'\n"
    for name in (leaf, loose):
        more += f"[[expiry.files]]\ntable = {json.dumps(name)}\nkey = {key_}\nbucket_column = {bucket_}\n"
        more += f'buckets = ["{house.bucket}"]\n'
    more += f"[[expiry.dependents]]\ntable = {json.dumps(loose)}\ncolumns = [{ends_}]\n"
    return [parent, child, leaf, loose], more


@pytest.mark.slow
def test_odd_names(house: House) -> None:
    tables, policy = [], ""
    for schema, table, written in ODD:
        made, more = make(house, schema, table)
        tables += made
        policy += f"[[expiry]]\ntable = {json.dumps(written, ensure_ascii=False)}\n" + more

    answer = expired(house, policy)

    assert [sum(table["deleted_rows"].values()) for table in answer["tables"]] == [4] * len(ODD)
    assert [house.value(f"SELECT count(*) FROM {table}") for table in tables] == [1] * len(tables)
    assert answer["files"]["deleted"] == 2 * len(ODD)
    assert len(house.s3.keys(house.bucket)) == 2 * len(ODD)


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("table", [table for _, table, written in ODD if written != "app.job"])
def test_odd_names_on_sqlite(sqlite_house: House, table: str) -> None:
    _, more = make(sqlite_house, "", table)

    answer = expired(sqlite_house, f"[[expiry]]\ntable = {json.dumps(identifier(table), ensure_ascii=False)}\n" + more)

    assert (sum(only(answer)["deleted_rows"].values()), answer["files"]["deleted"]) == (4, 2)


@pytest.mark.parametrize("key", ["plain", "it's", "50% off", ":x", "back\\slash", 'a"b', "ключ", "a;b --", "{0}"])
def test_keys_that_look_like_sql(house: House, key: str) -> None:
    """A row that cannot go is left out by its key, whatever that is; its neighbour goes."""
    text = "'" + key.replace("'", "''") + "'"
    house.sql(
        "CREATE TABLE job (name text, n int, expires_at timestamp, PRIMARY KEY (name, n));"
        f"INSERT INTO job VALUES ({text}, 1, '{DUE}'), ({text}, 2, '{DUE}');"
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF OLD.n = 1 THEN RAISE EXCEPTION ''not this one''; END IF; RETURN NULL; END';"
        "CREATE TRIGGER no AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION no()"
    )
    house.policies('[[expiry]]\ntable = "job"\ntimezone = "UTC"\n')

    table = only(expire(house))

    assert (table["expired"], table["failed"]) == (1, 1)
    assert table["warnings"] == [f"rows were left out: not this one: public.job (name, n) = ({key}, 1)"]
    assert house.sql("SELECT name, n FROM job") == [(key, 1)]
