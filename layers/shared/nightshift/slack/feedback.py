"""Renders the message of `feedback`: the report in the form that its readers know, and below it the reasons.

The first paragraph is the known form, line by line. The second has the sentence on the state with every number that was
compared, the consequences, and other facts about the votes. A deciding number is never rounded to the number that it
was compared with: `30.04%` is above `30%`, and `30.0%` would not be.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results.feedback import FeedbackFigures, FeedbackResult, FeedbackState, GroupVotes, show_rating
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import DASH, format_code, format_fact, format_link, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.report import ReportFrame, refusal_lines, warning_lines

MAX_GROUPS = 3
"""Topics or models named."""
MAX_UNKNOWN = 5
"""Unknown values named."""
MAX_NAME = 80
"""Characters of such a name."""
MAX_WARNING = 250
"""Characters of a warning."""
MAX_DIGITS = 4
"""Decimals of a percentage, if fewer would not distinguish it from another."""
DAY = 24


def render_feedback(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """The message for a run of `feedback`; of one that failed, the part below the failure."""
    phrases = words.phrases
    if report.error is not None:
        form = section_block([phrases.table_failed_above, *_form(result, report, words)])
        return MessageDraft(head=(form, section_block(list(_details(result, report, words)))))
    title = header_block(phrases.feedback_preview_title if report.dry_run else phrases.feedback_title)
    if result.refusal is not None:
        return MessageDraft(head=(title, _refused(result, report, words)))
    return MessageDraft(
        head=(title, section_block(_form(result, report, words)), section_block(list(_details(result, report, words)))),
    )


def _form(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> list[str]:
    """The report as it always was."""
    phrases, votes = words.phrases, result.votes
    lines = [
        format_fact(phrases.likes, f"{votes.likes:,}"),
        format_fact(phrases.dislikes, f"{votes.dislikes:,}"),
        format_fact(phrases.total_votes, f"{votes.total:,}"),
        format_fact(phrases.negative_ratio, DASH if votes.ratio is None else f"{votes.ratio:.1%}"),
        format_fact(phrases.state, phrases.states[result.state]),
        format_fact(phrases.created_at, format_prose(words.format_minute(report.as_of))),
    ]
    if result.dashboard_url:
        lines.append(format_link(result.dashboard_url, phrases.dashboard))
    return lines


def _details(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the reasons, the consequences, and other facts about the votes."""
    phrases = words.phrases
    yield format_fact(phrases.verdict, _verdict(result, words))
    yield from _consequences(result, report, words)
    yield format_fact(phrases.window, format_prose(_day(result)), note=_hours(result, words))
    yield from _unknown(result, words)
    yield from _history(result, words)
    if result.comments is not None:
        yield format_fact(phrases.comments, phrases.pieces.form_of(result.comments))
    yield from _groups(result.worst, words)
    if report.attempt > 1:
        yield format_fact(phrases.attempt, phrases.nth.format(attempt=report.attempt))
    yield from warning_lines(result.warnings, words, limit=MAX_WARNING)
    if report.dry_run and report.error is None:
        yield phrases.feedback_preview_note


def _verdict(result: FeedbackResult, words: MessageFormatter) -> str:
    """The sentence behind the state, with the numbers that were weighed."""
    phrases, ratio, interval = words.phrases, result.votes.ratio, result.interval
    week = result.week.ratio if result.week else None
    weighed = DASH
    if interval is not None:
        weighed = phrases.interval.format(
            confidence=_short(interval.confidence),
            low=_percent(interval.low, result.threshold, week),
            high=_percent(interval.high, result.threshold),
        )
    return phrases.verdicts[result.reason].format(
        ratio=DASH if ratio is None else _percent(ratio, result.threshold),
        threshold=_short(result.threshold),
        interval=weighed,
        week=DASH if week is None else _percent(week, interval.low if interval else None),
        total=phrases.votes.form_of(result.votes.total),
        min_votes=phrases.votes.form_of(result.min_votes),
        unknown=phrases.ratings.form_of(result.unknown),
    )


def _consequences(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the actions that were started, or the reasons why none was."""
    phrases = words.phrases
    retraining = result.state is FeedbackState.RETRAINING
    if result.decided_before:
        again = retraining and not result.started and report.error is None
        yield f"{phrases.decided_before} {phrases.not_started_again}" if again else phrases.decided_before
    if result.since is not None:
        yield format_fact(phrases.counted_now, _figures(result.since, words))
    if result.on_record is not None:
        yield format_fact(phrases.on_record, _figures(result.on_record, words))
    if result.started:
        yield phrases.retraining_started
    elif retraining and report.error is not None:
        yield phrases.start_unknown
    if result.cooling_until is not None:
        yield format_fact(
            phrases.cooling, phrases.until.format(moment=format_prose(words.format_moment(result.cooling_until)))
        )
    if retraining and result.decision:
        yield format_fact(phrases.decision, format_code(result.decision))


def _figures(figures: FeedbackFigures, words: MessageFormatter) -> str:
    """The figures of a decision, or of another count, in one line."""
    phrases, votes = words.phrases, figures.votes
    told = phrases.figures.format(
        likes=f"{votes.likes:,}",
        dislikes=f"{votes.dislikes:,}",
        ratio=DASH if votes.ratio is None else _percent(votes.ratio, figures.threshold),
        threshold=_short(figures.threshold),
        min_votes=phrases.votes.form_of(figures.min_votes),
        confidence=_short(figures.confidence),
    )
    unknown = [f"{phrases.unknown_ratings} {figures.unknown:,}"] if figures.unknown else []
    return " · ".join([*([phrases.states[figures.state]] if figures.state else []), told, *unknown])


def _unknown(result: FeedbackResult, words: MessageFormatter) -> Iterator[str]:
    """Values of the rating column that the settings do not name, the most frequent by name."""
    phrases = words.phrases
    if not (result.unknown or result.unknown_ratings):
        return
    named = []
    for one in result.unknown_ratings[:MAX_UNKNOWN]:
        resembles = (
            f" ({phrases.resembles.format(value=format_code(one.resembles, MAX_NAME))})" if one.resembles else ""
        )
        named.append(f"{format_code(show_rating(one.value), MAX_NAME)} {one.count:,}{resembles}")
    yield f"⚠️ {phrases.unknown_ratings}: {phrases.ratings.form_of(result.unknown)}" + (
        f" – {', '.join(named)}" if named else ""
    )


def _history(result: FeedbackResult, words: MessageFormatter) -> Iterator[str]:
    """Yields a comparison of the window with those before it."""
    phrases, now = words.phrases, result.votes.ratio
    before = result.previous.ratio if result.previous else None
    if now is not None and before is not None:
        points = round(100 * (now - before), 1)
        told = phrases.points_up if points > 0 else phrases.points_down if points < 0 else phrases.points
        change = phrases.from_to.format(before=f"{before:.1%}", now=f"{now:.1%}")
        yield format_fact(phrases.change, told.format(points=f"{abs(points):.1f}"), note=change)
    if result.week is not None and result.week.ratio is not None:
        yield format_fact(phrases.week, f"{result.week.ratio:.1%}", note=phrases.votes.form_of(result.week.total))
    if result.late:
        yield format_fact(phrases.late, phrases.pieces.form_of(result.late))


def _groups(worst: tuple[GroupVotes, ...], words: MessageFormatter) -> Iterator[str]:
    """Yields the groups with the highest negative ratios."""
    phrases = words.phrases
    if worst:
        yield f"{phrases.worst_groups}:"
    for one in worst[:MAX_GROUPS]:
        told = phrases.group.format(
            group=format_code(one.group, MAX_NAME),
            ratio=DASH if one.votes.ratio is None else f"{one.votes.ratio:.1%}",
            total=phrases.votes.form_of(one.votes.total),
            dislikes=f"{one.votes.dislikes:,}",
        )
        yield f"• {told}"
    if len(worst) > MAX_GROUPS:
        yield phrases.entries_left_out.form_of(len(worst) - MAX_GROUPS)


def _refused(result: FeedbackResult, report: ReportFrame, words: MessageFormatter) -> Block:
    phrases = words.phrases
    lines = [
        *refusal_lines(result.refusal, words),
        format_fact(phrases.table, format_code(result.table)),
        format_fact(phrases.window, format_prose(_day(result)), note=_hours(result, words)),
        format_fact(phrases.created_at, format_prose(words.format_minute(report.as_of))),
    ]
    if report.attempt > 1:
        lines.append(format_fact(phrases.attempt, phrases.nth.format(attempt=report.attempt)))
    return section_block(lines)


def _day(result: FeedbackResult) -> str:
    """The window's day, by the clocks of its zone."""
    return f"{result.start.date().isoformat()} {result.start.tzname() or ''}".rstrip()


def _hours(result: FeedbackResult, words: MessageFormatter) -> str:
    """Returns the length of a day that had other than 24 hours, in elapsed time, not by the clock's face."""
    hours = (result.end.timestamp() - result.start.timestamp()) / 3600
    return "" if hours == DAY else words.phrases.long_or_short_day.format(hours=f"{hours:,g}")


def _percent(share: float, *others: float | None) -> str:
    """Returns a percentage with one decimal, or as many as distinguish it from unequal others."""
    for digits in range(1, MAX_DIGITS):
        told = f"{share:.{digits}%}"
        if all(other is None or other == share or f"{other:.{digits}%}" != told for other in others):
            return told
    return f"{share:.{MAX_DIGITS}%}"


def _short(share: float) -> str:
    """A setting, as it was set: `30%`, `32.5%`."""
    return f"{share * 100:.6g}%"
