"""Contestant: the whole of `backup`, through the handler that Lambda calls.

Arguments: the time that the backup stands for, and the file for the result. A dry run before loads what is loaded on
first use: imports are excluded for every contestant, and what the job never loads must not count as its memory.
"""

from __future__ import annotations

import importlib
import sys
from functools import partial

import nightshift.backup.creation  # noqa: F401 - loads Arrow, which the dry run does without
from benchmarks.stopwatch import report


def run(scheduled: str) -> int:
    handler = importlib.import_module("backup.app").lambda_handler
    answer = handler({"scheduled_time": scheduled}, None)
    if not answer["complete"]:
        raise SystemExit(f"not complete: {answer}")
    return int(answer["rows"])


if __name__ == "__main__":
    importlib.import_module("backup.app").lambda_handler({"scheduled_time": sys.argv[1], "dry_run": True}, None)
    report(partial(run, sys.argv[1]))
