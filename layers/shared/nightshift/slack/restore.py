"""The message of `restore`: what came back, where it stands now, and whatever is not as one would think.

The figures come first and are always shown. What is damaged comes next, by name: nobody will look for it unless told.
Notes on columns come last. Both lists are cut to a length that can be read; the answer and the log have all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nightshift.results import DamagedObject, RestoreResult, Status
from nightshift.slack.markup import DASH, code, fact, prose
from nightshift.slack.message import Block, Draft, header, section
from nightshift.slack.report import Report, run_lines
from nightshift.slack.words import Words

MAX_DAMAGED = 5
"""Damaged objects named."""
MAX_NOTES = 5
"""Notes on columns shown."""
MAX_WARNINGS, MAX_WARNING = 3, 400
"""Warnings shown, and characters of each."""
MAX_DAMAGE, MAX_SEEN = 50, 200
"""Characters of what a damaged object suffers from and of what was seen: all that are named fit into one section."""


def restore(result: RestoreResult, report: Report, words: Words) -> Draft:
    """The message for a run of `restore`; of one that failed, the part below the failure."""
    head = section(list(_head(result, report, words)))
    if report.error is not None:
        return Draft(head=(head,), items=_lists(result, words))
    if result.status is Status.NOTHING:
        return Draft(head=(head,))
    phrases = words.phrases
    title = header(phrases.restore_preview_title if report.dry_run else phrases.restore_title)
    return Draft(head=(title, head), items=_lists(result, words))


def _head(result: RestoreResult, report: Report, words: Words) -> Iterator[str]:
    """The verdict and the figures."""
    phrases = words.phrases
    if report.error is not None:
        yield phrases.table_failed_above
        yield from _figures(result, report, words)
    elif result.status is Status.NOTHING:
        yield phrases.nothing_to_restore
        yield from _places(result, words)
        yield from _count(phrases.restored_before, result.already, words)
        yield from _warnings(result)
    else:
        if result.status is Status.REFUSED:
            yield from _refused(result, words)
        else:
            if result.status is Status.PARTIAL:
                yield phrases.restored_in_part
            yield from _figures(result, report, words)
        yield from run_lines(report, words)
        if report.dry_run:
            yield phrases.preview_note


def _refused(result: RestoreResult, words: Words) -> Iterator[str]:
    phrases, refusal = words.phrases, result.refusal
    yield phrases.refused.format(guard=prose(words.guard(refusal.guard)) if refusal else DASH)
    if refusal:
        yield fact(phrases.reason, prose(refusal.message))
        yield fact(phrases.hint, prose(refusal.hint))
    yield from _places(result, words)
    yield fact(phrases.restored_rows, words.rows(result.rows)) if result.rows else phrases.nothing_restored


def _places(result: RestoreResult, words: Words) -> Iterator[str]:
    """The table that was archived, and the table that is filled."""
    phrases = words.phrases
    yield fact(phrases.restore_table, code(result.table))
    if result.into is not None:
        note = phrases.the_original if result.into_original else ""
        yield fact(phrases.restored_into, code(result.into), note=note)


def _figures(result: RestoreResult, report: Report, words: Words) -> Iterator[str]:
    phrases = words.phrases
    yield from _places(result, words)
    yield fact(phrases.expected_restore if report.dry_run else phrases.restored_rows, words.rows(result.rows))
    if result.existing:
        yield fact(phrases.existing_keys, words.rows(result.existing), note=phrases.left_alone)
    yield fact(phrases.objects, phrases.pieces.of(result.objects), note=words.size(result.bytes))
    yield from _count(phrases.restored_before, result.already, words)
    yield from _count(phrases.objects_left, result.remaining, words, note=phrases.goes_on)
    if result.hold_until is not None:
        until = phrases.until.format(moment=prose(words.moment(result.hold_until)))
        yield fact(phrases.hold, until, note=phrases.hold_means)
    yield from _warnings(result)
    if not report.dry_run:
        speed = result.rows / result.seconds if result.seconds > 0 else 0.0
        yield fact(phrases.took, words.duration(result.seconds), note=words.rate(speed) if speed >= 1 else "")


def _warnings(result: RestoreResult) -> Iterator[str]:
    yield from (f"⚠️ {prose(warning, MAX_WARNING)}" for warning in result.warnings[:MAX_WARNINGS])


def _count(label: str, count: int, words: Words, *, note: str = "") -> Iterator[str]:
    """How many, where there are any."""
    if count:
        yield fact(label, words.phrases.pieces.of(count), note=note)


def _lists(result: RestoreResult, words: Words) -> tuple[Block, ...]:
    """What is damaged, and what differs between archive and table."""
    phrases = words.phrases
    found = []
    if result.damaged:
        named = [_damaged(one, words) for one in result.damaged[:MAX_DAMAGED]]
        found.append(_list(phrases.damaged.of(len(result.damaged)), named, len(result.damaged), words))
    if result.columns:
        notes = [prose(note) for note in result.columns[:MAX_NOTES]]
        found.append(_list(phrases.about_columns, notes, len(result.columns), words))
    return tuple(found)


def _damaged(one: DamagedObject, words: Words) -> str:
    return f"{code(one.key)}: {prose(words.damage(one.damage), MAX_DAMAGE)} ({prose(one.what, MAX_SEEN)})"


def _list(title: str, entries: Sequence[str], total: int, words: Words) -> Block:
    """Entries below a title; the last line counts those that are not shown."""
    hidden = total - len(entries)
    more = [words.phrases.entries_left_out.of(hidden)] if hidden else []
    return section([title, *(f"• {entry}" for entry in entries), *more])
