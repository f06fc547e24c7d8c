"""What nightshift can say on Slack: one `Phrases` for each language, so that a missing phrase is a type error.

Blanks are filled by `str.format` with text that is escaped elsewhere (`markup`). What the engine says of itself
(messages, details and hints of errors and guards, notes on columns) is English and is shown as it is, inside a frame
of these phrases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Language = Literal["ko", "en"]


class Plural(NamedTuple):
    """A phrase that depends on how many there are."""

    one: str
    many: str

    def of(self, count: int) -> str:
        return (self.one if count == 1 else self.many).format(count=f"{count:,}")


def same(phrase: str) -> Plural:
    """A phrase that does not depend on it."""
    return Plural(phrase, phrase)


class Phrases(NamedTuple):
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
    damaged: Plural
    about_columns: str
    nothing_expired: str
    files_failed: Plural
    files_waiting: Plural
    rows_busy: Plural
    rows_failed: Plural
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
    embedding_goes_on: Plural
    embedding_left: Plural
    poisoned: Plural
    backed_up_before: str
    nothing_to_save: str
    no_backup_made: str
    backup_shrunk: str
    backup_goes_on: Plural
    backup_lacks: Plural
    backup_in_groups: Plural
    none_proven: str
    proven_long_ago: str
    not_in_backup: Plural
    warnings_told: Plural
    no_backup_yet: str
    comes_back: str
    comes_back_but_for: str
    environment_differs: Plural
    is_as_saved: str
    is_as_saved_but_for: str
    not_stamped: str
    not_as_saved: str
    differs: Plural
    but_for: Plural
    tables_not_restored: Plural
    table_failed: str
    table_failed_above: str
    preview_note: str
    run_refused: str
    unexpected: str
    look_in_log: str
    tables_left_out: Plural
    warnings_left_out: Plural
    entries_left_out: Plural

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
    rows: Plural
    files: Plural
    tables: Plural
    pieces: Plural
    others: Plural
    expired: Plural
    dependents: Plural
    other_tables: Plural
    backed_up: Plural
    files_deleted: Plural
    files_to_delete: Plural
    files_kept: Plural
    failed_among: Plural
    votes: Plural
    ratings: Plural
    documents: Plural
    log_events: Plural
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
    dimensions: Plural
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
