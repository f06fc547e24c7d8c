"""Imported once by the server that `tests/support/child.py` forks its children from: all that a run needs, warm.

No thread may be started and nothing may be connected here: neither survives a fork.
"""

from __future__ import annotations

import gc
import os

import boto3
import slack_sdk.web

import nightshift.backup.creation
import nightshift.rows.parquet
import nightshift.rows.postgres
import nightshift.rows.sqlite
import nightshift.slack.notifier
from backup import app as backup_app
from cleanup import app as cleanup_app
from expire_jobs import app as expire_jobs_app
from feedback import app as feedback_app
from restore import app as restore_app
from tests.support.reading_once import read_once

__all__ = ["backup_app", "cleanup_app", "expire_jobs_app", "feedback_app", "nightshift", "restore_app", "slack_sdk"]

os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
read_once()
boto3.client("s3", region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-").close()
# A child's collections would copy every page that these objects lie on: 15 % of a short run.
gc.freeze()
