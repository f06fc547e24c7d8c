"""The jobs under `functions/`, which lies beside the layers in a checkout."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import nightshift

CHECKOUT = Path(nightshift.__file__).resolve().parents[3]
FUNCTIONS = CHECKOUT / "functions"


def job_names() -> list[str]:
    """Every job that has a handler."""
    return sorted(app.parent.name for app in FUNCTIONS.glob("*/app.py"))


def load_job(job: str, module: str) -> ModuleType:
    """`<job>.<module>`, found beside us where `functions` is not on the path already."""
    if str(FUNCTIONS) not in sys.path:
        sys.path.append(str(FUNCTIONS))
    return import_module(f"{job}.{module}")
