"""The message of `reembed`: how many documents got a new embedding, and by name those that the model did not take.

Few lines: a large collection takes several invocations, and each of them tells of its part. Of a document nothing is
shown but its id and what the model said of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results import GRAVITY, EmbeddedTable, PoisonedDocument, ReembedResult, Status
from nightshift.slack.markup import DASH, code, fact, prose
from nightshift.slack.message import Draft, header, section
from nightshift.slack.report import Report, run_lines
from nightshift.slack.words import Words

MAX_POISONED = 3
"""Documents named of those that were set aside."""
MAX_ID, MAX_REASON = 80, 160
"""Characters of a document's id, and of what the model said."""
MAX_WARNINGS, MAX_WARNING = 3, 250
"""Warnings shown of one table, and characters of each."""


def reembed(result: ReembedResult, report: Report, words: Words) -> Draft:
    """The message for a run of `reembed`; of one that failed, the part below the failure."""
    phrases = words.phrases
    if result.done_before and report.error is None:
        return Draft(head=(section([phrases.embedded_before, *_decision(result, words), *run_lines(report, words)]),))
    told = [table for table in sorted(result.tables, key=_gravity) if not _quiet(table)]
    if not told and report.error is None:
        return Draft(head=(section(_nothing(result, report, words)),))
    above = phrases.table_failed_above if told else phrases.nothing_embedded
    run = run_lines(report, words) if report.error is None else []
    head = [*([above] if report.error is not None else []), *_decision(result, words), *run]
    if report.dry_run and report.error is None:
        head.append(phrases.preview_note)
    title = (header(phrases.reembed_preview_title if report.dry_run else phrases.reembed_title),)
    items = [[fact(phrases.table, code(table.table)), *_table(table, result, report, words)] for table in told]
    first = title if report.error is None else ()
    if len(items) == 1:
        return Draft(head=(*first, section([*items[0], *head] if report.error is None else [*head, *items[0]])))
    return Draft(
        head=(*first, section(head)), items=tuple(section(item) for item in items), left_out=phrases.tables_left_out
    )


def _gravity(table: EmbeddedTable) -> int:
    return GRAVITY.index(table.status)


def _quiet(table: EmbeddedTable) -> bool:
    """Nothing was due, and nothing else is to be said."""
    trouble = table.poisoned or table.left or table.warnings or table.removed or table.switched
    return table.status in (Status.NOTHING, Status.DRY_RUN) and not (table.embedded or trouble)


def _nothing(result: ReembedResult, report: Report, words: Words) -> list[str]:
    """Every document has its embedding."""
    phrases = words.phrases
    lines = [phrases.nothing_to_embed, *_decision(result, words)]
    unchanged = sum(table.unchanged for table in result.tables)
    if unchanged:
        lines.append(fact(phrases.unchanged, phrases.documents.of(unchanged)))
    lines += run_lines(report, words)
    return [*lines, phrases.preview_note] if report.dry_run else lines


def _table(table: EmbeddedTable, result: ReembedResult, report: Report, words: Words) -> Iterator[str]:
    """What became of one table's documents."""
    phrases = words.phrases
    if table.error is not None and table.error is not report.error:
        yield phrases.table_failed.format(error=prose(table.error.message))
        if table.error.hint:
            yield fact(phrases.hint, prose(table.error.hint))
    if table.status is Status.REFUSED:
        refusal = table.refusal
        yield phrases.refused.format(guard=prose(words.guard(refusal.guard)) if refusal else DASH)
        if refusal:
            yield fact(phrases.reason, prose(refusal.message))
            yield fact(phrases.hint, prose(refusal.hint))
    if table.embedded or table.status is not Status.REFUSED:
        yield from _figures(table, words)
    if table.switched:
        yield phrases.model_switched
    if table.left:
        yield (phrases.embedding_goes_on if result.continues else phrases.embedding_left).of(table.left)
    yield from _poisoned(table, words)
    yield from (f"⚠️ {prose(warning, MAX_WARNING)}" for warning in table.warnings[:MAX_WARNINGS])
    if len(table.warnings) > MAX_WARNINGS:
        yield phrases.warnings_left_out.of(len(table.warnings) - MAX_WARNINGS)


def _figures(table: EmbeddedTable, words: Words) -> Iterator[str]:
    phrases = words.phrases
    if table.model:
        yield fact(phrases.model, code(table.model), note=phrases.dimensions.of(table.dimension))
    due = phrases.to_embed if table.status is Status.DRY_RUN else phrases.embedded
    yield fact(due, phrases.documents.of(table.embedded))
    if table.unchanged:
        yield fact(phrases.unchanged, phrases.documents.of(table.unchanged))
    if table.removed:
        yield fact(phrases.removed, phrases.documents.of(table.removed))
    if table.tokens:
        yield fact(phrases.tokens, f"{table.tokens:,}")
    if table.status is not Status.DRY_RUN:
        yield fact(phrases.took, words.duration(table.seconds))


def _poisoned(table: EmbeddedTable, words: Words) -> Iterator[str]:
    """Documents that were set aside, the first of them by name."""
    if not table.poisoned:
        return
    yield words.phrases.poisoned.of(table.poisoned)
    shown = table.examples[:MAX_POISONED]
    yield from (_named(document) for document in shown)
    if shown and table.poisoned > len(shown):
        yield words.phrases.entries_left_out.of(table.poisoned - len(shown))


def _named(document: PoisonedDocument) -> str:
    return f"• {code(document.id, MAX_ID)}: {prose(document.reason, MAX_REASON)}"


def _decision(result: ReembedResult, words: Words) -> list[str]:
    """What asked for it, where that was `feedback`."""
    return [fact(words.phrases.decision, code(result.decision))] if result.decision else []
