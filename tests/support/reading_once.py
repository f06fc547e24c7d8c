"""Texts that the libraries read again each time, read once in a process of the tests: a fifth of its work.

botocore reads its descriptions of the services for each session: 75 ms, of which 55 are spared here. Sessions share the
loader as clients of one session do. pg8000 reads each statement letter by letter for parameters: half a millisecond.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import botocore.loaders
import botocore.session
import pg8000.dbapi
import pg8000.legacy


def read_once() -> None:
    """Give all sessions and cursors of this process, from now on, what was read before."""
    botocore.session.create_loader = cache(botocore.loaders.create_loader)
    pg8000.legacy.convert_paramstyle = _convert_paramstyle


@lru_cache(maxsize=5000)
def _convert_format(query: str) -> str:
    """Returns the statement with `$1` for the first `%s`."""
    return str(pg8000.dbapi.convert_paramstyle("format", query, ())[0])


def _convert_paramstyle(style: str, query: str, args: Any) -> tuple[str, Any]:
    return (_convert_format(query), args) if style == "format" else pg8000.dbapi.convert_paramstyle(style, query, args)
