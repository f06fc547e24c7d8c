"""Data class of all Slack phrases: one `MessageCatalog` for each language, so that a missing phrase is a type error.

Blanks are filled by `str.format` with text that is escaped elsewhere (`markup`). Texts of the engine
(messages, details and hints of errors and guards, notes on columns) are English and are shown as they are, inside a
frame of these phrases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Language = Literal["ko", "en"]


class PluralForms(NamedTuple):
    """A phrase that depends on how many there are."""

    one: str
    many: str

    def form_of(self, count: int) -> str:
        return (self.one if count == 1 else self.many).format(count=f"{count:,}")


def invariant_plural(phrase: str) -> PluralForms:
    """A phrase that does not depend on it."""
    return PluralForms(phrase, phrase)


class MessageCatalog(NamedTuple):
    """One language. A dataclass of so many fields would take three times as long to make, at every cold start."""

    # Titles and sentences
    cleanup_title: str
    preview_title: str
    restore_title: str
    restore_preview_title: str
    expiry_title: str
    expiry_preview_title: str
    feedback_title: str
    feedback_preview_title: str
    reembed_title: str
    reembed_preview_title: str
    backup_title: str
    backup_unfinished_title: str
    backup_preview_title: str
    rehearsal_title: str
    rehearsal_preview_title: str
    restored_backup_title: str
    restored_backup_preview_title: str
    failed_title: str
    done: str
    done_in_part: str
    nothing: str
    partial: str
    refused: str
    untouched: str
    nothing_to_restore: str
    restored_in_part: str
    nothing_restored: str
    damaged: PluralForms
    about_columns: str
    nothing_expired: str
    files_failed: PluralForms
    files_waiting: PluralForms
    rows_busy: PluralForms
    rows_failed: PluralForms
    feedback_preview_note: str
    decided_before: str
    retraining_started: str
    not_started_again: str
    start_unknown: str
    worst_groups: str
    group: str
    nothing_to_embed: str
    nothing_embedded: str
    embedded_before: str
    model_switched: str
    embedding_goes_on: PluralForms
    embedding_left: PluralForms
    poisoned: PluralForms
    backed_up_before: str
    nothing_to_save: str
    no_backup_made: str
    backup_shrunk: str
    backup_goes_on: PluralForms
    backup_lacks: PluralForms
    backup_in_groups: PluralForms
    none_proven: str
    proven_long_ago: str
    not_in_backup: PluralForms
    warnings_told: PluralForms
    no_backup_yet: str
    comes_back: str
    comes_back_but_for: str
    environment_differs: PluralForms
    is_as_saved: str
    is_as_saved_but_for: str
    not_stamped: str
    not_as_saved: str
    differs: PluralForms
    but_for: PluralForms
    tables_not_restored: PluralForms
    table_failed: str
    table_failed_above: str
    preview_note: str
    run_refused: str
    unexpected: str
    look_in_log: str
    tables_left_out: PluralForms
    warnings_left_out: PluralForms
    entries_left_out: PluralForms

    # Labels of facts
    backup_file: str
    backup_rows: str
    cutoff: str
    ran_at: str
    table: str
    kept_in: str
    size: str
    took: str
    oldest_overdue: str
    partitions: str
    vacuum: str
    orphans: str
    expected_rows: str
    expected_size: str
    expected_seconds: str
    expected_cost: str
    restore_table: str
    restored_into: str
    restored_rows: str
    expected_restore: str
    existing_keys: str
    objects: str
    restored_before: str
    objects_left: str
    hold: str
    likes: str
    dislikes: str
    total_votes: str
    negative_ratio: str
    state: str
    created_at: str
    dashboard: str
    window: str
    verdict: str
    change: str
    week: str
    late: str
    unknown_ratings: str
    resembles: str
    counted_now: str
    on_record: str
    figures: str
    comments: str
    cooling: str
    decision: str
    model: str
    embedded: str
    to_embed: str
    unchanged: str
    removed: str
    tokens: str
    whole_size: str
    saved_tables: str
    saved_logs: str
    snapshot_time: str
    proven_backup: str
    pruned: str
    would_prune: str
    target_database: str
    reason: str
    hint: str
    error: str
    detail: str
    attempt: str
    request_id: str

    # Values of facts
    rows: PluralForms
    files: PluralForms
    tables: PluralForms
    pieces: PluralForms
    others: PluralForms
    expired: PluralForms
    dependents: PluralForms
    other_tables: PluralForms
    backed_up: PluralForms
    files_deleted: PluralForms
    files_to_delete: PluralForms
    files_kept: PluralForms
    failed_among: PluralForms
    votes: PluralForms
    ratings: PluralForms
    documents: PluralForms
    log_events: PluralForms
    since_previous: str
    same_size: str
    larger: str
    smaller: str
    ago: str
    scratch_database: str
    points: str
    points_up: str
    points_down: str
    from_to: str
    interval: str
    long_or_short_day: str
    dimensions: PluralForms
    none: str
    vacuumed: str
    share_of_table: str
    cost_covers: str
    rate: str
    nth: str
    seconds: str
    minutes: str
    hours: str
    days: str
    expired_ago: str
    attached: str
    excerpt: str
    the_original: str
    left_alone: str
    goes_on: str
    until: str
    hold_means: str

    # Names
    jobs: Mapping[str, str]
    states: Mapping[str, str]
    verdicts: Mapping[str, str]
    guards: Mapping[str, str]
    other_guard: str
    damages: Mapping[str, str]
