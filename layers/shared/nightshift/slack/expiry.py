"""Renders the message of `expire_jobs`: one line per run, and more lines only for problems.

The line counts the deleted rows of the policy, the deleted dependent rows, and the deleted files. Further lines count
the due data that was not deleted: rows that the database refused to delete, rows in use, and files that S3 did not
delete. With several policies, each policy has a line. A policy with nothing due has no line.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results.common import SEVERITY, RunStatus
from nightshift.results.expiry import ExpiredTable, ExpiryResult, FilesResult
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import format_code, format_fact, format_prose
from nightshift.slack.messages import MessageDraft, section_block
from nightshift.slack.report import ReportFrame, error_lines, preview_lines, refusal_lines, warning_lines

MAX_DEPENDENTS = 5
"""Maximum number of dependent tables that are named. The rows of the other tables are added up."""
MAX_TABLES = 10
"""Maximum number of policies shown if no policy has a problem."""
MAX_REASONS = 3
"""Maximum number of reasons named for files that were not deleted."""
MAX_SHOWN = 80
"""Maximum length of a name, in characters. A line with seven such names is still readable."""

_BETWEEN = " · "


def render_expiry(result: ExpiryResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message for a run of `expire_jobs`. For a failed run, returns the part below the error."""
    tables = _shown(result, report, words)
    deleted = list(_files(result.files, report, words))
    trouble = list(_file_trouble(result.files, words))
    note = preview_lines(report, words)
    if len(tables) == 1:
        ((table, lines),) = tables
        first = _first([*_counts(table, words), *deleted], report, words)
        return MessageDraft(head=(section_block([*first, *lines, *trouble, *note]),))
    first = _first(deleted, report, words) if tables or deleted else [_nothing(report, words)]
    if any(lines for _, lines in tables):
        items = tuple(section_block([_line(table, words), *lines]) for table, lines in tables)
        head = section_block([*first, *trouble, *note])
        return MessageDraft(head=(head,), items=items, left_out=words.tables_left_out)
    shown = [_line(table, words) for table, _ in tables[:MAX_TABLES]]
    hidden = len(tables) - len(shown)
    more = [words.tables_left_out.form_of(hidden)] if hidden else []
    return MessageDraft(head=(section_block([*first, *shown, *more, *trouble, *note]),))


def _shown(result: ExpiryResult, report: ReportFrame, words: MessageFormatter) -> list[tuple[ExpiredTable, list[str]]]:
    """Returns the tables with deletions or problems, each with its lines about problems, most severe first."""
    tables = [(table, list(_trouble(table, report, words))) for table in result.tables]
    shown = [(table, lines) for table, lines in tables if lines or _has_deleted(table)]
    return sorted(shown, key=lambda entry: (SEVERITY.index(entry[0].status), not entry[1]))


def _has_deleted(table: ExpiredTable) -> bool:
    rows = table.expired or table.archived_rows or any(table.deleted_rows.values())
    return bool(rows) or table.status is RunStatus.FAILED


def _first(parts: list[str], report: ReportFrame, words: MessageFormatter) -> list[str]:
    """Returns the line with all deletions. In a failed run, a sentence about the failure precedes the line."""
    if report.error is not None:
        return [words.table_failed_above, *([f"- {_BETWEEN.join(parts)}"] if parts else [])]
    title = words.expiry_preview_title if report.dry_run else words.expiry_title
    again = [f"{words.attempt} {words.nth.format(attempt=report.attempt)}"] if report.attempt > 1 else []
    return [f"{title}: {_BETWEEN.join([*parts, format_prose(words.format_clock(report.as_of)), *again])}"]


def _nothing(report: ReportFrame, words: MessageFormatter) -> str:
    if report.error is not None:
        return words.untouched
    return words.nothing_expired.format(moment=format_prose(words.format_clock(report.as_of)))


def _line(table: ExpiredTable, words: MessageFormatter) -> str:
    return f"{'❌' if table.status is RunStatus.FAILED else '•'} {_BETWEEN.join(_counts(table, words))}"


def _counts(table: ExpiredTable, words: MessageFormatter) -> Iterator[str]:
    yield f"{_name(table.table)} {words.expired.form_of(table.expired)}"
    dependents = _dependents(table)
    if dependents:
        total = sum(count for _, count in dependents)
        named = [f"{_name(name)} {count:,}" for name, count in dependents[:MAX_DEPENDENTS]]
        others = dependents[MAX_DEPENDENTS:]
        if others:
            named.append(f"{words.other_tables.form_of(len(others))} {sum(count for _, count in others):,}")
        yield f"{words.dependents.form_of(total)} ({', '.join(named)})"
    if table.archived_rows:
        yield words.backed_up.form_of(table.archived_rows)


def _dependents(table: ExpiredTable) -> list[tuple[str, int]]:
    """Returns the number of dependent rows of each table, largest first.

    The policy's own table is included if its rows depend on each other.
    """
    rows = dict(table.deleted_rows)
    if table.table in rows:
        rows[table.table] -= table.expired
    return sorted(((name, count) for name, count in rows.items() if count > 0), key=lambda entry: -entry[1])


def _files(files: FilesResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    if report.dry_run and files.queued:
        yield words.files_to_delete.form_of(files.queued)
    if files.deleted:
        yield words.files_deleted.form_of(files.deleted)
    if files.kept:
        yield words.files_kept.form_of(files.kept)


def _trouble(table: ExpiredTable, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the problems of a table besides its counts."""
    if table.error is not None and table.error is not report.error:
        yield from error_lines(table.error, words)
    if table.status is RunStatus.REFUSED:
        yield from refusal_lines(table.refusal, words)
    if table.failed:
        yield words.rows_failed.form_of(table.failed)
    if table.busy:
        yield words.rows_busy.form_of(table.busy)
    if table.status is RunStatus.PARTIAL and not (table.failed or table.busy):
        yield words.partial
    if table.oldest_overdue is not None:
        ago = words.format_duration(max(0.0, (report.as_of - table.oldest_overdue).total_seconds()))
        yield format_fact(words.oldest_overdue, words.expired_ago.format(duration=ago))
    yield from warning_lines(table.warnings, words)


def _file_trouble(files: FilesResult, words: MessageFormatter) -> Iterator[str]:
    """Yields the counts of files that were not deleted: failed deletions by S3's error code, then waiting files."""
    if files.failed:
        yield words.files_failed.form_of(files.failed)
        for failure in files.failures[:MAX_REASONS]:
            yield format_fact(
                format_code(failure.code, MAX_SHOWN),
                words.pieces.form_of(failure.count),
                note=format_code(failure.bucket, MAX_SHOWN),
            )
        if len(files.failures) > MAX_REASONS:
            yield words.entries_left_out.form_of(sum(failure.count for failure in files.failures[MAX_REASONS:]))
    if files.waiting > files.failed:
        among = f" ({words.failed_among.form_of(files.failed)})" if files.failed else ""
        yield f"{words.files_waiting.form_of(files.waiting)}{among}"
    yield from warning_lines(files.warnings, words)


def _name(table: str) -> str:
    """Returns a table's name, with its schema unless the schema is `public`."""
    return format_code(table.removeprefix("public."), MAX_SHOWN)
