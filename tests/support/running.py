"""A deployment whose runs may be processes of their own, and what it takes to wait for them and to clear up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.child import JobChild
from tests.support.handler import Context
from tests.support.house import House

OURS = "application_name = 'nightshift' AND datname = current_database()"
"""SQL condition on pg_stat_activity: the connections of runs on this database."""

LOCK_HOLDER = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
"""SQL condition on pg_stat_activity: the connection that holds a run's lock."""


@dataclass
class RunningHouse(House):
    """A house with children.

    Attributes:
        children: the runs in processes of their own, none of which outlives its test.
    """

    children: list[JobChild] = field(default_factory=list)

    def close(self) -> None:
        """End what still runs, as after a failed test, and let go of the database."""
        for child in self.children:
            if child.process.is_alive():
                child.kill()
        super().close()

    def leave(self) -> None:
        """Let go of the database; the next look at it comes back."""
        super().close()

    def run_with(self, env: Mapping[str, str], context: Context | None = None, **event: Any) -> dict[str, Any]:
        """Run in this process with some variables changed for this run alone."""
        usual = dict(self.env)
        self.env.update(env)
        try:
            return self.run(context, **event)
        finally:
            self.env.clear()
            self.env.update(usual)

    def await_value(self, query: str, value: object) -> None:
        """Return once the query gives this value: for what the server does in its own time, without an event."""
        while self.value(query) != value:
            time.sleep(0.01)

    def await_quiet(self) -> None:
        """Return once the server, if there is one, has noticed that the clients of dead runs are gone."""
        if not self.url.startswith("sqlite"):
            self.await_value(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}", 0)

    def terminate(self, which: str) -> int:
        """End the backends of runs for which a condition on pg_stat_activity holds; how many there were."""
        ended = f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {OURS} AND {which}"
        return len(self.sql(ended))
