"""Lambda's entry to `reembed`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from nightshift.embedding.request import ReembedRequest
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job
from reembed.job import reembed


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Embed documents again; see `reembed.job` and docs/jobs/reembed.md."""
    return run_job("reembed", event, context, wiring, reembed, request=ReembedRequest, archive=False)
