"""Lambda's entry to `backup`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from backup.job import backup
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Back up database and logs; see `backup.job` and docs/jobs/backup.md."""
    return run_job("backup", event, context, wiring, backup, archive=False)
