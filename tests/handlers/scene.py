"""A function on its runtime, with something to do and a way to tell that every row is in exactly one place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from local.chatlog import TABLE, connect, create_conversation_log
from local.lambda_runtime import InvokeResult, LambdaRuntime
from tests.support.handler import run_cleanup

ROWS = 600
COPY = f"{TABLE}_restored"
AS_OF = datetime(2025, 10, 13, tzinfo=UTC)
EVENTS: Mapping[str, dict[str, Any]] = {
    "cleanup": {"scheduled_time": "2025-10-13T00:00:00Z"},
    "restore": {"scheduled_time": "2025-10-13T00:00:00Z", "table": TABLE},
}
"""Job → an event that gives it work: half of the rows to archive, or to bring back."""
NEEDED: Mapping[str, str] = {"cleanup": "PUT", "restore": "GET"}
"""Job → the request to S3 without which it does nothing."""


class Scene:
    """Sixty days of conversations, half of them due; for a restore `cleanup` has archived that half before."""

    def __init__(self, job: str, environment: Mapping[str, str]) -> None:
        self.job, self.env, self.event = job, dict(environment), EVENTS[job]
        self.url = environment["DATABASE_URL"]
        self.request = NEEDED[job]
        create_conversation_log(self.url, ROWS, days=60, end=AS_OF)
        if job == "restore":
            run_cleanup({}, EVENTS["cleanup"])
        self.before = self.state()

    def runtime(self, timeout_s: int = 900, *, cap_mb: int | None = None, **variables: str) -> LambdaRuntime:
        """An environment of the function, not entered yet, with these variables on top."""
        handler, env = f"{self.job}.app.lambda_handler", {**self.env, **variables}
        return LambdaRuntime(handler, env, timeout_s, cap_mb or 1769, capped=cap_mb is not None)

    def state(self) -> tuple[int, int, int]:
        """Rows in the table, in the archive by its ledger, and in the restored copy."""
        archived = "SELECT coalesce(sum(row_count), 0) FROM nightshift_archive_object WHERE state = 'archived'"
        return (
            self._number(f"SELECT count(*) FROM {TABLE}"),
            self._number(archived) if self._exists("nightshift_archive_object") else 0,
            self._number(f"SELECT count(*) FROM {COPY}") if self._exists(COPY) else 0,
        )

    def untouched(self) -> bool:
        return self.state() == self.before

    def done(self) -> bool:
        """Whether the work is done, all of it, and no row was lost or doubled."""
        left, archived, copied = self.state()
        return left + archived == ROWS and archived > 0 and copied == (archived if self.job == "restore" else 0)

    def sql(self, statement: str) -> list[Any]:
        with closing(connect(self.url)) as connection:
            return list(connection.run(statement) or ())

    def _number(self, query: str) -> int:
        return int(self.sql(query)[0][0])

    def _exists(self, table: str) -> bool:
        return bool(self.sql(f"SELECT to_regclass('{table}') IS NOT NULL")[0][0])


def answer_of(result: InvokeResult) -> dict[str, Any]:
    """The answer of a function that did not fail."""
    assert result.error_type is None, result.logs
    answer: dict[str, Any] = result.payload
    return answer


def encoded(event: object) -> bytes:
    return json.dumps(event).encode()
