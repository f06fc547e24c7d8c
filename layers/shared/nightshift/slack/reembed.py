"""Renders the message of `reembed`: the number of embedded documents, and the documents that the model rejected.

The message is short, because a large collection takes several invocations, and each invocation sends a message. The
message shows only the id of a rejected document and the model's error, never the document's text.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results.common import SEVERITY, RunStatus
from nightshift.results.reembed import EmbeddedTable, ReembedResult
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import format_code, format_fact, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.report import ReportFrame, error_lines, preview_lines, refusal_lines, run_lines, warning_lines

MAX_POISONED = 3
"""Maximum number of rejected documents that are named."""
MAX_ID, MAX_REASON = 80, 160
"""Maximum length of a document's id, and of the model's error, in characters."""


def render_reembed(result: ReembedResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message for a run of `reembed`. For a failed run, returns the part below the error."""
    shown = [table for table in sorted(result.tables, key=lambda t: SEVERITY.index(t.status)) if not _is_quiet(table)]
    decision = [format_fact(words.decision, format_code(result.decision))] if result.decision else []
    if report.error is not None:
        title: tuple[Block, ...] = ()
        head = [words.table_failed_above if shown else words.nothing_embedded, *decision]
    elif result.done_before:
        return MessageDraft(head=(section_block([words.embedded_before, *decision, *run_lines(report, words)]),))
    else:
        title = (header_block(words.reembed_preview_title if report.dry_run else words.reembed_title),)
        head = [*decision, *run_lines(report, words), *preview_lines(report, words)]
        if not shown:
            unchanged = _unchanged(sum(table.unchanged for table in result.tables), words)
            lines = [words.nothing_to_embed, *decision, *unchanged, *run_lines(report, words)]
            return MessageDraft(head=(section_block([*lines, *preview_lines(report, words)]),))
    items = [
        [format_fact(words.table, format_code(table.table)), *_table(table, result, report, words)] for table in shown
    ]
    if len(items) == 1:
        lines = [*items[0], *head] if title else [*head, *items[0]]
        return MessageDraft(head=(*title, section_block(lines)))
    return MessageDraft(
        head=(*title, section_block(head)),
        items=tuple(section_block(item) for item in items),
        left_out=words.tables_left_out,
    )


def _is_quiet(table: EmbeddedTable) -> bool:
    """Returns whether no document of the table was due, and the table has no problem or other change to report."""
    trouble = table.poisoned or table.left or table.warnings or table.removed or table.switched
    return table.status in (RunStatus.NOTHING, RunStatus.DRY_RUN) and not (table.embedded or trouble)


def _unchanged(count: int, words: MessageFormatter) -> list[str]:
    return [format_fact(words.unchanged, words.documents.form_of(count))] if count else []


def _table(table: EmbeddedTable, result: ReembedResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    if table.error is not None and table.error is not report.error:
        yield from error_lines(table.error, words)
    if table.status is RunStatus.REFUSED:
        yield from refusal_lines(table.refusal, words)
    if table.embedded or table.status is not RunStatus.REFUSED:
        yield from _figures(table, words)
    if table.switched:
        yield words.model_switched
    if table.left:
        yield (words.embedding_goes_on if result.continues else words.embedding_left).form_of(table.left)
    yield from _poisoned(table, words)
    yield from warning_lines(table.warnings, words)


def _figures(table: EmbeddedTable, words: MessageFormatter) -> Iterator[str]:
    if table.model:
        yield format_fact(words.model, format_code(table.model), note=words.dimensions.form_of(table.dimension))
    due = words.to_embed if table.status is RunStatus.DRY_RUN else words.embedded
    yield format_fact(due, words.documents.form_of(table.embedded))
    yield from _unchanged(table.unchanged, words)
    if table.removed:
        yield format_fact(words.removed, words.documents.form_of(table.removed))
    if table.tokens:
        yield format_fact(words.tokens, f"{table.tokens:,}")
    if table.status is not RunStatus.DRY_RUN:
        yield format_fact(words.took, words.format_duration(table.seconds))


def _poisoned(table: EmbeddedTable, words: MessageFormatter) -> Iterator[str]:
    """Yields the number of documents that the model rejected, then the first of these documents with their errors."""
    if not table.poisoned:
        return
    yield words.poisoned.form_of(table.poisoned)
    shown = table.examples[:MAX_POISONED]
    for document in shown:
        yield f"• {format_code(document.id, MAX_ID)}: {format_prose(document.reason, MAX_REASON)}"
    if shown and table.poisoned > len(shown):
        yield words.entries_left_out.form_of(table.poisoned - len(shown))
