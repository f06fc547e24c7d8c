"""Data classes that the jobs return. Slack text, JSON answers and CLI tables are all made from them, elsewhere.

Each job's classes have a module of their own, loaded on first use, so that no function loads another's at its cold
start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightshift.results.backup import BackupResult, RestoredBackup
    from nightshift.results.cleanup import CleanupEstimate, CleanupResult, TableResult
    from nightshift.results.common import (
        SEVERITY,
        GuardRefusal,
        JobResult,
        MessageAttachment,
        RunRefused,
        RunStatus,
        worst_status,
    )
    from nightshift.results.expiry import ExpiredTable, ExpiryResult, FileFailures, FilesResult
    from nightshift.results.feedback import (
        ConfidenceInterval,
        DayVotes,
        FeedbackFigures,
        FeedbackReason,
        FeedbackResult,
        FeedbackState,
        GroupVotes,
        UnknownRating,
        VoteTotals,
    )
    from nightshift.results.reembed import EmbeddedTable, ReembedResult, RejectedDocument
    from nightshift.results.restore import DamagedObject, RestoreResult

__all__ = [
    "SEVERITY",
    "BackupResult",
    "CleanupEstimate",
    "CleanupResult",
    "ConfidenceInterval",
    "DamagedObject",
    "DayVotes",
    "EmbeddedTable",
    "ExpiredTable",
    "ExpiryResult",
    "FeedbackFigures",
    "FeedbackReason",
    "FeedbackResult",
    "FeedbackState",
    "FileFailures",
    "FilesResult",
    "GroupVotes",
    "GuardRefusal",
    "JobResult",
    "MessageAttachment",
    "ReembedResult",
    "RejectedDocument",
    "RestoreResult",
    "RestoredBackup",
    "RunRefused",
    "RunStatus",
    "TableResult",
    "UnknownRating",
    "VoteTotals",
    "worst_status",
]

_MODULES = {
    "backup": ("BackupResult", "RestoredBackup"),
    "cleanup": ("CleanupEstimate", "CleanupResult", "TableResult"),
    "expiry": ("ExpiredTable", "ExpiryResult", "FileFailures", "FilesResult"),
    "feedback": (
        "ConfidenceInterval",
        "DayVotes",
        "FeedbackFigures",
        "FeedbackReason",
        "FeedbackResult",
        "FeedbackState",
        "GroupVotes",
        "UnknownRating",
        "VoteTotals",
    ),
    "reembed": ("EmbeddedTable", "ReembedResult", "RejectedDocument"),
    "restore": ("DamagedObject", "RestoreResult"),
}
"""Names by their module; `common` has the others."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _MODULES.items() if name in names), "common")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found
