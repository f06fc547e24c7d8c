"""Lambda's entry to `expire_jobs`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from expire_jobs.job import expire_jobs
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Delete what has expired; see `expire_jobs.job` and docs/jobs/expire_jobs.md."""
    return run_job("expire_jobs", event, context, wiring, expire_jobs, archive=False)
