"""Contestant: the whole of a job, through the handler that Lambda calls.

Cutoff, lock, run history, intent, export-and-delete, upload, proof, ledger, commit, result: nothing is left out.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys

import nightshift
from benchmarks.stopwatch import report


def run() -> int:
    job, event = sys.argv[1:3]
    answer = importlib.import_module(f"{job}.app").lambda_handler(json.loads(event), None)
    if not answer["complete"]:
        raise SystemExit(f"not complete: {answer}")
    if job == "restore":
        return int(answer["restored_rows"])
    return sum(int(table["archived_rows"]) for table in answer["tables"])


if __name__ == "__main__":
    # Imports are excluded for every contestant; ours happen on first use, so ask for them all beforehand.
    for module in pkgutil.walk_packages(nightshift.__path__, "nightshift."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module(f"{sys.argv[1]}.app")
    report(run)
