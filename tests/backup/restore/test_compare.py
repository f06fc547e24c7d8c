"""Two schemas side by side: what differs by nature is no difference, and everything else is one."""

from __future__ import annotations

import pytest

from nightshift.backup.schema_diff import schema_differences

SAVED = """--
-- PostgreSQL database dump
--

\\restrict AbC

-- Dumped from database version 18.1
-- Dumped by pg_dump version 18.1

SET statement_timeout = 0;

--
-- Name: t; Type: TABLE; Schema: public; Owner: me
--

CREATE TABLE public.t (
    a integer
);


--
-- Name: twice(integer); Type: FUNCTION; Schema: app; Owner: me
--

CREATE FUNCTION app.twice(integer) RETURNS integer;


--
-- Name: app; Type: SCHEMA; Schema: -; Owner: me
--

CREATE SCHEMA app;


--
-- PostgreSQL database dump complete
--

\\unrestrict AbC
"""


def test_what_differs_by_nature() -> None:
    found = SAVED.replace("AbC", "xYz").replace("version 18.1", "version 18.4")

    assert schema_differences(SAVED, found) == ()


def test_the_order_in_which_things_are_said() -> None:
    head, table, function, schema = SAVED.split("--\n-- Name: ")
    schema, end = schema.split("--\n-- PostgreSQL database dump complete")
    turned = f"{head}--\n-- Name: {schema}--\n-- Name: {function}--\n-- Name: {table}"
    found = turned + "--\n-- PostgreSQL database dump complete" + end

    assert found != SAVED
    assert schema_differences(SAVED, found) == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    a integer\n", "    a bigint\n", "table public.t is not as it was"),
        (
            "Owner: me\n--\n\nCREATE TABLE",
            "Owner: you\n--\n\nALTER ME; CREATE TABLE",
            "table public.t is not as it was",
        ),
        ("-- Name: t; Type: TABLE", "-- Name: u; Type: TABLE", "table public.t did not come back"),
        ("SET statement_timeout = 0;\n", "", "preamble is not as it was"),
        ("CREATE SCHEMA app;\n", "CREATE SCHEMA app;\nCREATE SCHEMA app;\n", "schema app is not as it was"),
    ],
)
def test_everything_else(old: str, new: str, said: str) -> None:
    found = SAVED.replace(old, new)

    assert found != SAVED
    assert str(schema_differences(SAVED, found)[0]) == said


def test_what_is_there_and_was_not_saved() -> None:
    (*_, last) = schema_differences(SAVED.replace("-- Name: t;", "-- Name: u;"), SAVED)

    assert str(last) == "table public.t is not in the backup"
