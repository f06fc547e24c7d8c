"""Opens a session of the data plane: logs in, and sets its parameters."""

from __future__ import annotations

import re

from adbc_driver_postgresql import dbapi

from nightshift.database.search_path import PINNED
from nightshift.database.session_start import MEANING, UNLIMITED
from nightshift.database.url import DatabaseTarget

SESSION = {
    **UNLIMITED,
    # What PostgreSQL prints as text must be the same on every server, and lossless. What it reads as text, too: without
    # `array_nulls` a null in an array would become the word.
    **MEANING,
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    # A policy that would hide rows raises an error instead.
    "row_security": "off",
    # Compiling a plan costs more than it saves on statements that only scan.
    "jit": "off",
    # An interval of time is always a small part of the table, whatever stale statistics say.
    "enable_seqscan": "off",
    "search_path": PINNED,
}

_AT_LOGIN = f"-c search_path={PINNED.replace(' ', '')} -c quote_all_identifiers=off"
_OPTIONS_REFUSED = re.compile("startup parameter|command-line option", re.IGNORECASE)
"""In the words of PgBouncer, or of Amazon's proxy."""


def open_connection(target: DatabaseTarget) -> dbapi.Connection:
    """A connection whose driver knows the types by their names.

    It asks for these as it connects, by operators and functions without a schema, and where every name comes quoted
    (`quote_all_identifiers`) it knows none. So the session is told at log-in. Some pools and proxies refuse to be told
    anything there: `database.session_start` has seen that behind one of them nothing can be taken for PostgreSQL's own.
    """
    try:
        return dbapi.connect(target.libpq_uri(options=_AT_LOGIN), autocommit=False)
    except dbapi.Error as exc:
        if not _OPTIONS_REFUSED.search(str(exc)):
            raise
    return dbapi.connect(target.libpq_uri(), autocommit=False)
