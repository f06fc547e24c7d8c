"""Lambda's entry to `cleanup`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from cleanup.job import cleanup
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Archive what is due; see `cleanup.job` and docs/jobs/cleanup.md."""
    return run_job("cleanup", event, context, wiring, cleanup)
