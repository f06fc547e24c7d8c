"""Renders the message of `cleanup`: one table in the known form, several one below the other, those with trouble first.

Tables with nothing due share a line, so that the few that matter are seen. Every table shows the age of the oldest
overdue row: a run that succeeds without cleaning anything would show there.
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
from nightshift.slack.markup import DASH, format_code, format_fact, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.report import ReportFrame, error_lines, refusal_lines, run_lines, warning_lines

MAX_NAMES = 5
"""Tables named on a line that several share."""
MAX_WARNINGS = 5
"""Warnings shown of one table; the log has them all."""


@dataclass(frozen=True, slots=True)
class TableLines:
    """One table's lines: the facts that come first, then the rest, with room for those of the run in between."""

    first: list[str]
    rest: list[str]


def render_cleanup(result: CleanupResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """The message for a run of `cleanup`; of one that failed, the part below the failure."""
    phrases = words.phrases
    tables = sorted(result.tables, key=lambda table: SEVERITY.index(table.status))
    quiet = [table for table in tables if table.status is RunStatus.NOTHING]
    loud = [table for table in tables if table.status is not RunStatus.NOTHING]
    orphans = _orphans(result, words)
    if not loud:
        sentences = _quiet(quiet, words, named=len(quiet) > 1) or [phrases.nothing.format(cutoff=DASH)]
        return MessageDraft(head=(section_block([*sentences, *orphans]),))
    title, run, note = _frame(report, words)
    if len(result.tables) == 1:
        (table,) = loud
        told = _tell(table, _csv_of(table, result), report, words)
        named = format_fact(phrases.table, format_code(table.table))
        return MessageDraft(head=(*title, section_block([*told.first, *run, named, *told.rest, *orphans, *note])))
    head = [*_summary(loud, words), *run, *orphans, *_quiet(quiet, words, named=True), *note]
    return MessageDraft(
        head=(*title, section_block(head)),
        items=tuple(section_block(_paragraph(table, _csv_of(table, result), report, words)) for table in loud),
        left_out=phrases.tables_left_out,
    )


def _frame(report: ReportFrame, words: MessageFormatter) -> tuple[list[Block], list[str], list[str]]:
    """Title, lines of the run, closing note; a failure has its own."""
    phrases = words.phrases
    if report.error is not None:
        return [], [], []
    title = header_block(phrases.preview_title if report.dry_run else phrases.cleanup_title)
    return [title], run_lines(report, words), [phrases.preview_note] if report.dry_run else []


def _paragraph(
    table: TableResult, csv: MessageAttachment | None, report: ReportFrame, words: MessageFormatter
) -> list[str]:
    """One table among several."""
    told = _tell(table, csv, report, words)
    return [f"🗃️ {format_code(table.table)}", *told.first, *told.rest]


def _tell(
    table: TableResult, csv: MessageAttachment | None, report: ReportFrame, words: MessageFormatter
) -> TableLines:
    if table.status is RunStatus.REFUSED:
        told = _refused(table, words)
    elif table.status is RunStatus.DRY_RUN:
        told = _expected(table, words)
    else:
        told = _archived(table, csv, words)
    if table.status is RunStatus.FAILED:
        told = TableLines([*_failed(table, report, words), *told.first], told.rest if table.archived_rows else [])
    return TableLines(
        told.first, [*told.rest, *warning_lines(table.warnings, words, most=MAX_WARNINGS), *_attached(csv, words)]
    )


def _failed(table: TableResult, report: ReportFrame, words: MessageFormatter) -> list[str]:
    """Returns the error of a table, unless it is the error of the whole message."""
    error = table.error
    if error is None or error is report.error:
        return [words.phrases.table_failed_above]
    return error_lines(error, words)


def _archived(table: TableResult, csv: MessageAttachment | None, words: MessageFormatter) -> TableLines:
    phrases = words.phrases
    first = [phrases.partial] if table.status is RunStatus.PARTIAL else []
    first += [
        format_fact(phrases.backup_file, format_code(csv.filename) if csv else _keys(table.keys, table.objects, words)),
        format_fact(phrases.backup_rows, words.format_rows(table.archived_rows)),
        format_fact(phrases.cutoff, _date(table.cutoff)),
    ]
    rest = [format_fact(phrases.size, format_size(table.bytes), note=phrases.files.form_of(table.objects))]
    if csv and table.keys:
        rest.append(format_fact(phrases.kept_in, _keys(table.keys, table.objects, words)))
    rate = words.format_rate(table.rows_per_second) if table.rows_per_second >= 1 else ""
    rest.append(format_fact(phrases.took, words.format_duration(table.seconds), note=rate))
    overdue = phrases.none if table.oldest_overdue is None else format_prose(words.format_moment(table.oldest_overdue))
    rest.append(format_fact(phrases.oldest_overdue, overdue))
    if table.partitions_dropped:
        rest.append(format_fact(phrases.partitions, phrases.pieces.form_of(table.partitions_dropped)))
    if table.vacuumed:
        rest.append(format_fact(phrases.vacuum, phrases.vacuumed))
    return TableLines(first, rest)


def _refused(table: TableResult, words: MessageFormatter) -> TableLines:
    phrases = words.phrases
    first = refusal_lines(table.refusal, words)
    if table.cutoff:
        first.append(format_fact(phrases.cutoff, _date(table.cutoff)))
    if table.archived_rows:
        return TableLines(first, [format_fact(phrases.backup_rows, words.format_rows(table.archived_rows))])
    return TableLines(first, [phrases.untouched])


def _expected(table: TableResult, words: MessageFormatter) -> TableLines:
    phrases, estimate = words.phrases, table.estimate
    first = [format_fact(phrases.cutoff, _date(table.cutoff))]
    if estimate is None:
        return TableLines(first, [])
    rows = format_fact(phrases.expected_rows, words.format_rows(estimate.rows), note=words.format_share(estimate.share))
    size = format_fact(phrases.expected_size, format_size(estimate.bytes), note=phrases.files.form_of(estimate.objects))
    seconds = format_fact(phrases.expected_seconds, words.format_duration(estimate.seconds))
    cost = format_fact(phrases.expected_cost, format_prose(format_usd(estimate.usd)), note=phrases.cost_covers)
    return TableLines([rows, *first], [size, seconds, cost])


def _quiet(tables: Sequence[TableResult], words: MessageFormatter, *, named: bool) -> list[str]:
    """One line for all tables with the same cutoff date; their warnings below."""
    by_date: defaultdict[str, list[str]] = defaultdict(list)
    for table in tables:
        by_date[_date(table.cutoff)].append(table.table)
    lines = []
    for date, names in by_date.items():
        sentence = words.phrases.nothing.format(cutoff=date)
        lines.append(f"{sentence} {_names(names, len(names), words)}" if named else sentence)
    return [*lines, *(line for table in tables for line in warning_lines(table.warnings, words, most=MAX_WARNINGS))]


def _summary(loud: Sequence[TableResult], words: MessageFormatter) -> list[str]:
    """Returns the totals of the run over all its tables."""
    phrases = words.phrases
    estimates = [table.estimate for table in loud if table.status is RunStatus.DRY_RUN and table.estimate]
    if estimates:
        rows, size = sum(e.rows for e in estimates), sum(e.bytes for e in estimates)
        labels = (phrases.expected_rows, phrases.expected_size)
    else:
        rows, size = sum(table.archived_rows for table in loud), sum(table.bytes for table in loud)
        labels = (phrases.backup_rows, phrases.size)
    note = phrases.tables.form_of(len(loud))
    return [format_fact(labels[0], words.format_rows(rows), note=note), format_fact(labels[1], format_size(size))]


def _csv_of(table: TableResult, result: CleanupResult) -> MessageAttachment | None:
    mine = (table.table, None) if len(result.tables) == 1 else (table.table,)
    return next((attachment for attachment in result.attachments if attachment.table in mine), None)


def _attached(csv: MessageAttachment | None, words: MessageFormatter) -> list[str]:
    if csv is None:
        return []
    part = excerpt_text(words.phrases, csv)
    return [f"{words.phrases.attached} ({part})" if part else words.phrases.attached]


def _orphans(result: CleanupResult, words: MessageFormatter) -> list[str]:
    if not result.orphans_removed:
        return []
    return [format_fact(words.phrases.orphans, words.phrases.pieces.form_of(result.orphans_removed))]


def _keys(keys: Sequence[str], objects: int, words: MessageFormatter) -> str:
    return _names(keys[:1], objects, words) if keys else words.phrases.none


def _names(names: Iterable[str], count: int, words: MessageFormatter) -> str:
    shown = list(names)[:MAX_NAMES]
    text = ", ".join(format_code(name) for name in shown)
    return f"{text} {words.phrases.others.form_of(count - len(shown))}" if count > len(shown) else text


def _date(cutoff: datetime | None) -> str:
    """The cutoff's day in its own zone, which is the table's."""
    return DASH if cutoff is None else cutoff.date().isoformat()
