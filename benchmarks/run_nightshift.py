"""Contestant: the whole of nightshift's cleanup, through the handler that Lambda calls.

Cutoff, lock, run history, intent, export-and-delete, upload, proof, ledger, commit, result: nothing is left out.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys

import cleanup.app
import nightshift
from benchmarks.stopwatch import report


def run() -> int:
    answer = cleanup.app.lambda_handler(json.loads(sys.argv[1]), None)
    if not answer["complete"]:
        raise SystemExit(f"not complete: {answer}")
    return sum(int(table["archived_rows"]) for table in answer["tables"])


if __name__ == "__main__":
    # Imports are excluded for every contestant; ours happen on first use, so ask for them all beforehand.
    for module in pkgutil.walk_packages(nightshift.__path__, "nightshift."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    report(run)
