"""The message of `cleanup`: one table reads as it always has, several stand one below the other, trouble first.

Tables with nothing due share a line, so that the few that matter are seen. Every table says how old the oldest
row is that should be gone by now: a run that is green while nothing is cleaned would show there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightshift.results import GRAVITY, Attachment, CleanupResult, Status, TableResult
from nightshift.slack.markup import DASH, code, fact, prose
from nightshift.slack.message import Block, Draft, header, section
from nightshift.slack.report import Report, run_lines
from nightshift.slack.words import Words, excerpt

MAX_NAMES = 5
"""Tables named on a line that several share."""
MAX_WARNINGS = 5
"""Warnings shown of one table; the log has them all."""


@dataclass(frozen=True, slots=True)
class Told:
    """One table's lines: the facts that come first, then the rest, with room for those of the run in between."""

    first: list[str]
    rest: list[str]


def cleanup(result: CleanupResult, report: Report, words: Words) -> Draft:
    """The message for a run of `cleanup`; of one that failed, the part below the failure."""
    phrases = words.phrases
    tables = sorted(result.tables, key=lambda table: GRAVITY.index(table.status))
    quiet = [table for table in tables if table.status is Status.NOTHING]
    loud = [table for table in tables if table.status is not Status.NOTHING]
    orphans = _orphans(result, words)
    if not loud:
        sentences = _quiet(quiet, words, named=len(quiet) > 1) or [phrases.nothing.format(cutoff=DASH)]
        return Draft(head=(section([*sentences, *orphans]),))
    title, run, note = _frame(report, words)
    if len(result.tables) == 1:
        (table,) = loud
        told = _tell(table, _csv_of(table, result), report, words)
        named = fact(phrases.table, code(table.table))
        return Draft(head=(*title, section([*told.first, *run, named, *told.rest, *orphans, *note])))
    head = [*_summary(loud, words), *run, *orphans, *_quiet(quiet, words, named=True), *note]
    return Draft(
        head=(*title, section(head)),
        items=tuple(section(_paragraph(table, _csv_of(table, result), report, words)) for table in loud),
        left_out=phrases.tables_left_out,
    )


def _frame(report: Report, words: Words) -> tuple[list[Block], list[str], list[str]]:
    """Title, lines of the run, closing note; a failure has its own."""
    phrases = words.phrases
    if report.error is not None:
        return [], [], []
    title = header(phrases.preview_title if report.dry_run else phrases.cleanup_title)
    return [title], run_lines(report, words), [phrases.preview_note] if report.dry_run else []


def _paragraph(table: TableResult, csv: Attachment | None, report: Report, words: Words) -> list[str]:
    """One table among several."""
    told = _tell(table, csv, report, words)
    return [f"🗃️ {code(table.table)}", *told.first, *told.rest]


def _tell(table: TableResult, csv: Attachment | None, report: Report, words: Words) -> Told:
    if table.status is Status.REFUSED:
        told = _refused(table, words)
    elif table.status is Status.DRY_RUN:
        told = _expected(table, words)
    else:
        told = _archived(table, csv, words)
    if table.status is Status.FAILED:
        told = Told([*_failed(table, report, words), *told.first], told.rest if table.archived_rows else [])
    return Told(told.first, [*told.rest, *_warnings(table, words), *_attached(csv, words)])


def _failed(table: TableResult, report: Report, words: Words) -> list[str]:
    """Why a table failed, unless the whole message is about just that."""
    phrases, error = words.phrases, table.error
    if error is None or error is report.error:
        return [phrases.table_failed_above]
    sentence = phrases.table_failed.format(error=prose(error.message))
    return [sentence, fact(phrases.hint, prose(error.hint))] if error.hint else [sentence]


def _archived(table: TableResult, csv: Attachment | None, words: Words) -> Told:
    phrases = words.phrases
    first = [phrases.partial] if table.status is Status.PARTIAL else []
    first += [
        fact(phrases.backup_file, code(csv.filename) if csv else _keys(table.keys, table.objects, words)),
        fact(phrases.backup_rows, words.rows(table.archived_rows)),
        fact(phrases.cutoff, _date(table.cutoff)),
    ]
    rest = [fact(phrases.size, words.size(table.bytes), note=phrases.files.of(table.objects))]
    if csv and table.keys:
        rest.append(fact(phrases.kept_in, _keys(table.keys, table.objects, words)))
    rate = words.rate(table.rows_per_second) if table.rows_per_second >= 1 else ""
    rest.append(fact(phrases.took, words.duration(table.seconds), note=rate))
    overdue = phrases.none if table.oldest_overdue is None else prose(words.moment(table.oldest_overdue))
    rest.append(fact(phrases.oldest_overdue, overdue))
    if table.partitions_dropped:
        rest.append(fact(phrases.partitions, phrases.pieces.of(table.partitions_dropped)))
    if table.vacuumed:
        rest.append(fact(phrases.vacuum, phrases.vacuumed))
    return Told(first, rest)


def _refused(table: TableResult, words: Words) -> Told:
    phrases, refusal = words.phrases, table.refusal
    first = [phrases.refused.format(guard=prose(words.guard(refusal.guard)) if refusal else DASH)]
    if refusal:
        first += [fact(phrases.reason, prose(refusal.message)), fact(phrases.hint, prose(refusal.hint))]
    if table.cutoff:
        first.append(fact(phrases.cutoff, _date(table.cutoff)))
    if table.archived_rows:
        return Told(first, [fact(phrases.backup_rows, words.rows(table.archived_rows))])
    return Told(first, [phrases.untouched])


def _expected(table: TableResult, words: Words) -> Told:
    phrases, estimate = words.phrases, table.estimate
    first = [fact(phrases.cutoff, _date(table.cutoff))]
    if estimate is None:
        return Told(first, [])
    rows = fact(phrases.expected_rows, words.rows(estimate.rows), note=words.share(estimate.share))
    size = fact(phrases.expected_size, words.size(estimate.bytes), note=phrases.files.of(estimate.objects))
    seconds = fact(phrases.expected_seconds, words.duration(estimate.seconds))
    cost = fact(phrases.expected_cost, prose(words.usd(estimate.usd)), note=phrases.cost_covers)
    return Told([rows, *first], [size, seconds, cost])


def _quiet(tables: Sequence[TableResult], words: Words, *, named: bool) -> list[str]:
    """One line for all tables with the same cutoff date; their warnings below."""
    by_date: defaultdict[str, list[str]] = defaultdict(list)
    for table in tables:
        by_date[_date(table.cutoff)].append(table.table)
    lines = []
    for date, names in by_date.items():
        sentence = words.phrases.nothing.format(cutoff=date)
        lines.append(f"{sentence} {_names(names, len(names), words)}" if named else sentence)
    return [*lines, *(line for table in tables for line in _warnings(table, words))]


def _summary(loud: Sequence[TableResult], words: Words) -> list[str]:
    """What the run came to over all its tables."""
    phrases = words.phrases
    estimates = [table.estimate for table in loud if table.status is Status.DRY_RUN and table.estimate]
    if estimates:
        rows, size = sum(e.rows for e in estimates), sum(e.bytes for e in estimates)
        labels = (phrases.expected_rows, phrases.expected_size)
    else:
        rows, size = sum(table.archived_rows for table in loud), sum(table.bytes for table in loud)
        labels = (phrases.backup_rows, phrases.size)
    note = phrases.tables.of(len(loud))
    return [fact(labels[0], words.rows(rows), note=note), fact(labels[1], words.size(size))]


def _csv_of(table: TableResult, result: CleanupResult) -> Attachment | None:
    mine = (table.table, None) if len(result.tables) == 1 else (table.table,)
    return next((attachment for attachment in result.attachments if attachment.table in mine), None)


def _attached(csv: Attachment | None, words: Words) -> list[str]:
    if csv is None:
        return []
    part = excerpt(words.phrases, csv)
    return [f"{words.phrases.attached} ({part})" if part else words.phrases.attached]


def _warnings(table: TableResult, words: Words) -> list[str]:
    lines = [f"⚠️ {prose(warning)}" for warning in table.warnings[:MAX_WARNINGS]]
    hidden = len(table.warnings) - len(lines)
    return [*lines, words.phrases.warnings_left_out.of(hidden)] if hidden else lines


def _orphans(result: CleanupResult, words: Words) -> list[str]:
    if not result.orphans_removed:
        return []
    return [fact(words.phrases.orphans, words.phrases.pieces.of(result.orphans_removed))]


def _keys(keys: Sequence[str], objects: int, words: Words) -> str:
    return _names(keys[:1], objects, words) if keys else words.phrases.none


def _names(names: Iterable[str], count: int, words: Words) -> str:
    shown = list(names)[:MAX_NAMES]
    text = ", ".join(code(name) for name in shown)
    return f"{text} {words.phrases.others.of(count - len(shown))}" if count > len(shown) else text


def _date(cutoff: datetime | None) -> str:
    """The cutoff's day in its own zone, which is the table's."""
    return DASH if cutoff is None else cutoff.date().isoformat()
