"""Lambda's entry to `restore_backup`."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from nightshift.backup.requests import RestoreBackupRequest
from nightshift.run import LambdaContext
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job
from restore_backup.job import restore_backup


@cache
def wiring() -> RunWiring:
    """Built on the first call, reused while the environment is warm."""
    return RunWiring.from_env(os.environ)


def lambda_handler(event: object, context: LambdaContext | None) -> dict[str, Any]:
    """Restore what the event asks for; see `restore_backup.job` and docs/jobs/restore_backup.md."""
    return run_job(
        "restore_backup", event, context, wiring, restore_backup, request=RestoreBackupRequest, archive=False
    )
