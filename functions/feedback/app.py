"""Lambda's entry to `feedback`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from feedback.job import feedback
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Report on yesterday's votes and decide on them; see `feedback.job` and docs/jobs/feedback.md."""
    return run_job("feedback", event, context, wiring, feedback, archive=False)
