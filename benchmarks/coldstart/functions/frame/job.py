"""A job that asks the database for its version."""

from __future__ import annotations

from nightshift.results.common import RunRefused
from nightshift.run import JobRun
from nightshift.run_services import RunServices


def look(_run: JobRun, services: RunServices) -> RunRefused:
    """Returns the version as the reason of a refusal."""
    with services.database.connect() as connection:
        return RunRefused(reason=str(connection.exec_driver_sql("SELECT version()").scalar()))
