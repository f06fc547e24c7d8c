"""The facts that a job returns. Slack text, JSON answers and CLI tables are all made from these, elsewhere."""

from __future__ import annotations

from nightshift.results.cleanup import CleanupResult, Estimate, TableResult
from nightshift.results.common import GRAVITY, Attachment, JobResult, Refusal, RunRefused, Status, gravest
from nightshift.results.expiry import ExpiredTable, ExpiryResult, FileFailures, FilesResult
from nightshift.results.restore import DamagedObject, RestoreResult

__all__ = [
    "GRAVITY",
    "Attachment",
    "CleanupResult",
    "DamagedObject",
    "Estimate",
    "ExpiredTable",
    "ExpiryResult",
    "FileFailures",
    "FilesResult",
    "JobResult",
    "Refusal",
    "RestoreResult",
    "RunRefused",
    "Status",
    "TableResult",
    "gravest",
]
