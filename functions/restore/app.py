"""Lambda's entry to `restore`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from nightshift.restore.request import RestoreRequest
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job
from restore.job import restore


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Restore what the event asks for; see `restore.job` and docs/jobs/restore.md."""
    return run_job("restore", event, context, wiring, restore, request=RestoreRequest)
