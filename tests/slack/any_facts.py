"""Any facts of any run, and the worst: text that would break out of its place if it could."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nightshift.errors import NightshiftError
from nightshift.results.backup import BackupResult, RestoredBackup
from nightshift.results.cleanup import CleanupEstimate, CleanupResult, TableResult
from nightshift.results.common import GuardRefusal, JobResult, MessageAttachment, RunRefused, RunStatus
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

HOSTILE = (
    "&",
    "<!channel>",
    "<@U1>",
    "`",
    "```",
    '"',
    "\\",
    "*_~",
    "\n- 백업 수: 0 rows",
    "\x00",
    "\ud800",
    "👩‍👩‍👧",
    "가",
    "\u202e",
)
WORST = tuple(piece * (1600 // len(piece) + 1) for piece in HOSTILE)
"""Longer than anything that is shown of one value."""

some_text = (
    st.text(st.characters(), max_size=60)
    | st.lists(st.sampled_from(HOSTILE), max_size=20).map("".join)
    | st.sampled_from(HOSTILE).map(lambda piece: piece * 300)
)
counts = st.integers(0, 10**15)
amounts = st.just(0.0) | st.floats(1e-6, 1e9)
times = st.datetimes(timezones=st.timezones()) | st.datetimes()
estimates = st.builds(
    CleanupEstimate, rows=counts, bytes=counts, objects=counts, seconds=amounts, share=st.floats(0, 1), usd=amounts
)
errors = st.builds(NightshiftError, some_text, detail=st.none() | some_text, hint=st.none() | some_text)
refusals = st.builds(GuardRefusal, guard=some_text, message=some_text, hint=some_text)
tables = st.builds(
    TableResult,
    table=some_text,
    status=st.sampled_from(RunStatus),
    cutoff=st.none() | times,
    archived_rows=counts,
    deleted_rows=counts,
    objects=counts,
    bytes=counts,
    seconds=amounts,
    oldest_overdue=st.none() | times,
    partitions_dropped=counts,
    vacuumed=st.booleans(),
    refusal=st.none() | refusals,
    estimate=st.none() | estimates,
    warnings=st.lists(some_text, max_size=8).map(tuple),
    keys=st.lists(some_text, max_size=3).map(tuple),
    error=st.none() | errors,
)
attachments = st.builds(
    MessageAttachment,
    filename=some_text,
    content=st.just(b""),
    rows=counts,
    total_rows=counts,
    table=st.none() | some_text,
)
expired = st.builds(
    ExpiredTable,
    table=some_text,
    status=st.sampled_from(RunStatus),
    **dict.fromkeys(("expired", "archived_rows", "objects", "bytes", "busy", "failed"), counts),
    deleted_rows=st.dictionaries(some_text, counts, max_size=8),
    oldest_overdue=st.none() | st.datetimes(timezones=st.timezones()),
    seconds=amounts,
    refusal=st.none() | refusals,
    warnings=st.lists(some_text, max_size=5).map(tuple),
    error=st.none() | errors,
)
failures = st.builds(FileFailures, bucket=some_text, code=some_text, count=counts, example=some_text)
files = st.builds(
    FilesResult,
    **dict.fromkeys(("queued", "deleted", "kept", "failed", "waiting"), counts),
    failures=st.lists(failures, max_size=5).map(tuple),
)
shares = st.floats(0, 1)
votes = st.builds(VoteTotals, likes=counts, dislikes=counts)
aware = st.datetimes(timezones=st.timezones())
addresses = some_text | some_text.map("https://x.test/{}".format) | st.just("https://x.test/?a=1&b=<|>")
figures = st.builds(
    FeedbackFigures,
    votes=votes,
    unknown=counts,
    threshold=shares,
    min_votes=counts,
    confidence=shares,
    state=st.none() | st.sampled_from(FeedbackState),
)
feedbacks = st.builds(
    FeedbackResult,
    table=some_text,
    start=aware,
    end=aware,
    votes=votes,
    unknown=counts,
    unknown_ratings=st.lists(
        st.builds(UnknownRating, value=some_text, count=counts, resembles=st.none() | some_text), max_size=5
    ).map(tuple),
    since=st.none() | figures,
    on_record=st.none() | figures,
    interval=st.none() | st.builds(ConfidenceInterval, low=shares, high=shares, confidence=shares),
    threshold=shares,
    min_votes=counts,
    state=st.sampled_from(FeedbackState),
    reason=st.sampled_from(FeedbackReason),
    previous=st.none() | votes,
    week=st.none() | votes,
    late=counts,
    worst=st.lists(st.builds(GroupVotes, group=some_text, votes=votes), max_size=5).map(tuple),
    comments=st.none() | counts,
    days=st.lists(st.builds(DayVotes, day=st.dates(), votes=votes), max_size=2).map(tuple),
    cooling_until=st.none() | aware,
    dashboard_url=st.none() | addresses,
    decision=st.none() | some_text,
    decided_before=st.booleans(),
    started=st.booleans(),
    dry_run=st.booleans(),
    refusal=st.none() | refusals,
    warnings=st.lists(some_text, max_size=5).map(tuple),
)
embedded = st.builds(
    EmbeddedTable,
    table=some_text,
    status=st.sampled_from(RunStatus),
    model=some_text,
    **dict.fromkeys(
        ("dimension", "looked_at", "embedded", "unchanged", "removed", "poisoned", "left", "tokens"), counts
    ),
    examples=st.lists(st.builds(RejectedDocument, id=some_text, reason=some_text), max_size=5).map(tuple),
    switched=st.booleans(),
    seconds=amounts,
    refusal=st.none() | refusals,
    warnings=st.lists(some_text, max_size=5).map(tuple),
    error=st.none() | errors,
)
some_texts = st.lists(some_text, max_size=8).map(tuple)
backups = st.builds(
    BackupResult,
    **dict.fromkeys(("name", "location", "proven_name"), st.none() | some_text),
    **dict.fromkeys(("tables", "rows", "bytes", "left", "groups", "log_events"), counts),
    snapshot_time=st.none() | aware,
    previous_bytes=st.none() | counts,
    proven_at=st.none() | aware,
    **dict.fromkeys(("pruned", "missing", "warnings"), some_texts),
    refusal=st.none() | refusals,
    dry_run=st.booleans(),
    already=st.booleans(),
    seconds=amounts,
)
restored_backups = st.builds(
    RestoredBackup,
    **dict.fromkeys(("name", "target"), st.none() | some_text),
    **dict.fromkeys(("tables", "rows", "bytes", "left_tables"), counts),
    **dict.fromkeys(("differences", "but_for", "environment", "warnings"), some_texts),
    **dict.fromkeys(("proven", "scratch", "dry_run"), st.booleans()),
    refusal=st.none() | refusals,
    seconds=amounts,
)
RESULTS: dict[type, st.SearchStrategy[Any]] = {
    BackupResult: backups,
    RestoredBackup: restored_backups,
    CleanupResult: st.builds(
        CleanupResult,
        tables=st.lists(tables, max_size=6).map(tuple),
        attachments=st.lists(attachments, max_size=2).map(tuple),
        orphans_removed=counts,
    ),
    RestoreResult: st.builds(
        RestoreResult,
        status=st.sampled_from(RunStatus),
        table=some_text,
        into=st.none() | some_text,
        into_original=st.booleans(),
        **dict.fromkeys(("rows", "existing", "objects", "already", "remaining", "bytes"), counts),
        seconds=amounts,
        columns=st.lists(some_text, max_size=8).map(tuple),
        damaged=st.lists(st.builds(DamagedObject, key=some_text, damage=some_text, what=some_text), max_size=8).map(
            tuple
        ),
        hold_until=st.none() | times,
        refusal=st.none() | refusals,
    ),
    ExpiryResult: st.builds(ExpiryResult, tables=st.lists(expired, max_size=6).map(tuple), files=files),
    FeedbackResult: feedbacks,
    ReembedResult: st.builds(
        ReembedResult,
        tables=st.lists(embedded, max_size=4).map(tuple),
        decision=st.none() | some_text,
        done_before=st.booleans(),
        continues=st.booleans(),
    ),
    RunRefused: st.builds(RunRefused, reason=some_text),
}
"""One for every result that has a message of its own."""
results: st.SearchStrategy[JobResult] = st.one_of(*RESULTS.values())
