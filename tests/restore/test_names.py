"""Tables whose names must be quoted, or are as long as a name can be: each finds its own archive and its own copy."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.database.catalog import split_name
from tests.support.handler import run_job
from tests.support.house import AS_OF, House


def restore(house: House, **event: Any) -> dict[str, Any]:
    return run_job("restore", house.env, {"scheduled_time": AS_OF, **event})


NAMES = ['"Mixed Case"', '"a.b"', '"select"', "n" * 63, "n" * 54, '"대화 기록"', '"quote""d"', '" lead"']


@pytest.mark.fast_cases("odd")
@pytest.mark.parametrize(("schema", "names"), [("public", NAMES), ('"My Schema"', NAMES[:2])], ids=["public", "odd"])
def test_names_that_people_come_up_with(house: House, schema: str, names: list[str]) -> None:
    if schema != "public":
        house.sql(f"CREATE SCHEMA {schema}")
    tables = [f"{schema}.{name}" for name in names]
    for number, table in enumerate(tables):
        house.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, at timestamptz)")
        house.sql(f"INSERT INTO {table} VALUES ({number}, '2025-08-01 12:00+09'), (99, '2025-08-02 12:00+09')")
    before = {table: house.texts(table) for table in tables}
    house.policies("\n".join(f"[[retention]]\ntable = '{t}'\ntimestamp = \"at\"\nkeep_days = 30" for t in tables))
    assert [table["archived_rows"] for table in house.run()["tables"]] == [2] * len(tables)
    labels = list(dict.fromkeys(entry["table_name"] for entry in house.ledger()))
    assert len(labels) == len(tables)
    for table, label in zip(tables, labels, strict=True):
        answer = restore(house, table=label)
        assert (answer["status"], answer["restored_rows"]) == ("ok", 2), answer
        assert house.texts(_sql(answer["into"])) == before[table]
        assert restore(house, table=table)["status"] == "nothing"
        assert restore(house, table=table, into_original=True)["restored_rows"] == 2
        assert house.texts(table) == before[table]


def _sql(label: str) -> str:
    """A label's two parts, quoted for SQL."""
    parts = [part for part, _ in split_name(label) or ()]
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def test_long_names_that_differ_at_their_end_have_copies_of_their_own(house: House) -> None:
    names = ["n" * 60 + end for end in ("a", "b")]
    for name in names:
        house.sql(f"CREATE TABLE {name} (id int, at timestamptz); INSERT INTO {name} VALUES (1, '2025-08-01 12:00+09')")
    house.policies("\n".join(f'[[retention]]\ntable = "{n}"\ntimestamp = "at"\nkeep_days = 30' for n in names))
    house.run()
    into = {restore(house, table=name)["into"] for name in names}
    assert len(into) == 2
    assert {house.value(f"SELECT count(*) FROM {table}") for table in into} == {1}
