"""Converts values to text and back in PostgreSQL, by the output and the input function of the value's type.

A cast to text or from it may be somebody's own function (CREATE CAST), and change a value in any way; PostgreSQL's
own prints an `inet` otherwise than the type does. The names are qualified: others could be found for them.
"""

from __future__ import annotations

RECAST = """EXISTS (
  SELECT 1 FROM pg_cast k WHERE k.castsource = CAST('text' AS regtype) AND k.casttarget = {type} AND k.castmethod <> 'i'
  AND (k.oid >= 16384 OR k.casttarget = CAST('regclass' AS regtype))
  AND k.casttarget <> ALL (CAST(ARRAY['json', 'jsonb'] AS regtype[])))"""
"""SQL condition: a cast from text to the type `{type}` (an OID, of no domain) is another function than its input.

Of PostgreSQL's own that is true of `regclass` alone: its cast knows neither numbers nor `-`."""


def output_of(value: str) -> str:
    """SQL: the text of a value of any type; NULL for NULL alone.

    concat() calls the type's output function and nothing else. It makes an empty text of NULL; and IS NULL would take a
    row of nulls for one.
    """
    return f"CASE WHEN CAST(pg_catalog.num_nonnulls({value}) AS boolean) THEN pg_catalog.concat({value}) END"


def input_of(text: str, declared: str, *, recast: bool) -> str:
    """SQL: the value of a text.

    Args:
        declared: the type to read it as.
        recast: see `RECAST`; then the text is converted through JSON, which calls the input function, at four times
            the cost of a cast.
    """
    if not recast:
        return f"CAST({text} AS {declared})"
    return f"(SELECT v FROM pg_catalog.json_to_record(pg_catalog.json_build_object('v', {text})) came(v {declared}))"
