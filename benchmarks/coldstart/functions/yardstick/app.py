"""The yardstick: what any Python function on AWS pays before it has done anything."""

from __future__ import annotations

from typing import Any

import boto3


def lambda_handler(_event: object, _context: object) -> dict[str, Any]:
    return {"boto3": boto3.__version__}
