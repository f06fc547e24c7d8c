"""Finds the jobs under `functions/`, the folder beside `layers/` in a checkout of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import nightshift
from nightshift.job_spec import list_jobs

FUNCTIONS = Path(nightshift.__file__).resolve().parents[3] / "functions"


def find_jobs() -> list[str]:
    """Returns the jobs of the checkout, and makes them importable."""
    if str(FUNCTIONS) not in sys.path:
        sys.path.append(str(FUNCTIONS))
    return list_jobs(FUNCTIONS)
