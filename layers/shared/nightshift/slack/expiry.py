"""The message of `expire_jobs`: one line an hour, and more only where something did not go as it should.

The line counts what is gone: the policy's rows, what hung on them, the files. Whatever stayed although it was due
follows below, each on a line of its own: rows that the database refused to delete, rows in use, files that S3 kept.
Of several policies each has its line, and tables with nothing due have none.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results import GRAVITY, ExpiredTable, ExpiryResult, FilesResult, Status
from nightshift.slack.markup import DASH, code, fact, prose
from nightshift.slack.message import Draft, section
from nightshift.slack.report import Report
from nightshift.slack.words import Words

MAX_DEPENDENTS = 5
"""Tables named of those that hang on a policy's; the others are summed up."""
MAX_TABLES = 10
"""Policies shown where none of them has trouble."""
MAX_REASONS = 3
"""Reasons named why files were not deleted."""
MAX_WARNINGS, MAX_WARNING = 3, 250
"""Warnings shown of one policy, and characters of each."""
MAX_SHOWN = 80
"""Characters of a name: a line with seven of them can still be read."""

_BETWEEN = " · "


def expiry(result: ExpiryResult, report: Report, words: Words) -> Draft:
    """The message for a run of `expire_jobs`; of one that failed, the part below the failure."""
    phrases = words.phrases
    tables = _told(result, report, words)
    deleted = list(_files(result.files, report, words))
    trouble = list(_file_trouble(result.files, words))
    note = [phrases.preview_note] if report.dry_run and report.error is None else []
    if len(tables) == 1:
        ((table, lines),) = tables
        first = _first([*_counts(table, words), *deleted], report, words)
        return Draft(head=(section([*first, *lines, *trouble, *note]),))
    first = _first(deleted, report, words) if tables or deleted else [_nothing(report, words)]
    if any(lines for _, lines in tables):
        items = tuple(section([_line(table, words), *lines]) for table, lines in tables)
        return Draft(head=(section([*first, *trouble, *note]),), items=items, left_out=phrases.tables_left_out)
    shown = [_line(table, words) for table, _ in tables[:MAX_TABLES]]
    hidden = len(tables) - len(shown)
    more = [phrases.tables_left_out.of(hidden)] if hidden else []
    return Draft(head=(section([*first, *shown, *more, *trouble, *note]),))


def _told(result: ExpiryResult, report: Report, words: Words) -> list[tuple[ExpiredTable, list[str]]]:
    """The tables that something happened to, each with its trouble; the gravest first."""
    tables = [(table, list(_trouble(table, report, words))) for table in result.tables]
    told = [(table, lines) for table, lines in tables if lines or _happened(table)]
    return sorted(told, key=lambda entry: (GRAVITY.index(entry[0].status), not entry[1]))


def _happened(table: ExpiredTable) -> bool:
    rows = table.expired or table.archived_rows or any(table.deleted_rows.values())
    return bool(rows) or table.status is Status.FAILED


def _first(parts: list[str], report: Report, words: Words) -> list[str]:
    """What is gone, on one line; of a failed run, below the sentence that says so."""
    phrases = words.phrases
    if report.error is not None:
        return [phrases.table_failed_above, *([f"- {_BETWEEN.join(parts)}"] if parts else [])]
    title = phrases.expiry_preview_title if report.dry_run else phrases.expiry_title
    again = [f"{phrases.attempt} {phrases.nth.format(attempt=report.attempt)}"] if report.attempt > 1 else []
    return [f"{title}: {_BETWEEN.join([*parts, prose(words.clock(report.as_of)), *again])}"]


def _nothing(report: Report, words: Words) -> str:
    if report.error is not None:
        return words.phrases.untouched
    return words.phrases.nothing_expired.format(moment=prose(words.clock(report.as_of)))


def _line(table: ExpiredTable, words: Words) -> str:
    """One policy among several."""
    return f"{'❌' if table.status is Status.FAILED else '•'} {_BETWEEN.join(_counts(table, words))}"


def _counts(table: ExpiredTable, words: Words) -> Iterator[str]:
    """What left a policy's table, what went with it, and what was archived before."""
    phrases = words.phrases
    yield f"{_name(table.table)} {phrases.expired.of(table.expired)}"
    dependents = _dependents(table)
    if dependents:
        total = sum(count for _, count in dependents)
        named = [f"{_name(name)} {count:,}" for name, count in dependents[:MAX_DEPENDENTS]]
        others = dependents[MAX_DEPENDENTS:]
        if others:
            named.append(f"{phrases.other_tables.of(len(others))} {sum(count for _, count in others):,}")
        yield f"{phrases.dependents.of(total)} ({', '.join(named)})"
    if table.archived_rows:
        yield phrases.backed_up.of(table.archived_rows)


def _dependents(table: ExpiredTable) -> list[tuple[str, int]]:
    """Rows that hung on expired ones, by table, most first; of the table itself where it refers to itself."""
    rows = dict(table.deleted_rows)
    if table.table in rows:
        rows[table.table] -= table.expired
    return sorted(((name, count) for name, count in rows.items() if count > 0), key=lambda entry: -entry[1])


def _files(files: FilesResult, report: Report, words: Words) -> Iterator[str]:
    phrases = words.phrases
    if report.dry_run and files.queued:
        yield phrases.files_to_delete.of(files.queued)
    if files.deleted:
        yield phrases.files_deleted.of(files.deleted)
    if files.kept:
        yield phrases.files_kept.of(files.kept)


def _trouble(table: ExpiredTable, report: Report, words: Words) -> Iterator[str]:
    """What the reader should know of a table beside its counts."""
    phrases = words.phrases
    if table.error is not None and table.error is not report.error:
        yield phrases.table_failed.format(error=prose(table.error.message))
        if table.error.hint:
            yield fact(phrases.hint, prose(table.error.hint))
    if table.status is Status.REFUSED:
        yield from _refused(table, words)
    if table.failed:
        yield phrases.rows_failed.of(table.failed)
    if table.busy:
        yield phrases.rows_busy.of(table.busy)
    if table.status is Status.PARTIAL and not (table.failed or table.busy):
        yield phrases.partial
    if table.oldest_overdue is not None:
        ago = words.duration(max(0.0, (report.as_of - table.oldest_overdue).total_seconds()))
        yield fact(phrases.oldest_overdue, phrases.expired_ago.format(duration=ago))
    yield from (f"⚠️ {prose(warning, MAX_WARNING)}" for warning in table.warnings[:MAX_WARNINGS])
    if len(table.warnings) > MAX_WARNINGS:
        yield phrases.warnings_left_out.of(len(table.warnings) - MAX_WARNINGS)


def _refused(table: ExpiredTable, words: Words) -> Iterator[str]:
    phrases, refusal = words.phrases, table.refusal
    yield phrases.refused.format(guard=prose(words.guard(refusal.guard)) if refusal else DASH)
    if refusal:
        yield fact(phrases.reason, prose(refusal.message))
        yield fact(phrases.hint, prose(refusal.hint))


def _file_trouble(files: FilesResult, words: Words) -> Iterator[str]:
    """Files that should be gone and are not: by reason where S3 gave one; where nobody asked it yet, how many."""
    phrases = words.phrases
    if files.failed:
        yield phrases.files_failed.of(files.failed)
        for one in files.failures[:MAX_REASONS]:
            yield fact(code(one.code, MAX_SHOWN), phrases.pieces.of(one.count), note=code(one.bucket, MAX_SHOWN))
        if len(files.failures) > MAX_REASONS:
            yield phrases.entries_left_out.of(sum(one.count for one in files.failures[MAX_REASONS:]))
    if files.waiting > files.failed:
        among = f" ({phrases.failed_among.of(files.failed)})" if files.failed else ""
        yield f"{phrases.files_waiting.of(files.waiting)}{among}"
    yield from (f"⚠️ {prose(warning, MAX_WARNING)}" for warning in files.warnings[:MAX_WARNINGS])


def _name(table: str) -> str:
    """A table's name, with its schema where that is not the usual one."""
    return code(table.removeprefix("public."), MAX_SHOWN)
