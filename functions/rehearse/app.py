"""Lambda's entry to `rehearse`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from nightshift.backup.requests import RehearseRequest
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job
from rehearse.job import rehearse


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Prove the newest backup, or the one that the event names; see `rehearse.job` and docs/jobs/rehearse.md."""
    return run_job("rehearse", event, context, wiring, rehearse, request=RehearseRequest, archive=False)
