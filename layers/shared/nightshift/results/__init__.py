"""The facts that a job returns. Slack text, JSON answers and CLI tables are all made from these, elsewhere.

Each job's facts have a module of their own, loaded when somebody asks for them: no function pays for another's at its
cold start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightshift.results.backup import BackupResult, RestoredBackup
    from nightshift.results.cleanup import CleanupResult, Estimate, TableResult
    from nightshift.results.common import GRAVITY, Attachment, JobResult, Refusal, RunRefused, Status, gravest
    from nightshift.results.expiry import ExpiredTable, ExpiryResult, FileFailures, FilesResult
    from nightshift.results.feedback import (
        DayVotes,
        FeedbackFigures,
        FeedbackReason,
        FeedbackResult,
        FeedbackState,
        GroupVotes,
        Interval,
        UnknownRating,
        Votes,
    )
    from nightshift.results.reembed import EmbeddedTable, PoisonedDocument, ReembedResult
    from nightshift.results.restore import DamagedObject, RestoreResult

__all__ = [
    "GRAVITY",
    "Attachment",
    "BackupResult",
    "CleanupResult",
    "DamagedObject",
    "DayVotes",
    "EmbeddedTable",
    "Estimate",
    "ExpiredTable",
    "ExpiryResult",
    "FeedbackFigures",
    "FeedbackReason",
    "FeedbackResult",
    "FeedbackState",
    "FileFailures",
    "FilesResult",
    "GroupVotes",
    "Interval",
    "JobResult",
    "PoisonedDocument",
    "ReembedResult",
    "Refusal",
    "RestoreResult",
    "RestoredBackup",
    "RunRefused",
    "Status",
    "TableResult",
    "UnknownRating",
    "Votes",
    "gravest",
]

_MODULES = {
    "backup": ("BackupResult", "RestoredBackup"),
    "cleanup": ("CleanupResult", "Estimate", "TableResult"),
    "expiry": ("ExpiredTable", "ExpiryResult", "FileFailures", "FilesResult"),
    "feedback": (
        "DayVotes",
        "FeedbackFigures",
        "FeedbackReason",
        "FeedbackResult",
        "FeedbackState",
        "GroupVotes",
        "Interval",
        "UnknownRating",
        "Votes",
    ),
    "reembed": ("EmbeddedTable", "PoisonedDocument", "ReembedResult"),
    "restore": ("DamagedObject", "RestoreResult"),
}
"""Which module has which names; `common` has the others."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _MODULES.items() if name in names), "common")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found
