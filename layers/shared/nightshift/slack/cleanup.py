"""Renders the message of `cleanup`: one paragraph per table, tables with problems first.

The message for a single table has the established form of this report. Tables with nothing due share one line, so that
the other tables stand out. Every other table shows its oldest overdue row, because this row reveals a run that
succeeds without cleaning anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightshift.results.cleanup import CleanupResult, TableResult
from nightshift.results.common import SEVERITY, MessageAttachment, RunStatus
from nightshift.results.units import format_size, format_usd
from nightshift.slack.formatter import MessageFormatter, excerpt_text
from nightshift.slack.markup import DASH, MAX_PROSE, format_code, format_fact, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.report import ReportFrame, error_lines, preview_lines, refusal_lines, run_lines, warning_lines

MAX_NAMES = 5
"""Maximum number of names on a line that several tables or objects share."""
MAX_WARNINGS = 5
"""Maximum number of warnings shown for one table. The log has all warnings."""


@dataclass(frozen=True, slots=True)
class TableLines:
    """Lines of one table, in two parts. The lines about the whole run go between the two parts."""

    first: list[str]
    rest: list[str]


def render_cleanup(result: CleanupResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message for a run of `cleanup`. For a failed run, returns the part below the error."""
    tables = sorted(result.tables, key=lambda table: SEVERITY.index(table.status))
    quiet = [table for table in tables if table.status is RunStatus.NOTHING]
    loud = [table for table in tables if table.status is not RunStatus.NOTHING]
    orphans = _orphans(result, words)
    if not loud:
        sentences = _quiet(quiet, words, named=len(quiet) > 1) or [words.nothing.format(cutoff=DASH)]
        return MessageDraft(head=(section_block([*sentences, *orphans]),))
    # The message of a failed run already has a title and lines about the run.
    failed, note = report.error is not None, preview_lines(report, words)
    title = [] if failed else [header_block(words.preview_title if report.dry_run else words.cleanup_title)]
    run = [] if failed else run_lines(report, words)
    if len(result.tables) == 1:
        (table,) = loud
        lines = _table(table, result, report, words)
        named = format_fact(words.table, format_code(table.table))
        return MessageDraft(head=(*title, section_block([*lines.first, *run, named, *lines.rest, *orphans, *note])))
    head = [*_summary(loud, words), *run, *orphans, *_quiet(quiet, words, named=True), *note]
    return MessageDraft(
        head=(*title, section_block(head)),
        items=tuple(_paragraph(table, result, report, words) for table in loud),
        left_out=words.tables_left_out,
    )


def _paragraph(table: TableResult, result: CleanupResult, report: ReportFrame, words: MessageFormatter) -> Block:
    """Returns the block of one table in a message with several tables."""
    lines = _table(table, result, report, words)
    return section_block([f"🗃️ {format_code(table.table)}", *lines.first, *lines.rest])


def _table(table: TableResult, result: CleanupResult, report: ReportFrame, words: MessageFormatter) -> TableLines:
    csv = _csv_of(table, result)
    if table.status is RunStatus.REFUSED:
        lines = _refused(table, words)
    elif table.status is RunStatus.DRY_RUN:
        lines = _expected(table, words)
    else:
        lines = _archived(table, csv, words)
    if table.status is RunStatus.FAILED:
        lines = TableLines([*_failed(table, report, words), *lines.first], lines.rest if table.archived_rows else [])
    return TableLines(lines.first, [*lines.rest, *_warnings(table, words), *_attached(csv, words)])


def _failed(table: TableResult, report: ReportFrame, words: MessageFormatter) -> list[str]:
    """Returns a table's error; if the message begins with this error, a reference to the error above."""
    error = table.error
    if error is None or error is report.error:
        return [words.table_failed_above]
    return error_lines(error, words)


def _archived(table: TableResult, csv: MessageAttachment | None, words: MessageFormatter) -> TableLines:
    first = [words.partial] if table.status is RunStatus.PARTIAL else []
    first += [
        format_fact(words.backup_file, format_code(csv.filename) if csv else _keys(table.keys, table.objects, words)),
        format_fact(words.backup_rows, words.format_rows(table.archived_rows)),
        format_fact(words.cutoff, _date(table.cutoff)),
    ]
    rest = [format_fact(words.size, format_size(table.bytes), note=words.files.form_of(table.objects))]
    if csv and table.keys:
        rest.append(format_fact(words.kept_in, _keys(table.keys, table.objects, words)))
    rate = words.format_rate(table.rows_per_second) if table.rows_per_second >= 1 else ""
    rest.append(format_fact(words.took, words.format_duration(table.seconds), note=rate))
    overdue = words.none if table.oldest_overdue is None else format_prose(words.format_moment(table.oldest_overdue))
    rest.append(format_fact(words.oldest_overdue, overdue))
    if table.partitions_dropped:
        rest.append(format_fact(words.partitions, words.pieces.form_of(table.partitions_dropped)))
    if table.vacuumed:
        rest.append(format_fact(words.vacuum, words.vacuumed))
    return TableLines(first, rest)


def _refused(table: TableResult, words: MessageFormatter) -> TableLines:
    first = refusal_lines(table.refusal, words)
    if table.cutoff:
        first.append(format_fact(words.cutoff, _date(table.cutoff)))
    if table.archived_rows:
        return TableLines(first, [format_fact(words.backup_rows, words.format_rows(table.archived_rows))])
    return TableLines(first, [words.untouched])


def _expected(table: TableResult, words: MessageFormatter) -> TableLines:
    estimate = table.estimate
    first = [format_fact(words.cutoff, _date(table.cutoff))]
    if estimate is None:
        return TableLines(first, [])
    share = words.share_of_table.format(share=f"{estimate.share:.1%}")
    rows = format_fact(words.expected_rows, words.format_rows(estimate.rows), note=share)
    size = format_fact(words.expected_size, format_size(estimate.bytes), note=words.files.form_of(estimate.objects))
    seconds = format_fact(words.expected_seconds, words.format_duration(estimate.seconds))
    cost = format_fact(words.expected_cost, format_prose(format_usd(estimate.usd)), note=words.cost_covers)
    return TableLines([rows, *first], [size, seconds, cost])


def _quiet(tables: Sequence[TableResult], words: MessageFormatter, *, named: bool) -> list[str]:
    """Returns one line for all tables with the same cutoff date, then the warnings. `tables` have nothing due."""
    by_date: defaultdict[str, list[str]] = defaultdict(list)
    for table in tables:
        by_date[_date(table.cutoff)].append(table.table)
    lines = []
    for date, names in by_date.items():
        sentence = words.nothing.format(cutoff=date)
        lines.append(f"{sentence} {_names(names, len(names), words)}" if named else sentence)
    return [*lines, *(line for table in tables for line in _warnings(table, words))]


def _warnings(table: TableResult, words: MessageFormatter) -> list[str]:
    return warning_lines(table.warnings, words, most=MAX_WARNINGS, limit=MAX_PROSE)


def _summary(loud: Sequence[TableResult], words: MessageFormatter) -> list[str]:
    estimates = [table.estimate for table in loud if table.status is RunStatus.DRY_RUN and table.estimate]
    if estimates:
        rows, size = sum(e.rows for e in estimates), sum(e.bytes for e in estimates)
        labels = (words.expected_rows, words.expected_size)
    else:
        rows, size = sum(table.archived_rows for table in loud), sum(table.bytes for table in loud)
        labels = (words.backup_rows, words.size)
    note = words.tables.form_of(len(loud))
    return [format_fact(labels[0], words.format_rows(rows), note=note), format_fact(labels[1], format_size(size))]


def _csv_of(table: TableResult, result: CleanupResult) -> MessageAttachment | None:
    mine = (table.table, None) if len(result.tables) == 1 else (table.table,)
    return next((attachment for attachment in result.attachments if attachment.table in mine), None)


def _attached(csv: MessageAttachment | None, words: MessageFormatter) -> list[str]:
    if csv is None:
        return []
    part = excerpt_text(words, csv)
    return [f"{words.attached} ({part})" if part else words.attached]


def _orphans(result: CleanupResult, words: MessageFormatter) -> list[str]:
    count = result.orphans_removed
    return [format_fact(words.orphans, words.pieces.form_of(count))] if count else []


def _keys(keys: Sequence[str], objects: int, words: MessageFormatter) -> str:
    return _names(keys[:1], objects, words) if keys else words.none


def _names(names: Iterable[str], count: int, words: MessageFormatter) -> str:
    shown = list(names)[:MAX_NAMES]
    text = ", ".join(format_code(name) for name in shown)
    return f"{text} {words.others.form_of(count - len(shown))}" if count > len(shown) else text


def _date(cutoff: datetime | None) -> str:
    """Returns the date of the cutoff in the cutoff's time zone, which is the time zone of the table's policy."""
    return DASH if cutoff is None else cutoff.date().isoformat()
