"""Every fault test stands on a document service whose jobs have expired, with real servers around it."""

from __future__ import annotations

from tests.expiry.faults.meeting_s3 import proxy
from tests.support.expiring import jobs, sqlite_jobs
from tests.support.house import house, sqlite_house, surroundings

__all__ = ["house", "jobs", "proxy", "sqlite_house", "sqlite_jobs", "surroundings"]
