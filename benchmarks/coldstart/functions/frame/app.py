"""The frame around every job, and a job that only asks the database how it is: a function without Arrow."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from nightshift.results.common import RunRefused
from nightshift.run import JobRun, LambdaContext
from nightshift.run_services import RunServices, RunWiring
from nightshift.runtime import run_job


@cache
def wiring() -> RunWiring:
    return RunWiring.from_env(os.environ)


def look(_run: JobRun, services: RunServices) -> RunRefused:
    with services.database.connect() as connection:
        return RunRefused(reason=str(connection.exec_driver_sql("SELECT version()").scalar()))


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    return run_job("frame", event, context, wiring, look)
